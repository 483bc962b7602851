//! Winning, keeping and losing the leader lease (reliability.md D). A leader stops at two thirds of its lease by its own
//! monotonic clock, counted from when the last successful renewal was asked for; the store's guard makes it safe even
//! if it did not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tradewind_engine::{Engine, Snapshot};
use tradewind_ports::{HumanInputFilter, StoreError};
use tradewind_types::{AuditEvent, DEFAULT_SHARD, LeaderInfo, Term};
use uuid::Uuid;

use crate::{
    core::{Core, Leadership, TermStats, every_page},
    queue_repair::{push_hints, repair_queue},
    term::{TermEnd, TermLoop},
    timetables::Timetables,
    workers::Workers,
    xcom_sweep::sweep_xcoms,
};

/// Messages that may wait for the engine before callers are held up.
const INBOX: usize = 16_384;

/// Runs for the lease again and again until shutdown.
pub(crate) async fn lead_or_stand_by(core: Arc<Core>, incarnation: Uuid, shutdown: CancellationToken) {
    let ttl = core.settings.leader_lease;
    let poll = ttl / 6;
    let mut away_since: Option<Instant> = None;
    while !shutdown.is_cancelled() {
        let asked = Instant::now();
        let taken = core.store.acquire_lease(DEFAULT_SHARD, &core.settings.name, incarnation, &core.address, ttl).await;
        match taken {
            Ok(Some(info)) => {
                away_since = None;
                core.set_known_leader(Some(info.clone()));
                serve_term(&core, info, asked, &shutdown).await;
                core.set_leadership(None);
                core.set_known_leader(None);
            }
            Ok(None) => {
                away_since = None;
                match core.store.leader(DEFAULT_SHARD).await {
                    Ok(leader) => core.set_known_leader(leader),
                    Err(error) => tracing::debug!(%error, "cannot read who leads"),
                }
            }
            Err(error) => {
                let since = *away_since.get_or_insert_with(Instant::now);
                report_away(&error, since.elapsed());
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(poll) => {}
        }
    }
}

/// Says at once that the store is away, then every ten seconds or so.
fn report_away(error: &StoreError, away: Duration) {
    if away < Duration::from_millis(1) || away.as_secs().is_multiple_of(10) {
        tracing::warn!(%error, away_secs = away.as_secs(), "cannot reach the store; nobody can lead until it answers");
    }
}

async fn serve_term(core: &Arc<Core>, info: LeaderInfo, asked: Instant, shutdown: &CancellationToken) {
    let ttl = core.settings.leader_lease;
    let (valid_sender, valid_until) = watch::channel(asked + ttl * 2 / 3);
    let over = CancellationToken::new();
    let renewal = tokio::spawn(renew(Arc::clone(core), info.term, ttl, valid_sender, over.clone()));

    match begin_term(core, &info, valid_until, shutdown, &over).await {
        Ok(end) => match end {
            TermEnd::Shutdown => tracing::info!(term = info.term.0, "the term ends: shutting down"),
            TermEnd::LeaseLost => tracing::warn!(term = info.term.0, "the term ends: the lease could not be renewed"),
            TermEnd::CommitFailed(StoreError::StaleTerm) => {
                tracing::warn!(term = info.term.0, "the term ends: another scheduler leads");
            }
            TermEnd::CommitFailed(error) => {
                tracing::error!(term = info.term.0, %error, "the term ends: a commit failed; loading afresh");
            }
        },
        Err(error) => tracing::error!(term = info.term.0, %error, "the term could not begin"),
    }
    core.set_leadership(None);
    over.cancel();
    // The renewal task only ends by itself; a panic in it would have ended the term as well.
    let _ = renewal.await;
    if let Err(error) = core.store.release_lease(DEFAULT_SHARD, info.term).await {
        tracing::debug!(%error, "the lease was not given back; it runs out by itself");
    }
}

async fn begin_term(
    core: &Arc<Core>,
    info: &LeaderInfo,
    valid_until: watch::Receiver<Instant>,
    shutdown: &CancellationToken,
    over: &CancellationToken,
) -> Result<TermEnd, StoreError> {
    let begin = Instant::now();
    let loaded = core.store.load(DEFAULT_SHARD).await?;
    let open = HumanInputFilter { answered: Some(false), ..HumanInputFilter::default() };
    let human_inputs = every_page(|page| core.store.human_inputs(&open, page)).await?;
    let snapshot = Snapshot {
        dags: loaded.dags,
        versions: loaded.versions,
        runs: loaded.runs,
        task_instances: loaded.task_instances,
        pools: loaded.pools,
        assets: loaded.assets,
        asset_aliases: loaded.asset_aliases,
        backfills: loaded.backfills,
        callbacks: loaded.callbacks,
        human_inputs,
        next_run_no: loaded.next_run_no,
        next_event_no: loaded.next_event_no,
        next_backfill_no: loaded.next_backfill_no,
    };
    let now = core.clock.now();
    let (dags, runs, instances) = (snapshot.dags.len(), snapshot.runs.len(), snapshot.task_instances.len());
    let (engine, mut first) = Engine::new(core.settings.engine.clone(), snapshot, now);
    first.rows.audit.push(AuditEvent {
        at: now,
        event: "leader.elected".to_owned(),
        by: core.settings.name.clone(),
        dag_id: None,
        run_id: None,
        task_id: None,
        detail: Some(format!("term {}", info.term)),
    });
    tracing::info!(
        term = info.term.0,
        dags,
        runs,
        task_instances = instances,
        load_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        "leading"
    );

    let (sender, messages) = mpsc::channel(INBOX);
    let (hints, hint_changes) = mpsc::unbounded_channel();
    let stats = Arc::new(TermStats::default());
    let workers = Arc::new(Workers::new(core.settings.engine.lease));
    let timetables = Arc::new(Timetables::default());
    let term_loop = TermLoop {
        core: Arc::clone(core),
        engine,
        term: info.term,
        stats: Arc::clone(&stats),
        messages,
        valid_until,
        hints,
        timetables: Arc::clone(&timetables),
        shutdown: shutdown.clone(),
    };
    let pusher = tokio::spawn(push_hints(Arc::clone(&core.queue), hint_changes));
    core.set_leadership(Some(Leadership { info: info.clone(), messages: sender, workers, timetables, stats }));
    let repair = tokio::spawn(repair_queue(Arc::clone(core), over.clone()));
    let sweep = tokio::spawn(sweep_xcoms(Arc::clone(core)));
    let end = term_loop.run(first).await;
    core.set_leadership(None);
    over.cancel();
    repair.abort();
    sweep.abort();
    pusher.abort();
    Ok(end)
}

/// Renews the lease until the term is over; each success moves the moment up to which this process may act.
async fn renew(
    core: Arc<Core>,
    term: Term,
    ttl: Duration,
    valid_until: watch::Sender<Instant>,
    over: CancellationToken,
) {
    loop {
        tokio::select! {
            () = over.cancelled() => return,
            () = tokio::time::sleep(ttl / 3) => {}
        }
        let asked = Instant::now();
        match tokio::time::timeout(ttl, core.store.renew_lease(DEFAULT_SHARD, term, ttl)).await {
            Ok(Ok(true)) => {
                valid_until.send_replace(asked + ttl * 2 / 3);
            }
            Ok(Ok(false)) => {
                valid_until.send_replace(asked);
                return;
            }
            Ok(Err(error)) => tracing::warn!(%error, "the leader lease was not renewed"),
            Err(_) => tracing::warn!("the store did not answer the renewal of the leader lease in time"),
        }
    }
}
