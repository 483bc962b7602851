//! What a forecast starts from, as the scheduler tells it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tradewind_proto::{instant, v1};
use tradewind_sim::forecast::{Dag, History, Worker};
use tradewind_types::{DagRun, DagVersion, Pool, RunType, TaskInstance};

use crate::{
    client::Client,
    commands::dags::{details, list_runs},
    errors::CliError,
    output,
};

/// Among how many of the latest runs the last scheduled one is looked for.
const LATEST_RUNS: u64 = 100;

/// From how many of a DAG's latest task instances durations are taken.
const LATEST_INSTANCES: u64 = 1_000;

/// A DAG with its last scheduled run.
///
/// # Errors
/// No scheduler answers, or there is no such DAG.
pub(super) async fn dag(client: &Client, dag_id: &str) -> Result<Dag, CliError> {
    let (dag, spec) = details::fetch(client, dag_id).await?;
    let request = v1::ListRunsRequest { dag_id: Some(dag_id.to_owned()), ..v1::ListRunsRequest::default() };
    let (runs, _) = list_runs(client, &request, LATEST_RUNS).await?;
    let runs = runs.into_iter().map(DagRun::try_from).collect::<Result<Vec<_>, _>>()?;
    let scheduled = runs.into_iter().filter(|run| run.run_type == RunType::Scheduled);
    Ok(Dag {
        is_paused: dag.is_paused,
        last: scheduled.max_by_key(|run| run.logical_date.unwrap_or(run.run_after)),
        version: Arc::new(DagVersion {
            hash: dag.version.into(),
            number: dag.version_number,
            bundle: None,
            created_at: instant("parsed_at", dag.parsed_at)?,
            spec,
        }),
    })
}

/// The runs of a DAG with a logical date in a range.
///
/// # Errors
/// No scheduler answers.
pub(super) async fn runs(
    client: &Client,
    dag_id: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<DagRun>, CliError> {
    let request = v1::ListRunsRequest {
        dag_id: Some(dag_id.to_owned()),
        from: Some(from.as_microsecond()),
        to: Some(to.as_microsecond()),
        ..v1::ListRunsRequest::default()
    };
    let (runs, _) = list_runs(client, &request, 0).await?;
    Ok(runs.into_iter().map(DagRun::try_from).collect::<Result<_, _>>()?)
}

/// The ids of the DAGs whose files are there and that are not paused.
///
/// # Errors
/// No scheduler answers.
pub(super) async fn active_dags(client: &Client) -> Result<Vec<String>, CliError> {
    let (dags, _) = output::all_pages(0, async |page| {
        let request = v1::ListDagsRequest { page: Some(page), paused: Some(false), ..v1::ListDagsRequest::default() };
        let answer = client.read(async |mut admin| admin.list_dags(request.clone()).await).await?;
        Ok((answer.dags, answer.total))
    })
    .await?;
    Ok(dags.into_iter().map(|dag| dag.dag_id).collect())
}

/// The pools.
///
/// # Errors
/// No scheduler answers.
pub(super) async fn pools(client: &Client) -> Result<Vec<Pool>, CliError> {
    let pools = client.read(async |mut admin| admin.list_pools(v1::Empty {}).await).await?.pools;
    Ok(pools.into_iter().map(Pool::try_from).collect::<Result<_, _>>()?)
}

/// The workers that take work.
///
/// # Errors
/// No scheduler answers.
pub(super) async fn workers(client: &Client) -> Result<Vec<Worker>, CliError> {
    let workers = client.read(async |mut admin| admin.list_workers(v1::Empty {}).await).await?.workers;
    let active = workers.into_iter().filter(|worker| worker.status == "active");
    Ok(active
        .map(|worker| Worker {
            name: worker.name.into(),
            queues: worker.queues.into_iter().map(Into::into).collect(),
            slots: worker.slots,
        })
        .collect())
}

/// Notes how long the tasks of a DAG took lately.
///
/// # Errors
/// No scheduler answers.
pub(super) async fn learn(client: &Client, dag: &Dag, history: &mut History) -> Result<(), CliError> {
    let dag_id = dag.version.spec.dag_id.to_string();
    let (rows, _) = output::all_pages(LATEST_INSTANCES, async |page| {
        let request = v1::ListTaskInstancesRequest {
            page: Some(page),
            dag_id: Some(dag_id.clone()),
            states: vec!["success".to_owned()],
            ..v1::ListTaskInstancesRequest::default()
        };
        let answer = client.read(async |mut admin| admin.list_task_instances(request.clone()).await).await?;
        Ok((answer.task_instances, answer.total))
    })
    .await?;
    for row in rows {
        let ti = TaskInstance::try_from(row)?;
        let took =
            ti.start_date.zip(ti.end_date).and_then(|(start, end)| Duration::try_from(end.duration_since(start)).ok());
        // What no worker ran says nothing of how long it takes.
        if let Some(took) = took.filter(|_| ti.worker.is_some()) {
            history.took(&ti.dag_id, &ti.task_id, took);
        }
        if let Some(length) = ti.xcom_length {
            history.left(&ti.dag_id, &ti.task_id, length);
        }
    }
    Ok(())
}
