//! Cases for listings.

use serde_json::json;
use tradewind_types::{DagRun, RunState, TaskState, Term, UNMAPPED, WriteSet};

use super::{at, commit, dag, dag_set, full_task_instance, lead, run, spec, task_instance, version, xcom};
use crate::{DagFilter, Page, RunFilter, Store, TaskInstanceFilter, XComQuery};

/// DAGs are listed by id; stale ones on request.
pub async fn dags_are_listed(store: &dyn Store) {
    let term = lead(store).await;
    let mut rows = WriteSet::default();
    for (name, paused, stale) in
        [("sales_b", true, false), ("sales_a", false, false), ("ops%_", false, false), ("old_sales", false, true)]
    {
        let version = version(spec(name, &["t"]), "v1", 1);
        let mut row = dag(&version);
        (row.is_paused, row.is_stale) = (paused, stale);
        rows.versions.push(version);
        rows.dags.insert(name.into(), row);
    }
    commit(store, term, &rows).await;
    let list = |pattern: Option<&str>, include_stale, paused, page| {
        let filter = DagFilter { pattern: pattern.map(str::to_owned), include_stale, paused };
        async move {
            let listing = store.dags(&filter, page).await.unwrap();
            let names: Vec<String> = listing
                .rows
                .iter()
                .map(|(dag, version)| {
                    assert_eq!(dag.dag_id, version.spec.dag_id);
                    dag.dag_id.to_string()
                })
                .collect();
            (names.join(" "), listing.total)
        }
    };
    let all = Page::default();
    let shown = |names: &str, total| (names.to_owned(), total);
    assert_eq!(list(None, false, None, all).await, shown("ops%_ sales_a sales_b", 3));
    assert_eq!(list(None, true, None, all).await, shown("old_sales ops%_ sales_a sales_b", 4));
    assert_eq!(list(Some("sales"), true, None, all).await, shown("old_sales sales_a sales_b", 3));
    // Not a LIKE pattern.
    assert_eq!(list(Some("%_"), true, None, all).await, shown("ops%_", 1));
    assert_eq!(list(Some("SALES"), true, None, all).await, shown("", 0));
    assert_eq!(list(None, false, Some(true), all).await, shown("sales_b", 1));
    assert_eq!(list(Some("sales"), false, Some(false), all).await, shown("sales_a", 1));
    let page = Page { limit: 1, offset: 1 };
    assert_eq!(list(None, false, None, page).await, shown("sales_a", 3));
}

/// Commits runs of two DAGs; `d` has logical dates out of the order of numbers.
async fn some_runs(store: &dyn Store, term: Term) -> Vec<DagRun> {
    let (mut rows, version) = dag_set("d", &["a"]);
    let (other_rows, other) = dag_set("e", &["a"]);
    rows.merge(other_rows);
    let dated = |no: u64, date: i64, state: RunState| {
        let mut run = run(no, &version);
        run.logical_date = Some(at(date));
        run.state = state;
        run.end_date = state.is_finished().then(|| at(99));
        run
    };
    let runs = vec![
        dated(1, 300, RunState::Running),
        dated(2, 100, RunState::Success),
        dated(3, 200, RunState::Failed),
        // Without logical date `run_after` counts: 4.
        run(4, &version),
        run(5, &other),
    ];
    for row in &runs {
        rows.run(row, true);
    }
    commit(store, term, &rows).await;
    runs
}

