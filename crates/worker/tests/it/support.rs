//! An installation with a scheduler that leads, and workers that run in this process.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tradewind_guest::GuestEnv;
use tradewind_ports::Queue;
use tradewind_proto::{LeaderClient, admin_client, dag_client, to_json, v1};
use tradewind_types::{Bundle, BundleFile, DagSpec, sha256_hex};
use tradewind_worker::{Worker, WorkerError, WorkerSettings};

use crate::harness::{ADMIN, Installation, Node, PROCESSOR, WORKER, eventually, publish, run_state, trigger};

pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub installation: Installation,
    pub node: Node,
    pub admin: LeaderClient,
    pub dir: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with_lease(Duration::from_secs(15)).await
    }

    pub async fn with_lease(lease: Duration) -> Self {
        let mut installation = Installation::new().await;
        installation.lease = lease;
        let node = installation.scheduler("a").await;
        node.leads().await;
        let admin = node.client(ADMIN);
        Self { installation, node, admin, dir: tempfile::tempdir().unwrap() }
    }

    pub fn settings(&self, name: &str) -> WorkerSettings {
        WorkerSettings {
            name: name.into(),
            queues: vec!["default".into()],
            slots: 4,
            trigger_slots: 100,
            callback_timeout: Duration::from_secs(60),
            dir: self.dir.path().join(name),
            env: Vec::new(),
            drain_grace: Duration::from_secs(30),
            kill_grace: Duration::from_secs(2),
            task_dir: None,
            bundle_cache_bytes: 1 << 30,
            environments: tradewind_environments::EnvironmentOptions::default(),
            xcom_max_bytes: 1 << 30,
            xcom_storage: None,
            labels: std::collections::BTreeMap::new(),
        }
    }

    pub fn worker(&self, name: &str) -> Started {
        self.start(self.settings(name), self.installation.queue.clone(), None)
    }

    pub fn start(&self, settings: WorkerSettings, queue: Arc<dyn Queue>, guest: Option<GuestEnv>) -> Started {
        let shutdown = CancellationToken::new();
        let abort = CancellationToken::new();
        let worker = Worker::new(settings, self.node.client(WORKER), queue, guest).with_abort(abort.clone());
        let task = tokio::spawn(worker.run(shutdown.clone()));
        Started { shutdown, abort, task }
    }

    /// Publishes a DAG of tasks in their JSON form and triggers it.
    pub async fn run(&self, dag_id: &str, tasks: Value) -> v1::DagRun {
        self.publish(dag_id, tasks).await;
        trigger(&self.admin, dag_id).await
    }

    pub async fn publish(&self, dag_id: &str, tasks: Value) {
        let spec: DagSpec = serde_json::from_value(serde_json::json!({
            "dag_id": dag_id, "tasks": tasks, "source": {"kind": "yaml", "rel_path": format!("{dag_id}.yaml")}
        }))
        .unwrap();
        publish(&self.node.client(PROCESSOR), &spec).await;
    }

    pub async fn ends(&self, run: &v1::DagRun) -> String {
        eventually("the end of the run", || async {
            let state = run_state(&self.admin, run).await.run.unwrap().state;
            matches!(state.as_str(), "success" | "failed").then_some(state)
        })
        .await
    }

    pub async fn task(&self, run: &v1::DagRun, task: &str) -> v1::TaskInstance {
        let tasks = run_state(&self.admin, run).await.task_instances;
        tasks.into_iter().find(|ti| ti.task_id == task).unwrap()
    }

    pub async fn becomes(&self, run: &v1::DagRun, task: &str, state: &str) -> v1::TaskInstance {
        eventually(&format!("{task} in state {state}"), || async {
            let ti = self.task(run, task).await;
            (ti.state == state).then_some(ti)
        })
        .await
    }

    pub async fn log(&self, run: &v1::DagRun, task: &str) -> Vec<Value> {
        let request = v1::ReadLogRequest { task: Some(reference(run, task)), ..v1::ReadLogRequest::default() };
        let mut stream = self
            .admin
            .call(PATIENCE, |channel| {
                let request = request.clone();
                async move { admin_client(channel).read_log(request).await }
            })
            .await
            .unwrap();
        let mut bytes = Vec::new();
        while let Some(part) = stream.message().await.unwrap() {
            bytes.extend(part.data);
        }
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub async fn messages(&self, run: &v1::DagRun, task: &str) -> Vec<String> {
        let log = self.log(run, task).await;
        log.iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }

    pub async fn xcom(&self, run: &v1::DagRun, task: &str) -> Option<Value> {
        let request = v1::GetXComsAdminRequest {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
            task_id: Some(task.to_owned()),
            key: Some("return_value".to_owned()),
            ..v1::GetXComsAdminRequest::default()
        };
        let answer = self
            .admin
            .call(PATIENCE, |channel| {
                let request = request.clone();
                async move { admin_client(channel).list_x_coms(request).await }
            })
            .await
            .unwrap();
        answer.xcoms.first().map(|xcom| serde_json::from_str(&xcom.value_json).unwrap())
    }

    pub async fn rendered(&self, run: &v1::DagRun, task: &str) -> Option<Value> {
        let request = reference(run, task);
        let answer = self
            .admin
            .call(PATIENCE, |channel| {
                let request = request.clone();
                async move { admin_client(channel).get_rendered(request).await }
            })
            .await
            .unwrap();
        answer.fields_json.map(|fields| serde_json::from_str(&fields).unwrap())
    }
}

