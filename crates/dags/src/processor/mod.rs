//! The DAG processor: watches the DAG folder, parses what changed, publishes it to the leader, and keeps trying while there
//! is none. It has no access to the database, and a file that is wrong costs an import error, nothing else.

mod inputs;
mod interpreters;
mod job;
mod look_ups;
mod pipeline;
mod publish;
mod timetables;
mod watch;

use std::{io, path::PathBuf, time::Duration};

use tokio_util::sync::CancellationToken;
use tradewind_environments::EnvironmentOptions;
use tradewind_guest::GuestEnv;
use tradewind_proto::LeaderClient;
use tradewind_types::Timestamp;

pub use self::pipeline::LoadedFile;
use self::{
    pipeline::{Folder, Pipeline},
    publish::{PublishError, Publisher},
    timetables::{Answerer, is_custom},
    watch::Watch,
};
use crate::{ignore::IgnoreSyntax, yaml::YamlSettings};

/// Editors and version control write in bursts.
const SETTLE: Duration = Duration::from_millis(100);
/// How soon a round that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What a DAG processor works by.
#[derive(Clone, Debug)]
pub struct ProcessorSettings {
    /// The DAG folder.
    pub folder: PathBuf,
    /// Time between full scans.
    pub scan_interval: Duration,
    /// Time that parsing one Python file may take.
    pub parse_timeout: Duration,
    /// Memory that parsing one Python file may take.
    pub parse_memory_bytes: u64,
    /// Files parsed at once.
    pub parse_processes: usize,
    /// Largest file that a bundle takes along.
    pub bundle_file_max_bytes: u64,
    /// How long one call to the leader is tried before the round is given up and begun again a second later.
    pub patience: Duration,
    /// How ignore files are read.
    pub ignore_syntax: IgnoreSyntax,
    /// What the installation sets for YAML DAGs.
    pub yaml: YamlSettings,
    /// Whether files come with notes for their author ([`LoadedFile::notes`]).
    pub with_notes: bool,
    /// Only these files and folders below the folder are loaded; all of it when empty.
    pub only: Vec<String>,
    /// How the environments of DAG files are built and kept.
    pub environments: EnvironmentOptions,
}

