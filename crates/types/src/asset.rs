//! Assets: what tasks update and DAGs are scheduled on (Airflow `models/asset.py`, `timetables/assets.py`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{DagId, RunId, RunNo, TaskId, Timestamp};

/// An asset's identity: its name and URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AssetKey {
    /// Its name.
    pub name: String,
    /// Its URI.
    pub uri: String,
}

impl fmt::Display for AssetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

/// How a DAG or task names an asset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AssetRef {
    /// By name and URI.
    Asset(AssetKey),
    /// By name alone (`Asset.ref(name=...)`).
    Name {
        /// The name.
        name: String,
    },
    /// By URI alone (`Asset.ref(uri=...)`).
    Uri {
        /// The URI.
        uri: String,
    },
    /// An alias: whatever assets its events were attached to so far.
    Alias {
        /// Its name.
        name: String,
    },
}

/// When an asset schedule is met.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AssetCondition {
    /// The asset was updated.
    One {
        /// It.
        asset: AssetRef,
    },
    /// All are met (`&`, or a list).
    All {
        /// Of these.
        of: Vec<AssetCondition>,
    },
    /// One is met (`|`).
    Any {
        /// Of these.
        of: Vec<AssetCondition>,
    },
}

impl AssetCondition {
    /// Every asset that it names.
    pub fn assets(&self) -> Vec<&AssetRef> {
        match self {
            Self::One { asset } => vec![asset],
            Self::All { of } | Self::Any { of } => of.iter().flat_map(Self::assets).collect(),
        }
    }

    /// Whether it is met; `updated` answers for one asset. Nothing at all is never met.
    pub fn is_met(&self, updated: &impl Fn(&AssetRef) -> bool) -> bool {
        match self {
            Self::One { asset } => updated(asset),
            Self::All { of } => !of.is_empty() && of.iter().all(|part| part.is_met(updated)),
            Self::Any { of } => of.iter().any(|part| part.is_met(updated)),
        }
    }
}

/// An asset that some DAG names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asset {
    /// Its identity.
    pub key: AssetKey,
    /// Its group.
    #[serde(default)]
    pub group: String,
    /// A JSON object.
    #[serde(default)]
    pub extra: serde_json::Value,
}

/// An asset's update as a task reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutletEvent {
    /// The asset.
    pub asset: AssetKey,
    /// A JSON object.
    #[serde(default)]
    pub extra: serde_json::Value,
    /// The aliases it came through.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// The task instance that updated an asset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssetSource {
    /// Its DAG.
    pub dag_id: DagId,
    /// Its run.
    pub run_no: RunNo,
    /// Its run's id.
    pub run_id: RunId,
    /// Its task.
    pub task_id: TaskId,
    /// Its map index.
    pub map_index: i32,
}

/// An asset event: one update of an asset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AssetEvent {
    /// Its number, rising, given out by the leader.
    pub no: u64,
    /// The asset.
    pub asset: AssetKey,
    /// When.
    pub at: Timestamp,
    /// A JSON object.
    #[serde(default)]
    pub extra: serde_json::Value,
    /// What updated it; none for an event that a person made.
    #[serde(default)]
    pub source: Option<AssetSource>,
    /// The aliases it came through.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// An event that a DAG's asset schedule has not used yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingAsset {
    /// It came while the DAG was paused: it sets off no run, but the next run consumes it.
    #[serde(default)]
    pub silent: bool,
    /// The asset.
    pub asset: AssetKey,
    /// The event.
    pub event: u64,
    /// When.
    pub at: Timestamp,
    /// The aliases it came through.
    #[serde(default)]
    pub aliases: Vec<String>,
}
