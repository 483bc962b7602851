//! The configuration: options with their defaults, loading and validation.

mod options;

pub use options::*;
