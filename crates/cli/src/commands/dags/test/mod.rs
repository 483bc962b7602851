//! `tradewind dags test`: one run in this process, on a system of its own that is gone afterwards.

mod again;
mod publish;
mod watch;

use std::{collections::BTreeSet, path::Path};

use clap::Args;
use tradewind_config::{
    ClientOptions, Config, QueueOptions, Role, SecurityOptions, StoreOptions, TlsOptions, WorkerOptions,
};
use tradewind_dags::LoadedFile;
use tradewind_proto::{LeaderClient, instant_opt, v1};
use tradewind_types::{DEFAULT_POOL, DEFAULT_QUEUE, DagSpec, Timestamp};

use super::json_object;
use crate::{
    client::Client,
    commands::local,
    context::{Context, client_options},
    errors::{CliError, Exit, Outcome},
    follow,
    output::{self, Tone, paint},
    roles::{self, LocalSystem, Stop},
};

pub use publish::tested_task;
use watch::{Answers, Shown};

/// The arguments of `tradewind dags test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// The DAG.
    dag_id: String,
    /// The logical date [default: now].
    #[arg(value_name = "LOGICAL_DATE")]
    logical_date: Option<String>,
    /// The run's conf, a JSON object.
    #[arg(short, long, value_name = "JSON")]
    conf: Option<String>,
    /// Stay, and after each save run again what changed and what depends on it; the other tasks keep their XComs.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    system: TestedSystem,
}

/// What the system of a test is like.
#[derive(Debug, Args)]
pub struct TestedSystem {
    /// The DAG folder (dags.folder) [default: dags].
    #[arg(long, value_name = "DIR")]
    dags_folder: Option<String>,
    /// The answer to the question of a task (human in the loop); can be repeated.
    #[arg(long, value_name = "TASK=OPTION")]
    answer: Vec<String>,
}

/// Tests a DAG: the exit code is 0 when its run succeeded, 1 when it failed.
///
/// # Errors
/// There is no such DAG in the folder, its file has errors, a value is wrong, or a part of the system cannot start.
pub fn run(context: &Context, args: TestArgs) -> Outcome {
    let TestArgs { dag_id, logical_date, conf, watch, system } = args;
    let request = request(dag_id, logical_date.as_deref(), conf.as_deref())?;
    run_system(context, request, system, watch, |spec, date| Ok(publish::tested(spec, date)))
}

/// The request for the one run of a test.
///
/// # Errors
/// The date is none, or the conf is not a JSON object.
pub fn request(dag_id: String, date: Option<&str>, conf: Option<&str>) -> Result<v1::TriggerRunRequest, CliError> {
    let date = date.map_or_else(|| Ok(Timestamp::now()), output::parse_date)?;
    Ok(v1::TriggerRunRequest {
        dag_id,
        run_id: None,
        logical_date: Some(date.as_microsecond()),
        null_logical_date: false,
        run_after: None,
        conf_json: conf.map(|conf| json_object("--conf", conf)).transpose()?.unwrap_or_default(),
    })
}

/// Runs a DAG once, as `prepare` makes it, on a system of its own.
///
/// # Errors
/// There is no such DAG in the folder, its file has errors, `prepare` refuses it, or a part of the system cannot start.
pub fn run_tested(
    context: &Context,
    request: v1::TriggerRunRequest,
    args: TestedSystem,
    prepare: impl Fn(DagSpec, Timestamp) -> Result<DagSpec, CliError>,
) -> Outcome {
    run_system(context, request, args, false, prepare)
}

fn run_system(
    context: &Context,
    request: v1::TriggerRunRequest,
    args: TestedSystem,
    watched: bool,
    prepare: impl Fn(DagSpec, Timestamp) -> Result<DagSpec, CliError>,
) -> Outcome {
    let answers = answers(&args.answer)?;
    let folder = args.dags_folder.map(|folder| ("dags.folder".to_owned(), folder));
    let mut config = context.load(folder.into_iter().collect())?.config;
    let home = tempfile::Builder::new().prefix("tradewind-test.").tempdir()?;
    roles::share_environments(&mut config)?;
    isolate(&mut config, home.path(), context.global.verbose);
    roles::fill_secrets(&mut config)?;
    for warning in config.validate(Role::Standalone, &std::collections::BTreeMap::new())? {
        output::warn(&warning);
    }
    let mut exit = Exit::Success;
    let ended = roles::run_role("test", config, async |config, stop| {
        exit = test(config, request, &answers, watched, prepare, &stop).await?;
        Ok(())
    })?;
    // Ctrl-C is how a watch ends.
    Ok(if ended == Exit::Success || watched && ended == Exit::Interrupted { exit } else { ended })
}

