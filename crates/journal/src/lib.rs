//! enroute-journal
