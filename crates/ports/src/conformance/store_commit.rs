//! Cases for the leader's commits.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tradewind_types::{DagRun, PendingAsset, Pool, RateLimit, RunState, TaskInstance, TaskState, Timestamp, WriteSet};

use super::{
    asset, at, commit, dag_set, full_run, full_task_instance, lead, past_try, refuse, run, spec, task_instance,
    version, xcom,
};
use crate::{Page, Store, StoreError, XComQuery};

pub(super) async fn values(store: &dyn Store, run: &DagRun) -> BTreeMap<String, Value> {
    let query = XComQuery {
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        task_id: None,
        map_index: None,
        key: None,
        include_prior: false,
    };
    let listing = store.xcoms(&query, Page::default()).await.unwrap();
    listing.rows.into_iter().map(|x| (x.key, x.value)).collect()
}

/// Rows with something in every field, and with as little as possible, come back equal.
pub async fn every_column_is_kept_exactly(store: &dyn Store) {
    let term = lead(store).await;
    let mut content = spec("d.ü", &["a", "g.b"]);
    content.description = Some("it's \"quoted\" \\ ü ✓ 🦀".to_owned());
    content.dagrun_timeout = Some(std::time::Duration::from_nanos(1_500_000_001));
    content.start_date = Some(at(1));
    content.tags = vec!["x".to_owned()];
    let mut stored = (*version(content, "hash", 3)).clone();
    stored.bundle = Some("bundle".into());
    let stored = std::sync::Arc::new(stored);
    let mut dag = super::dag(&stored);
    dag.is_paused = true;
    dag.is_stale = true;
    dag.failed_runs = 2;
    let pending =
        PendingAsset { asset: asset("ü").key, event: 3, at: at(2), aliases: vec!["a".to_owned()], silent: true };
    dag.pending_assets = vec![pending.clone(), PendingAsset { event: 1, aliases: Vec::new(), ..pending }];
    dag.runtimes = vec![i64::MAX, 0, -1];
    dag.schedule_error = Some("ValueError: ü".to_owned());
    dag.last_scheduled = Some((at(1), at(2)));
    let (full, bare) = (full_run(1, &stored), run(2, &stored));
    let mut rows = WriteSet::default();
    rows.versions.push(stored.clone());
    rows.dags.insert(dag.dag_id.clone(), dag.clone());
    rows.run(&full, true);
    rows.run(&bare, true);
    let instances = [full_task_instance(&full, "g.b"), task_instance(&full, "a"), task_instance(&bare, "a")];
    for ti in &instances {
        rows.task_instance(ti, true);
    }
    let tries = [past_try(&instances[0], 1), {
        let mut bare = past_try(&instances[0], 2);
        (bare.queued_at, bare.start_date, bare.end_date) = (None, None, None);
        (bare.worker, bare.note) = (None, None);
        bare
    }];
    rows.tries.extend(tries.clone());
    commit(store, term, &rows).await;

    assert_eq!(store.dag("d.ü").await.unwrap(), Some((dag.clone(), stored.clone())));
    let emptied = super::dag(&stored);
    for row in [&emptied, &dag] {
        let mut rows = WriteSet::default();
        rows.dags.insert(row.dag_id.clone(), row.clone());
        commit(store, term, &rows).await;
        assert_eq!(store.dag("d.ü").await.unwrap(), Some((row.clone(), stored.clone())));
    }
    assert_eq!(store.dag_version("d.ü", &"hash".into()).await.unwrap(), Some(stored));
    assert_eq!(store.dag_version("d.ü", &"other".into()).await.unwrap(), None);
    assert_eq!(store.dag("none").await.unwrap(), None);
    for row in [&full, &bare] {
        let found = store.run("d.ü", row.run_id.as_str()).await.unwrap();
        assert_eq!(found.as_ref(), Some(row));
    }
    assert_eq!(store.run("d.ü", "none").await.unwrap(), None);
    let found = store.run_by_logical_date("d.ü", at(10)).await.unwrap();
    assert_eq!(found, Some(full.clone()));
    assert_eq!(store.run_by_logical_date("d.ü", at(11)).await.unwrap(), None);
    for ti in &instances {
        assert_eq!(store.task_instance(ti.id).await.unwrap().as_ref(), Some(ti));
    }
    let of_run = store.run_task_instances("d.ü", full.run_id.as_str()).await.unwrap();
    assert_eq!(of_run, instances[..2]);
    assert_eq!(store.tries(instances[0].id).await.unwrap(), tries);
    assert_eq!(store.tries(instances[1].id).await.unwrap(), []);
}