fn answers(pairs: &[String]) -> Result<Answers, CliError> {
    let split = |pair: &String| match pair.split_once('=') {
        Some((task, option)) => Ok((task.to_owned(), option.to_owned())),
        None => Err(CliError::usage(format!("--answer {pair}: there is no \"=\"")).with_hint("write TASK=OPTION")),
    };
    pairs.iter().map(split).collect()
}

/// Keeps the system of a test away from everything that the configuration names.
fn isolate(config: &mut Config, home: &Path, verbose: bool) {
    home.clone_into(&mut config.home.dir);
    config.store = StoreOptions::default();
    config.queue = QueueOptions::default();
    config.security = SecurityOptions::default();
    config.tls = TlsOptions::default();
    config.client = ClientOptions::default();
    config.worker.dir = None;
    // Deferred tasks wait in this process, whatever the workers of the installation do.
    config.worker.trigger_slots = config.worker.trigger_slots.max(WorkerOptions::default().trigger_slots);
    // Ctrl-C means now.
    config.worker.drain_grace_secs = 0.0;
    "test".clone_into(&mut config.scheduler.name);
    "test".clone_into(&mut config.worker.name);
    "127.0.0.1:0".clone_into(&mut config.scheduler.listen);
    config.scheduler.advertise.clear();
    if !verbose {
        "warn".clone_into(&mut config.logs.level);
    }
    // Without a shared database, variables and connections come from the environment, as Airflow lets them.
    for (name, value) in std::env::vars_os() {
        if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string())
            && (name.starts_with("AIRFLOW_VAR_") || name.starts_with("AIRFLOW_CONN_"))
        {
            config.worker.env.entry(name).or_insert(value);
        }
    }
}

async fn test(
    mut config: Config,
    request: v1::TriggerRunRequest,
    answers: &Answers,
    watched: bool,
    prepare: impl Fn(DagSpec, Timestamp) -> Result<DagSpec, CliError>,
    stop: &Stop,
) -> Result<Exit, CliError> {
    let dag_id = request.dag_id.clone();
    let (source, spec) = if watched {
        let (watcher, spec) = again::Watcher::open(&config, &dag_id).await?;
        (Tests::Watched(Box::new(watcher)), spec)
    } else {
        let (file, spec) = local::find(&config, &dag_id).await?;
        (Tests::Once(Box::new(file)), spec)
    };
    let date = instant_opt("logical_date", request.logical_date)?.unwrap_or_else(Timestamp::now);
    let spec = prepare(spec, date)?;
    // Every queue is served here. A save may name another one, which is served under this name.
    config.worker.queues = spec
        .tasks
        .iter()
        .map(|task| task.queue.to_string())
        .chain(["default".to_owned()])
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let queues = config.worker.queues.clone();
    let Some(system) = LocalSystem::start(&config, false, stop).await? else { return Ok(Exit::Interrupted) };
    let mut tested = Tested::new(&config, &system.address, request, answers)?;
    let ended = match source {
        Tests::Watched(watcher) => {
            let prepare = |spec, date| prepare(spec, date).map(|spec| served(spec, &queues));
            watch_file(*watcher, &mut tested, prepare, stop).await
        }
        Tests::Once(file) => tokio::select! {
            ended = tested.once(&file, &spec) => ended,
            () = stop.shutdown.cancelled() => Ok(Exit::Interrupted),
        },
    };
    stop.shutdown.cancel();
    system.wait(stop).await?;
    ended
}

/// How often a DAG is tested.
enum Tests {
    /// Once, as this file has it.
    Once(Box<LoadedFile>),
    /// After each save.
    Watched(Box<again::Watcher>),
}

/// Tests a DAG again and again until Ctrl-C; answers how its last run ended.
async fn watch_file(
    mut watcher: again::Watcher,
    tested: &mut Tested<'_>,
    prepare: impl Fn(DagSpec, Timestamp) -> Result<DagSpec, CliError>,
    stop: &Stop,
) -> Result<Exit, CliError> {
    let mut exit = Exit::Interrupted;
    let ended = tokio::select! {
        ended = watcher.run(tested, prepare, &mut exit) => ended,
        () = stop.shutdown.cancelled() => Ok(()),
    };
    watcher.shutdown().await;
    ended.map(|()| exit)
}

