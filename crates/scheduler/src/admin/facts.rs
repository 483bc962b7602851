//! How the system is: status, queues, workers, audit trail.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use tradewind_ports::CallbackFilter;
use tradewind_proto::{micros, v1};
use tradewind_types::{ApiError, QueueName, TaskState};

use super::{audit, page, runs::run_id_of};
use crate::{
    core::{Core, store_error},
    worker_service::wire_micros,
};

pub(crate) async fn get_status(core: &Arc<Core>, _: v1::Empty) -> Result<v1::StatusResponse, ApiError> {
    let mut problems = Vec::new();
    let store = core.store.ping().await.map_err(|error| problems.push(error.to_string())).ok();
    let queue = core.queue.ping().await.map_err(|error| problems.push(error.to_string())).ok();
    let leadership = core.leadership().ok();
    let leader = core.known_leader();
    let role = match (&leadership, &leader) {
        (Some(_), _) => "leader",
        (None, Some(_)) => "standby",
        (None, None) => "starting",
    };
    if leader.is_none() {
        problems.push("no scheduler leads at the moment".to_owned());
    }
    let mut counts = None;
    if let Some(leadership) = &leadership {
        let engine = core.query(|engine, _| engine.counts()).await?;
        let in_state =
            |wanted| engine.task_instances.iter().find(|(state, _)| *state == wanted).map_or(0, |(_, count)| *count);
        let stats = &leadership.stats;
        let commits = stats.commits.load(Ordering::Relaxed);
        let workers = leadership.workers.list();
        if workers.is_empty() {
            problems.push("no worker is registered; start one with `tradewind worker`".to_owned());
        }
        #[expect(clippy::cast_precision_loss, reason = "a mean for display")]
        let commit_ms = stats.commit_micros.load(Ordering::Relaxed) as f64 / 1_000.0 / commits.max(1) as f64;
        counts = Some(v1::LeaderCounts {
            dags: engine.dags,
            active_runs: engine.runs_queued + engine.runs_running,
            task_instances: engine.task_instances.iter().map(|(_, count)| count).sum(),
            scheduled: in_state(TaskState::Scheduled),
            queued: in_state(TaskState::Queued),
            running: in_state(TaskState::Running),
            workers: workers.len() as u64,
            commits,
            commit_ms,
            transitions: stats.transitions.load(Ordering::Relaxed),
        });
    }
    Ok(v1::StatusResponse {
        scheduler: Some(v1::SchedulerStatus {
            name: core.settings.name.clone(),
            address: core.address.clone(),
            role: role.to_owned(),
            term: core.term().map(|term| term.0).or(leader.as_ref().map(|leader| leader.term.0)),
            leader_address: leader.map(|leader| leader.address),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: micros(core.started_at),
        }),
        store_ms: store.map(|took| took.as_secs_f64() * 1_000.0),
        queue_ms: queue.map(|took| took.as_secs_f64() * 1_000.0),
        counts,
        problems,
    })
}

pub(crate) async fn list_queues(core: &Arc<Core>, _: v1::Empty) -> Result<v1::ListQueuesResponse, ApiError> {
    let leadership = core.leadership()?;
    let mut queues: BTreeMap<QueueName, v1::QueueStatus> = BTreeMap::new();
    for status in core.query(|engine, _| engine.queue_status()).await? {
        queues.insert(
            status.queue.clone(),
            v1::QueueStatus {
                queue: status.queue.to_string(),
                queued: status.queued,
                oldest: wire_micros(status.oldest),
                running: status.running,
                workers: Vec::new(),
                hints: None,
            },
        );
    }
    for worker in leadership.workers.list() {
        for queue in worker.queues {
            queues
                .entry(queue.clone())
                .or_insert_with(|| v1::QueueStatus { queue: queue.to_string(), ..v1::QueueStatus::default() });
        }
    }
    let names: Vec<QueueName> = queues.keys().cloned().collect();
    // Without the queue's answer the depths are left out.
    let depths = core.queue.depths(&names).await.unwrap_or_default();
    for depth in depths {
        if let Some(status) = queues.get_mut(&depth.queue) {
            status.hints = Some(depth.hints);
        }
    }
    for (name, status) in &mut queues {
        status.workers = leadership.workers.serving(name).0;
    }
    Ok(v1::ListQueuesResponse { queues: queues.into_values().collect() })
}

pub(crate) async fn list_workers(core: &Arc<Core>, _: v1::Empty) -> Result<v1::ListWorkersResponse, ApiError> {
    let workers = core.leadership()?.workers.list();
    Ok(v1::ListWorkersResponse { workers: workers.iter().map(Into::into).collect() })
}

pub(crate) async fn drain_worker(core: &Arc<Core>, request: v1::NameRequest) -> Result<v1::Worker, ApiError> {
    let info = core.leadership()?.workers.drain(&request.name)?;
    core.store.put_audit(&audit(core, "worker.drain", request.name)).await.map_err(store_error)?;
    Ok(v1::Worker::from(&info))
}

pub(crate) async fn list_audit(core: &Arc<Core>, request: v1::ListRequest) -> Result<v1::ListAuditResponse, ApiError> {
    let listing = core.store.audit(page(request.page)).await.map_err(store_error)?;
    Ok(v1::ListAuditResponse { events: listing.rows.into_iter().map(Into::into).collect(), total: listing.total })
}

pub(crate) async fn list_callbacks(
    core: &Arc<Core>,
    request: v1::ListCallbacksRequest,
) -> Result<v1::ListCallbacksResponse, ApiError> {
    let run_id = run_id_of(core, request.dag_id.as_deref(), request.run_id.as_deref()).await?;
    let filter = CallbackFilter { dag_id: request.dag_id.map(Into::into), run_id };
    let listing = core.store.callbacks(&filter, page(request.page)).await.map_err(store_error)?;
    Ok(v1::ListCallbacksResponse { callbacks: listing.rows.iter().map(Into::into).collect(), total: listing.total })
}
