//! enroute-alert
