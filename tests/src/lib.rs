//! enroute-tests
