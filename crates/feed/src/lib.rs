//! enroute-feed