pub fn reference(run: &v1::DagRun, task: &str) -> v1::TaskInstanceRef {
    v1::TaskInstanceRef {
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        task_id: task.to_owned(),
        map_index: -1,
    }
}

/// A task in JSON form.
pub fn task(id: &str, upstream: &[&str], operator: Value) -> Value {
    let mut operator = operator;
    operator["type"] = "native".into();
    serde_json::json!({"task_id": id, "upstream": upstream, "operator": operator})
}

pub fn bash(id: &str, upstream: &[&str], command: &str) -> Value {
    task(id, upstream, serde_json::json!({"kind": "bash", "command": command}))
}

pub fn guest(world: &World) -> GuestEnv {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let python = std::env::var_os("TRADEWIND_TEST_PYTHON").map_or_else(|| root.join(".venv/bin/python"), PathBuf::from);
    assert!(python.exists(), "no Python environment: run the tests with `make test`");
    GuestEnv {
        python,
        guest_package_dir: root.join("python"),
        home: world.dir.path().join("guest"),
        extra_env: Vec::new(),
        warm_dags: std::time::Duration::from_secs(60),
    }
}

/// A Python task in JSON form.
pub fn python(id: &str, upstream: &[&str]) -> Value {
    json!({"task_id": id, "upstream": upstream, "operator":
        {"type": "python", "class": "_PythonDecoratedOperator", "module": "airflow.providers.standard.decorators.python"}})
}

/// Publishes a bundle of files, the first of which is a DAG file with these DAGs.
pub async fn publish_files(world: &World, files: &[(&str, &str)], dags: &[Value]) {
    let file = |path: &str, text: &str| BundleFile {
        path: path.to_owned(),
        blob: sha256_hex(text.as_bytes()).into(),
        size: text.len() as u64,
        executable: false,
    };
    let bundle = Bundle::new(files.iter().map(|(path, text)| file(path, text)).collect());
    let processor = world.node.client(PROCESSOR);
    for (_, text) in files {
        let blob = v1::BlobChunk { hash: sha256_hex(text.as_bytes()), data: text.as_bytes().to_vec(), last: true };
        processor
            .call(PATIENCE, |channel| {
                let blob = blob.clone();
                async move { dag_client(channel).put_blobs(futures::stream::iter([blob])).await }
            })
            .await
            .unwrap();
    }
    let rel_path = files[0].0;
    let published = |dag: &Value| {
        let mut dag = dag.clone();
        dag["source"] = json!({"kind": "python", "rel_path": rel_path});
        let spec: DagSpec = serde_json::from_value(dag).unwrap();
        v1::PublishedDag { version: sha256_hex(to_json(&spec).as_bytes()), spec_json: to_json(&spec) }
    };
    let request = v1::PublishFileRequest {
        rel_path: rel_path.to_owned(),
        bundle: Some(v1::Bundle::from(&bundle)),
        dags: dags.iter().map(published).collect(),
        ..v1::PublishFileRequest::default()
    };
    processor
        .call(PATIENCE, |channel| {
            let request = request.clone();
            async move { dag_client(channel).publish_file(request).await }
        })
        .await
        .unwrap();
}

/// A worker that runs.
pub struct Started {
    pub shutdown: CancellationToken,
    pub abort: CancellationToken,
    pub task: JoinHandle<Result<(), WorkerError>>,
}

impl Started {
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// The process ids that a task wrote to a file, once there are `count` of them.
pub async fn pids(file: &Path, count: usize) -> Vec<String> {
    eventually("the process ids", || async {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let pids: Vec<String> = text.lines().map(str::to_owned).collect();
        (pids.len() >= count && text.ends_with('\n')).then_some(pids)
    })
    .await
}

pub fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie does not run any more.
    !stat.is_empty() && !stat.contains(") Z ")
}
