//! One zygote and one parser for all tests, and a host that keeps everything in memory.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, watch};
use tradewind_guest::*;
use uuid::Uuid;

pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});

static HOME: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a scratch folder"));

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/guest is two below").to_owned()
}

pub fn python() -> PathBuf {
    let python =
        std::env::var_os("TRADEWIND_TEST_PYTHON").map_or_else(|| repository().join(".venv/bin/python"), PathBuf::from);
    assert!(
        python.exists(),
        "{} is missing: make the Python environment with `python/prepare.sh .venv`, or name an interpreter in \
         TRADEWIND_TEST_PYTHON",
        python.display()
    );
    python
}

pub fn guest_env(name: &str) -> GuestEnv {
    GuestEnv {
        python: python(),
        guest_package_dir: repository().join("python"),
        home: HOME.path().join(name),
        extra_env: vec![("VISIBLE".to_owned(), "seen".to_owned())],
        warm_dags: std::time::Duration::from_secs(60),
    }
}

pub async fn zygote() -> &'static Zygote {
    static ZYGOTE: OnceCell<Zygote> = OnceCell::const_new();
    ZYGOTE.get_or_init(|| async { Zygote::start(guest_env("tasks")).await.expect("a zygote") }).await
}

pub static PARSER: LazyLock<Parser> = LazyLock::new(|| Parser::new(guest_env("parser")));

/// Runs a test on the shared runtime: the zygote's connection lives there.
pub fn on_runtime(test: impl Future<Output = ()>) {
    RUNTIME.block_on(async { tokio::time::timeout(Duration::from_secs(120), test).await.expect("the test hangs") });
}

pub fn dags() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dags")
}

pub fn launch(dag_id: &str, task_id: &str) -> TaskLaunch {
    let at = |text: &str| Some(text.parse::<Timestamp>().expect("an instant"));
    TaskLaunch {
        bundle_dir: dags(),
        dag_rel_path: format!("{dag_id}.py"),
        dag_version_id: Uuid::new_v4(),
        bundle_version: "v".to_owned(),
        logical_date: at("2026-01-02T00:00:00Z"),
        data_interval_start: at("2026-01-01T00:00:00Z"),
        data_interval_end: at("2026-01-02T00:00:00Z"),
        run_type: "scheduled".to_owned(),
        ..TaskLaunch::new(Uuid::new_v4(), dag_id, task_id, "run_1", Timestamp::now())
    }
}

/// Everything a task can ask for, in memory.
#[derive(Default)]
pub struct MemoryHost {
    state: Mutex<State>,
    log_changed: watch::Sender<usize>,
    /// Larger XComs are refused.
    max_xcom_bytes: Option<usize>,
}

#[derive(Default)]
struct State {
    xcoms: BTreeMap<(String, String), Value>,
    variables: BTreeMap<String, String>,
    connections: BTreeMap<String, ConnectionInfo>,
    lines: Vec<LogLine>,
    rendered: Value,
    early: Option<TaskOutcome>,
    question: Option<HumanQuestion>,
    rendered_map_index: Option<String>,
    mapped_length: Option<u64>,
    kept: BTreeMap<String, Value>,
}

impl MemoryHost {
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    pub fn with_xcom_limit(bytes: usize) -> Arc<Self> {
        Arc::new(Self { max_xcom_bytes: Some(bytes), ..Self::default() })
    }

    pub fn put_variable(&self, key: &str, value: &str) {
        self.state.lock().unwrap().variables.insert(key.to_owned(), value.to_owned());
    }

    pub fn put_connection(&self, connection: ConnectionInfo) {
        self.state.lock().unwrap().connections.insert(connection.conn_id.clone(), connection);
    }

    pub fn variable(&self, key: &str) -> Option<String> {
        self.state.lock().unwrap().variables.get(key).cloned()
    }

    pub fn xcom(&self, task_id: &str, key: &str) -> Option<Value> {
        self.state.lock().unwrap().xcoms.get(&(task_id.to_owned(), key.to_owned())).cloned()
    }