/// The DAG on the queues that the worker of the test serves.
fn served(mut spec: DagSpec, queues: &[String]) -> DagSpec {
    for task in &mut spec.tasks {
        if !queues.iter().any(|queue| queue == task.queue.as_str()) {
            task.queue = DEFAULT_QUEUE.into();
        }
    }
    spec
}

/// One DAG on the system of a test.
struct Tested<'t> {
    folder: &'t Path,
    processor: LeaderClient,
    client: Client,
    request: v1::TriggerRunRequest,
    answers: &'t Answers,
    /// Its run, once there is one.
    run: Option<v1::DagRun>,
    shown: Shown,
}

impl<'t> Tested<'t> {
    fn new(
        config: &'t Config,
        address: &str,
        request: v1::TriggerRunRequest,
        answers: &'t Answers,
    ) -> Result<Self, CliError> {
        let options = |token: &str| client_options(config, Some(token.to_owned()), Some(address.to_owned()));
        Ok(Self {
            folder: &config.dags.folder,
            processor: LeaderClient::new(options(&config.security.processor_token)?)?,
            client: Client::new(options(&config.security.admin_token)?, None, false)?,
            request,
            answers,
            run: None,
            shown: Shown::default(),
        })
    }

    /// The date of its run.
    fn date(&self) -> Result<Timestamp, CliError> {
        Ok(instant_opt("logical_date", self.request.logical_date)?.unwrap_or_else(Timestamp::now))
    }

    /// Publishes, triggers, shows, and answers how it ended.
    async fn once(&mut self, file: &LoadedFile, spec: &DagSpec) -> Result<Exit, CliError> {
        self.publish(file, spec).await?;
        self.begin(spec).await?;
        self.show().await
    }

    async fn publish(&self, file: &LoadedFile, spec: &DagSpec) -> Result<(), CliError> {
        publish::publish(&self.processor, self.folder, file, spec).await?;
        self.make_pools(spec).await
    }

    /// The pools of the installation are not here: none holds anything up.
    async fn make_pools(&self, spec: &DagSpec) -> Result<(), CliError> {
        let pools: BTreeSet<&str> =
            spec.tasks.iter().map(|task| task.pool.as_str()).filter(|pool| *pool != DEFAULT_POOL).collect();
        for name in pools {
            let pool = v1::Pool { name: name.to_owned(), slots: -1, ..Default::default() };
            self.client.write(async |mut admin| admin.set_pool(pool.clone()).await).await?;
        }
        Ok(())
    }

    /// Begins its run.
    async fn begin(&mut self, spec: &DagSpec) -> Result<(), CliError> {
        let request = self.request.clone();
        let run = self.client.write(async |mut admin| admin.trigger_run(request.clone()).await).await?;
        let unpause = v1::SetDagPausedRequest { dag_id: spec.dag_id.to_string(), paused: false };
        self.client.write(async |mut admin| admin.set_dag_paused(unpause.clone()).await).await?;
        output::note(&format!("{} {}", paint(Tone::Bold, &run.dag_id), paint(Tone::Dim, &run.run_id)));
        self.run = Some(run);
        self.shown = Shown::default();
        Ok(())
    }

    /// Runs tasks of its run again, as the latest version has them, and what is downstream of them.
    async fn clear(&mut self, task_ids: Vec<String>) -> Result<(), CliError> {
        let Some(run) = &self.run else { return Ok(()) };
        let request = v1::ClearTasksRequest {
            dag_id: run.dag_id.clone(),
            run_id: run.run_id.clone(),
            task_ids,
            downstream: true,
            exclude_markers: true,
            latest_version: true,
            ..Default::default()
        };
        self.client.write(async |mut admin| admin.clear_tasks(request.clone()).await).await?;
        Ok(())
    }

    /// Shows its run until it is over, and answers how it ended.
    async fn show(&mut self) -> Result<Exit, CliError> {
        let Some(run) = &self.run else { return Ok(Exit::Negative) };
        let finished = watch::show(&self.client, run, self.answers, &mut self.shown).await?;
        watch::callbacks(&self.client, run, &mut self.shown).await?;
        output::line(follow::verdict(&finished))?;
        Ok(if finished.state == "success" { Exit::Success } else { Exit::Negative })
    }
}
