//! What the `tradewind.toml` files of a DAG folder say of its DAG files: which Python environment each belongs to
//! (`docs/environments.md`), and which are loaded again after a time (`docs/deploy.md`).

mod declare;
mod definition;
mod layout;
mod locked;

pub(crate) use layout::{Claim, Layout};

/// The name of a file that declares environments.
pub(crate) const FILE: &str = "tradewind.toml";

#[cfg(test)]
mod tests;
