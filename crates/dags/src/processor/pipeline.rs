//! From the folder to what is to be published: scan, parse what changed, settle double ids, make bundles and versions.
//! Nothing here talks to a scheduler.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::JoinSet};
use tradewind_guest::{FileNotes, GuestEnv, ParseHost, ParseRequest};
use tradewind_proto::LeaderClient;
use tradewind_types::{Bundle, DagSpec, Deprecation, Environment, ImportError, SourceKind, Timestamp, VersionHash};

use super::{
    ProcessorSettings,
    inputs::{Inputs, KnownLayout},
    interpreters::{Found, Interpreter, Interpreters},
    look_ups::{self, LookUps},
};
use crate::{
    Problem,
    airflow::convert,
    bundle::{bundle_of, version_hash},
    environments::{Claim, Layout},
    scan::{FileKind, Scan, ScannedFile, Scanner},
    yaml::{YamlSettings, parse_yaml},
};

/// What one DAG file gives.
#[derive(Clone, Debug)]
pub struct LoadedFile {
    /// Its path below the folder.
    pub rel_path: String,
    /// Its sound DAGs with their versions.
    pub dags: Vec<(VersionHash, DagSpec)>,
    /// The files that its tasks need; none for YAML.
    pub bundle: Option<Bundle>,
    /// What is wrong with it.
    pub errors: Vec<ImportError>,
    /// What it says but this version does not do.
    pub warnings: Vec<String>,
    /// Names that it should no longer use; each is a line of `warnings`, too.
    pub deprecations: Vec<Deprecation>,
    /// What its author asks beyond the DAGs themselves, where that was wanted.
    pub notes: Option<FileNotes>,
    /// How long parsing took.
    pub parse_time: Duration,
}

/// The state of the folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// Files with DAGs or errors, by path. The same list as that of the refresh before when nothing changed.
    pub(crate) files: Arc<Vec<LoadedFile>>,
    /// Files whose environment is being built: what was known of them stays.
    pub(crate) pending: BTreeSet<String>,
    /// Remarks about the environments that are declared.
    pub(crate) remarks: Vec<String>,
    /// What was scanned, for reading blobs.
    pub(crate) scan: Arc<Scan>,
}

/// What parsing one file gave, kept until its inputs change.
#[derive(Clone, Debug, Default)]
struct Outcome {
    /// Over everything that went into it.
    key: String,
    specs: Vec<DagSpec>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
    deprecations: Vec<Deprecation>,
    notes: Option<FileNotes>,
    /// Local modules that it imported.
    imported: BTreeSet<String>,
    /// Whether it counts as a DAG file: it gave DAGs, or would have.
    defines_dags: bool,
    /// The machinery failed, not the file: try again at the next scan.
    is_transient: bool,
    /// Its code read variables or connections of the store, which may be others by now.
    asked_at: Option<Instant>,
    parse_time: Duration,
}

impl Outcome {
    /// Whether to parse the file again, though nothing of it has changed.
    fn is_stale(&self) -> bool {
        self.is_transient || self.asked_at.is_some_and(|at| look_ups::are_old(at, !self.problems.is_empty()))
    }

    fn key_by(&self, inputs: &Inputs<'_>, rel: &str, file: &ScannedFile, claim: Option<&Claim>) -> String {
        inputs.key(rel, file, claim, &self.imported, !self.problems.is_empty())
    }
}

pub(crate) struct Pipeline {
    settings: ProcessorSettings,
    client: Option<LeaderClient>,
    scanner: Option<Scanner>,
    interpreters: Interpreters,
    layout: KnownLayout,
    pending: BTreeSet<String>,
    outcomes: BTreeMap<String, Outcome>,
    /// Which file a DAG id belongs to while several claim it.
    owners: HashMap<String, String>,
    /// When an error was seen first.
    error_times: HashMap<(String, String), Timestamp>,
    reported: BTreeSet<String>,
    /// What the refresh before gave.
    last: Option<Folder>,
}

impl Pipeline {
    /// With a client, DAG files may read what the store holds.
    pub(crate) fn new(settings: ProcessorSettings, guest: Option<GuestEnv>, client: Option<LeaderClient>) -> Self {
        let scanner = Scanner::new(settings.folder.clone(), settings.bundle_file_max_bytes, settings.ignore_syntax);
        Self {
            interpreters: Interpreters::new(guest, settings.environments.clone()),
            layout: KnownLayout::default(),
            pending: BTreeSet::new(),
            settings,
            client,
            scanner: Some(scanner),
            outcomes: BTreeMap::new(),
            owners: HashMap::new(),
            error_times: HashMap::new(),
            reported: BTreeSet::new(),
            last: None,
        }
    }

    /// The interpreters; clones share them.
    pub(crate) fn interpreters(&self) -> &Interpreters {
        &self.interpreters
    }