/// Runs are ordered by logical date, or `run_after` where there is none.
pub async fn runs_are_listed_newest_first(store: &dyn Store) {
    let term = lead(store).await;
    some_runs(store, term).await;
    let of_d = RunFilter { dag_id: Some("d".into()), ..RunFilter::default() };
    let list = |filter: RunFilter, page: Page| async move {
        let listing = store.runs(&filter, page).await.unwrap();
        let numbers: Vec<u64> = listing.rows.iter().map(|run| run.run_no.0).collect();
        (numbers, listing.total)
    };
    let all = Page::default();
    assert_eq!(list(of_d.clone(), all).await, (vec![1, 3, 2, 4], 4));
    assert_eq!(list(RunFilter::default(), all).await, (vec![1, 3, 2, 5, 4], 5));
    let page = Page { limit: 2, offset: 1 };
    assert_eq!(list(of_d.clone(), page).await, (vec![3, 2], 4));
    let finished = RunFilter { states: vec![RunState::Success, RunState::Failed], ..of_d.clone() };
    assert_eq!(list(finished, all).await, (vec![3, 2], 2));
    let between = RunFilter { from: Some(at(4)), to: Some(at(200)), ..of_d };
    assert_eq!(list(between, all).await, (vec![3, 2, 4], 3));
}

/// Task instances come in run order, then in the order in which they were made.
pub async fn task_instances_are_listed(store: &dyn Store) {
    let term = lead(store).await;
    let runs = some_runs(store, term).await;
    let mut rows = WriteSet::default();
    let add = |rows: &mut WriteSet, run: &DagRun, task: &str, state: TaskState| {
        let mut ti = task_instance(run, task);
        ti.state = state;
        rows.task_instance(&ti, true);
    };
    add(&mut rows, &runs[1], "z", TaskState::Scheduled);
    add(&mut rows, &runs[1], "a", TaskState::Skipped);
    add(&mut rows, &runs[0], "m", TaskState::Scheduled);
    add(&mut rows, &runs[4], "a", TaskState::NoStatus);
    commit(store, term, &rows).await;
    let list = |filter: TaskInstanceFilter| async move {
        let listing = store.task_instances(&filter, Page::default()).await.unwrap();
        assert_eq!(listing.total, listing.rows.len() as u64);
        let names: Vec<String> =
            listing.rows.iter().map(|ti| format!("{}.{}.{}", ti.dag_id, ti.run_no, ti.task_id)).collect();
        names.join(" ")
    };
    let any = TaskInstanceFilter::default;
    assert_eq!(list(any()).await, "d.1.m d.2.z d.2.a e.5.a");
    let of_dag = TaskInstanceFilter { dag_id: Some("d".into()), ..any() };
    assert_eq!(list(of_dag.clone()).await, "d.1.m d.2.z d.2.a");
    let of_run = TaskInstanceFilter { run_id: Some("run-2".into()), ..of_dag };
    assert_eq!(list(of_run.clone()).await, "d.2.z d.2.a");
    let of_task = TaskInstanceFilter { task_id: Some("a".to_owned()), ..any() };
    assert_eq!(list(of_task).await, "d.2.a e.5.a");
    let in_state = TaskInstanceFilter { states: vec![TaskState::Scheduled, TaskState::NoStatus], ..any() };
    assert_eq!(list(in_state).await, "d.1.m d.2.z e.5.a");
    assert_eq!(store.run_task_instances("d", "run-9").await.unwrap(), []);
}

fn of_run(run_id: &str) -> XComQuery {
    XComQuery {
        dag_id: "d".into(),
        run_id: run_id.into(),
        task_id: None,
        map_index: None,
        key: None,
        include_prior: false,
    }
}

