//! The processes that run this worker's triggers (`docs/adr/0010-trigger-host.md`).
//!
//! One process an environment is for classes of installed packages: it needs no bundle, so that the triggers of all DAGs
//! with that environment share it. A class that it cannot make is looked for in the bundle of its DAG version, in a process
//! for that bundle. Processes without triggers end after a while.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tradewind_environments::Prepared;
use tradewind_guest::{GuestError, TriggerProcess, TriggerProcessSettings, Zygote};
use tradewind_types::BundleHash;

use crate::{bundle::BundleRef, session::Session};

/// How long a process without triggers is kept.
const IDLE: Duration = Duration::from_secs(60);
/// How often idle processes are looked for.
const TIDY: Duration = Duration::from_secs(15);
/// Classes that are remembered as belonging to bundles.
const MAX_KNOWN: usize = 10_000;

/// A process, and what keeps its bundle from being evicted and its zygote, which it dies with, from being ended.
struct Host {
    process: Arc<TriggerProcess>,
    _zygote: Arc<Zygote>,
    _bundle: Option<BundleRef>,
    used: Instant,
}

/// The key of an environment, and a bundle; none is the installation's, and the common process.
type Place = (Option<String>, Option<BundleHash>);

/// All of them.
#[derive(Default)]
pub(crate) struct TriggerHosts {
    hosts: tokio::sync::Mutex<HashMap<Place, Host>>,
    /// Classes that the common process could not make, by environment.
    of_bundles: Mutex<HashSet<(Option<String>, String)>>,
}

impl TriggerHosts {
    /// The process for a bundle, or the common one, in an environment; starts it if it does not run.
    pub(crate) async fn get(
        &self,
        session: &Session,
        environment: Option<&Arc<Prepared>>,
        bundle: Option<&BundleRef>,
    ) -> Result<Arc<TriggerProcess>, GuestError> {
        let key = (place(environment), bundle.map(|bundle| bundle.hash().clone()));
        let mut hosts = self.hosts.lock().await;
        if let Some(host) = hosts.get_mut(&key)
            && host.process.is_alive()
        {
            host.used = Instant::now();
            return Ok(Arc::clone(&host.process));
        }
        hosts.remove(&key);
        let Some(zygotes) = &session.zygotes else {
            return Err(GuestError::ZygoteLost("this worker has no Python (python.interpreter)".to_owned()));
        };
        let zygote = zygotes.get(environment).await?;
        let settings = TriggerProcessSettings {
            bundle: bundle
                .map(|bundle| (bundle.dir().to_owned(), "dags".to_owned(), bundle.hash().as_str().to_owned())),
            ..TriggerProcessSettings::default()
        };
        let process = Arc::new(zygote.start_triggers(settings).await?);
        let (process_of, _bundle) = (Arc::clone(&process), bundle.cloned());
        let host = Host { process: process_of, _zygote: zygote, _bundle, used: Instant::now() };
        hosts.insert(key, host);
        Ok(process)
    }

    /// Whether a class is known to come with a bundle.
    pub(crate) fn is_of_bundle(&self, environment: Option<&Arc<Prepared>>, class: &str) -> bool {
        let key = (place(environment), class.to_owned());
        self.of_bundles.lock().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }

    /// Remembers that a class comes with a bundle.
    pub(crate) fn note_of_bundle(&self, environment: Option<&Arc<Prepared>>, class: &str) {
        let mut known = self.of_bundles.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_KNOWN {
            known.insert((place(environment), class.to_owned()));
        }
    }

    /// Ends processes that have been without triggers for a while: those of an environment no later than its other idle ones,
    /// which they keep from ending.
    async fn tidy(&self, idle_environment: Duration) {
        let mut hosts = self.hosts.lock().await;
        hosts.retain(|(environment, _), host| {
            let idle = if environment.is_some() { IDLE.min(idle_environment) } else { IDLE };
            // Whoever was given the process and has not begun yet holds it.
            if host.process.load() > 0 || Arc::strong_count(&host.process) > 1 {
                host.used = Instant::now();
            }
            host.process.is_alive() && host.used.elapsed() < idle
        });
    }

    /// Ends all processes.
    pub(crate) async fn end(&self) {
        self.hosts.lock().await.clear();
    }
}

fn place(environment: Option<&Arc<Prepared>>) -> Option<String> {
    environment.map(|environment| environment.key().to_owned())
}

/// Ends idle processes. Runs until it is dropped.
pub(crate) async fn keep_tidy(session: Arc<Session>) {
    loop {
        tokio::time::sleep(TIDY).await;
        let idle = session.zygotes.as_ref().map_or(IDLE, crate::zygote::Zygotes::idle);
        session.trigger_hosts.tidy(idle).await;
    }
}
