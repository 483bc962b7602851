//! A DAG folder, a Python environment and a leader to test against.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use tradewind_dags::{DagProcessor, LocalFolder, ProcessorSettings, load_local};
use tradewind_guest::GuestEnv;
use tradewind_proto::{ClientOptions, LeaderClient, status, v1};
use tradewind_types::{ApiError, Bundle, DagSpec, sha256_hex};

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub fn python() -> PathBuf {
    let path =
        std::env::var_os("TRADEWIND_TEST_PYTHON").map_or_else(|| repository().join(".venv/bin/python"), PathBuf::from);
    assert!(
        path.exists(),
        "no Python environment at {}: `make test` prepares it (or set TRADEWIND_TEST_PYTHON)",
        path.display()
    );
    path
}

/// A DAG folder with scratch space beside it.
pub struct Dags {
    dir: TempDir,
}

impl Dags {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("dags")).unwrap();
        Self { dir }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("dags")
    }

    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, rel: &str, text: impl AsRef<[u8]>) {
        let path = self.root().join(rel);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // As editors do it, so that nobody reads half a file.
        let fresh = self.beside("fresh");
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, path).unwrap();
    }

    pub fn remove(&self, rel: &str) {
        fs::remove_file(self.root().join(rel)).unwrap();
    }

    pub fn settings(&self) -> ProcessorSettings {
        ProcessorSettings { scan_interval: Duration::from_millis(300), ..ProcessorSettings::new(self.root()) }
    }

    pub fn guest(&self) -> GuestEnv {
        GuestEnv {
            python: python(),
            guest_package_dir: repository().join("python"),
            home: self.beside("guest"),
            extra_env: Vec::new(),
            warm_dags: std::time::Duration::from_secs(60),
        }
    }

    /// Loads without Python.
    pub async fn load(&self) -> LocalFolder {
        load_local(self.settings(), None).await.unwrap()
    }

    /// Loads with Python.
    pub async fn load_python(&self) -> LocalFolder {
        load_local(self.settings(), Some(self.guest())).await.unwrap()
    }
}

pub fn yaml_dag(dag_id: &str) -> String {
    format!("dag_id: {dag_id}\ntasks:\n  - id: only\n    operator: empty\n")
}

pub fn python_dag(dag_id: &str) -> String {
    format!(
        "from airflow.sdk import DAG\nfrom airflow.providers.standard.operators.bash import BashOperator\n\n\
         with DAG(\"{dag_id}\"):\n    BashOperator(task_id=\"only\", bash_command=\"true\")\n"
    )
}

/// Version, content and bundle.
pub type SeenDag = (String, DagSpec, Option<Bundle>);

/// What a leader that keeps everything in memory has seen.
#[derive(Default, Debug)]
pub struct Seen {
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// The DAGs of each file, by the rule of the real one: while a file is broken, what it had stays.
    pub dags: BTreeMap<String, BTreeMap<String, SeenDag>>,
    pub errors: BTreeMap<String, Vec<v1::ImportError>>,
    pub publications: Vec<String>,
    pub scans: u64,
    pub largest_chunk: usize,
    /// Answers everything with `unavailable`.
    pub away: bool,
    /// Calls that were answered so.
    pub turned_away: u64,
    /// DAGs that were ever stale.
    pub stale: BTreeSet<String>,
    /// The remarks about each file.
    pub warnings: BTreeMap<String, Vec<String>>,
    /// Questions about custom timetables that wait.
    pub questions: Vec<v1::TimetableQuestion>,
    /// How often they were fetched.
    pub fetched: u64,
    /// The answers.
    pub answers: Vec<v1::TimetableAnswer>,
    /// Variables that DAG files may read.
    pub variables: BTreeMap<String, String>,
}

impl Seen {
    pub fn dag_ids(&self) -> BTreeSet<String> {
        self.dags.values().flat_map(|dags| dags.keys().cloned()).collect()
    }

    pub fn version(&self, dag_id: &str) -> String {
        self.dags.values().find_map(|dags| dags.get(dag_id)).unwrap().0.clone()
    }
}

#[derive(Clone)]
struct Service {
    seen: Arc<Mutex<Seen>>,
    changed: watch::Sender<u64>,
}

