//! The spool against a naive model.
