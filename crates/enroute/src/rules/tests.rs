//! Books as files.
