//! Backfills: runs made for a range of past dates (Airflow `models/backfill.py`).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{DagId, RunNo, Timestamp};

/// Which existing runs a backfill runs again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reprocess {
    /// None.
    #[default]
    None,
    /// Failed ones.
    Failed,
    /// All that are over.
    Completed,
}

impl Reprocess {
    /// The name that Airflow uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Failed => "failed",
            Self::Completed => "completed",
        }
    }
}

impl fmt::Display for Reprocess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Reprocess {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "failed" => Ok(Self::Failed),
            "completed" => Ok(Self::Completed),
            other => Err(format!("unknown reprocess behavior \"{other}\"; use none, failed or completed")),
        }
    }
}

/// A backfill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backfill {
    /// Its number, rising, given out by the leader.
    pub no: u64,
    /// Its DAG.
    pub dag_id: DagId,
    /// The first date.
    pub from: Timestamp,
    /// The last date.
    pub to: Timestamp,
    /// Runs of it that may run at once.
    pub max_active_runs: u32,
    /// Which existing runs it runs again.
    pub reprocess: Reprocess,
    /// Latest date first.
    pub backwards: bool,
    /// The conf of its runs: a JSON object.
    pub conf: serde_json::Value,
    /// None of its runs is started while it is paused.
    pub is_paused: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When all its runs were over, or it was cancelled.
    pub completed_at: Option<Timestamp>,
    /// Who made it.
    pub by: String,
}

/// What a backfill does about one date.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackfillItem {
    /// The backfill.
    pub backfill: u64,
    /// Its place, from 1.
    pub ordinal: u32,
    /// The date.
    pub logical_date: Timestamp,
    /// The run that was made or is run again.
    pub run_no: Option<RunNo>,
    /// Why there is none: `already exists`, `in flight`.
    pub skipped: Option<String>,
}

/// The backfill that a run belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BackfillRef {
    /// The backfill.
    pub no: u64,
    /// The run's place in it, from 1.
    pub ordinal: u32,
}