/// XComs come by task, map index and key; each filter counts.
pub async fn xcoms_are_listed(store: &dyn Store) {
    let term = lead(store).await;
    let runs = some_runs(store, term).await;
    let mut rows = WriteSet::default();
    let plain = task_instance(&runs[0], "a");
    let mapped = full_task_instance(&runs[0], "a");
    let elsewhere = task_instance(&runs[1], "a");
    for ti in [&mapped, &plain, &elsewhere] {
        rows.task_instance(ti, true);
    }
    for (ti, key) in [(&mapped, "k"), (&plain, "z"), (&plain, "k"), (&elsewhere, "k")] {
        rows.xcoms.push(xcom(ti, key, json!(key)));
    }
    commit(store, term, &rows).await;
    let list = |query: XComQuery, page: Page| async move {
        let listing = store.xcoms(&query, page).await.unwrap();
        let names: Vec<String> =
            listing.rows.iter().map(|x| format!("{}{}{}", x.task_id, x.map_index, x.key)).collect();
        (names.join(" "), listing.total)
    };
    let all = Page::default();
    let shown = |names: &str, total| (names.to_owned(), total);
    assert_eq!(list(of_run("run-1"), all).await, shown("a-1k a-1z a7k", 3));
    let page = Page { limit: 1, offset: 2 };
    assert_eq!(list(of_run("run-1"), page).await, shown("a7k", 3));
    let mut query = of_run("run-1");
    query.map_index = Some(UNMAPPED);
    assert_eq!(list(query.clone(), all).await, shown("a-1k a-1z", 2));
    query.key = Some("z".to_owned());
    assert_eq!(list(query.clone(), all).await, shown("a-1z", 1));
    query.task_id = Some("b".to_owned());
    assert_eq!(list(query, all).await, shown("", 0));
    let found = store.xcoms(&of_run("run-2"), all).await.unwrap();
    assert_eq!(found.rows, [xcom(&elsewhere, "k", json!("k"))]);
}

/// With `include_prior` the latest run up to the named one wins, key by key; later runs and other DAGs never count.
pub async fn xcoms_of_earlier_runs_are_found(store: &dyn Store) {
    let term = lead(store).await;
    // By date: 4 (no logical date), 2, 3, 1.
    let runs = some_runs(store, term).await;
    let mut rows = WriteSet::default();
    let mut push = |run: &DagRun, key: &str| {
        let ti = task_instance(run, "a");
        if !rows.task_instances.contains_key(&ti.id) {
            rows.task_instance(&ti, true);
        }
        rows.xcoms.push(xcom(&ti, key, json!(run.run_no)));
    };
    push(&runs[3], "oldest");
    push(&runs[3], "both");
    push(&runs[1], "both");
    push(&runs[0], "later");
    push(&runs[0], "both");
    push(&runs[4], "other-dag");
    commit(store, term, &rows).await;
    let list = |run_id: &'static str, key: Option<&'static str>| async move {
        let query = XComQuery {
            task_id: Some("a".to_owned()),
            key: key.map(str::to_owned),
            include_prior: true,
            ..of_run(run_id)
        };
        let listing = store.xcoms(&query, Page::default()).await.unwrap();
        let found: Vec<String> = listing.rows.iter().map(|x| format!("{}={}", x.key, x.run_no)).collect();
        found.join(" ")
    };
    assert_eq!(list("run-3", None).await, "both=2 oldest=4");
    assert_eq!(list("run-1", None).await, "both=1 later=1 oldest=4");
    assert_eq!(list("run-4", None).await, "both=4 oldest=4");
    assert_eq!(list("run-3", Some("both")).await, "both=2");
    assert_eq!(list("run-3", Some("later")).await, "");
}

/// Walking through the pages meets every row once; a limit of 0 or above the cap is the cap.
pub async fn pages_cover_everything_once(store: &dyn Store) {
    const COUNT: u64 = 1_203;
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &[]);
    for no in 1..=COUNT {
        rows.run(&run(no, &version), true);
    }
    commit(store, term, &rows).await;
    let mut seen = Vec::new();
    let mut page = Page::first(250);
    loop {
        let listing = store.runs(&RunFilter::default(), page).await.unwrap();
        assert_eq!(listing.total, COUNT);
        if listing.rows.is_empty() {
            break;
        }
        seen.extend(listing.rows.iter().map(|run| run.run_no.0));
        page.offset += 250;
    }
    let expected: Vec<u64> = (1..=COUNT).rev().collect();
    assert_eq!(seen, expected);
    for limit in [0, u32::MAX] {
        let listing = store.runs(&RunFilter::default(), Page::first(limit)).await.unwrap();
        assert_eq!(listing.rows.len(), Page::MAX as usize);
    }
}
