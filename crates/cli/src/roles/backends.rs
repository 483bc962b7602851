//! Opens the store and the queue, and waits for them while they are away.

use std::{path::Path, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use tradewind_config::{Config, without_password};
use tradewind_ports::{Queue, QueueError, StoreError};
use tradewind_store::FullStore;

use crate::errors::{CliError, Exit};

/// Between attempts to reach a server that does not answer.
const RETRY: Duration = Duration::from_secs(1);

/// The URL of the store: the configured one, or the SQLite file in the home folder.
pub fn store_url(config: &Config) -> Result<String, CliError> {
    if !config.store.url.is_empty() {
        return Ok(config.store.url.clone());
    }
    let home = absolute(&config.home.dir)?;
    std::fs::create_dir_all(&home).map_err(|error| CliError::file("make the home folder", &home, &error))?;
    Ok(format!("sqlite://{}", home.join("tradewind.db").display()))
}

/// The path from the root on: other processes have other current folders.
pub fn absolute(path: &Path) -> Result<std::path::PathBuf, CliError> {
    std::path::absolute(path).map_err(|error| CliError::file("find", path, &error))
}

/// Opens the store once.
///
/// # Errors
/// It is set up wrongly or does not answer.
pub async fn open_store(config: &Config) -> Result<Arc<dyn FullStore>, StoreError> {
    let url = store_url(config).map_err(|error| StoreError::Config(error.to_string()))?;
    let mut options = tradewind_store::StoreOptions { logs_dir: config.store.logs_dir.clone(), ..Default::default() };
    options.max_connections = match config.store.read_connections {
        0 => 4,
        connections => connections,
    };
    if url.starts_with("sqlite:") && options.logs_dir.is_none() {
        let home = absolute(&config.home.dir).map_err(|error| StoreError::Config(error.to_string()))?;
        options.logs_dir = Some(home.join("logs"));
    }
    tradewind_store::open(&url, options).await
}

/// Opens the store; waits while it is away. None when the process is to stop.
///
/// # Errors
/// It is set up wrongly.
pub async fn wait_for_store(config: &Config, stop: &CancellationToken) -> Result<Option<Arc<dyn FullStore>>, CliError> {
    let mut told = false;
    loop {
        let opened = tokio::select! {
            opened = open_store(config) => opened,
            () = stop.cancelled() => return Ok(None),
        };
        match opened {
            Ok(store) => {
                if told {
                    tracing::info!("the store is there");
                }
                return Ok(Some(store));
            }
            Err(error) if error.is_retryable() => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(url = without_password(&config.store.url), "{error}; waiting for it (store.url)");
                }
            }
            Err(error) => return Err(CliError::usage(format!("store.url: {error}"))),
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}

/// Opens the queue; waits while it is away. None when the process is to stop.
///
/// # Errors
/// It is set up wrongly.
pub async fn wait_for_queue(config: &Config, stop: &CancellationToken) -> Result<Option<Arc<dyn Queue>>, CliError> {
    let mut told = false;
    loop {
        let opened = tokio::select! {
            opened = tradewind_queue::open(&config.queue.url, &config.queue.namespace) => opened,
            () = stop.cancelled() => return Ok(None),
        };
        match opened {
            Ok(queue) => {
                if told {
                    tracing::info!("the queue is there");
                }
                return Ok(Some(queue));
            }
            Err(QueueError::Config(error)) => return Err(CliError::usage(format!("queue.url: {error}"))),
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(url = without_password(&config.queue.url), "{error}; waiting for it (queue.url)");
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = stop.cancelled() => return Ok(None),
        }
    }
}

/// Checks that the schema fits this binary.
///
/// # Errors
/// It does not; says what to run.
pub async fn check_schema(store: &dyn FullStore) -> Result<(), CliError> {
    let status = store.schema_status().await.map_err(|error| CliError::new(Exit::Unavailable, error.to_string()))?;
    if !status.unknown.is_empty() {
        return Err(CliError::usage(format!(
            "the database is newer than this binary: it has {}",
            status.unknown.join(", ")
        ))
        .with_hint("run the newer binary"));
    }
    if !status.pending.is_empty() {
        return Err(CliError::usage(format!(
            "the database lacks {} migrations ({})",
            status.pending.len(),
            status.pending.join(", ")
        ))
        .with_hint("run `tradewind db migrate`"));
    }
    Ok(())
}
