//! enroute-wfdb
