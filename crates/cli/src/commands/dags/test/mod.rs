//! `tradewind dags test`: one run in this process, on a system of its own that is gone afterwards.

mod publish;

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use clap::Args;
use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::sync::mpsc;
use tradewind_config::{ClientOptions, Config, QueueOptions, Role, SecurityOptions, StoreOptions, TlsOptions};
use tradewind_dags::{LoadedFile, load_local};
use tradewind_proto::{LeaderClient, v1};
use tradewind_types::{DEFAULT_POOL, DagSpec, did_you_mean};

use super::trigger::check_conf;
use crate::{
    client::Client,
    commands::tasks,
    context::{Context, client_options},
    errors::{CliError, Exit, Outcome},
    follow,
    output::{self, Tone, paint},
    roles::{self, LocalSystem, Stop},
};

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
    /// The DAG folder (dags.folder) [default: dags].
    #[arg(long, value_name = "DIR")]
    dags_folder: Option<String>,
}

/// Tests a DAG: the exit code is 0 when its run succeeded, 1 when it failed.
///
/// # Errors
/// There is no such DAG in the folder, its file has errors, a value is wrong, or a part of the system cannot start.
pub fn run(context: &Context, args: TestArgs) -> Outcome {
    let conf = args.conf.as_deref().map(check_conf).transpose()?.unwrap_or_default();
    let logical_date =
        args.logical_date.as_deref().map(output::parse_date).transpose()?.map(|date| date.as_microsecond());
    let folder = args.dags_folder.map(|folder| ("dags.folder".to_owned(), folder));
    let mut config = context.load(folder.into_iter().collect())?.config;
    let home = tempfile::Builder::new().prefix("tradewind-test.").tempdir()?;
    isolate(&mut config, home.path(), context.global.verbose);
    roles::fill_secrets(&mut config)?;
    for warning in config.validate(Role::Standalone, &std::collections::BTreeMap::new())? {
        output::warn(&warning);
    }
    let request = v1::TriggerRunRequest {
        dag_id: args.dag_id,
        run_id: None,
        logical_date,
        null_logical_date: false,
        run_after: None,
        conf_json: conf,
    };
    let mut exit = Exit::Success;
    let ended = roles::run_role("test", config, async |config, stop| {
        exit = test(config, request, &stop).await?;
        Ok(())
    })?;
    Ok(if ended == Exit::Success { exit } else { ended })
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

async fn test(mut config: Config, request: v1::TriggerRunRequest, stop: &Stop) -> Result<Exit, CliError> {
    let (file, spec) = find(&config, &request.dag_id).await?;
    let spec = publish::tested(spec);
    // Every queue is served here.
    config.worker.queues = spec
        .tasks
        .iter()
        .map(|task| task.queue.to_string())
        .chain(["default".to_owned()])
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let Some(system) = LocalSystem::start(&config, false, stop).await? else { return Ok(Exit::Interrupted) };
    let address = system.address.clone();
    let tested = tokio::select! {
        tested = drive(&config, &address, &file, &spec, &request) => tested,
        () = stop.shutdown.cancelled() => Ok(Exit::Interrupted),
    };
    stop.shutdown.cancel();
    system.wait(stop).await?;
    tested
}

/// The DAG in the folder, and its file.
async fn find(config: &Config, dag_id: &str) -> Result<(LoadedFile, DagSpec), CliError> {
    let settings = roles::processor_settings(config)?;
    let shown = settings.folder.display().to_string();
    let guest = roles::guest_environment(config, &config.home.dir.join("dag-processor"))?;
    let loaded = load_local(settings, guest)
        .await
        .map_err(|error| CliError::usage(format!("the DAG folder {shown} cannot be read: {error}")))?;
    let mut ids = Vec::new();
    for file in &loaded.files {
        for (_, spec) in &file.dags {
            if spec.dag_id.as_str() == dag_id {
                return Ok((file.clone(), spec.clone()));
            }
            ids.push(spec.dag_id.to_string());
        }
    }
    for file in &loaded.files {
        for error in &file.errors {
            let line = error.line.map_or_else(String::new, |line| format!(":{line}"));
            output::note(&format!("{}{line}: {}", paint(Tone::Bad, &file.rel_path), error.message));
        }
    }
    let near = did_you_mean(dag_id, ids.iter().map(String::as_str));
    Err(CliError::new(Exit::NotFound, format!("no DAG in {shown} has the id \"{dag_id}\"{near}")))
}

/// Publishes, triggers, shows, and answers how it ended.
async fn drive(
    config: &Config,
    address: &str,
    file: &LoadedFile,
    spec: &DagSpec,
    request: &v1::TriggerRunRequest,
) -> Result<Exit, CliError> {
    let options = |token: &str| client_options(config, Some(token.to_owned()), Some(address.to_owned()));
    let processor = LeaderClient::new(options(&config.security.processor_token)?)?;
    publish::publish(&processor, &config.dags.folder, file, spec).await?;
    let client = Client::new(options(&config.security.admin_token)?, None, false)?;
    let pools: BTreeSet<&str> =
        spec.tasks.iter().map(|task| task.pool.as_str()).filter(|pool| *pool != DEFAULT_POOL).collect();
    for name in pools {
        // The pools of the installation are not here: none holds anything up.
        let pool = v1::Pool { name: name.to_owned(), slots: -1, ..Default::default() };
        client.write(async |mut admin| admin.set_pool(pool.clone()).await).await?;
    }
    let run = client.write(async |mut admin| admin.trigger_run(request.clone()).await).await?;
    output::note(&format!("{} {}", paint(Tone::Bold, &run.dag_id), paint(Tone::Dim, &run.run_id)));
    let finished = show(&client, &run).await?;
    output::line(follow::verdict(&finished))?;
    Ok(if finished.state == "success" { Exit::Success } else { Exit::Negative })
}

/// Shows changes of state on standard error and the logs of all attempts on standard output, each line with its task.
async fn show(client: &Client, run: &v1::DagRun) -> Result<v1::DagRun, CliError> {
    let (begun, mut attempts) = mpsc::unbounded_channel::<v1::TaskInstance>();
    let watching = async move {
        let mut seen: HashMap<String, u32> = HashMap::new();
        follow::plainly(client, &run.dag_id, &run.run_id, |snapshot| {
            for ti in &snapshot.task_instances {
                // The empty operator runs nowhere and has no log.
                if ti.worker.is_some() && seen.get(&ti.id).is_none_or(|attempt| *attempt < ti.attempt) {
                    seen.insert(ti.id.clone(), ti.attempt);
                    // The receiver lives until all senders are gone.
                    let _ = begun.send(ti.clone());
                }
            }
        })
        .await
    };
    let printing = async {
        let mut logs = FuturesUnordered::new();
        let mut is_watching = true;
        while is_watching || !logs.is_empty() {
            tokio::select! {
                next = attempts.recv(), if is_watching => match next {
                    Some(ti) => logs.push(tasks::print_attempt(client, ti)),
                    None => is_watching = false,
                },
                Some(printed) = logs.next() => printed?,
            }
        }
        Ok(())
    };
    let (finished, ()) = tokio::try_join!(watching, printing)?;
    Ok(finished)
}