impl Service {
    fn answer<T>(&self, act: impl FnOnce(&mut Seen) -> Result<T, ApiError>) -> Result<Response<T>, Status> {
        let mut seen = self.seen.lock().unwrap();
        let result = if seen.away {
            seen.turned_away += 1;
            Err(ApiError::unavailable("the store is away"))
        } else {
            act(&mut seen)
        };
        drop(seen);
        self.changed.send_modify(|count| *count += 1);
        result.map(Response::new).map_err(status)
    }
}

#[tonic::async_trait]
impl v1::dag_service_server::DagService for Service {
    async fn missing_blobs(
        &self,
        request: Request<v1::MissingBlobsRequest>,
    ) -> Result<Response<v1::MissingBlobsResponse>, Status> {
        self.answer(|seen| {
            let hashes =
                request.into_inner().hashes.into_iter().filter(|hash| !seen.blobs.contains_key(hash)).collect();
            Ok(v1::MissingBlobsResponse { hashes })
        })
    }

    async fn put_blobs(
        &self,
        request: Request<Streaming<v1::BlobChunk>>,
    ) -> Result<Response<v1::PutBlobsResponse>, Status> {
        let mut chunks = request.into_inner();
        let mut blobs = Vec::new();
        let mut data = Vec::new();
        let mut largest = 0;
        while let Some(chunk) = chunks.message().await? {
            largest = largest.max(chunk.data.len());
            data.extend(chunk.data);
            if chunk.last {
                assert_eq!(sha256_hex(&data), chunk.hash);
                blobs.push((chunk.hash, std::mem::take(&mut data)));
            }
        }
        self.answer(|seen| {
            let stored = blobs.len() as u64;
            seen.blobs.extend(blobs);
            seen.largest_chunk = seen.largest_chunk.max(largest);
            Ok(v1::PutBlobsResponse { stored })
        })
    }

    async fn get_variable(
        &self,
        request: Request<v1::GetVariableRequest>,
    ) -> Result<Response<v1::GetVariableResponse>, Status> {
        self.answer(|seen| {
            let key = request.into_inner().key;
            let value = seen.variables.get(&key).cloned();
            Ok(v1::GetVariableResponse { variable: value.map(|value| v1::Variable { key, value, description: None }) })
        })
    }

    async fn get_connection(
        &self,
        _: Request<v1::GetConnectionRequest>,
    ) -> Result<Response<v1::GetConnectionResponse>, Status> {
        self.answer(|_| Ok(v1::GetConnectionResponse { connection: None }))
    }

    async fn publish_file(
        &self,
        request: Request<v1::PublishFileRequest>,
    ) -> Result<Response<v1::PublishFileResponse>, Status> {
        self.answer(|seen| {
            let request = request.into_inner();
            let bundle = request.bundle.map(Bundle::try_from).transpose()?;
            if let Some(bundle) = &bundle {
                assert!(bundle.is_sound());
                if bundle.files.iter().any(|file| !seen.blobs.contains_key(file.blob.as_str())) {
                    return Err(ApiError::conflict("blobs are missing"));
                }
            }
            let mut refused = Vec::new();
            let mut dags = BTreeMap::new();
            for dag in request.dags {
                let spec: DagSpec = serde_json::from_str(&dag.spec_json).unwrap();
                let id = spec.dag_id.to_string();
                let elsewhere = seen.dags.iter().any(|(rel, dags)| *rel != request.rel_path && dags.contains_key(&id));
                if elsewhere {
                    refused.push(v1::ImportError {
                        rel_path: request.rel_path.clone(),
                        message: format!("{id} is defined elsewhere"),
                        ..Default::default()
                    });
                } else {
                    dags.insert(id, (dag.version, spec, bundle.clone()));
                }
            }
            let known = seen.dags.entry(request.rel_path.clone()).or_default();
            if request.errors.is_empty() {
                known.clear();
            }
            known.extend(dags);
            seen.errors.insert(request.rel_path.clone(), request.errors);
            seen.warnings.insert(request.rel_path.clone(), request.warnings);
            seen.publications.push(request.rel_path);
            Ok(v1::PublishFileResponse { refused, warnings: Vec::new() })
        })
    }