    pub(crate) async fn shutdown(&self) {
        self.interpreters.shutdown().await;
    }

    /// From now on, only these files and folders are parsed; what is known of others stays.
    pub(crate) fn narrow(&mut self, only: Vec<String>) {
        self.settings.only = only;
    }

    /// Scans and parses what changed. `now` dates new errors.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) async fn refresh(&mut self, now: Timestamp) -> io::Result<Folder> {
        let scan = self.scan().await?;
        self.interpreters.tidy().await;
        if let Some(last) = self.last.as_ref().filter(|last| *last.scan == scan && last.pending.is_empty())
            && !self.outcomes.values().any(Outcome::is_stale)
        {
            // The usual case: what follows would find, at the price of hashing everything, that all is as it was.
            return Ok(last.clone());
        }
        let scan = Arc::new(scan);
        let inputs = Inputs::new(&scan);
        let layout = self.layout.of(&scan, &inputs.all).await;
        self.interpreters.learn(&layout);
        for warning in scan.warnings.iter().chain(&layout.warnings) {
            // A scan repeats its remarks; the log need not.
            if self.reported.insert(warning.clone()) {
                tracing::warn!("{warning}");
            }
        }
        let inputs = inputs.without(&layout, self.settings.with_notes);
        self.parse_changed(&scan, &inputs, &layout).await;
        let files = Arc::new(self.load(&scan, &layout, now));
        let folder = Folder { files, pending: self.pending.clone(), remarks: layout.warnings.clone(), scan };
        self.last = Some(folder.clone());
        Ok(folder)
    }

    async fn scan(&mut self) -> io::Result<Scan> {
        let settings = &self.settings;
        let mut scanner = self.scanner.take().unwrap_or_else(|| {
            Scanner::new(settings.folder.clone(), settings.bundle_file_max_bytes, settings.ignore_syntax)
        });
        let (scanner, scan) = tokio::task::spawn_blocking(move || {
            let scan = scanner.scan();
            (scanner, scan)
        })
        .await
        .map_err(io::Error::other)?;
        self.scanner = Some(scanner);
        scan
    }

    async fn parse_changed(&mut self, scan: &Arc<Scan>, inputs: &Inputs<'_>, layout: &Layout) {
        // A partial scan may have missed a file; what was known of it stays.
        if scan.complete {
            self.outcomes.retain(|rel, _| scan.files.contains_key(rel));
        }
        self.pending.clear();
        let slots = Arc::new(Semaphore::new(self.settings.parse_processes.max(1)));
        let mut parses = JoinSet::new();
        for (rel, file) in
            scan.files.iter().filter(|(rel, file)| file.kind.may_define_dags() && self.settings.is_wanted(rel))
        {
            let before = self.outcomes.get(rel);
            let claim = layout.of_file(rel).filter(|_| file.kind == FileKind::PythonDag);
            let is_fresh = before
                .is_some_and(|outcome| !outcome.is_stale() && outcome.key == outcome.key_by(inputs, rel, file, claim));
            if is_fresh {
                continue;
            }
            let interpreter = match file.kind {
                FileKind::PythonDag => self.interpreters.of_file(rel, &scan.root),
                _ => Found::None,
            };
            if matches!(interpreter, Found::Pending) {
                self.pending.insert(rel.clone());
                continue;
            }
            let job = Job {
                rel: rel.clone(),
                file: file.clone(),
                root: scan.root.clone(),
                settings: self.settings.clone(),
                client: self.client.clone(),
                interpreter,
                environment: match claim {
                    Some(Claim::Uses(environment)) => Some(Arc::clone(environment)),
                    _ => None,
                },
                defined_dags: before.is_some_and(|outcome| outcome.defines_dags),
                was_good: before.is_some_and(|outcome| outcome.problems.is_empty()),
            };
            let slots = Arc::clone(&slots);
            parses.spawn(async move {
                // The semaphore is never closed.
                let _slot = slots.acquire().await;
                let rel = job.rel.clone();
                (rel, job.run().await)
            });
        }
        while let Some(parsed) = parses.join_next().await {
            match parsed {
                Ok((rel, mut outcome)) => {
                    if let Some(file) = scan.files.get(&rel) {
                        outcome.key = outcome.key_by(inputs, &rel, file, layout.of_file(&rel));
                    }
                    for warning in &outcome.warnings {
                        tracing::warn!(file = rel, "{warning}");
                    }
                    self.outcomes.insert(rel, outcome);
                }
                Err(error) => tracing::error!("a parse job panicked: {error}"),
            }
        }
    }

    fn load(&mut self, scan: &Scan, layout: &Layout, now: Timestamp) -> Vec<LoadedFile> {
        self.settle_owners();
        let defines_dags = |rel: &str| {
            self.outcomes.get(rel).map_or_else(|| self.pending.contains(rel), |outcome| outcome.defines_dags)
        };
        // Looked up once: each bundle would otherwise go through all files.
        let is_shared = |rel: &&str| !(defines_dags(rel) || layout.is_special(rel));
        let shared: Vec<&str> = scan.files.keys().map(String::as_str).filter(is_shared).collect();
        let mut files = Vec::new();
        for (rel, outcome) in self.outcomes.iter().filter(|(rel, _)| !self.pending.contains(*rel)) {
            let mut problems = outcome.problems.clone();
            let mut specs = Vec::new();
            for spec in &outcome.specs {
                match self.owners.get(spec.dag_id.as_str()) {
                    Some(owner) if owner != rel => problems.push(Problem::new(format!(
                        "the DAG id \"{}\" is used in two files, {owner} and {rel}; the one in {owner} counts: give this \
                         one another id",
                        spec.dag_id
                    ))),
                    _ => specs.push(spec.clone()),
                }
            }
            if specs.is_empty() && problems.is_empty() {
                continue;
            }
            let is_python = specs.iter().any(|spec| spec.source.kind == SourceKind::Python);
            let environment = specs.first().and_then(|spec| spec.environment.as_ref());
            let bundle = is_python.then(|| bundle_of(scan, rel, &outcome.imported, environment, &shared));
            files.push(LoadedFile {
                rel_path: rel.clone(),
                dags: specs.into_iter().map(|spec| (version_hash(&spec, bundle.as_ref()), spec)).collect(),
                bundle,
                errors: problems.into_iter().map(|problem| problem.into_import_error(rel, now)).collect(),
                warnings: outcome.warnings.clone(),
                deprecations: outcome.deprecations.clone(),
                notes: outcome.notes.clone(),
                parse_time: outcome.parse_time,
            });
        }
        let broken = |rel: &str, problems: Vec<Problem>| LoadedFile {
            rel_path: rel.to_owned(),
            dags: Vec::new(),
            bundle: None,
            errors: problems.into_iter().map(|problem| problem.into_import_error(rel, now)).collect(),
            warnings: Vec::new(),
            deprecations: Vec::new(),
            notes: None,
            parse_time: Duration::ZERO,
        };
        let left_out = scan.left_out.iter().filter(|left| self.settings.is_wanted(&left.rel_path));
        files.extend(left_out.map(|left| broken(&left.rel_path, vec![Problem::new(left.why.clone())])));
        files.extend(layout.problems.iter().map(|(rel, problems)| broken(rel, problems.clone())));
        files.sort_by(|a, b| a.rel_path.cmp(&b.rel_path));
        self.date_errors(&mut files);
        files
    }

    /// A DAG id that several files claim stays with the file that had it first; among new ones the first by path has it.
    fn settle_owners(&mut self) {
        let mut claims: HashMap<String, Vec<&String>> = HashMap::new();
        for (rel, outcome) in &self.outcomes {
            for spec in &outcome.specs {
                claims.entry(spec.dag_id.to_string()).or_default().push(rel);
            }
        }
        let owners = claims
            .into_iter()
            .filter_map(|(dag_id, files)| {
                let before = self.owners.get(&dag_id);
                // While its file is broken, the last good version goes on: nobody else may take its id.
                let is_held = before.is_some_and(|owner| {
                    files.contains(&owner)
                        || self.outcomes.get(owner).is_some_and(|outcome| !outcome.problems.is_empty())
                });
                let owner = match before {
                    Some(owner) if is_held => owner,
                    _ => *files.first()?,
                };
                Some((dag_id, owner.clone()))
            })
            .collect();
        let broken_owners = self
            .owners
            .iter()
            .filter(|(_, owner)| self.outcomes.get(*owner).is_some_and(|outcome| !outcome.problems.is_empty()))
            .map(|(dag_id, owner)| (dag_id.clone(), owner.clone()));
        let mut all: HashMap<String, String> = broken_owners.collect();
        all.extend::<HashMap<_, _>>(owners);
        self.owners = all;
    }

    /// An error keeps the time at which it was seen first.
    fn date_errors(&mut self, files: &mut [LoadedFile]) {
        let mut times = HashMap::new();
        for error in files.iter_mut().flat_map(|file| &mut file.errors) {
            let key = (error.rel_path.clone(), error.message.clone());
            error.at = *self.error_times.get(&key).unwrap_or(&error.at);
            times.insert(key, error.at);
        }
        self.error_times = times;
    }
}

