//! The processes that run this worker's triggers (`docs/adr/0010-trigger-host.md`).
//!
//! One process is for classes of installed packages: it needs no bundle, so that the triggers of all DAGs share it. A
//! class that it cannot make is looked for in the bundle of its DAG version, in a process for that bundle. Processes
//! without triggers end after a while.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tradewind_guest::{GuestError, TriggerProcess, TriggerProcessSettings};
use tradewind_types::BundleHash;

use crate::{bundle::BundleRef, session::Session};

/// How long a process without triggers is kept.
const IDLE: Duration = Duration::from_secs(60);
/// How often idle processes are looked for.
const TIDY: Duration = Duration::from_secs(15);
/// Classes that are remembered as belonging to bundles.
const MAX_KNOWN: usize = 10_000;

/// A process and what keeps its bundle from being evicted.
struct Host {
    process: Arc<TriggerProcess>,
    _bundle: Option<BundleRef>,
    used: Instant,
}

/// All of them, by bundle.
#[derive(Default)]
pub(crate) struct TriggerHosts {
    hosts: tokio::sync::Mutex<HashMap<Option<BundleHash>, Host>>,
    /// Classes that the common process could not make.
    of_bundles: Mutex<HashSet<String>>,
}

impl TriggerHosts {
    /// The process for a bundle, or the common one; starts it if it does not run.
    pub(crate) async fn get(
        &self,
        session: &Session,
        bundle: Option<&BundleRef>,
    ) -> Result<Arc<TriggerProcess>, GuestError> {
        let key = bundle.map(|bundle| bundle.hash().clone());
        let mut hosts = self.hosts.lock().await;
        if let Some(host) = hosts.get_mut(&key)
            && host.process.is_alive()
        {
            host.used = Instant::now();
            return Ok(Arc::clone(&host.process));
        }
        hosts.remove(&key);
        let Some(keeper) = &session.zygote else {
            return Err(GuestError::ZygoteLost("this worker has no Python (python.interpreter)".to_owned()));
        };
        let zygote = keeper.get().await?;
        let settings = TriggerProcessSettings {
            bundle: bundle
                .map(|bundle| (bundle.dir().to_owned(), "dags".to_owned(), bundle.hash().as_str().to_owned())),
            ..TriggerProcessSettings::default()
        };
        let process = Arc::new(zygote.start_triggers(settings).await?);
        let host = Host { process: Arc::clone(&process), _bundle: bundle.cloned(), used: Instant::now() };
        hosts.insert(key, host);
        Ok(process)
    }

    /// Whether a class is known to come with a bundle.
    pub(crate) fn is_of_bundle(&self, class: &str) -> bool {
        self.of_bundles.lock().unwrap_or_else(PoisonError::into_inner).contains(class)
    }

    /// Remembers that a class comes with a bundle.
    pub(crate) fn note_of_bundle(&self, class: &str) {
        let mut known = self.of_bundles.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_KNOWN {
            known.insert(class.to_owned());
        }
    }

    /// Ends processes that have been without triggers for a while.
    async fn tidy(&self) {
        let mut hosts = self.hosts.lock().await;
        hosts.retain(|_, host| {
            // Whoever was given the process and has not begun yet holds it.
            if host.process.load() > 0 || Arc::strong_count(&host.process) > 1 {
                host.used = Instant::now();
            }
            host.process.is_alive() && host.used.elapsed() < IDLE
        });
    }

    /// Ends all processes.
    pub(crate) async fn end(&self) {
        self.hosts.lock().await.clear();
    }
}

/// Ends idle processes. Runs until it is dropped.
pub(crate) async fn keep_tidy(session: Arc<Session>) {
    loop {
        tokio::time::sleep(TIDY).await;
        session.trigger_hosts.tidy().await;
    }
}
