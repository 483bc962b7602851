//! `tradewind dags test --watch`: after each save, what changed runs again, and what depends on it.

use std::collections::{BTreeMap, BTreeSet};

use tradewind_config::Config;
use tradewind_dags::{LoadedFile, LocalLoader, ProcessorSettings, compare::task_difference, version_hash};
use tradewind_guest::{DagNotes, TaskNotes};
use tradewind_proto::v1;
use tradewind_types::{DagSpec, TaskSpec, Timestamp};

use super::Tested;
use crate::{
    commands::local,
    errors::{CliError, Exit},
    output::{self, Tone, paint},
    roles,
};

/// A DAG as it was loaded last, with what its parser noted.
struct State {
    file: LoadedFile,
    /// As the file has it.
    bare: DagSpec,
    /// As it is tested.
    spec: DagSpec,
    notes: Option<DagNotes>,
}

impl State {
    fn task_notes(&self, task_id: &str) -> Option<&TaskNotes> {
        self.notes.as_ref()?.tasks.iter().find(|task| task.task_id == task_id)
    }
}

/// What a save calls for.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// Nothing that a task does has changed.
    Nothing,
    /// These tasks, each with the reason; and everything downstream of them.
    Again(BTreeMap<String, String>),
    /// The whole DAG, for this reason.
    Afresh(String),
}

/// Watches the file of one DAG.
pub(super) struct Watcher {
    loader: LocalLoader,
    rel_path: String,
    dag_id: String,
    /// What was said last about a file that does not load.
    said: Option<String>,
}

impl Watcher {
    /// Finds the DAG in the folder of a configuration.
    ///
    /// # Errors
    /// There is none, or the folder cannot be read.
    pub(super) async fn open(config: &Config, dag_id: &str) -> Result<(Self, DagSpec), CliError> {
        let settings = ProcessorSettings { with_notes: true, ..roles::processor_settings(config)? };
        let folder = settings.folder.display().to_string();
        let guest = roles::guest_environment(config, &config.home.dir.join("dag-processor"))?;
        let mut loader = LocalLoader::new(settings, guest);
        let loaded = loader
            .load()
            .await
            .map_err(|error| CliError::usage(format!("the DAG folder {folder} cannot be read: {error}")))?;
        let found = local::find_in(&loaded, config, dag_id);
        let (file, spec) = match found {
            Ok(found) => found,
            Err(error) => {
                loader.shutdown().await;
                return Err(error);
            }
        };
        loader.narrow(vec![file.rel_path.clone()]);
        Ok((Self { loader, rel_path: file.rel_path, dag_id: dag_id.to_owned(), said: None }, spec))
    }

    pub(super) async fn shutdown(&self) {
        self.loader.shutdown().await;
    }

    /// Runs the DAG once, and after each save what the save calls for. It ends by being dropped.
    pub(super) async fn run(
        &mut self,
        tested: &mut Tested<'_>,
        prepare: impl Fn(DagSpec, Timestamp) -> Result<DagSpec, CliError>,
        exit: &mut Exit,
    ) -> Result<(), CliError> {
        let Some(mut state) = self.load(tested, &prepare).await? else {
            return Err(CliError::usage(format!("{} changed while it was loaded; start again", self.rel_path)));
        };
        tested.publish(&state.file, &state.spec).await?;
        tested.begin(&state.spec).await?;
        *exit = tested.show().await?;
        loop {
            let folder = output::paint(Tone::Dim, format!("watching {} (Ctrl-C ends it)", self.rel_path));
            output::note(&folder);
            let next = loop {
                self.loader.changed().await;
                if let Some(next) = self.load(tested, &prepare).await?
                    && version_hash(&next.bare, next.file.bundle.as_ref())
                        != version_hash(&state.bare, state.file.bundle.as_ref())
                {
                    break next;
                }
            };
            let plan = plan(&state, &next, &tested.shown.instances);
            state = next;
            if let Some(ended) = self.follow(tested, &plan, &state, &prepare).await? {
                *exit = ended;
            }
        }
    }

    /// Does what a save calls for.
    async fn follow(
        &self,
        tested: &mut Tested<'_>,
        plan: &Plan,
        state: &State,
        prepare: &impl Fn(DagSpec, Timestamp) -> Result<DagSpec, CliError>,
    ) -> Result<Option<Exit>, CliError> {
        let name = paint(Tone::Bold, &self.rel_path);
        match plan {
            Plan::Nothing => {
                output::note(&format!("{name} was saved; no task does anything else"));
                return Ok(None);
            }
            Plan::Afresh(why) => {
                output::note(&format!("{name} was saved; the whole DAG runs again: {why}"));
                // One date has one run.
                tested.request.logical_date = tested.request.logical_date.map(|at| at + 1);
                let spec = prepare(state.bare.clone(), tested.date()?)?;
                if let Err(error) = tested.publish(&state.file, &spec).await {
                    output::error(&error);
                    return Ok(None);
                }
                tested.begin(&spec).await?;
            }
            Plan::Again(changed) => {
                explain(&name, changed, &state.spec);
                if let Err(error) = tested.publish(&state.file, &state.spec).await {
                    output::error(&error);
                    return Ok(None);
                }
                tested.clear(changed.keys().cloned().collect()).await?;
            }
        }
        tested.show().await.map(Some)
    }

