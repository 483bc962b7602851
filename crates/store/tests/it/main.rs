//! The adapters against the conformance suites and what is theirs alone.

mod files;
mod fixture;
mod opening;
mod postgres;
mod schema;
mod sqlite;