impl ProcessorSettings {
    /// The defaults of the configuration for a folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            scan_interval: Duration::from_secs(10),
            parse_timeout: Duration::from_secs(30),
            parse_memory_bytes: 2 << 30,
            parse_processes: 2,
            bundle_file_max_bytes: 16 << 20,
            patience: Duration::from_secs(5),
            ignore_syntax: IgnoreSyntax::Glob,
            yaml: YamlSettings::default(),
            with_notes: false,
            only: Vec::new(),
            environments: EnvironmentOptions::default(),
        }
    }

    /// Whether [`ProcessorSettings::only`] names a file, or a folder above it.
    fn is_wanted(&self, rel_path: &str) -> bool {
        let is_in = |only: &String| {
            rel_path.strip_prefix(only.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.only.is_empty() || self.only.iter().any(is_in)
    }
}

/// The DAG processor.
pub struct DagProcessor {
    settings: ProcessorSettings,
    client: LeaderClient,
    guest: Option<GuestEnv>,
}

impl DagProcessor {
    /// A processor that publishes through `client`. Without a guest, Python files are import errors that say why.
    pub fn new(settings: ProcessorSettings, client: LeaderClient, guest: Option<GuestEnv>) -> Self {
        Self { settings, client, guest }
    }

    /// Works until it is cancelled. Nothing that happens to files, guests or schedulers ends it.
    pub async fn run(self, cancel: CancellationToken) {
        let settings = absolute(self.settings);
        let mut watch = Watch::new(&settings.folder);
        let (interval, patience) = (settings.scan_interval, settings.patience);
        let (custom, has_custom) = tokio::sync::watch::channel(false);
        let pipeline = Pipeline::new(settings.clone(), self.guest, Some(self.client.clone()));
        let interpreters = pipeline.interpreters().clone();
        let answerer = interpreters.has_python().then(|| Answerer::new(self.client.clone(), interpreters, settings));
        let mut round = Round { pipeline, publisher: Publisher::new(self.client, patience), custom, trouble: None };
        let rounds = round.repeat(&mut watch, interval, &cancel);
        let answers = async {
            if let Some(answerer) = answerer {
                answerer.run(has_custom, cancel.clone()).await;
            }
        };
        tokio::join!(rounds, answers);
        round.pipeline.shutdown().await;
    }
}

struct Round {
    pipeline: Pipeline,
    publisher: Publisher,
    /// Turns true with the first custom timetable that is seen.
    custom: tokio::sync::watch::Sender<bool>,
    /// The trouble that was logged last, so that it is logged once.
    trouble: Option<String>,
}

impl Round {
    async fn repeat(&mut self, watch: &mut Watch, interval: Duration, cancel: &CancellationToken) {
        let interpreters = self.pipeline.interpreters().clone();
        let mut next_full = tokio::time::Instant::now();
        loop {
            let full = tokio::time::Instant::now() >= next_full;
            let done = tokio::select! {
                () = cancel.cancelled() => break,
                done = self.run(full) => done,
            };
            if full && done {
                next_full = tokio::time::Instant::now() + interval;
            }
            let wait = if done { next_full } else { tokio::time::Instant::now() + RETRY };
            tokio::select! {
                () = cancel.cancelled() => break,
                () = tokio::time::sleep_until(wait) => {}
                () = watch.changed() => tokio::time::sleep(SETTLE).await,
                () = interpreters.settled() => {}
            }
        }
    }

    /// Scans, parses and publishes once; true when all of it worked.
    async fn run(&mut self, full: bool) -> bool {
        let trouble = match self.pipeline.refresh(Timestamp::now()).await {
            Err(error) => Some(format!("the DAG folder cannot be read: {error}")),
            Ok(folder) => {
                if folder.files.iter().flat_map(|file| &file.dags).any(|(_, spec)| is_custom(spec)) {
                    // It stays so: the last good version of a file that broke is still scheduled.
                    self.custom.send_replace(true);
                }
                match self.publisher.publish(&folder, full).await {
                    Ok(()) => None,
                    Err(PublishError::Changed(file)) => {
                        tracing::debug!(file, "changed while it was published, scanning again");
                        return false;
                    }
                    Err(error) => Some(format!("cannot publish DAGs: {error}")),
                }
            }
        };
        match (&trouble, &self.trouble) {
            (Some(now), before) if before.as_ref() != Some(now) => tracing::warn!("{now}; trying again"),
            (None, Some(_)) => tracing::info!("publishing DAGs works again"),
            _ => {}
        }
        let done = trouble.is_none();
        self.trouble = trouble;
        done
    }
}

/// The watcher names files by the folder that it was given.
fn absolute(mut settings: ProcessorSettings) -> ProcessorSettings {
    if let Ok(folder) = std::path::absolute(&settings.folder) {
        settings.folder = folder;
    }
    settings
}

/// What a folder holds, without any scheduler: for `dags list-import-errors --local` and `dags test`.
#[derive(Clone, Debug)]
pub struct LocalFolder {
    /// Files with DAGs or errors, by path.
    pub files: Vec<LoadedFile>,
    /// Remarks about the folder itself.
    pub warnings: Vec<String>,
}

/// Loads a folder again and again: the interpreter stays warm, and only what changed is parsed.
pub struct LocalLoader {
    pipeline: Pipeline,
    watch: Watch,
}

impl LocalLoader {
    /// A loader; nothing is read yet.
    pub fn new(settings: ProcessorSettings, guest: Option<GuestEnv>) -> Self {
        let settings = absolute(settings);
        Self { watch: Watch::new(&settings.folder), pipeline: Pipeline::new(settings, guest, None) }
    }

    /// What the folder holds now; waits for environments that have to be built.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn load(&mut self) -> io::Result<LocalFolder> {
        loop {
            let Folder { files, scan, pending, remarks } = self.pipeline.refresh(Timestamp::now()).await?;
            if pending.is_empty() {
                let warnings = scan.warnings.iter().chain(&remarks).cloned().collect();
                return Ok(LocalFolder { files: files.to_vec(), warnings });
            }
            self.pipeline.interpreters().settled().await;
        }
    }

    /// From now on, only these files and folders of the folder are looked at.
    pub fn narrow(&mut self, only: Vec<String>) {
        self.pipeline.narrow(only);
    }

    /// Waits until something in the folder changed and the writing has paused; without the system's help, for a second.
    pub async fn changed(&mut self) {
        if self.watch.is_live() {
            self.watch.changed().await;
        } else {
            tokio::time::sleep(RETRY).await;
        }
        tokio::time::sleep(SETTLE).await;
    }

    /// Ends the interpreter.
    pub async fn shutdown(&self) {
        self.pipeline.shutdown().await;
    }
}

/// Loads a folder once; waits for environments that have to be built.
///
/// # Errors
/// The folder cannot be read.
pub async fn load_local(settings: ProcessorSettings, guest: Option<GuestEnv>) -> io::Result<LocalFolder> {
    let mut loader = LocalLoader::new(settings, guest);
    let loaded = loader.load().await;
    loader.shutdown().await;
    loaded
}
