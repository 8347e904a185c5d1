//! enroute-gateway
