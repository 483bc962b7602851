//! What is wrong with a DAG file.

use tradewind_types::{ImportError, Timestamp};

/// One thing that keeps a DAG, or a whole file, from being loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong and how to mend it.
    pub message: String,
    /// Line, from 1, where known.
    pub line: Option<u32>,
    /// Column, from 1, where known.
    pub column: Option<u32>,
    /// The traceback, for Python files.
    pub traceback: Option<String>,
}

impl Problem {
    /// A problem without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// As an import error of the file, seen first at `at`.
    pub fn into_import_error(self, rel_path: &str, at: Timestamp) -> ImportError {
        ImportError {
            rel_path: rel_path.to_owned(),
            message: self.message,
            line: self.line,
            column: self.column,
            traceback: self.traceback,
            at,
        }
    }
}
