//! A whole system in this process: scheduler, worker and DAG processor, which talk over gRPC as they do anywhere else.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tradewind_config::Config;
use tradewind_dags::DagProcessor;
use tradewind_guest::GuestEnv;
use tradewind_ports::{Clock, LogStore, Queue, Store, SystemClock};
use tradewind_proto::{ClientOptions, LeaderClient};
use tradewind_scheduler::{Running, Scheduler};
use tradewind_worker::{Worker, WorkerError};

use super::{backends, guest, settings, stop::Stop};
use crate::{
    context::client_options,
    errors::{CliError, Exit},
};

/// A system that runs in this process.
pub struct LocalSystem {
    /// The address of its scheduler.
    pub address: String,
    /// Where Python is, if it is.
    pub guest: Option<GuestEnv>,
    /// Slots of its worker.
    pub slots: u32,
    scheduler: Running,
    scheduler_stop: CancellationToken,
    worker: JoinHandle<Result<(), WorkerError>>,
    processor: Option<JoinHandle<()>>,
}

impl LocalSystem {
    /// Starts it; the secrets of `config` are complete. Without `with_processor` nothing reads the DAG folder. None when
    /// it was told to stop before it stood.
    ///
    /// # Errors
    /// A part cannot start.
    pub async fn start(config: &Config, with_processor: bool, stop: &Stop) -> Result<Option<Self>, CliError> {
        let worker_settings = settings::worker(config)?;
        let mut processor_settings = with_processor.then(|| settings::processor(config)).transpose()?;
        if let Some(settings) = &mut processor_settings {
            // Both use the same: each is built once.
            settings.environments = worker_settings.environments.clone();
        }
        let Some(store) = backends::wait_for_store(config, &stop.shutdown).await? else { return Ok(None) };
        let migrated = store.migrate().await.map_err(|error| CliError::new(Exit::Unavailable, error.to_string()))?;
        tracing::debug!(?migrated, "the schema is up to date");
        let Some(queue) = backends::wait_for_queue(config, &stop.shutdown).await? else { return Ok(None) };

        // The scheduler outlives the others: they report to it until they end.
        let scheduler_stop = CancellationToken::new();
        let rows: Arc<dyn Store> = Arc::<dyn tradewind_store::FullStore>::clone(&store);
        let logs: Arc<dyn LogStore> = store;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let scheduler = Scheduler::start(
            settings::scheduler(config)?,
            rows,
            logs,
            Arc::<dyn Queue>::clone(&queue),
            clock,
            scheduler_stop.clone(),
        )
        .await?;
        let address = scheduler.address.clone();
        let client = |token: &str| {
            let options = serve_client(config, token)?;
            LeaderClient::new(ClientOptions { addresses: vec![address.clone()], ..options }).map_err(CliError::from)
        };

        let guest = guest::environment(config, &worker_settings.dir.join("guest"))?;
        let slots = worker_settings.slots;
        let worker = Worker::new(worker_settings, client(&config.security.worker_token)?, queue, guest.clone())
            .with_abort(stop.abort.clone());
        let worker = tokio::spawn(worker.run(stop.shutdown.clone()));
        let processor = match processor_settings {
            Some(settings) => {
                // Parsing and running keep their files apart.
                let guest = guest::environment(config, &config.home.dir.join("dag-processor"))?;
                let processor = DagProcessor::new(settings, client(&config.security.processor_token)?, guest);
                Some(tokio::spawn(processor.run(stop.shutdown.clone())))
            }
            None => None,
        };
        Ok(Some(Self { address, guest, slots, scheduler, scheduler_stop, worker, processor }))
    }

    /// Waits until it was told to stop and has stopped, in order: what runs first, the scheduler last.
    ///
    /// # Errors
    /// A part ended by itself.
    pub async fn wait(self, stop: &Stop) -> Result<(), CliError> {
        let Self { scheduler, scheduler_stop, mut worker, processor, .. } = self;
        let mut scheduler = tokio::spawn(scheduler.wait());
        let scheduler_failed = tokio::select! {
            ended = &mut worker => {
                if !stop.shutdown.is_cancelled() && matches!(ended, Ok(Ok(()))) {
                    tracing::info!("the worker was drained; the system has no other, so it ends");
                }
                stop.shutdown.cancel();
                finish(processor, &scheduler_stop).await;
                flatten(scheduler.await, "scheduler")?;
                return worker_result(ended);
            }
            ended = &mut scheduler => flatten(ended, "scheduler"),
        };
        // The scheduler never ends before its worker by itself: something broke.
        stop.shutdown.cancel();
        stop.abort.cancel();
        finish(processor, &scheduler_stop).await;
        let worker_ended = worker_result(worker.await);
        scheduler_failed?;
        worker_ended?;
        Err(CliError::new(Exit::Internal, "the scheduler ended unexpectedly"))
    }
}

async fn finish(processor: Option<JoinHandle<()>>, scheduler_stop: &CancellationToken) {
    if let Some(processor) = processor
        && let Err(error) = processor.await
    {
        tracing::error!(%error, "the DAG processor ended by a defect");
    }
    scheduler_stop.cancel();
}

fn worker_result(ended: Result<Result<(), WorkerError>, tokio::task::JoinError>) -> Result<(), CliError> {
    flatten(ended.map(|result| result.map_err(|error| worker_error(&error))), "worker")
}

/// Why a worker ended, for people.
pub fn worker_error(error: &WorkerError) -> CliError {
    let exit = match error {
        WorkerError::Dir { .. } => Exit::Usage,
        WorkerError::Refused(_) => Exit::Denied,
        WorkerError::Broken(_) => Exit::Internal,
    };
    CliError::new(exit, error.to_string())
}

fn flatten<E: Into<CliError>>(
    ended: Result<Result<(), E>, tokio::task::JoinError>,
    part: &str,
) -> Result<(), CliError> {
    match ended {
        Ok(result) => result.map_err(Into::into),
        Err(error) => Err(CliError::new(Exit::Internal, format!("the {part} ended by a defect: {error}"))),
    }
}

/// How a part of the system reaches the schedulers, with its own token.
///
/// # Errors
/// A file of `[tls]` cannot be read.
pub fn serve_client(config: &Config, token: &str) -> Result<ClientOptions, CliError> {
    client_options(config, Some(token.to_owned()), None)
}
