//! The binary as people run it, without a server: what it says and how it ends.

mod arguments;
mod authoring;
mod configuration;
mod standalone;
mod support;
mod unreachable;