    pub fn result(&self, task_id: &str) -> Option<Value> {
        self.xcom(task_id, "return_value")
    }

    pub fn question(&self) -> Option<HumanQuestion> {
        self.state.lock().unwrap().question.clone()
    }

    pub fn rendered_map_index(&self) -> Option<String> {
        self.state.lock().unwrap().rendered_map_index.clone()
    }

    pub fn mapped_length(&self) -> Option<u64> {
        self.state.lock().unwrap().mapped_length
    }

    pub fn rendered(&self) -> Value {
        self.state.lock().unwrap().rendered.clone()
    }

    pub fn early(&self) -> Option<TaskOutcome> {
        self.state.lock().unwrap().early.clone()
    }

    pub fn lines(&self) -> Vec<LogLine> {
        self.state.lock().unwrap().lines.clone()
    }

    /// The log as text, tracebacks included.
    pub fn text(&self) -> String {
        self.lines()
            .iter()
            .map(|line| format!("{} {}\n{}", line.logger, line.message, line.traceback().unwrap_or_default()))
            .collect()
    }

    /// Waits until a line holds `text` and returns its message.
    pub async fn wait_for_line(&self, text: &str) -> String {
        let mut changes = self.log_changed.subscribe();
        loop {
            if let Some(line) = self.lines().into_iter().find(|line| line.message.contains(text)) {
                return line.message;
            }
            changes.changed().await.expect("the sender lives in self");
        }
    }
}

#[async_trait]
impl TaskHost for MemoryHost {
    async fn log(&self, lines: Vec<LogLine>) {
        self.state.lock().unwrap().lines.extend(lines);
        self.log_changed.send_modify(|count| *count += 1);
    }

    async fn outcome_reported(&self, outcome: &TaskOutcome, _: &[(String, i32)]) {
        self.state.lock().unwrap().early = Some(outcome.clone());
    }

    async fn get_xcom(&self, at: &XComAddress, _: bool) -> Result<Option<Value>, HostError> {
        Ok(self.xcom(&at.task_id, &at.key))
    }

    async fn get_xcom_slice(&self, at: &XComAddress, _: XComSlice) -> Result<Vec<Value>, HostError> {
        Ok(self.xcom(&at.task_id, &at.key).into_iter().collect())
    }

    async fn get_xcom_item(&self, at: &XComAddress, offset: i64) -> Result<Option<Value>, HostError> {
        Ok(self.xcom(&at.task_id, &at.key).filter(|_| offset == 0))
    }

    async fn count_xcoms(&self, at: &XComAddress) -> Result<u64, HostError> {
        Ok(self.xcom(&at.task_id, &at.key).map_or(0, |_| 1))
    }

    async fn set_xcom(&self, at: &XComAddress, value: Value, length: Option<u64>) -> Result<(), HostError> {
        if length.is_some() {
            self.state.lock().unwrap().mapped_length = length;
        }
        let bytes = value.to_string().len();
        if self.max_xcom_bytes.is_some_and(|limit| bytes > limit) {
            return Err(HostError::Refused { message: format!("XCom of {bytes} bytes is too large") });
        }
        self.state.lock().unwrap().xcoms.insert((at.task_id.clone(), at.key.clone()), value);
        Ok(())
    }

    async fn delete_xcom(&self, at: &XComAddress) -> Result<(), HostError> {
        self.state.lock().unwrap().xcoms.remove(&(at.task_id.clone(), at.key.clone()));
        Ok(())
    }

    async fn get_variable(&self, key: &str) -> Result<Option<String>, HostError> {
        Ok(self.variable(key))
    }

    async fn set_variable(&self, key: &str, value: Option<&str>, _: Option<&str>) -> Result<(), HostError> {
        self.put_variable(key, value.unwrap_or_default());
        Ok(())
    }

    async fn delete_variable(&self, key: &str) -> Result<(), HostError> {
        self.state.lock().unwrap().variables.remove(key);
        Ok(())
    }