/// Parsing one file.
struct Job {
    rel: String,
    file: ScannedFile,
    root: PathBuf,
    settings: ProcessorSettings,
    client: Option<LeaderClient>,
    interpreter: Found,
    environment: Option<Arc<Environment>>,
    defined_dags: bool,
    was_good: bool,
}

impl Job {
    async fn run(self) -> Outcome {
        let started = Instant::now();
        let mut outcome = match self.file.kind {
            FileKind::YamlDag => self.yaml().await,
            _ => self.python().await,
        };
        // A module that breaks stays a module; a file that never loaded is taken for what it looks like.
        outcome.defines_dags =
            !outcome.specs.is_empty() || (!outcome.problems.is_empty() && (self.defined_dags || !self.was_good));
        outcome.parse_time = started.elapsed();
        outcome
    }

    async fn yaml(&self) -> Outcome {
        let (path, rel, yaml) = (self.file.path.clone(), self.rel.clone(), self.settings.yaml.clone());
        let parsed = tokio::task::spawn_blocking(move || read_yaml(&path, &rel, &yaml)).await;
        parsed.unwrap_or_else(|error| Outcome {
            problems: vec![Problem::new(format!("the YAML reader failed: {error}"))],
            is_transient: true,
            ..Outcome::default()
        })
    }

