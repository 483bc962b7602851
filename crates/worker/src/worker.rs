//! One worker, from its start to its end.

use std::{path::PathBuf, sync::Arc};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tradewind_guest::GuestEnv;
use tradewind_ports::Queue;
use tradewind_proto::LeaderClient;
use tradewind_types::ApiError;
use uuid::Uuid;

use crate::{
    bundle::BundleCache,
    bundle_fetch, drain, heartbeat, poll, register, report,
    session::{Parts, Session, WORKER_MARK},
    settings::WorkerSettings,
    trigger_hosts,
    watchdog::Watchdog,
    zygote::Zygotes,
};

/// Why a worker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Its folder cannot be used.
    #[error("worker.dir {}: {reason}", dir.display())]
    Dir {
        /// The folder.
        dir: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The scheduler does not take it.
    #[error("the scheduler does not take this worker: {0}")]
    Refused(#[source] ApiError),
    /// A defect: a part of it ended that never should.
    #[error("the worker's {0} ended unexpectedly")]
    Broken(&'static str),
}

/// A worker, not started yet.
pub struct Worker {
    settings: WorkerSettings,
    client: LeaderClient,
    queue: Arc<dyn Queue>,
    guest: Option<GuestEnv>,
    abort: CancellationToken,
}

impl Worker {
    /// A worker that reaches the leader by `client` and takes hints from `queue`. Without `guest` it runs native tasks
    /// only.
    pub fn new(settings: WorkerSettings, client: LeaderClient, queue: Arc<dyn Queue>, guest: Option<GuestEnv>) -> Self {
        Self { settings, client, queue, guest, abort: CancellationToken::new() }
    }

    /// Ends at once when `abort` is cancelled, also in the middle of a drain: the second signal.
    #[must_use]
    pub fn with_abort(mut self, abort: CancellationToken) -> Self {
        self.abort = abort;
        self
    }

    /// Registers, then runs attempts until `shutdown` is cancelled or the leader asks for a drain; then lets running
    /// attempts finish for at most the drain grace, stops and gives back the rest, and returns.
    ///
    /// # Errors
    /// The folder cannot be used, the scheduler refuses the worker, or a defect.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), WorkerError> {
        let settings = self.settings;
        let dir_error = |reason: String| WorkerError::Dir { dir: settings.dir.clone(), reason };
        let _lock = lock_dir(&settings.dir).map_err(dir_error)?;
        let source = Arc::new(bundle_fetch::Remote(self.client.clone()));
        let bundles = BundleCache::open(settings.dir.clone(), settings.bundle_cache_bytes, source)
            .map_err(|error| dir_error(error.to_string()))?;
        let scratch = settings.dir.join("scratch");
        clear(&scratch);

        let incarnation = Uuid::new_v4();
        let terms =
            register::register(&self.client, &settings, incarnation, &shutdown).await.map_err(WorkerError::Refused)?;
        let Some(terms) = terms else { return Ok(()) };
        tracing::info!(
            worker = %settings.name,
            queues = ?settings.queues,
            slots = settings.slots,
            python = self.guest.is_some(),
            "worker is up"
        );
        let zygotes = self.guest.map(|mut env| {
            let mark = (WORKER_MARK.to_owned(), incarnation.to_string());
            env.extra_env.push(mark);
            Zygotes::new(env, settings.environment_options())
        });
        let (session, reports) = Session::new(Parts {
            watchdog: Watchdog::start(incarnation, terms.lease),
            settings,
            incarnation,
            client: self.client,
            queue: self.queue,
            bundles,
            zygotes,
            terms,
        });

        let mut parts = JoinSet::new();
        let name = |name: &'static str, part: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| async move {
            part.await;
            name
        };
        parts.spawn(name("heartbeat", Box::pin(heartbeat::keep_beating(session.clone()))));
        parts.spawn(name("registration", Box::pin(register::keep_registered(session.clone()))));
        parts.spawn(name("reports", Box::pin(report::report(session.clone(), reports))));
        parts.spawn(name("lease watch", Box::pin(watch_leases(session.clone()))));
        if session.zygotes.is_some() && session.settings.trigger_slots > 0 {
            tokio::spawn(poll::poll_triggers(session.clone()));
            parts.spawn(name("trigger hosts", Box::pin(trigger_hosts::keep_tidy(session.clone()))));
        }
        if session.zygotes.is_some() {
            parts.spawn(name("look for idle environments", Box::pin(tidy_environments(session.clone()))));
        }
        let polling = tokio::spawn(poll::poll(session.clone()));
        tokio::spawn(warm_up(session.clone()));

        let drained = async {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = session.draining.cancelled() => {}
                () = self.abort.cancelled() => {}
            }
            drain::drain(&session, &self.abort).await;
        };
        let result = tokio::select! {
            () = drained => Ok(()),
            ended = parts.join_next() => {
                let part = ended.and_then(Result::ok).unwrap_or("background part");
                Err(WorkerError::Broken(part))
            }
            _ = broken(polling, &session) => Err(WorkerError::Broken("polling")),
        };
        parts.shutdown().await;
        session.trigger_hosts.end().await;
        if let Some(zygotes) = &session.zygotes {
            zygotes.shutdown().await;
        }
        clear(&scratch);
        tracing::info!(worker = %session.settings.name, "worker has ended");
        result
    }
}

async fn watch_leases(session: Arc<Session>) {
    session.leases.watch(|| session.lost_grace()).await;
}

async fn tidy_environments(session: Arc<Session>) {
    match &session.zygotes {
        Some(zygotes) => zygotes.keep_tidy().await,
        None => std::future::pending().await,
    }
}

/// Polling ends with a drain; before that, its end is a defect.
async fn broken(polling: tokio::task::JoinHandle<()>, session: &Session) {
    let _ = polling.await;
    if session.draining.is_cancelled() {
        std::future::pending().await
    }
}

/// Starts Python ahead of the first task that needs it.
async fn warm_up(session: Arc<Session>) {
    if let Some(zygotes) = &session.zygotes
        && let Err(error) = zygotes.get(None).await
    {
        tracing::error!(%error, "Python does not start (python.interpreter); Python tasks fail until it does");
    }
}

/// Takes the folder for this process. The lock goes with the process, however it ends.
fn lock_dir(dir: &std::path::Path) -> Result<std::fs::File, String> {
    std::fs::create_dir_all(dir).map_err(|error| error.to_string())?;
    let file = std::fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join("worker.lock"))
        .map_err(|error| error.to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err("another worker uses it; give each worker a folder of its own".to_owned())
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error.to_string()),
    }
}

fn clear(scratch: &std::path::Path) {
    if let Err(error) = std::fs::remove_dir_all(scratch)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(dir = %scratch.display(), %error, "cannot clear the scratch folder");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_worker() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("worker");
        let lock = lock_dir(&dir).unwrap();
        assert!(lock_dir(&dir).unwrap_err().contains("another worker"));
        drop(lock);
        assert!(lock_dir(&dir).is_ok());
    }
}
