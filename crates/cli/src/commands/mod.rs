//! The client commands: one file a group. Each reads arguments, calls the admin service and prints.

pub mod assets;
pub mod backfill;
pub mod callbacks;
pub mod completion;
pub mod config;
pub mod connections;
pub mod dags;
pub mod db;
pub mod files;
pub mod local;
pub mod pools;
pub mod queues;
pub mod rate;
pub mod scheduler;
pub mod simulate;
pub mod tasks;
pub mod variables;
pub mod workers;
pub mod xcom;
