//! What operators configure at run time: pools, variables, connections; and what the leader knows of its workers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{PoolName, QueueName, Timestamp, WorkerName};

/// A pool: a number of slots that task instances of any DAG share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// Its slots; -1 for no limit.
    pub slots: i64,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Whether deferred task instances keep their slots.
    #[serde(default)]
    pub include_deferred: bool,
    /// How fast task instances may start in it (Tradewind).
    #[serde(default)]
    pub rate: Option<RateLimit>,
}

/// At most `starts` task instances start in `per_secs` seconds; what was not used is not saved up beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// How many.
    pub starts: u32,
    /// In how many seconds.
    pub per_secs: u32,
}

/// The slots of `default_pool` in a new installation, as in Airflow.
pub const DEFAULT_POOL_SLOTS: i64 = 128;

/// How full a pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolUsage {
    /// Slots of running task instances.
    pub running: u64,
    /// Slots of queued ones.
    pub queued: u64,
    /// Slots that scheduled ones wait for.
    pub scheduled: u64,
    /// Slots of deferred ones.
    pub deferred: u64,
    /// Free slots; -1 for no limit.
    pub open: i64,
}

/// A variable. The value is encrypted at rest.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its key.
    pub key: String,
    /// Its value in clear; only ever in memory.
    pub value: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variable").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A connection, with Airflow's fields. Password and extra are encrypted at rest.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connection {
    /// Its id.
    pub conn_id: String,
    /// Its type, e.g. `postgres`.
    pub conn_type: String,
    /// What it is for.
    pub description: Option<String>,
    /// Host.
    pub host: Option<String>,
    /// Schema or database.
    pub schema: Option<String>,
    /// User.
    pub login: Option<String>,
    /// Password in clear; only ever in memory.
    pub password: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// A JSON object as text, in clear; only ever in memory.
    pub extra: Option<String>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("conn_id", &self.conn_id)
            .field("conn_type", &self.conn_type)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// Whether a worker takes new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerStatus {
    /// It claims.
    Active,
    /// It finishes what it has and then ends.
    Draining,
    /// It has not been heard of for longer than its lease.
    Lost,
}

/// A worker, as the leader knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Its name.
    pub name: WorkerName,
    /// New at each start of its process.
    pub incarnation: Uuid,
    /// Its queues.
    pub queues: Vec<QueueName>,
    /// Task instances it runs at once.
    pub slots: u32,
    /// Attempts it holds now.
    pub running: u32,
    /// Whether it takes work.
    pub status: WorkerStatus,
    /// Its version.
    pub version: String,
    /// Where it runs.
    pub hostname: String,
    /// Its process.
    pub pid: u32,
    /// When it registered.
    pub registered_at: Timestamp,
    /// When it was last heard of.
    pub last_seen: Timestamp,
    /// Free-form facts, e.g. the Python version.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}
