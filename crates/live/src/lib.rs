//! enroute-live
