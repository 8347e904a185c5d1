//! enroute-wire