/// Every microsecond of the years 1 to 9999 survives; what is finer is cut off, never rounded.
pub async fn instants_are_kept_to_the_microsecond(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &[]);
    let instants = [
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00Z",
        "1999-12-31T23:59:59.999999Z",
        "2026-03-29T01:00:00.000001Z",
        "9999-12-30T21:59:59.999999Z",
    ];
    let mut runs = Vec::new();
    for (no, text) in (1..).zip(instants) {
        let mut run = run(no, &version);
        run.run_after = text.parse().unwrap();
        run.logical_date = Some(run.run_after);
        rows.run(&run, true);
        runs.push(run);
    }
    let mut finer = run(100, &version);
    finer.run_after = "2026-01-01T00:00:00.123456789Z".parse().unwrap();
    rows.run(&finer, true);
    commit(store, term, &rows).await;
    for run in runs {
        let found = store.run("d", run.run_id.as_str()).await.unwrap();
        assert_eq!(found, Some(run.clone()));
        let by_date = store.run_by_logical_date("d", run.run_after).await.unwrap();
        assert_eq!(by_date, Some(run));
    }
    let found = store.run("d", "run-100").await.unwrap().unwrap();
    let cut: Timestamp = "2026-01-01T00:00:00.123456Z".parse().unwrap();
    assert_eq!(found.run_after, cut);
}

/// Text of any script and length is kept; U+0000 alone becomes U+FFFD.
pub async fn free_text_is_kept(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &["a"]);
    let run = run(1, &version);
    rows.run(&run, true);
    let mut ti = task_instance(&run, "a");
    rows.task_instance(&ti, true);
    commit(store, term, &rows).await;
    let long = "長い✓".repeat(200_000);
    for (note, kept) in [
        ("", ""),
        ("$1 ? %s '; DROP TABLE dag; -- \\u0000 \\", "$1 ? %s '; DROP TABLE dag; -- \\u0000 \\"),
        ("{a,NULL,\"b\"}\n\r\t\u{1f980}\u{301}", "{a,NULL,\"b\"}\n\r\t\u{1f980}\u{301}"),
        ("a\0b", "a\u{fffd}b"),
        (long.as_str(), long.as_str()),
    ] {
        ti.note = Some(note.to_owned());
        let mut rows = WriteSet::default();
        rows.task_instance(&ti, false);
        commit(store, term, &rows).await;
        let found = store.task_instance(ti.id).await.unwrap().unwrap();
        assert!(found.note.as_deref() == Some(kept), "{note:.40}");
    }
}

/// A changed row takes over every field of the second group, up and down, to null and back.
pub async fn a_change_writes_what_may_change(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &["a"]);
    let (full, bare) = (full_run(1, &version), run(1, &version));
    let first = DagRun {
        run_id: full.run_id.clone(),
        logical_date: full.logical_date,
        data_interval_start: full.data_interval_start,
        data_interval_end: full.data_interval_end,
        run_after: full.run_after,
        triggered_by: full.triggered_by.clone(),
        ..bare
    };
    let full_ti = full_task_instance(&first, "a");
    // Not expanded yet: the map index can change.
    let first_ti = TaskInstance {
        id: full_ti.id,
        operator: full_ti.operator.clone(),
        pool: full_ti.pool.clone(),
        pool_slots: full_ti.pool_slots,
        queue: full_ti.queue.clone(),
        priority_weight: full_ti.priority_weight,
        ..task_instance(&first, "a")
    };
    rows.run(&first, true);
    rows.task_instance(&first_ti, true);
    commit(store, term, &rows).await;
    for (run, ti) in [(&full, &full_ti), (&first, &first_ti), (&full, &full_ti)] {
        let mut rows = WriteSet::default();
        rows.run(run, false);
        rows.task_instance(ti, false);
        commit(store, term, &rows).await;
        let id = run.run_id.as_str();
        assert_eq!(store.run("d", id).await.unwrap().as_ref(), Some(run));
        assert_eq!(store.task_instance(ti.id).await.unwrap().as_ref(), Some(ti));
    }
}

/// When the outcome of a commit is unknown, the same set may be committed again under the same term.
pub async fn a_commit_can_be_repeated(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &["a"]);
    let run = full_run(1, &version);
    let ti = full_task_instance(&run, "a");
    rows.run(&run, true);
    rows.task_instance(&ti, true);
    rows.tries.push(past_try(&ti, 1));
    rows.xcoms_cleared.push(ti.id);
    rows.xcoms.push(xcom(&ti, "k", json!(1)));
    for _ in 0..2 {
        commit(store, term, &rows).await;
    }
    let id = run.run_id.as_str();
    assert_eq!(store.run_task_instances("d", id).await.unwrap(), std::slice::from_ref(&ti));
    assert_eq!(store.tries(ti.id).await.unwrap().len(), 1);
    assert_eq!(values(store, &run).await, [("k".to_owned(), json!(1))].into());
}

