//! enroute-engine
