//! The leader's register of workers: who is there, which queues they serve, who drains. It lives in memory: after a
//! take-over workers register again at their next heartbeat.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tradewind_types::{ApiError, ErrorCode, QueueName, Timestamp, WorkerInfo, WorkerName, WorkerStatus};
use uuid::Uuid;

/// What the queue of the triggers of a queue's tasks ends with.
const TRIGGERS: &str = ".triggers";

/// The queue from which the trigger hosts of a queue's workers take what they host.
pub(crate) fn trigger_queue(queue: &QueueName) -> QueueName {
    QueueName::from(format!("{queue}{TRIGGERS}"))
}

/// The register.
pub(crate) struct Workers {
    lease: Duration,
    entries: Mutex<HashMap<WorkerName, Entry>>,
}

struct Entry {
    info: WorkerInfo,
    drain: bool,
    heard: Instant,
}

/// What a registration means for what the worker ran before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registered {
    /// New, or the same process again.
    Same,
    /// A new process under the name: what the former one ran is gone.
    Replaced,
}

/// What the leader tells a worker at a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Known.
    Known { drain: bool },
    /// Not known, or known with another incarnation: it must register.
    Unknown,
}

impl Workers {
    pub(crate) fn new(lease: Duration) -> Self {
        Self { lease, entries: Mutex::new(HashMap::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkerName, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a worker.
    ///
    /// A new incarnation from the same host replaces the former one: a worker holds a lock on its working folder, so
    /// its predecessor is dead there. From another host it is refused while the former one is alive, since two
    /// processes would share a name.
    pub(crate) fn register(&self, info: WorkerInfo) -> Result<Registered, ApiError> {
        let mut entries = self.lock();
        let outcome = match entries.get(&info.name) {
            Some(former) if former.info.incarnation == info.incarnation => Registered::Same,
            Some(former) if former.info.hostname == info.hostname || former.heard.elapsed() > self.lease => {
                Registered::Replaced
            }
            Some(former) => {
                return Err(ApiError::new(
                    ErrorCode::AlreadyExists,
                    format!(
                        "a worker named \"{}\" is alive on {} (process {}); give each worker a name of its own \
                         (worker.name)",
                        info.name, former.info.hostname, former.info.pid
                    ),
                ));
            }
            None => Registered::Same,
        };
        entries.insert(info.name.clone(), Entry { info, drain: false, heard: Instant::now() });
        Ok(outcome)
    }

    /// Notes that a worker was heard of.
    pub(crate) fn heard(
        &self,
        name: &WorkerName,
        incarnation: Uuid,
        running: u32,
        draining: bool,
        now: Timestamp,
    ) -> Heard {
        let mut entries = self.lock();
        match entries.get_mut(name).filter(|entry| entry.info.incarnation == incarnation) {
            Some(entry) => {
                entry.heard = Instant::now();
                entry.info.last_seen = now;
                entry.info.running = running;
                entry.info.status = if draining || entry.drain { WorkerStatus::Draining } else { WorkerStatus::Active };
                Heard::Known { drain: entry.drain }
            }
            None => Heard::Unknown,
        }
    }

    /// The queues of a worker that may claim; `None` for one that is not known.
    pub(crate) fn queues(&self, name: &WorkerName, incarnation: Uuid) -> Option<Vec<QueueName>> {
        let entries = self.lock();
        let entry = entries.get(name).filter(|entry| entry.info.incarnation == incarnation)?;
        Some(if entry.drain { Vec::new() } else { entry.info.queues.clone() })
    }

    /// Asks a worker to drain.
    pub(crate) fn drain(&self, name: &str) -> Result<WorkerInfo, ApiError> {
        let mut entries = self.lock();
        match entries.get_mut(name) {
            Some(entry) => {
                entry.drain = true;
                entry.info.status = WorkerStatus::Draining;
                Ok(entry.info.clone())
            }
            None => Err(ApiError::not_found(format!("no worker is named \"{name}\"; see `tradewind workers list`"))),
        }
    }

    /// All workers by name. One that was silent for its lease counts as lost and is dropped after ten leases.
    pub(crate) fn list(&self) -> Vec<WorkerInfo> {
        let mut entries = self.lock();
        entries.retain(|_, entry| entry.heard.elapsed() < self.lease * 10);
        let mut workers: Vec<WorkerInfo> = entries
            .values()
            .map(|entry| {
                let mut info = entry.info.clone();
                if entry.heard.elapsed() > self.lease {
                    info.status = WorkerStatus::Lost;
                }
                info
            })
            .collect();
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        workers
    }

    /// The live, claiming workers that serve a queue, with their free slots. Triggers are hosted by those who serve the
    /// queue of the tasks.
    pub(crate) fn serving(&self, queue: &QueueName) -> (Vec<String>, u32) {
        let of_tasks = queue.as_str().strip_suffix(TRIGGERS);
        let serves = |own: &QueueName| own == queue || of_tasks == Some(own.as_str());
        let mut names = Vec::new();
        let mut free = 0;
        for worker in self.list() {
            if worker.status == WorkerStatus::Active && worker.queues.iter().any(serves) {
                free += worker.slots.saturating_sub(worker.running);
                names.push(worker.name.to_string());
            }
        }
        (names, free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(incarnation: u128, hostname: &str) -> WorkerInfo {
        WorkerInfo {
            name: WorkerName::from("w"),
            incarnation: Uuid::from_u128(incarnation),
            queues: vec![QueueName::from("default")],
            slots: 4,
            running: 1,
            status: WorkerStatus::Active,
            version: String::new(),
            hostname: hostname.to_owned(),
            pid: 1,
            registered_at: Timestamp::UNIX_EPOCH,
            last_seen: Timestamp::UNIX_EPOCH,
            labels: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn a_new_incarnation_replaces_only_on_the_same_host() {
        let workers = Workers::new(Duration::from_secs(15));
        assert_eq!(workers.register(worker(1, "a")), Ok(Registered::Same));
        assert_eq!(workers.register(worker(1, "a")), Ok(Registered::Same));
        assert_eq!(workers.register(worker(2, "b")).unwrap_err().code, ErrorCode::AlreadyExists);
        assert_eq!(workers.register(worker(3, "a")), Ok(Registered::Replaced));
    }

    #[test]
    fn a_draining_worker_claims_nothing() {
        let workers = Workers::new(Duration::from_secs(15));
        workers.register(worker(1, "a")).unwrap();
        let name = WorkerName::from("w");
        assert_eq!(workers.serving(&QueueName::from("default")), (vec!["w".to_owned()], 3));
        let triggers = trigger_queue(&QueueName::from("default"));
        assert_eq!(workers.serving(&triggers).0, ["w"], "its trigger host takes the triggers of its queues");
        assert!(workers.serving(&trigger_queue(&QueueName::from("other"))).0.is_empty());
        workers.drain("w").unwrap();
        assert_eq!(workers.queues(&name, Uuid::from_u128(1)), Some(Vec::new()));
        assert_eq!(workers.queues(&name, Uuid::from_u128(9)), None);
        assert_eq!(workers.serving(&QueueName::from("default")).0.len(), 0);
        assert!(workers.drain("x").is_err());
    }
}
