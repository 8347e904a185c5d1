//! enroute-ingest
