//! Cases for what a leader loads.

use std::collections::BTreeSet;

use tradewind_types::{
    Backfill, Callback, CallbackState, DEFAULT_SHARD, DagRun, DagVersion, RunState, RunType, TaskInstance, WriteSet,
};

use super::{at, backfill, callback, commit, dag, dag_set, lead, run, spec, task_instance, version};
use crate::{Store, StoreSnapshot};

fn scheduled(no: u64, version: &DagVersion, date: i64, state: RunState) -> DagRun {
    let mut run = run(no, version);
    run.run_type = RunType::Scheduled;
    run.logical_date = Some(at(date));
    run.state = state;
    run.end_date = state.is_finished().then(|| at(999));
    run
}

/// Active runs with their instances; the last scheduled run of each DAG; later finished runs; for DAGs that look back the
/// last finished run with its instances; all versions that these need.
pub async fn loading_answers_what_the_engine_needs(store: &dyn Store) {
    let term = lead(store).await;
    let empty = store.load(DEFAULT_SHARD).await.unwrap();
    assert_eq!((empty.next_run_no, empty.pools.len()), (1, 1));
    assert!(empty.dags.is_empty() && empty.runs.is_empty());

    let (mut rows, plain) = dag_set("plain", &["a"]);
    let old = version(spec("plain", &["a", "gone"]), "v0", 0);
    rows.versions.push(old.clone());
    let mut past = spec("past", &["a"]);
    past.tasks[0].depends_on_past = true;
    let past = version(past, "v1", 1);
    rows.versions.push(past.clone());
    rows.dags.insert("past".into(), dag(&past));
    let mut manual = run(14, &plain);
    manual.state = RunState::Success;
    manual.end_date = Some(at(0));
    manual.logical_date = Some(at(500));
    let runs = [
        scheduled(10, &old, 100, RunState::Running),
        scheduled(11, &plain, 200, RunState::Success),
        scheduled(12, &plain, 300, RunState::Failed),
        run(13, &plain),
        manual,
        scheduled(20, &past, 100, RunState::Success),
        scheduled(21, &past, 200, RunState::Success),
        scheduled(22, &past, 300, RunState::Running),
    ];
    let instances: Vec<TaskInstance> = runs.iter().map(|run| task_instance(run, "a")).collect();
    for run in &runs {
        rows.run(run, true);
    }
    for ti in &instances {
        rows.task_instance(ti, true);
    }
    commit(store, term, &rows).await;

    let loaded = store.load(DEFAULT_SHARD).await.unwrap();
    let dags: Vec<_> = loaded.dags.iter().map(|(dag, version)| (dag.dag_id.as_str(), version.clone())).collect();
    assert_eq!(dags, [("past", past), ("plain", plain)]);
    assert_eq!(loaded.versions, [old]);
    let numbers: Vec<u64> = loaded.runs.iter().map(|run| run.run_no.0).collect();
    assert_eq!(numbers, [10, 12, 13, 14, 21, 22]);
    for run in &loaded.runs {
        assert!(runs.contains(run));
    }
    let with_instances: BTreeSet<u64> = loaded.task_instances.iter().map(|ti| ti.run_no.0).collect();
    assert_eq!(with_instances, [10, 13, 21, 22].into());
    assert_eq!(loaded.task_instances.len(), 4);
    for ti in &loaded.task_instances {
        assert!(instances.contains(ti));
    }
    assert_eq!(loaded.next_run_no, 23);
    assert_eq!(loaded.pools.len(), 1);
}

/// A manual run with a logical date.
fn manual(no: u64, version: &DagVersion, date: i64, state: RunState) -> DagRun {
    DagRun { run_type: RunType::Manual, ..scheduled(no, version, date, state) }
}

/// A version of a DAG that looks back.
fn backward(dag_id: &str) -> std::sync::Arc<DagVersion> {
    let mut spec = spec(dag_id, &["a"]);
    spec.tasks[0].wait_for_downstream = true;
    version(spec, "v1", 1)
}

/// Commits runs, each with one task instance, and loads; answers the numbers of the runs, and of those with instances.
async fn load_of(store: &dyn Store, versions: &[std::sync::Arc<DagVersion>], runs: &[DagRun]) -> (Vec<u64>, Vec<u64>) {
    let term = lead(store).await;
    let mut rows = WriteSet::default();
    for version in versions {
        rows.versions.push(version.clone());
        rows.dags.insert(version.spec.dag_id.clone(), dag(version));
    }
    for run in runs {
        rows.run(run, true);
        rows.task_instance(&task_instance(run, "a"), true);
    }
    commit(store, term, &rows).await;
    let loaded = store.load(DEFAULT_SHARD).await.unwrap();
    let instances: BTreeSet<u64> = loaded.task_instances.iter().map(|ti| ti.run_no.0).collect();
    assert_eq!(loaded.task_instances.len(), instances.len());
    (loaded.runs.iter().map(|run| run.run_no.0).collect(), instances.into_iter().collect())
}

