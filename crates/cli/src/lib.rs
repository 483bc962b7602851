//! The `tradewind` command: roles (standalone, scheduler, worker, DAG processor) and the client commands over gRPC.
//!
//! This crate composes the others and talks to people. It must never hold scheduling logic, and the client commands must
//! never touch the database (`db` is the exception: it is about the database).

mod airflow_words;
mod args;
mod client;
mod commands;
mod context;
mod entry;
mod errors;
mod follow;
mod output;
mod roles;
mod secret_files;
mod suggest;

pub use args::Cli;
pub use entry::main;
pub use errors::{CliError, Exit};
