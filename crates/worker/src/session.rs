//! What all parts of one running worker share.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tradewind_ports::Queue;
use tradewind_proto::LeaderClient;
use tradewind_types::AttemptReport;
use uuid::Uuid;

use crate::{
    bundle::BundleCache, lease::Leases, settings::WorkerSettings, trigger_hosts::TriggerHosts, watchdog::Watchdog,
    zygote::Zygotes,
};

/// What the leader told at registration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// An attempt's lease without renewal.
    pub(crate) lease: Duration,
    /// How often to renew.
    pub(crate) heartbeat: Duration,
    /// Larger XComs do not go into their rows.
    pub(crate) xcom_max_bytes: u64,
}

/// The name of the environment variable that marks every process of this worker; its value is the incarnation.
pub(crate) const WORKER_MARK: &str = "TRADEWIND_WORKER";
/// The name of the variable that marks every process of one attempt.
pub(crate) const ATTEMPT_MARK: &str = "TRADEWIND_ATTEMPT";

/// What an attempt occupies on this worker, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
    /// Whether it is one for triggers.
    trigger: bool,
}

impl Slot {
    /// A slot for tasks and callbacks; offered again with the report of what held it.
    pub(crate) const fn task(permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: permit, trigger: false }
    }

    /// A slot for triggers.
    pub(crate) const fn trigger(permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: permit, trigger: true }
    }

    /// The same slot, if it is one for tasks.
    pub(crate) fn for_task(self) -> Option<Self> {
        (!self.trigger).then_some(self)
    }
}

/// An ended attempt on its way to the leader. Its slot is offered with it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) report: AttemptReport,
    pub(crate) slot: Slot,
}

/// One life of a worker.
pub(crate) struct Session {
    pub(crate) settings: WorkerSettings,
    pub(crate) incarnation: Uuid,
    pub(crate) client: LeaderClient,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) leases: Leases,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) trigger_slots: Arc<Semaphore>,
    /// Triggers that run.
    pub(crate) triggers: AtomicUsize,
    pub(crate) trigger_hosts: TriggerHosts,
    pub(crate) bundles: BundleCache,
    pub(crate) zygotes: Option<Zygotes>,
    pub(crate) watchdog: Watchdog,
    /// Below it, operators make their temporary folders.
    pub(crate) scratch: Arc<PathBuf>,
    /// The environment that native tasks start from, the worker's mark included.
    pub(crate) env: Arc<Vec<(String, String)>>,
    /// Set once no more attempts are to be claimed.
    pub(crate) draining: CancellationToken,
    /// Asks for a heartbeat now.
    pub(crate) beat_now: Notify,
    /// Asks for a registration now.
    pub(crate) register_now: Notify,
    /// Claims whose outcome is not known yet.
    pub(crate) claims: AtomicUsize,
    terms: Mutex<Terms>,
    ended: mpsc::UnboundedSender<Ended>,
}

/// The parts that a session is made of.
pub(crate) struct Parts {
    pub(crate) settings: WorkerSettings,
    pub(crate) incarnation: Uuid,
    pub(crate) client: LeaderClient,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) bundles: BundleCache,
    pub(crate) zygotes: Option<Zygotes>,
    pub(crate) watchdog: Watchdog,
    pub(crate) terms: Terms,
}

impl Session {
    /// A session and the stream of its ended attempts.
    pub(crate) fn new(parts: Parts) -> (Arc<Self>, mpsc::UnboundedReceiver<Ended>) {
        let (ended, reports) = mpsc::unbounded_channel();
        let slots = parts.settings.slots.max(1) as usize;
        let mut env = parts.settings.task_env();
        env.push((WORKER_MARK.to_owned(), parts.incarnation.to_string()));
        let session = Self {
            incarnation: parts.incarnation,
            client: parts.client,
            queue: parts.queue,
            leases: Leases::default(),
            slots: Arc::new(Semaphore::new(slots)),
            trigger_slots: Arc::new(Semaphore::new(parts.settings.trigger_slots as usize)),
            triggers: AtomicUsize::new(0),
            trigger_hosts: TriggerHosts::default(),
            bundles: parts.bundles,
            zygotes: parts.zygotes,
            watchdog: parts.watchdog,
            scratch: Arc::new(parts.settings.dir.join("scratch")),
            env: Arc::new(env),
            draining: CancellationToken::new(),
            beat_now: Notify::new(),
            register_now: Notify::new(),
            claims: AtomicUsize::new(0),
            terms: Mutex::new(parts.terms),
            ended,
            settings: parts.settings,
        };
        (Arc::new(session), reports)
    }

    pub(crate) fn terms(&self) -> Terms {
        *self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_terms(&self, terms: Terms) {
        *self.terms.lock().unwrap_or_else(PoisonError::into_inner) = terms;
    }

    /// How long a task gets between SIGTERM and SIGKILL when its lease is lost: it must be over before another worker
    /// may begin, so it fits into the fifth of the lease that is left.
    pub(crate) fn lost_grace(&self) -> Duration {
        self.settings.kill_grace.min(self.terms().lease / 10)
    }

    /// Hands an ended attempt to the reporter.
    pub(crate) fn end(&self, report: AttemptReport, slot: Slot) {
        // The reporter lives as long as the session; without it the lease runs out, and the leader acts on that.
        let _ = self.ended.send(Ended { report, slot });
    }

    /// Attempts that run or wait to be reported.
    pub(crate) fn busy(&self) -> usize {
        self.leases.book().len()
    }

    /// Tasks and callbacks among them.
    pub(crate) fn busy_slots(&self) -> usize {
        self.busy().saturating_sub(self.triggers.load(Ordering::Acquire))
    }

    /// Whether nothing runs, waits to be reported or may still be granted.
    pub(crate) fn is_idle(&self) -> bool {
        self.busy() == 0 && self.claims.load(Ordering::Acquire) == 0
    }

    /// Stops claiming. The leader hears of it at once.
    pub(crate) fn drain(&self) {
        if !self.draining.is_cancelled() {
            tracing::info!(running = self.busy(), "draining: no new attempts are claimed");
            self.draining.cancel();
            self.beat_now.notify_one();
        }
    }
}