/// With active runs: every finished one from the last before the earliest of them on. It is the last that is not manual.
pub async fn loading_brings_the_past_that_runs_look_back_at(store: &dyn Store) {
    use RunState::{Failed, Queued, Running, Success};
    let (past, young, plain) = (backward("past"), backward("young"), dag_set("plain", &["a"]).1);
    // The current version looks back no more, but an active run's version does.
    let mut was = spec("was", &["a"]);
    was.tasks[0].depends_on_past = true;
    let (was, now) = (version(was, "v1", 1), version(spec("was", &["a"]), "v2", 2));
    let of = |version: &DagVersion, first: u64| {
        vec![
            scheduled(first, version, 100, Success),
            scheduled(first + 1, version, 200, Failed),
            manual(first + 2, version, 250, Success),
            scheduled(first + 3, version, 300, Running),
            scheduled(first + 4, version, 400, Success),
            manual(first + 5, version, 450, Success),
            scheduled(first + 6, version, 500, Queued),
            scheduled(first + 7, version, 600, Success),
            DagRun { logical_date: None, run_after: at(700), ..manual(first + 8, version, 0, Success) },
        ]
    };
    let mut runs = of(&past, 10);
    runs.extend(of(&plain, 20));
    runs.extend(of(&was, 30));
    // Only manual runs before the earliest active one: the last of them.
    runs.extend([
        manual(40, &young, 100, Success),
        manual(41, &young, 200, Success),
        scheduled(42, &young, 300, Running),
        scheduled(43, &young, 400, Success),
        scheduled(44, &young, 500, Success),
    ]);
    let versions = [past, young, plain, was, now];
    let (loaded, with_instances) = load_of(store, &versions, &runs).await;
    let expected = [11, 12, 13, 14, 15, 16, 17, 23, 26, 27, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44];
    assert_eq!(loaded, expected);
    // Of the DAG that does not look back only active runs come with instances.
    let expected: Vec<u64> = expected.into_iter().filter(|no| *no != 27).collect();
    assert_eq!(with_instances, expected);
}

/// Without active runs: from the last finished run on; with nothing before the earliest active one, all after it.
pub async fn a_past_without_active_runs_is_loaded(store: &dyn Store) {
    use RunState::{Running, Success};
    let (idle, hand, first) = (backward("idle"), backward("hand"), backward("first"));
    let runs = [
        scheduled(10, &idle, 100, Success),
        scheduled(11, &idle, 200, Success),
        manual(12, &idle, 300, Success),
        manual(20, &hand, 100, Success),
        manual(21, &hand, 200, Success),
        scheduled(30, &first, 100, Running),
        manual(31, &first, 200, Success),
        scheduled(32, &first, 300, Success),
    ];
    let (loaded, with_instances) = load_of(store, &[idle, hand, first], &runs).await;
    assert_eq!(loaded, [11, 12, 21, 30, 31, 32]);
    assert_eq!(with_instances, loaded);
}

/// Backfills that are not completed; callbacks that are not over, oldest first, each with its run, be it loaded or not, and
/// the versions of those; the numbers that come next.
pub async fn unfinished_work_is_loaded(store: &dyn Store) {
    let term = lead(store).await;
    let StoreSnapshot { next_event_no, next_backfill_no, .. } = store.load(DEFAULT_SHARD).await.unwrap();
    assert_eq!((next_event_no, next_backfill_no), (1, 1));
    let (mut rows, current) = dag_set("d", &["a"]);
    let old = version(spec("d", &["old"]), "v0", 0);
    rows.versions.push(old.clone());
    let over = scheduled(1, &old, 100, RunState::Success);
    let latest = scheduled(2, &current, 200, RunState::Success);
    let active = run(3, &current);
    for run in [&over, &latest, &active] {
        rows.run(run, true);
        rows.task_instance(&task_instance(run, "a"), true);
    }
    let mut running = callback(&over, "z");
    running.state = CallbackState::Running;
    (running.worker, running.token) = (Some("w".into()), Some(tradewind_types::LeaseToken(uuid::Uuid::nil())));
    let waiting = callback(&active, "a");
    let waiting_too = callback(&over, "b");
    let ended = |name, state| Callback { state, end_date: Some(at(1)), ..callback(&over, name) };
    let done = [ended("ok", CallbackState::Success), ended("not", CallbackState::Failed)];
    for row in [&running, &done[0], &waiting, &done[1], &waiting_too] {
        rows.callbacks.insert(row.id, row.clone());
    }
    let completed = Backfill { completed_at: Some(at(9)), ..backfill(3, "d") };
    for row in [backfill(2, "d"), completed, backfill(1, "d")] {
        rows.backfills.insert(row.no, row);
    }
    commit(store, term, &rows).await;
    let loaded = store.load(DEFAULT_SHARD).await.unwrap();
    assert_eq!(loaded.runs, [latest, active.clone()]);
    assert_eq!(loaded.callbacks, [(running, over.clone()), (waiting, active), (waiting_too, over)]);
    assert_eq!(loaded.versions, [old]);
    assert_eq!(loaded.task_instances.len(), 1);
    assert_eq!(loaded.backfills, [backfill(1, "d"), backfill(2, "d")]);
    assert_eq!((loaded.next_run_no, loaded.next_backfill_no), (4, 4));
}