/// A change of what the store does not have is a defect; nothing of the set is written.
pub async fn an_unknown_row_refuses_the_whole_commit(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &["a"]);
    let known = run(1, &version);
    rows.run(&known, true);
    commit(store, term, &rows).await;
    let mut changed = known.clone();
    changed.state = RunState::Running;

    let mut unknown_run = WriteSet::default();
    unknown_run.run(&changed, false);
    unknown_run.run(&run(2, &version), false);
    let mut unknown_instance = WriteSet::default();
    unknown_instance.run(&changed, false);
    unknown_instance.task_instance(&task_instance(&known, "a"), false);
    // A run number is never used again.
    let mut reused = WriteSet::default();
    reused.run(&changed, false);
    let mut other = dag_set("e", &[]);
    other.0.run(&run(1, &other.1), true);
    reused.runs.clear();
    reused.merge(other.0);
    for rows in [unknown_run, unknown_instance, reused] {
        let error = refuse(store, term, &rows).await;
        assert!(matches!(error, StoreError::Broken(_)), "{error:?}");
        let found = store.run("d", "run-1").await.unwrap();
        assert_eq!(found, Some(known.clone()));
    }
    assert_eq!(store.dag("e").await.unwrap(), None);
    // The store works on.
    let mut rows = WriteSet::default();
    rows.run(&changed, false);
    commit(store, term, &rows).await;
    assert_eq!(store.run("d", "run-1").await.unwrap(), Some(changed));
}

/// One run a DAG and run id, one a DAG and logical date; any number without a logical date.
pub async fn run_ids_and_logical_dates_are_unique(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &[]);
    let first = full_run(1, &version);
    rows.run(&first, true);
    rows.run(&run(2, &version), true);
    rows.run(&run(3, &version), true);
    commit(store, term, &rows).await;
    let mut same_id = run(4, &version);
    same_id.run_id = first.run_id.clone();
    let mut same_date = run(5, &version);
    same_date.logical_date = first.logical_date;
    for row in [same_id, same_date.clone()] {
        let mut rows = WriteSet::default();
        rows.run(&run(6, &version), true);
        rows.run(&row, true);
        let error = refuse(store, term, &rows).await;
        assert!(matches!(error, StoreError::Conflict(_)), "{error:?}");
        assert_eq!(store.run("d", "run-6").await.unwrap(), None);
    }
    // Another DAG is free to use both.
    let (mut rows, other) = dag_set("e", &[]);
    let row = DagRun { run_id: first.run_id.clone(), dag_id: "e".into(), version: other.hash.clone(), ..same_date };
    rows.run(&row, true);
    commit(store, term, &rows).await;
}

/// The invariants that the schema restates hold.
pub async fn unsound_rows_are_refused(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &["a"]);
    let base = run(1, &version);
    let ti = task_instance(&base, "a");
    rows.run(&base, true);
    rows.task_instance(&ti, true);
    commit(store, term, &rows).await;
    let with_run = |change: fn(&mut DagRun)| {
        let mut run = base.clone();
        change(&mut run);
        let mut rows = WriteSet::default();
        rows.run(&run, false);
        rows
    };
    let with_ti = |change: fn(&mut TaskInstance)| {
        let mut ti = ti.clone();
        change(&mut ti);
        let mut rows = WriteSet::default();
        rows.task_instance(&ti, false);
        rows
    };
    for rows in [
        with_run(|run| run.state = RunState::Success),
        with_run(|run| run.end_date = Some(at(0))),
        with_ti(|ti| ti.state = TaskState::Running),
        with_ti(|ti| ti.state = TaskState::Queued),
        with_ti(|ti| ti.state = TaskState::Failed),
        with_ti(|ti| ti.state = TaskState::Deferred),
        with_ti(|ti| ti.state = TaskState::AwaitingInput),
        with_ti(|ti| ti.map_index = -2),
    ] {
        let error = refuse(store, term, &rows).await;
        assert!(matches!(error, StoreError::Broken(_)), "{error:?}");
    }
    // An instance needs its run, a run its version.
    let mut orphan = WriteSet::default();
    orphan.task_instance(&task_instance(&run(9, &version), "a"), true);
    let mut unversioned = WriteSet::default();
    let mut row = run(9, &version);
    row.version = "none".into();
    unversioned.run(&row, true);
    for rows in [orphan, unversioned] {
        let error = refuse(store, term, &rows).await;
        assert!(matches!(error, StoreError::Conflict(_)), "{error:?}");
    }
    assert_eq!(store.task_instance(ti.id).await.unwrap(), Some(ti));
}

