//! SQLite.

use std::sync::Arc;

use tempfile::TempDir;
use tradewind_store::FullStore;

use crate::fixture;

async fn store() -> (Arc<dyn FullStore>, TempDir) {
    fixture::sqlite().await
}

tradewind_ports::store_conformance!(store);

mod logs {
    tradewind_ports::log_conformance!(super::store);
}