    async fn timetable_questions(
        &self,
        _: Request<v1::TimetableQuestionsRequest>,
    ) -> Result<Response<v1::TimetableQuestionsResponse>, Status> {
        self.answer(|seen| {
            seen.fetched += 1;
            Ok(v1::TimetableQuestionsResponse { questions: seen.questions.clone() })
        })
    }

    async fn answer_timetable(
        &self,
        request: Request<v1::TimetableAnswer>,
    ) -> Result<Response<v1::TimetableAnswerResponse>, Status> {
        self.answer(|seen| {
            let answer = request.into_inner();
            seen.questions.retain(|open| (&open.dag_id, open.question) != (&answer.dag_id, answer.question));
            seen.answers.push(answer);
            Ok(v1::TimetableAnswerResponse {})
        })
    }

    async fn complete_scan(
        &self,
        request: Request<v1::CompleteScanRequest>,
    ) -> Result<Response<v1::CompleteScanResponse>, Status> {
        self.answer(|seen| {
            let present: BTreeSet<String> = request.into_inner().rel_paths.into_iter().collect();
            let stale: Vec<String> = seen
                .dags
                .iter()
                .filter(|(rel, _)| !present.contains(*rel))
                .flat_map(|(_, dags)| dags.keys().cloned())
                .collect();
            seen.stale.extend(stale.iter().cloned());
            seen.dags.retain(|rel, _| present.contains(rel));
            seen.errors.retain(|rel, _| present.contains(rel));
            seen.scans += 1;
            Ok(v1::CompleteScanResponse { stale })
        })
    }
}

/// A leader on a real gRPC server.
pub struct Leader {
    service: Service,
    changes: watch::Receiver<u64>,
    pub address: SocketAddr,
    server: JoinHandle<()>,
}

impl Leader {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (changed, changes) = watch::channel(0);
        let service = Service { seen: Arc::default(), changed };
        let address = listener.local_addr().unwrap();
        let server = serve(service.clone(), listener);
        Self { service, changes, address, server }
    }

    /// Stops to listen, as a leader that died; what it has stays.
    pub async fn stop(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    /// Listens again at the same address.
    pub async fn restart(&mut self) {
        let listener = tokio::net::TcpListener::bind(self.address).await.unwrap();
        self.server = serve(self.service.clone(), listener);
    }

    pub fn client(&self) -> LeaderClient {
        LeaderClient::new(ClientOptions {
            addresses: vec![format!("http://{}", self.address)],
            ..ClientOptions::default()
        })
        .unwrap()
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.service.seen.lock().unwrap())
    }

    /// Waits until what the leader has seen is as wanted.
    pub async fn wait_for(&mut self, what: &str, mut wanted: impl FnMut(&Seen) -> bool) {
        let all = async {
            loop {
                self.changes.borrow_and_update();
                if wanted(&self.service.seen.lock().unwrap()) {
                    return;
                }
                self.changes.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), all).await.is_err() {
            panic!("{what}: {:#?}", self.with(|seen| format!("{:?} {:?}", seen.dag_ids(), seen.errors)));
        }
    }

    /// Waits for full scans that began after this call.
    pub async fn wait_for_scans(&mut self, count: u64) {
        let start = self.with(|seen| seen.scans);
        self.wait_for("full scans", |seen| seen.scans >= start + count).await;
    }
}

fn serve(service: Service, listener: tokio::net::TcpListener) -> JoinHandle<()> {
    tokio::spawn(async move {
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        tonic::transport::Server::builder()
            .add_service(v1::dag_service_server::DagServiceServer::new(service))
            .serve_with_incoming(incoming)
            .await
            .unwrap();
    })
}

/// A processor at work.
pub struct Running {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub fn start(settings: ProcessorSettings, leader: &Leader, guest: Option<GuestEnv>) -> Self {
        let cancel = CancellationToken::new();
        let processor = DagProcessor::new(settings, leader.client(), guest);
        Self { task: tokio::spawn(processor.run(cancel.clone())), cancel }
    }

    pub async fn stop(self) {
        self.cancel.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.task).await.unwrap().unwrap();
    }
}
