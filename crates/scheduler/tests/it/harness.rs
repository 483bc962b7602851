//! Schedulers on a real store and queue, and a client that speaks for workers, DAG processors and people.

use std::{sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tradewind_engine::EngineOptions;
use tradewind_ports::{Clock, LogStore, Queue, Store, SystemClock};
use tradewind_proto::{ClientOptions, LeaderClient, admin_client, dag_client, to_json, v1, worker_client};
use tradewind_queue::MemoryQueue;
use tradewind_scheduler::{Running, Scheduler, SchedulerSettings, Tokens};
use tradewind_store::FullStore;
use tradewind_types::{
    ApiError, AttemptKey, AttemptOutcome, AttemptReport, DagSource, DagSpec, LeaseToken, NativeOperator, NoopOptions,
    Operator, SourceKind, TaskId, TaskSpec, TiId, Timestamp, XComValue,
};
use uuid::Uuid;

pub const ADMIN: &str = "the-token-of-administrators-in-tests";
pub const WORKER: &str = "the-token-of-workers-in-tests-------";
pub const PROCESSOR: &str = "the-token-of-processors-in-tests----";
const PATIENCE: Duration = Duration::from_secs(20);

/// What schedulers of one installation share.
pub struct Installation {
    pub store: Arc<dyn FullStore>,
    pub queue: Arc<MemoryQueue>,
    pub lease: Duration,
    pub repair_interval: Duration,
    _folder: Option<TempDir>,
}

impl Installation {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("t.db").display());
        Self { _folder: Some(folder), ..Self::open(&url).await }
    }

    /// On the store at `url`, which stays.
    pub async fn open(url: &str) -> Self {
        let store = tradewind_store::open(url, tradewind_store::StoreOptions::default()).await.unwrap();
        store.migrate().await.unwrap();
        Self {
            store,
            queue: Arc::new(MemoryQueue::new()),
            lease: Duration::from_secs(15),
            repair_interval: Duration::from_millis(200),
            _folder: None,
        }
    }

    pub async fn scheduler(&self, name: &str) -> Node {
        self.scheduler_with(name, Arc::new(SystemClock)).await
    }

    pub async fn scheduler_with(&self, name: &str, clock: Arc<dyn Clock>) -> Node {
        let settings = SchedulerSettings {
            name: name.to_owned(),
            listen: "127.0.0.1:0".parse().unwrap(),
            advertise: None,
            engine: EngineOptions { lease: self.lease, ..EngineOptions::default() },
            leader_lease: Duration::from_millis(1500),
            repair_interval: self.repair_interval,
            queue_window: 10_000,
            xcom_inline_max_bytes: 1_000,
            xcom_max_bytes: 1_000_000,
            xcom_storage: None,
            xcom_sweep: Duration::from_secs(60),
            xcom_orphans: Duration::from_secs(86_400),
            log_max_bytes: 10_000,
            paused_by_default: false,
            tokens: Tokens { admin: ADMIN.to_owned(), worker: WORKER.to_owned(), processor: PROCESSOR.to_owned() },
            fernet_keys: vec![tradewind_secrets::generate_key()],
            tls: None,
        };
        let shutdown = CancellationToken::new();
        let logs: Arc<dyn LogStore> = Arc::<dyn FullStore>::clone(&self.store);
        let rows: Arc<dyn Store> = Arc::<dyn FullStore>::clone(&self.store);
        let queue: Arc<dyn Queue> = Arc::<MemoryQueue>::clone(&self.queue);
        let running = Scheduler::start(settings, rows, logs, queue, clock, shutdown.clone()).await.unwrap();
        Node { running, shutdown }
    }
}

/// One scheduler.
pub struct Node {
    pub running: Running,
    pub shutdown: CancellationToken,
}

impl Node {
    pub fn client(&self, token: &str) -> LeaderClient {
        LeaderClient::new(ClientOptions {
            addresses: vec![self.running.address.clone()],
            token: Some(token.to_owned()),
            ..ClientOptions::default()
        })
        .unwrap()
    }

