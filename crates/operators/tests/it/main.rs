//! The native operators against real shells, servers, databases and files.

mod bash;
mod expand;
mod http;
mod sensors;
mod sql;
mod support;
mod templates;
