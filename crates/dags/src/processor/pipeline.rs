//! From the folder to what is to be published: scan, parse what changed, settle double ids, make bundles and versions.
//! Nothing here talks to a scheduler.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Semaphore, task::JoinSet};
use tradewind_guest::{DagNotes, FileNotes, GuestEnv};
use tradewind_proto::LeaderClient;
use tradewind_types::{Bundle, DagSpec, Deprecation, ImportError, SourceKind, Timestamp, VersionHash};

use super::{
    ProcessorSettings,
    inputs::{Inputs, KnownLayout},
    interpreters::{Found, Interpreters},
    job::{Job, Outcome},
};
use crate::{
    Problem,
    bundle::{bundle_of, version_hash},
    environments::{Claim, Layout},
    scan::{FileKind, Scan, Scanner},
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

impl LoadedFile {
    /// What the author of a DAG asks, where that was wanted. Of several DAGs with one id the last one counts, as in Airflow.
    pub fn dag_notes(&self, dag_id: &str) -> Option<&DagNotes> {
        self.notes.iter().flat_map(|notes| &notes.dags).rfind(|dag| dag.dag_id == dag_id)
    }
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
        // What it was found for counts no longer, though the folder may be as it was.
        self.last = None;
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
        // What is declared may have changed for files that are as they were.
        for (rel, outcome) in &mut self.outcomes {
            outcome.reload_every = layout.reload_every(rel);
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
