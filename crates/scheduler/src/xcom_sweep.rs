//! Removes stored values that no XCom refers to.
//!
//! The store notes each object whose row goes or gets another one; those are removed soon. An object that never had a row,
//! since its worker died before it could say so, is found by listing the storage and is removed when it is old. A name is
//! never used twice, so an object that is not named now is never named again. Storage that another installation has marked
//! as its own is not listed: what that one has written, no row of this one names.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_stream::StreamExt;
use tradewind_objects::{ObjectError, Storage};
use tradewind_types::Timestamp;

use crate::core::{Core, store_error};

/// Objects removed between two looks at the store.
const BATCH: u32 = 500;

/// Sweeps until it is aborted. A second leader that does the same does no harm: what one removes is gone for the other.
pub(crate) async fn sweep_xcoms(core: Arc<Core>) {
    let Some(storage) = core.settings.xcom_storage.clone() else { return };
    // Listing is dear in a large bucket, and orphans are rare.
    let between = core.settings.xcom_orphans / 4;
    let mut list_at = Instant::now() + core.settings.xcom_sweep;
    loop {
        tokio::time::sleep(core.settings.xcom_sweep).await;
        if let Err(error) = remove_dropped(&core, &storage).await {
            tracing::warn!(%error, "values of XComs that are gone could not be removed; they stay for the next time");
        }
        if Instant::now() >= list_at {
            list_at = Instant::now() + between;
            match remove_orphans_of_ours(&core, &storage).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, storage = storage.url(), "removed values without an XCom"),
                Err(error) => tracing::warn!(%error, "values without an XCom could not be removed"),
            }
        }
    }
}

/// Removes what rows named before.
async fn remove_dropped(core: &Core, storage: &Storage) -> Result<(), ObjectError> {
    loop {
        // Whoever read the row just before it went may still be at it.
        let until = before(core.clock.now(), core.settings.xcom_sweep);
        let dropped = core.store.dropped_xcom_objects(until, BATCH).await.map_err(asked)?;
        for url in &dropped {
            storage.remove(url).await?;
            core.store.forget_dropped_xcom_object(url).await.map_err(asked)?;
        }
        if dropped.len() < BATCH as usize {
            return Ok(());
        }
    }
}

async fn remove_orphans_of_ours(core: &Core, storage: &Storage) -> Result<usize, ObjectError> {
    let ours = core.store.installation_id().await.map_err(asked)?;
    let owner = storage.claim(&ours).await?;
    if owner != ours {
        return Err(ObjectError::Config(format!(
            "{} belongs to the installation {owner}, and this one is {ours}: give each a folder or prefix of its own in \
             xcom.storage_url; where this one replaces the other, remove the file tradewind-installation there",
            storage.url()
        )));
    }
    remove_orphans(core, storage).await
}

/// Removes old objects that no row names. Returns how many.
async fn remove_orphans(core: &Core, storage: &Storage) -> Result<usize, ObjectError> {
    let until = before(core.clock.now(), core.settings.xcom_orphans);
    let mut found = storage.list();
    let mut removed = 0;
    while let Some(object) = found.next().await {
        let object = object?;
        if object.written_at < until && !core.store.is_xcom_object_named(&object.url).await.map_err(asked)? {
            storage.remove(&object.url).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    now.checked_sub(age).unwrap_or(Timestamp::MIN)
}

fn asked(error: tradewind_ports::StoreError) -> ObjectError {
    ObjectError::Config(format!("the store: {}", store_error(error).message))
}