/// Several steps in one set leave the last state of each row, inserted if the first step made it.
pub async fn merged_sets_write_the_last_state(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &["a", "b"]);
    let mut run = run(1, &version);
    let mut a = task_instance(&run, "a");
    let b = task_instance(&run, "b");
    rows.run(&run, true);
    for ti in [&a, &b] {
        rows.task_instance(ti, true);
    }
    rows.xcoms.push(xcom(&a, "k", json!("first")));
    run.state = RunState::Running;
    run.start_date = Some(at(50));
    a.state = TaskState::Skipped;
    a.end_date = Some(at(51));
    let mut later = WriteSet::default();
    later.run(&run, false);
    later.task_instance(&a, false);
    later.xcoms_cleared.push(a.id);
    later.xcoms.push(xcom(&a, "k2", json!("second")));
    rows.merge(later);
    commit(store, term, &rows).await;
    assert_eq!(store.run("d", "run-1").await.unwrap(), Some(run.clone()));
    assert_eq!(store.run_task_instances("d", "run-1").await.unwrap(), [a, b]);
    assert_eq!(values(store, &run).await, [("k2".to_owned(), json!("second"))].into());
}

/// Tries come oldest first.
pub async fn past_tries_are_kept_in_order(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &["a"]);
    let run = run(1, &version);
    let ti = task_instance(&run, "a");
    rows.run(&run, true);
    rows.task_instance(&ti, true);
    rows.tries.push(past_try(&ti, 10));
    rows.tries.push(past_try(&ti, 2));
    commit(store, term, &rows).await;
    let mut rows = WriteSet::default();
    rows.tries.push(past_try(&ti, 1));
    commit(store, term, &rows).await;
    let attempts: Vec<u32> = store.tries(ti.id).await.unwrap().iter().map(|past| past.attempt).collect();
    assert_eq!(attempts, [1, 2, 10]);
}

/// Pools are made, changed and deleted in one set.
pub async fn pools_are_changed_and_deleted(store: &dyn Store) {
    let term = lead(store).await;
    let pool = |name: &str, slots: i64| Pool {
        name: name.into(),
        slots,
        description: "d'ü".to_owned(),
        include_deferred: slots < 0,
        rate: (slots != 3).then_some(RateLimit { starts: u32::MAX, per_secs: 60 }),
    };
    let mut rows = WriteSet::default();
    for name in ["b", "a", "c"] {
        rows.pools.insert(name.into(), Some(pool(name, 3)));
    }
    commit(store, term, &rows).await;
    let mut rows = WriteSet::default();
    rows.pools.insert("a".into(), Some(pool("a", -1)));
    rows.pools.insert("b".into(), None);
    rows.pools.insert("d".into(), Some(pool("d", 4)));
    rows.pools.insert("unknown".into(), None);
    commit(store, term, &rows).await;
    let found = store.pools().await.unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!([&found[0], &found[1], &found[2]], [&pool("a", -1), &pool("c", 3), &pool("d", 4)]);
    let mut rows = WriteSet::default();
    rows.pools.insert("a".into(), Some(pool("a", 3)));
    commit(store, term, &rows).await;
    assert_eq!(store.pools().await.unwrap()[0], pool("a", 3));
}

/// Thousands of rows in one commit, in the order in which they were made.
pub async fn large_commits_keep_the_order_of_creation(store: &dyn Store) {
    const COUNT: usize = 5_000;
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &[]);
    let run = run(1, &version);
    rows.run(&run, true);
    let instances: Vec<TaskInstance> =
        (0..COUNT).map(|i| task_instance(&run, &format!("task-{}", i * 7919 % COUNT))).collect();
    for ti in &instances {
        rows.task_instance(ti, true);
    }
    commit(store, term, &rows).await;
    let found = store.run_task_instances("d", "run-1").await.unwrap();
    assert!(found == instances);
    let mut rows = WriteSet::default();
    for ti in instances.iter().step_by(2) {
        let mut ti = ti.clone();
        ti.state = TaskState::Skipped;
        rows.task_instance(&ti, false);
    }
    commit(store, term, &rows).await;
    let found = store.run_task_instances("d", "run-1").await.unwrap();
    assert!(
        found
            .iter()
            .zip(&instances)
            .enumerate()
            .all(|(i, (found, made))| found.id == made.id && (found.state == TaskState::Skipped) == (i % 2 == 0))
    );
}