    /// The DAG as the file has it now; none, and a word about it, when it does not load.
    async fn load(
        &mut self,
        tested: &Tested<'_>,
        prepare: &impl Fn(DagSpec, Timestamp) -> Result<DagSpec, CliError>,
    ) -> Result<Option<State>, CliError> {
        let loaded = match self.loader.load().await {
            Ok(loaded) => loaded,
            Err(error) => {
                self.say(format!("the DAG folder cannot be read: {error}"));
                return Ok(None);
            }
        };
        let file = loaded.files.into_iter().find(|file| file.rel_path == self.rel_path);
        let Some(file) = file else {
            self.say(format!("{} defines no DAG now; waiting until it does again", self.rel_path));
            return Ok(None);
        };
        let spec = file.dags.iter().map(|(_, spec)| spec).find(|spec| spec.dag_id.as_str() == self.dag_id).cloned();
        let Some(spec) = spec else {
            let why = match file.errors.first() {
                Some(error) => {
                    let line = error.line.map_or_else(String::new, |line| format!(":{line}"));
                    format!("{}{line}: {}", self.rel_path, error.message)
                }
                None => format!("{} has no DAG \"{}\" now", self.rel_path, self.dag_id),
            };
            self.say(format!("{why}; waiting for the next save"));
            return Ok(None);
        };
        self.said = None;
        let notes = file.notes.iter().flat_map(|notes| &notes.dags).rfind(|dag| dag.dag_id == self.dag_id).cloned();
        let prepared = prepare(spec.clone(), tested.date()?)?;
        Ok(Some(State { file, bare: spec, spec: prepared, notes }))
    }

    fn say(&mut self, what: String) {
        if self.said.as_ref() != Some(&what) {
            output::warn(&what);
            self.said = Some(what);
        }
    }
}

/// Says which tasks run again, and which are left as they are.
fn explain(name: &str, changed: &BTreeMap<String, String>, spec: &DagSpec) {
    output::note(&format!("{name} was saved; running again:"));
    let again = with_downstream(changed, spec);
    let mut kept = Vec::new();
    for task in &spec.tasks {
        let task_id = task.task_id.as_str();
        match (changed.get(task_id), again.get(task_id)) {
            (Some(why), _) => output::note(&format!("  {} {task_id}: {why}", paint(Tone::Warn, "~"))),
            (None, Some(after)) => {
                output::note(&format!("  {} {task_id}: it comes after {after}", paint(Tone::Dim, ">")))
            }
            (None, None) => kept.push(task_id),
        }
    }
    if !kept.is_empty() {
        output::note(&format!("  {} as they are, with their XComs: {}", paint(Tone::Dim, "="), kept.join(", ")));
    }
}

/// The tasks that run again; those that do because of another one with that one.
fn with_downstream<'s>(changed: &'s BTreeMap<String, String>, spec: &'s DagSpec) -> BTreeMap<&'s str, &'s str> {
    let mut again: BTreeMap<&str, &str> = changed.keys().map(|id| (id.as_str(), id.as_str())).collect();
    // Tasks are in topological order.
    for task in &spec.tasks {
        if let Some(above) = task.upstream.iter().find(|above| again.contains_key(above.as_str())) {
            again.entry(task.task_id.as_str()).or_insert(above.as_str());
        }
    }
    again
}

/// What differs between what ran last and what is there now.
fn plan(old: &State, new: &State, instances: &[v1::TaskInstance]) -> Plan {
    if let Some(why) = whole(&old.spec, &new.spec) {
        return Plan::Afresh(why);
    }
    let failed: BTreeSet<&str> = instances
        .iter()
        .filter(|ti| matches!(ti.state.as_str(), "failed" | "upstream_failed"))
        .map(|ti| ti.task_id.as_str())
        .collect();
    let mut changed = BTreeMap::new();
    for task in &new.spec.tasks {
        let task_id = task.task_id.as_str();
        let why = match old.spec.task(task_id) {
            None => Some("it is new".to_owned()),
            Some(before) => task_changed(before, old.task_notes(task_id), task, new.task_notes(task_id)),
        };
        if let Some(why) = why.or_else(|| failed.contains(task_id).then(|| "it failed".to_owned())) {
            changed.insert(task_id.to_owned(), why);
        }
    }
    if changed.is_empty() { Plan::Nothing } else { Plan::Again(changed) }
}

/// Why tasks cannot be told apart any more.
fn whole(old: &DagSpec, new: &DagSpec) -> Option<String> {
    if old.params != new.params {
        return Some("its params changed".to_owned());
    }
    if old.timetable != new.timetable || old.timezone != new.timezone {
        return Some("its schedule changed, and with it the data interval".to_owned());
    }
    let mapping = |dag: &DagSpec, task: &TaskSpec| {
        let group = dag.task_groups.iter().find(|group| Some(&group.group_id) == task.mapped_group.as_ref());
        (task.expand.clone(), task.mapped_group.clone(), group.and_then(|group| group.expand.clone()))
    };
    let mapped = new
        .tasks
        .iter()
        .find(|task| old.task(task.task_id.as_str()).is_some_and(|before| mapping(old, before) != mapping(new, task)));
    mapped.map(|task| format!("{} is mapped otherwise", task.task_id))
}

/// Why a task that was there before has to run again.
fn task_changed(
    old: &TaskSpec,
    old_notes: Option<&TaskNotes>,
    new: &TaskSpec,
    new_notes: Option<&TaskNotes>,
) -> Option<String> {
    let (fields, code) = task_difference(old, old_notes, new, new_notes);
    if code {
        return Some("its code changed".to_owned());
    }
    if !fields.is_empty() {
        let names: Vec<&str> = fields.iter().map(|field| field.field.as_str()).collect();
        return Some(format!("its arguments changed ({})", names.join(", ")));
    }
    if old.upstream != new.upstream {
        return Some("it depends on other tasks".to_owned());
    }
    match (old_notes, new_notes) {
        (Some(old), Some(new)) if old.code != new.code => Some("a file that it uses changed".to_owned()),
        _ => None,
    }
}