    async fn python(&self) -> Outcome {
        let interpreter: &Interpreter = match &self.interpreter {
            Found::Ready(interpreter) => interpreter,
            Found::Failed(why) => {
                return Outcome {
                    problems: vec![Problem::new(why.clone())],
                    // A build may succeed another time; what is declared wrongly stays so.
                    is_transient: self.environment.is_some(),
                    ..Outcome::default()
                };
            }
            Found::Pending | Found::None => {
                return Outcome {
                    problems: vec![Problem::new(
                        "this file needs Python, and none is set up: name the interpreter of an environment with \
                         Airflow's Task SDK in python.interpreter, or write the DAG in YAML",
                    )],
                    ..Outcome::default()
                };
            }
        };
        let mut request = ParseRequest::new(&self.root, &self.rel);
        request.timeout = self.settings.parse_timeout;
        request.memory_limit_bytes = self.settings.parse_memory_bytes;
        request.with_notes = self.settings.with_notes;
        let look_ups = self.client.clone().map(|client| Arc::new(LookUps::new(client, self.settings.patience)));
        request.host = look_ups.clone().map(|look_ups| look_ups as Arc<dyn ParseHost>);
        let parsed = match interpreter.parser().parse(request).await {
            Ok(parsed) => parsed,
            Err(error) => {
                tracing::error!(file = self.rel, "cannot parse: {error}");
                return Outcome {
                    problems: vec![Problem::new(format!(
                        "the Python guest could not parse the file: {error}; python.interpreter must name the interpreter \
                         of an environment with Airflow's Task SDK"
                    ))],
                    is_transient: true,
                    ..Outcome::default()
                };
            }
        };
        let mut outcome = Outcome {
            asked_at: look_ups.filter(|look_ups| look_ups.were_asked()).map(|_| Instant::now()),
            imported: parsed.imported_files.iter().filter_map(|path| self.rel_of(path)).collect(),
            warnings: (parsed.warnings.iter().cloned())
                .chain(parsed.deprecations.iter().map(ToString::to_string))
                .map(|warning| one_line(&warning))
                .collect(),
            deprecations: parsed.deprecations,
            notes: parsed.notes,
            ..Outcome::default()
        };
        outcome.problems.extend(parsed.import_error.map(|error| Problem {
            message: error.message,
            line: error.line,
            column: None,
            traceback: error.traceback,
        }));
        for dag in &parsed.dags {
            match convert(dag, &self.rel) {
                Ok(converted) => {
                    let dag_id = converted.spec.dag_id.clone();
                    outcome.warnings.extend(
                        converted.warnings.iter().map(|warning| format!("DAG \"{dag_id}\": {}", one_line(warning))),
                    );
                    let environment = self.environment.as_deref().cloned();
                    outcome.specs.push(DagSpec { environment, ..converted.spec });
                }
                Err(error) => outcome.problems.push(Problem::new(error.message)),
            }
        }
        outcome
    }

    fn rel_of(&self, path: &Path) -> Option<String> {
        let below = path.strip_prefix(&self.root).ok()?;
        Some(below.to_str()?.to_owned())
    }
}

/// A remark goes into one line of a listing.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn read_yaml(path: &Path, rel: &str, settings: &YamlSettings) -> Outcome {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            return Outcome {
                problems: vec![Problem::new(format!("the file cannot be read: {error}"))],
                is_transient: true,
                ..Outcome::default()
            };
        }
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let lines = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
            return Outcome {
                problems: vec![Problem {
                    line: u32::try_from(lines).ok(),
                    ..Problem::new("the file is not UTF-8 text; save it in UTF-8")
                }],
                ..Outcome::default()
            };
        }
    };
    let parsed = parse_yaml(rel, &text, settings);
    Outcome { specs: parsed.dags, problems: parsed.problems, ..Outcome::default() }
}
