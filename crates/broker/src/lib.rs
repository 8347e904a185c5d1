//! enroute-broker
