//! Which Python environment each DAG file of a folder belongs to, by the `tradewind.toml` files in it
//! (`docs/environments.md`).

mod declare;
mod definition;
mod layout;
mod locked;

pub(crate) use layout::{Claim, Layout};

/// The name of a file that declares environments.
pub(crate) const FILE: &str = "tradewind.toml";

#[cfg(test)]
mod tests;
