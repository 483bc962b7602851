//! The store adapters: Postgres and SQLite behind the [`Store`] and [`LogStore`] ports.
//!
//! This crate is the only place with SQL. Each aggregate has its module with its statements and its row conversions;
//! both databases share the text where they accept the same one. It keeps rows, it never decides anything: the one rule
//! that it enforces is the leader's term (`commit`, `leases`).
//!
//! Free text (notes, log messages, XCom keys) is kept exactly, except that U+0000, which Postgres cannot hold, becomes
//! U+FFFD on both databases. JSON values keep it.

mod assets;
mod audit;
mod backfills;
mod bundles;
mod callbacks;
mod commit;
mod dags;
mod db;
mod error;
mod file_logs;
mod human_inputs;
mod leases;
mod load;
mod logs;
mod migrate;
mod open;
mod resources;
mod row;
mod runs;
mod samples;
mod sql;
mod state_values;
mod statements;
mod store;
mod task_instances;
mod xcoms;

pub use file_logs::FileLogs;
pub use open::{StoreOptions, open, open_sql, redacted};
pub use store::SqlStore;
use tradewind_ports::{LogStore, Store};

/// A store with its logs.
pub trait FullStore: Store + LogStore {}

impl<T: Store + LogStore> FullStore for T {}
