//! Loading one DAG file, and what came of it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tradewind_guest::{FileNotes, ParseHost, ParseRequest};
use tradewind_proto::LeaderClient;
use tradewind_types::{DagSpec, Deprecation, Environment};

use super::{
    ProcessorSettings,
    inputs::Inputs,
    interpreters::{Found, Interpreter},
    look_ups::{self, LookUps},
};
use crate::{
    Problem,
    airflow::convert,
    environments::Claim,
    scan::{FileKind, ScannedFile},
    yaml::{YamlSettings, parse_yaml},
};

/// What parsing one file gave, kept until its inputs change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Over everything that went into it.
    pub(super) key: String,
    pub(super) specs: Vec<DagSpec>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    pub(super) deprecations: Vec<Deprecation>,
    pub(super) notes: Option<FileNotes>,
    /// Local modules that it imported.
    pub(super) imported: BTreeSet<String>,
    /// Whether it counts as a DAG file: it gave DAGs, or would have.
    pub(super) defines_dags: bool,
    /// The machinery failed, not the file: try again at the next scan.
    is_transient: bool,
    /// Its code read variables or connections of the store, which may be others by now.
    asked_at: Option<Instant>,
    /// When it was loaded.
    loaded_at: Option<Instant>,
    /// How long what it gave holds, where a `tradewind.toml` says so.
    pub(super) reload_every: Option<Duration>,
    pub(super) parse_time: Duration,
}

impl Outcome {
    /// Whether to parse the file again, though nothing of it has changed.
    pub(super) fn is_stale(&self) -> bool {
        let is_over = self.loaded_at.zip(self.reload_every).is_some_and(|(at, every)| at.elapsed() >= every);
        is_over || self.is_transient || self.asked_at.is_some_and(|at| look_ups::are_old(at, !self.problems.is_empty()))
    }

    pub(super) fn key_by(&self, inputs: &Inputs<'_>, rel: &str, file: &ScannedFile, claim: Option<&Claim>) -> String {
        inputs.key(rel, file, claim, &self.imported, !self.problems.is_empty())
    }
}

/// Parsing one file.
pub(super) struct Job {
    pub(super) rel: String,
    pub(super) file: ScannedFile,
    pub(super) root: PathBuf,
    pub(super) settings: ProcessorSettings,
    pub(super) client: Option<LeaderClient>,
    pub(super) interpreter: Found,
    pub(super) environment: Option<Arc<Environment>>,
    pub(super) defined_dags: bool,
    pub(super) was_good: bool,
}

impl Job {
    pub(super) async fn run(self) -> Outcome {
        let started = Instant::now();
        let mut outcome = match self.file.kind {
            FileKind::YamlDag => self.yaml().await,
            _ => self.python().await,
        };
        // A module that breaks stays a module; a file that never loaded is taken for what it looks like.
        outcome.defines_dags =
            !outcome.specs.is_empty() || (!outcome.problems.is_empty() && (self.defined_dags || !self.was_good));
        outcome.parse_time = started.elapsed();
        outcome.loaded_at = Some(Instant::now());
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
