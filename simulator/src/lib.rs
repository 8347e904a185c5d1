//! enroute-simulator
