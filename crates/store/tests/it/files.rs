//! Logs in files.
