//! Postgres.

use std::sync::Arc;

use tradewind_store::FullStore;

use crate::fixture::{self, Database};

async fn store() -> (Arc<dyn FullStore>, Database) {
    fixture::postgres().await
}

async fn migrated() -> (Arc<dyn FullStore>, Database) {
    let (store, database) = store().await;
    store.migrate().await.unwrap();
    (store, database)
}

tradewind_ports::store_conformance!(store);

mod logs {
    tradewind_ports::log_conformance!(super::migrated);
}