    pub async fn leads(&self) {
        eventually("leading", || async { self.running.is_leader().then_some(()) }).await;
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.running.wait().await.unwrap();
    }
}

/// Waits until `check` gives something.
pub async fn eventually<T, F, Fut>(what: &str, mut check: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A DAG whose tasks are native no-ops on the queue `default`, given as (task, upstream tasks).
pub fn dag(dag_id: &str, tasks: &[(&str, &[&str])]) -> DagSpec {
    let tasks = tasks
        .iter()
        .map(|(id, upstream)| {
            let operator = Operator::Native(NativeOperator::Noop(NoopOptions::default()));
            let mut task = TaskSpec::new(*id, operator);
            task.upstream = upstream.iter().map(|id| TaskId::from(*id)).collect();
            task
        })
        .collect();
    let source = DagSource { kind: SourceKind::Yaml, rel_path: format!("{dag_id}.yaml") };
    serde_json::from_value(serde_json::json!({ "dag_id": dag_id, "tasks": to_value(&tasks), "source": source }))
        .unwrap()
}

fn to_value(tasks: &Vec<TaskSpec>) -> serde_json::Value {
    serde_json::to_value(tasks).unwrap()
}

pub async fn publish(client: &LeaderClient, spec: &DagSpec) -> v1::PublishFileResponse {
    let request = v1::PublishFileRequest {
        rel_path: spec.source.rel_path.clone(),
        dags: vec![v1::PublishedDag {
            version: tradewind_types::sha256_hex(to_json(spec).as_bytes()),
            spec_json: to_json(spec),
        }],
        ..v1::PublishFileRequest::default()
    };
    client
        .call(PATIENCE, |channel| {
            let request = request.clone();
            async move { dag_client(channel).publish_file(request).await }
        })
        .await
        .unwrap()
}

pub async fn trigger(client: &LeaderClient, dag_id: &str) -> v1::DagRun {
    let request = v1::TriggerRunRequest { dag_id: dag_id.to_owned(), ..v1::TriggerRunRequest::default() };
    client
        .call(PATIENCE, |channel| {
            let request = request.clone();
            async move { admin_client(channel).trigger_run(request).await }
        })
        .await
        .unwrap()
}

pub async fn run_state(client: &LeaderClient, run: &v1::DagRun) -> v1::GetRunResponse {
    let request = v1::GetRunRequest { dag_id: run.dag_id.clone(), run_id: run.run_id.clone() };
    client
        .call(PATIENCE, |channel| {
            let request = request.clone();
            async move { admin_client(channel).get_run(request).await }
        })
        .await
        .unwrap()
}

/// The end of an attempt that left nothing.
pub fn ended(key: AttemptKey, token: LeaseToken, outcome: AttemptOutcome) -> AttemptReport {
    AttemptReport {
        key,
        token,
        outcome,
        xcoms: Vec::new(),
        skip: Vec::new(),
        asset_events: Vec::new(),
        rendered_map_index: None,
        callbacks_due: false,
        note: None,
        ended_at: Timestamp::now(),
    }
}

/// Speaks for a worker, call by call.
pub struct Hand {
    pub client: LeaderClient,
    pub name: String,
    pub incarnation: String,
}

impl Hand {
    pub fn new(client: LeaderClient, name: &str) -> Self {
        Self { client, name: name.to_owned(), incarnation: Uuid::new_v4().to_string() }
    }

    pub async fn register(&self, queues: &[&str]) -> Result<v1::RegisterResponse, ApiError> {
        let request = v1::RegisterRequest {
            name: self.name.clone(),
            incarnation: self.incarnation.clone(),
            queues: queues.iter().map(ToString::to_string).collect(),
            slots: 4,
            hostname: "here".to_owned(),
            ..v1::RegisterRequest::default()
        };
        self.client
            .call(PATIENCE, |channel| {
                let request = request.clone();
                async move { worker_client(channel).register(request).await }
            })
            .await
    }

    pub async fn claim(&self, hint: Option<AttemptKey>, token: Uuid) -> Result<Option<v1::Grant>, ApiError> {
        Ok(self.offer(hint, token).await?.and_then(|answer| match answer {
            v1::claim_answer::Answer::Granted(grant) => Some(grant),
            _ => None,
        }))
    }

    /// Offers one slot.
    pub async fn offer(
        &self,
        hint: Option<AttemptKey>,
        token: Uuid,
    ) -> Result<Option<v1::claim_answer::Answer>, ApiError> {
        let request = v1::ClaimRequest {
            worker: self.name.clone(),
            incarnation: self.incarnation.clone(),
            offers: vec![v1::ClaimOffer { token: token.to_string(), hint: hint.map(|hint| hint.to_string()) }],
        };
        let answer = self
            .client
            .call(PATIENCE, |channel| {
                let request = request.clone();
                async move { worker_client(channel).claim(request).await }
            })
            .await?;
        Ok(answer.answers.into_iter().next().and_then(|answer| answer.answer))
    }

    /// Claims the callback that comes next, waiting for it.
    pub async fn next_callback(&self) -> (v1::CallbackGrant, AttemptKey, LeaseToken) {
        let token = Uuid::new_v4();
        let grant = eventually("a callback", || async {
            match self.offer(None, token).await.unwrap() {
                Some(v1::claim_answer::Answer::Callback(grant)) => Some(grant),
                _ => None,
            }
        })
        .await;
        let callback = grant.callback.as_ref().unwrap();
        let key = AttemptKey { ti: TiId(callback.id.parse().unwrap()), attempt: callback.attempt };
        (grant, key, LeaseToken(token))
    }

    /// Claims whatever comes next, waiting for it.
    pub async fn next(&self) -> (v1::Grant, AttemptKey, LeaseToken) {
        let token = Uuid::new_v4();
        let grant = eventually("a grant", || async { self.claim(None, token).await.unwrap() }).await;
        let ti = grant.ti.as_ref().unwrap();
        let key = AttemptKey { ti: TiId(ti.id.parse().unwrap()), attempt: ti.attempt };
        (grant, key, LeaseToken(token))
    }

    pub async fn report(
        &self,
        key: AttemptKey,
        token: LeaseToken,
        outcome: AttemptOutcome,
        xcoms: Vec<XComValue>,
        offers: usize,
    ) -> Result<v1::ReportResponse, ApiError> {
        let report = AttemptReport { xcoms, ..ended(key, token, outcome) };
        self.hand_in(&report, offers).await
    }

    /// Reports an end in full.
    pub async fn hand_in(&self, report: &AttemptReport, offers: usize) -> Result<v1::ReportResponse, ApiError> {
        let request = v1::ReportRequest {
            worker: self.name.clone(),
            incarnation: self.incarnation.clone(),
            reports: vec![v1::AttemptReport::from(report)],
            offers: (0..offers).map(|_| v1::ClaimOffer { token: Uuid::new_v4().to_string(), hint: None }).collect(),
        };
        self.client
            .call(PATIENCE, |channel| {
                let request = request.clone();
                async move { worker_client(channel).report(request).await }
            })
            .await
    }

    pub async fn heartbeat(&self, holds: &[(AttemptKey, LeaseToken)]) -> v1::HeartbeatResponse {
        let request = v1::HeartbeatRequest {
            worker: self.name.clone(),
            incarnation: self.incarnation.clone(),
            holds: holds.iter().map(|(key, token)| v1::AttemptRef::new(*key, *token)).collect(),
            ..v1::HeartbeatRequest::default()
        };
        self.client
            .call(PATIENCE, |channel| {
                let request = request.clone();
                async move { worker_client(channel).heartbeat(request).await }
            })
            .await
            .unwrap()
    }
}
