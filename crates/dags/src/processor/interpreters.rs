//! The interpreters that DAG files are loaded in: that of the installation, and one for each environment in use. An
//! environment is built aside; the files that use it wait for it, the others do not.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tradewind_environments::{EnvironmentError, EnvironmentOptions, Environments, Prepared};
use tradewind_guest::{GuestEnv, Parser};
use tradewind_types::Environment;

use crate::environments::{Claim, Layout};

/// How long after a failure an environment is asked for again; the builder has a pause of its own.
const AGAIN: Duration = Duration::from_secs(30);

/// An interpreter. One that somebody holds is not ended.
#[derive(Clone)]
pub(crate) struct Interpreter(Arc<Inner>);

struct Inner {
    parser: Parser,
    /// Keeps the environment from being removed; none for the interpreter of the installation.
    _prepared: Option<Arc<Prepared>>,
    used: Mutex<Instant>,
}

impl Interpreter {
    fn new(parser: Parser, prepared: Option<Arc<Prepared>>) -> Self {
        Self(Arc::new(Inner { parser, _prepared: prepared, used: Mutex::new(Instant::now()) }))
    }

    /// To load files with. Whoever works with it holds the interpreter meanwhile.
    pub(crate) fn parser(&self) -> &Parser {
        &self.0.parser
    }

    fn used(&self) -> MutexGuard<'_, Instant> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What there is for a file.
pub(crate) enum Found {
    /// This one.
    Ready(Interpreter),
    /// Its environment is being built.
    Pending,
    /// Its environment cannot be had.
    Failed(String),
    /// There is no Python at all.
    None,
}

/// All of them. Clones share them.
#[derive(Clone)]
pub(crate) struct Interpreters(Arc<Shared>);

struct Shared {
    /// That of the installation, and the builder of the others.
    own: Option<(Interpreter, Arc<Environments>)>,
    state: Mutex<State>,
    /// Wakes when an environment was built, or could not be.
    settled: Notify,
}

#[derive(Default)]
struct State {
    /// By the hash of the definition.
    environments: HashMap<String, Entry>,
    /// What each DAG file uses.
    files: BTreeMap<String, Claim>,
}

#[derive(Default)]
struct Entry {
    ready: Option<Interpreter>,
    failed: Option<(Instant, String)>,
    building: bool,
}

impl Interpreters {
    pub(crate) fn new(guest: Option<GuestEnv>, options: EnvironmentOptions) -> Self {
        let own =
            guest.map(|guest| (Interpreter::new(Parser::new(guest.clone()), None), Environments::new(options, guest)));
        Self(Arc::new(Shared { own, state: Mutex::default(), settled: Notify::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is sound between any two statements, so a panic elsewhere does not spoil it.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is any Python.
    pub(crate) fn has_python(&self) -> bool {
        self.0.own.is_some()
    }

    /// Waits until an environment was built, or could not be.
    pub(crate) async fn settled(&self) {
        self.0.settled.notified().await;
    }

    /// Learns which file uses which environment; those that nobody uses any more are let go.
    pub(crate) fn learn(&self, layout: &Layout) {
        let used: HashSet<&str> = layout.in_use().map(|environment| environment.hash.as_str()).collect();
        let mut state = self.state();
        state.environments.retain(|hash, entry| entry.building || used.contains(hash.as_str()));
        state.files = layout.claims().clone();
    }

    /// The interpreter for a DAG file of the folder `root`; begins to build its environment if it is not there.
    pub(crate) fn of_file(&self, dag_file: &str, root: &Path) -> Found {
        let Some((own, environments)) = &self.0.own else { return Found::None };
        let mut state = self.state();
        let environment = match state.files.get(dag_file) {
            None => return Found::Ready(own.clone()),
            Some(Claim::Wrong(problem)) => return Found::Failed(problem.message.clone()),
            Some(Claim::Uses(environment)) => Arc::clone(environment),
        };
        let entry = state.environments.entry(environment.hash.clone()).or_default();
        if let Some(ready) = &entry.ready {
            *ready.used() = Instant::now();
            return Found::Ready(ready.clone());
        }
        let is_due = entry.failed.as_ref().is_none_or(|(at, _)| at.elapsed() >= AGAIN);
        if !entry.building && is_due {
            entry.building = true;
            let (this, environments, root) = (self.clone(), Arc::clone(environments), root.to_owned());
            tokio::spawn(async move {
                let built = environments.prepare(&environment, &root).await;
                this.settle(&environment, built);
            });
        }
        match &entry.failed {
            // What is known stays true until it is proven otherwise.
            Some((_, message)) => Found::Failed(message.clone()),
            None => Found::Pending,
        }
    }

    fn settle(&self, environment: &Environment, built: Result<Arc<Prepared>, EnvironmentError>) {
        let mut state = self.state();
        let entry = state.environments.entry(environment.hash.clone()).or_default();
        entry.building = false;
        match built {
            Ok(prepared) => {
                let parser = Parser::new(prepared.guest().clone());
                entry.ready = Some(Interpreter::new(parser, Some(prepared)));
                entry.failed = None;
            }
            Err(error) => entry.failed = Some((Instant::now(), error.0)),
        }
        drop(state);
        self.0.settled.notify_one();
    }

    /// Ends the processes of environments that had nothing to do for a while. They start again when they are needed.
    pub(crate) async fn tidy(&self) {
        let Some((_, environments)) = &self.0.own else { return };
        let idle: Vec<Interpreter> = {
            let state = self.state();
            let ready = state.environments.values().filter_map(|entry| entry.ready.as_ref());
            ready
                .filter(|interpreter| {
                    let mut used = interpreter.used();
                    if Arc::strong_count(&interpreter.0) > 1 {
                        *used = Instant::now();
                    }
                    used.elapsed() >= environments.options().idle
                })
                .cloned()
                .collect()
        };
        for interpreter in idle {
            interpreter.parser().shutdown().await;
            // Not again at each look.
            *interpreter.used() = Instant::now();
        }
    }

    /// Ends all processes.
    pub(crate) async fn shutdown(&self) {
        let environments: Vec<Interpreter> =
            self.state().environments.drain().filter_map(|(_, entry)| entry.ready).collect();
        for interpreter in environments.iter().chain(self.0.own.as_ref().map(|(own, _)| own)) {
            interpreter.parser().shutdown().await;
        }
    }
}