    async fn get_connection(&self, conn_id: &str) -> Result<Option<ConnectionInfo>, HostError> {
        Ok(self.state.lock().unwrap().connections.get(conn_id).cloned())
    }

    async fn set_rendered_fields(&self, fields: Value) -> Result<(), HostError> {
        self.state.lock().unwrap().rendered = fields;
        Ok(())
    }

    async fn set_rendered_map_index(&self, label: &str) -> Result<(), HostError> {
        self.state.lock().unwrap().rendered_map_index = Some(label.to_owned());
        Ok(())
    }

    async fn ask_human(&self, question: &HumanQuestion) -> Result<(), HostError> {
        self.state.lock().unwrap().question = Some(question.clone());
        Ok(())
    }

    async fn get_state_value(&self, _: &StateScope, key: &str) -> Result<Option<Value>, HostError> {
        Ok(self.state.lock().unwrap().kept.get(key).cloned())
    }

    async fn put_state_value(&self, _: &StateScope, key: &str, value: &Value) -> Result<(), HostError> {
        self.state.lock().unwrap().kept.insert(key.to_owned(), value.clone());
        Ok(())
    }

    async fn delete_state_values(&self, _: &StateScope, key: Option<&str>) -> Result<(), HostError> {
        self.state.lock().unwrap().kept.retain(|known, _| key.is_some_and(|key| key != known));
        Ok(())
    }

    async fn get_previous_ti(&self, query: &PreviousTiQuery) -> Result<Option<TaskInstanceInfo>, HostError> {
        assert!(query.before.is_some());
        Ok(Some(earlier(query.task_id.clone())))
    }

    async fn get_finished(&self, _: &str, _: &str) -> Result<Vec<TaskInstanceInfo>, HostError> {
        Ok(vec![earlier("asks".to_owned())])
    }

    async fn get_dag(&self, dag_id: &str) -> Result<DagInfo, HostError> {
        Ok(DagInfo { dag_id: dag_id.to_owned(), tags: vec!["team".to_owned()], ..DagInfo::default() })
    }

    async fn get_asset_events(&self, query: &AssetEventQuery) -> Result<Vec<AssetEventInfo>, HostError> {
        let name = query.name.clone().unwrap_or_default();
        let uri = query.uri.clone().unwrap_or_default();
        Ok(vec![AssetEventInfo {
            id: 1,
            at: Timestamp::UNIX_EPOCH,
            asset: AssetInfo { name, uri, group: "asset".to_owned(), extra: serde_json::json!({}) },
            extra: serde_json::json!({"old": 1}),
            source: None,
            aliases: Vec::new(),
        }])
    }
}

/// An instance of a task in the run before.
fn earlier(task_id: String) -> TaskInstanceInfo {
    TaskInstanceInfo {
        dag_id: "waits".to_owned(),
        run_id: "run_0".to_owned(),
        task_id,
        map_index: -1,
        operator: "Op".to_owned(),
        state: Some("success".to_owned()),
        try_number: 1,
        start_date: "2026-01-01T00:00:00Z".parse().ok(),
        end_date: "2026-01-01T00:00:01.5Z".parse().ok(),
        ..TaskInstanceInfo::default()
    }
}

/// Runs one task of `tests/dags/basics.py`.
pub async fn run(task_id: &str, host: &Arc<MemoryHost>) -> TaskExit {
    run_launch(launch("basics", task_id), host).await
}

pub async fn run_launch(task: TaskLaunch, host: &Arc<MemoryHost>) -> TaskExit {
    let (_stopper, control) = TaskControl::new();
    zygote().await.run(task, host.clone(), control).await.expect("the attempt begins")
}

/// Waits until a process is gone, or is dead and only waits to be reaped.
pub async fn wait_until_gone(pid: u32) {
    let gone = async {
        while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap_or_else(|_| panic!("process {pid} still runs"));
}

/// The number at the end of a line.
pub fn last_number(line: &str) -> u32 {
    line.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no number in {line:?}"))
}
