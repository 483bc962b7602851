//! Identifiers. Names that users choose are cheap-to-clone strings; everything that the system makes is a number or UUID.

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a name as it stands; validation happens where users hand it in ([`check_key`]).
            pub fn new(name: impl AsRef<str>) -> Self {
                Self(Arc::from(name.as_ref()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self(Arc::from(name))
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// The id of a DAG, unique in the installation.
    DagId
);
name_type!(
    /// The id of a task, unique in its DAG; a task in task groups carries their prefix (`group.task`).
    TaskId
);
name_type!(
    /// The id of a DAG run, unique in its DAG, e.g. `scheduled__2026-01-01T00:00:00+00:00`.
    RunId
);
name_type!(
    /// The name of a pool.
    PoolName
);
name_type!(
    /// The name of a queue that workers serve.
    QueueName
);
name_type!(
    /// The name of a worker, unique among the workers that live; a restarted worker keeps it and changes its
    /// incarnation.
    WorkerName
);
name_type!(
    /// The content address of a DAG version: SHA-256 (hex) over the serialized DAG and the files that it imports.
    VersionHash
);
name_type!(
    /// The content address of a bundle: SHA-256 (hex) over its manifest.
    BundleHash
);
name_type!(
    /// The content address of one file's bytes: SHA-256 (hex).
    BlobHash
);

/// SHA-256 of `bytes` in lower-case hex: the content address used for blobs, bundles and versions.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The number of a DAG run in the whole installation; given out by the leader, rising, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunNo(pub u64);

impl fmt::Display for RunNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The map index of a task instance that is not mapped, as in Airflow.
pub const UNMAPPED: i32 = -1;

/// The id of a task instance. It is derived, not drawn: a run number followed by a hash of task id and map index, so
/// that the engine needs no randomness and the rows of one run lie together in an index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TiId(pub Uuid);

impl TiId {
    /// The id of the instance of `task` with `map_index` in run `run`. Runs number up to 2^48. An instance that is not
    /// expanded yet (-1) becomes the one with index 0 and keeps its id.
    pub fn derive(run: RunNo, task: &TaskId, map_index: i32) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(map_index.max(0).to_be_bytes());
        hasher.update(task.as_str().as_bytes());
        let digest = hasher.finalize();
        let mut bytes = [0u8; 16];
        bytes[..6].copy_from_slice(&run.0.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&digest[..10]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

impl fmt::Display for TiId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TiId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The token of one attempt: made by the worker that claims it, stored with the claim, carried by every later write of
/// that attempt. Repeating a claim with the same token repeats its answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseToken(pub Uuid);

impl fmt::Debug for LeaseToken {
    /// Tokens are secrets; logs show only their first digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease:{}…", &self.0.simple().to_string()[..8])
    }
}

/// Which term of leadership a write belongs to; rises by one with each take-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(pub u64);

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A shard of the scheduler. One shard (0) by default; the lease row is per shard from the first migration on.
pub const DEFAULT_SHARD: i32 = 0;

/// Checks a name that a user chose for a DAG, task, pool, queue or the like. Airflow's `validate_key`: letters, digits,
/// dashes, dots and underscores, at most 250 characters.
///
/// # Errors
/// Says which character or length is wrong; `what` names the thing in the message ("task id").
pub fn check_key(what: &str, key: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err(format!("the {what} is empty"));
    }
    if key.chars().count() > 250 {
        return Err(format!("the {what} \"{key}\" is longer than 250 characters"));
    }
    match key.chars().find(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))) {
        None => Ok(()),
        Some(bad) => {
            Err(format!("the {what} \"{key}\" contains {bad:?}; use letters, digits, dashes, dots and underscores"))
        }
    }
}

/// Checks the id of a manual run. Airflow's rule: `^[A-Za-z0-9_.~:+-]+$`, no `..`, and no reserved type prefix.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_run_id(run_id: &str) -> Result<(), String> {
    if run_id.is_empty() || run_id.len() > 250 {
        return Err("a run id has 1 to 250 characters".to_owned());
    }
    if let Some(bad) =
        run_id.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '~' | ':' | '+' | '-')))
    {
        return Err(format!("the run id \"{run_id}\" contains {bad:?}; use letters, digits and _ . ~ : + -"));
    }
    if run_id.contains("..") {
        return Err(format!("the run id \"{run_id}\" contains \"..\""));
    }
    for reserved in ["scheduled__", "backfill__", "asset_triggered__"] {
        if run_id.starts_with(reserved) {
            return Err(format!("the run id \"{run_id}\" begins with the reserved prefix \"{reserved}\""));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_ids_are_stable_distinct_and_ordered_by_run() {
        let task = TaskId::from("extract");
        let first = TiId::derive(RunNo(1), &task, UNMAPPED);
        assert_eq!(first, TiId::derive(RunNo(1), &task, UNMAPPED));
        assert_eq!(first, TiId::derive(RunNo(1), &task, 0), "an unexpanded instance becomes the first");
        assert_ne!(first, TiId::derive(RunNo(1), &task, 1));
        assert_ne!(first, TiId::derive(RunNo(1), &TaskId::from("load"), UNMAPPED));
        assert!(first < TiId::derive(RunNo(2), &task, UNMAPPED));
        assert!(TiId::derive(RunNo(255), &task, 7) < TiId::derive(RunNo(256), &task, 0));
    }

    #[test]
    fn keys_name_the_bad_character() {
        assert!(check_key("task id", "group.task-1_a").is_ok());
        assert!(check_key("task id", "a b").unwrap_err().contains("' '"));
        assert!(check_key("task id", "").is_err());
        assert!(check_run_id("manual__2026-01-01T00:00:00+00:00").is_ok());
        assert!(check_run_id("scheduled__x").is_err());
        assert!(check_run_id("a..b").is_err());
    }

    #[test]
    fn tokens_hide_in_debug_output() {
        let token = LeaseToken(Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0));
        assert!(!format!("{token:?}").contains("9abc"));
    }
}
