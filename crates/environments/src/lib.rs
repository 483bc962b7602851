//! Python environments of DAG files: built with `uv` from the files that define them, once for each content, and kept in a
//! folder that several processes may share (`docs/adr/0015-environments.md`).
//!
//! Nobody uses an environment that is not whole: it is built aside and renamed. Whoever builds one holds its lock file
//! alone, whoever uses one shares it, and only one that nobody uses is removed.

mod base;
mod build;
mod cache;
mod messages;
mod uv;

use std::{path::PathBuf, time::Duration};

pub use cache::{Environments, Prepared};

/// What a process is told about environments.
#[derive(Clone, Debug)]
pub struct EnvironmentOptions {
    /// Where they lie; `environments` in the guest's home when absent.
    pub dir: Option<PathBuf>,
    /// The `uv` to use; without one, that beside the guest's interpreter, then that on `PATH`.
    pub uv: Option<PathBuf>,
    /// Bytes of all of them before the least recently used ones go.
    pub cache_bytes: u64,
    /// How long a warm process of one that nobody uses is kept.
    pub idle: Duration,
    /// Warm processes of environments that are kept although nobody uses them.
    pub warm: usize,
    /// How long building one may take.
    pub build_timeout: Duration,
}

impl Default for EnvironmentOptions {
    fn default() -> Self {
        Self {
            dir: None,
            uv: None,
            cache_bytes: 10 << 30,
            idle: Duration::from_secs(300),
            warm: 8,
            build_timeout: Duration::from_secs(600),
        }
    }
}

/// Why there is no environment. The text is for the author of the DAG: what is wrong, where, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EnvironmentError(pub String);
