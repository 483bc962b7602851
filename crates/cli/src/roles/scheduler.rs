//! `tradewind scheduler`.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tradewind_config::Config;
use tradewind_engine::EngineOptions;
use tradewind_ports::{LogStore, Queue, QueueError, Store, StoreError, SystemClock};
use tradewind_scheduler::{Running, Scheduler, SchedulerSettings, ServerTls, Tokens};
use tradewind_store::{FullStore, StoreOptions};

use super::guest::absolute;

/// How long a role waits between tries while a service is away at start.
const AWAY_PAUSE: Duration = Duration::from_secs(1);

/// Runs a scheduler until the token is cancelled.
///
/// # Errors
/// The configuration names a store or queue that cannot work, the schema is not ready, or the port is taken.
pub async fn run_scheduler(config: &Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Some(store) = open_patiently(&shutdown, || open_store(config)).await? else { return Ok(()) };
    let schema = store.schema_status().await?;
    if !schema.is_ready() {
        anyhow::bail!(
            "the database schema is not ready ({} migrations pending, {} unknown); run `tradewind db migrate`",
            schema.pending.len(),
            schema.unknown.len()
        );
    }
    let Some(queue) = open_queue_patiently(config, &shutdown).await? else { return Ok(()) };
    let running = start_scheduler(config, store, queue, shutdown).await?;
    tracing::info!(address = %running.address, listen = %running.listen, "scheduler started");
    running.wait().await?;
    Ok(())
}

/// Starts the scheduler of a configuration on its ports.
pub(super) async fn start_scheduler(
    config: &Config,
    store: Arc<dyn FullStore>,
    queue: Arc<dyn Queue>,
    shutdown: CancellationToken,
) -> anyhow::Result<Running> {
    let settings = settings(config)?;
    let logs: Arc<dyn LogStore> = Arc::<dyn FullStore>::clone(&store);
    let rows: Arc<dyn Store> = store;
    Ok(Scheduler::start(settings, rows, logs, queue, Arc::new(SystemClock), shutdown).await?)
}

fn settings(config: &Config) -> anyhow::Result<SchedulerSettings> {
    let options = &config.scheduler;
    let seconds = |key: &str, value: f64| {
        Duration::try_from_secs_f64(value).map_err(|_| anyhow::anyhow!("{key}: {value} is not a number of seconds"))
    };
    let listen: SocketAddr = options
        .listen
        .parse()
        .with_context(|| format!("scheduler.listen: \"{}\" is not an address like 127.0.0.1:7070", options.listen))?;
    let name = if options.name.is_empty() {
        format!("{}-{}", rustix::system::uname().nodename().to_string_lossy(), std::process::id())
    } else {
        options.name.clone()
    };
    let tls = match (&config.tls.cert, &config.tls.key) {
        (Some(cert), Some(key)) => {
            let read = |path: &std::path::Path| {
                std::fs::read(path).with_context(|| format!("tls: cannot read {}", path.display()))
            };
            let client_ca = config.tls.ca.as_deref().map(read).transpose()?;
            Some(ServerTls { cert: read(cert)?, key: read(key)?, client_ca })
        }
        _ => None,
    };
    Ok(SchedulerSettings {
        name,
        listen,
        advertise: Some(options.advertise.clone()).filter(|address| !address.is_empty()),
        engine: EngineOptions {
            parallelism: options.parallelism,
            lease: seconds("scheduler.task_lease_secs", options.task_lease_secs)?,
            max_retry_delay: seconds("scheduler.max_retry_delay_secs", options.max_retry_delay_secs)?,
            max_worker_losses: options.max_worker_losses,
        },
        leader_lease: seconds("scheduler.leader_lease_secs", options.leader_lease_secs)?,
        repair_interval: seconds("scheduler.repair_secs", options.repair_secs)?,
        queue_window: config.queue.window as usize,
        xcom_max_bytes: options.xcom_max_bytes,
        log_max_bytes: options.log_max_bytes,
        paused_by_default: config.core.dags_are_paused_at_creation,
        tokens: Tokens {
            admin: config.security.admin_token.clone(),
            worker: config.security.worker_token.clone(),
            processor: config.security.processor_token.clone(),
        },
        fernet_keys: config
            .security
            .fernet_key
            .split(',')
            .map(str::trim)
            .filter(|key| !key.is_empty())
            .map(str::to_owned)
            .collect(),
        tls,
    })
}

/// Opens the store of the configuration.
///
/// # Errors
/// See [`tradewind_store::open`].
pub async fn open_store(config: &Config) -> Result<Arc<dyn FullStore>, StoreError> {
    let home = absolute(&config.home.dir);
    let url = if config.store.url.is_empty() {
        std::fs::create_dir_all(&home)
            .map_err(|error| StoreError::Config(format!("cannot create {}: {error}", home.display())))?;
        format!("sqlite://{}", home.join("tradewind.db").display())
    } else {
        config.store.url.clone()
    };
    let logs_dir = config.store.logs_dir.as_ref().map(absolute).or_else(|| {
        // Beside SQLite, logs are files in the home folder.
        url.starts_with("sqlite:").then(|| home.join("logs"))
    });
    let mut options = StoreOptions { logs_dir, ..StoreOptions::default() };
    if config.store.read_connections > 0 {
        options.max_connections = config.store.read_connections;
    }
    tradewind_store::open(&url, options).await
}

/// Opens the queue of the configuration; while it is away, again and again. `None` after a shutdown.
///
/// # Errors
/// It is named or set up wrongly.
pub(super) async fn open_queue_patiently(
    config: &Config,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<Arc<dyn Queue>>> {
    loop {
        match tradewind_queue::open(&config.queue.url, &config.queue.namespace).await {
            Ok(queue) => return Ok(Some(queue)),
            Err(QueueError::Unavailable(why)) => {
                tracing::warn!(%why, "the queue is away; waiting for it");
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(None),
                    () = tokio::time::sleep(AWAY_PAUSE) => {}
                }
            }
            Err(error) => return Err(error).context("queue.url"),
        }
    }
}

async fn open_patiently<F, Fut>(
    shutdown: &CancellationToken,
    open: F,
) -> anyhow::Result<Option<Arc<dyn FullStore>>>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Arc<dyn FullStore>, StoreError>>,
{
    loop {
        match open().await {
            Ok(store) => return Ok(Some(store)),
            Err(StoreError::Unavailable(why)) => {
                tracing::warn!(%why, "the store is away; waiting for it");
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(None),
                    () = tokio::time::sleep(AWAY_PAUSE) => {}
                }
            }
            Err(error) => return Err(error).context("store.url"),
        }
    }
}
