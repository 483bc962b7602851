//! Loading and validating, with real files.

mod documents;
mod loading;
mod validation;
