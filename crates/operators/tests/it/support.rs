//! An attempt to run operators in, and a worker's side that remembers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tradewind_operators::{
    DagFacts, IoError, LogLevel, OperatorIo, OperatorResult, Stopper, TaskContext, XComQuery, run,
};
use tradewind_types::{
    Connection, DagRun, NativeOperator, Operator, RunNo, RunState, RunType, TaskInstance, TaskSpec, TaskState, TiId,
    Timestamp,
};

/// The worker's side. Its clock follows tokio's, so that a test with paused time needs no waiting.
pub struct Worker {
    started: (Instant, Timestamp),
    pub state: Mutex<State>,
}

#[derive(Default)]
pub struct State {
    pub log: Vec<(LogLevel, String, String)>,
    pub xcoms: BTreeMap<(String, String), Vec<(i32, Value)>>,
    pub variables: BTreeMap<String, String>,
    pub connections: BTreeMap<String, Connection>,
    pub rendered: Vec<Map<String, Value>>,
    pub asked: Vec<String>,
    pub groups: Vec<u32>,
}

impl Worker {
    pub fn new() -> Self {
        Self { started: (Instant::now(), at("2026-03-05T10:00:00Z")), state: Mutex::default() }
    }

    pub fn with(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut self.state.lock().unwrap());
        self
    }

    pub fn lines(&self, logger: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.log.iter().filter(|(_, at, _)| at == logger).map(|(_, _, line)| line.clone()).collect()
    }

    pub async fn run(&self, operator: Value, attempt: &Attempt) -> OperatorResult {
        let operator: NativeOperator = serde_json::from_value(operator).unwrap();
        run(&operator, &attempt.ctx, self).await
    }
}

#[async_trait]
impl OperatorIo for Worker {
    fn now(&self) -> Timestamp {
        let passed = jiff::SignedDuration::try_from(self.started.0.elapsed()).unwrap();
        self.started.1 + passed
    }

    async fn log(&self, level: LogLevel, logger: &'static str, lines: Vec<String>) {
        let mut state = self.state.lock().unwrap();
        for line in lines {
            state.log.push((level, logger.to_owned(), line));
        }
    }

    async fn xcoms(&self, query: &XComQuery) -> Result<Vec<(i32, Value)>, IoError> {
        let mut state = self.state.lock().unwrap();
        state.asked.push(format!("xcom {}.{}", query.task_id, query.key));
        let key = (query.task_id.clone(), query.key.clone());
        Ok(state.xcoms.get(&key).cloned().unwrap_or_default())
    }

    async fn variable(&self, key: &str) -> Result<Option<String>, IoError> {
        let mut state = self.state.lock().unwrap();
        state.asked.push(format!("variable {key}"));
        Ok(state.variables.get(key).cloned())
    }

    async fn connection(&self, conn_id: &str) -> Result<Option<Connection>, IoError> {
        let mut state = self.state.lock().unwrap();
        state.asked.push(format!("connection {conn_id}"));
        Ok(state.connections.get(conn_id).cloned())
    }

    async fn previous_success(&self) -> Result<Option<DagRun>, IoError> {
        let mut run = dag_run();
        run.data_interval_end = Some(at("2026-03-03T00:00:00Z"));
        Ok(Some(run))
    }

    async fn rendered(&self, fields: Map<String, Value>) -> Result<(), IoError> {
        self.state.lock().unwrap().rendered.push(fields);
        Ok(())
    }

    fn process_started(&self, pid: u32) {
        self.state.lock().unwrap().groups.push(pid);
    }

    fn process_ended(&self, pid: u32) {
        self.state.lock().unwrap().groups.retain(|group| *group != pid);
    }
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn dag_run() -> DagRun {
    DagRun {
        run_no: RunNo(7),
        dag_id: "sales".into(),
        run_id: "scheduled__2026-03-04T00:00:00+00:00".into(),
        run_type: RunType::Scheduled,
        state: RunState::Running,
        version: "v".into(),
        logical_date: Some(at("2026-03-04T00:00:00Z")),
        data_interval_start: Some(at("2026-03-04T00:00:00Z")),
        data_interval_end: Some(at("2026-03-05T00:00:00Z")),
        run_after: at("2026-03-05T00:00:00Z"),
        conf: json!({"region": "north"}),
        queued_at: at("2026-03-05T00:00:01Z"),
        start_date: Some(at("2026-03-05T00:00:02Z")),
        end_date: None,
        clear_number: 0,
        triggered_by: None,
        note: None,
        backfill: None,
        missed_deadlines: 0,
    }
}

/// An attempt and what stops it. Its scratch folder goes with it.
pub struct Attempt {
    pub ctx: TaskContext,
    pub stopper: Stopper,
    pub scratch: tempfile::TempDir,
}

impl Attempt {
    pub fn new() -> Self {
        let (stopper, stop) = Stopper::new();
        let scratch = tempfile::tempdir().unwrap();
        let task_id = tradewind_types::TaskId::from("load");
        let ti = TaskInstance {
            id: TiId::derive(RunNo(7), &task_id, -1),
            run_no: RunNo(7),
            dag_id: "sales".into(),
            run_id: "scheduled__2026-03-04T00:00:00+00:00".into(),
            task_id: task_id.clone(),
            map_index: -1,
            operator: "bash".to_owned(),
            pool: "default_pool".into(),
            pool_slots: 1,
            queue: "default".into(),
            priority_weight: 1,
            state: TaskState::Running,
            try_number: 2,
            max_tries: 3,
            attempt: 4,
            worker_losses: 0,
            scheduled_at: None,
            queued_at: None,
            start_date: Some(at("2026-03-05T00:00:03Z")),
            end_date: None,
            next_at: None,
            first_poke_at: None,
            worker: None,
            token: None,
            note: None,
            skips: Vec::new(),
            deferral: None,
            reschedules: 0,
            rendered_map_index: None,
            xcom_length: None,
        };
        let mut task = TaskSpec::new(task_id, Operator::Empty);
        task.owner = Some("data-team".to_owned());
        let marker = ("TRADEWIND_ATTEMPT".to_owned(), uuid::Uuid::new_v4().to_string());
        let env =
            vec![("PATH".to_owned(), std::env::var("PATH").unwrap()), ("GREETING".to_owned(), "hello".to_owned())];
        let ctx = TaskContext {
            ti: Arc::new(ti),
            run: Arc::new(dag_run()),
            task: Arc::new(task),
            dag: Arc::new(DagFacts {
                timezone: "UTC".to_owned(),
                owners: vec!["data-team".to_owned()],
                params: json!({"limit": 10}),
                rel_path: "sales.yaml".to_owned(),
            }),
            env: Arc::new(env),
            marker,
            scratch: Arc::new(scratch.path().join("tmp")),
            xcom_max_bytes: 1 << 20,
            stop,
        };
        Self { ctx, stopper, scratch }
    }

    pub fn with(mut self, change: impl FnOnce(&mut TaskContext)) -> Self {
        change(&mut self.ctx);
        self
    }
}

/// Waits until something holds, for at most 20 s.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !holds() {
        assert!(std::time::Instant::now() < limit, "{what} did not come about");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
