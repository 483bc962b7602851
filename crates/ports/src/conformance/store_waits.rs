//! Cases for what runs or waits beside task instances: callbacks, questions to people, mapped instances, kept values.

use serde_json::{Value, json};
use tradewind_types::{
    Callback, CallbackKind, CallbackState, Deferral, HumanInput, LeaseToken, Resume, TaskInstance, TaskState, TiId,
    Trigger, UNMAPPED, WriteSet,
};
use uuid::Uuid;

use super::{
    at, callback, commit, dag_set, full_callback, full_human_input, human_input, lead, refuse, run, task_instance,
};
use crate::{CallbackFilter, HumanInputFilter, Page, Store, StoreError};

fn set_of(callbacks: &[Callback]) -> WriteSet {
    let mut rows = WriteSet::default();
    rows.callbacks.extend(callbacks.iter().map(|callback| (callback.id, callback.clone())));
    rows
}

async fn callbacks(store: &dyn Store, filter: CallbackFilter) -> Vec<Callback> {
    let listing = store.callbacks(&filter, Page::default()).await.unwrap();
    assert_eq!(listing.total, listing.rows.len() as u64);
    listing.rows
}

/// Callbacks come back equal through all their states, and the same set may be committed again.
pub async fn callbacks_are_kept(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &[]);
    let first = run(1, &version);
    rows.run(&first, true);
    let mut bare = callback(&first, "bare");
    let mut full = full_callback(&first, "full");
    rows.merge(set_of(&[bare.clone(), full.clone()]));
    for _ in 0..2 {
        commit(store, term, &rows).await;
    }
    assert_eq!(callbacks(store, CallbackFilter::default()).await, [full.clone(), bare.clone()]);
    for kind in [CallbackKind::DagFailure, CallbackKind::TaskFailure, CallbackKind::TaskRetry, CallbackKind::DagSuccess]
    {
        (bare.kind, full.kind) = (kind, kind);
        bare.state = CallbackState::Running;
        bare.worker = Some("w".into());
        bare.token = Some(LeaseToken(Uuid::from_u128(7)));
        full.state = CallbackState::Success;
        for _ in 0..2 {
            commit(store, term, &set_of(&[bare.clone(), full.clone()])).await;
        }
        assert_eq!(callbacks(store, CallbackFilter::default()).await, [full.clone(), bare.clone()]);
    }
    // To null and back.
    let emptied = Callback { id: full.id, ..callback(&first, "full") };
    for row in [&emptied, &full] {
        commit(store, term, &set_of(std::slice::from_ref(row))).await;
        assert_eq!(callbacks(store, CallbackFilter::default()).await[0], *row);
    }
}

/// Those that were made last come first.
pub async fn callbacks_are_listed_newest_first(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, d) = dag_set("d", &[]);
    let (more, e) = dag_set("e", &[]);
    rows.merge(more);
    let runs = [run(1, &d), run(2, &d), run(3, &e)];
    for run in &runs {
        rows.run(run, true);
    }
    let made = [callback(&runs[1], "z"), callback(&runs[0], "m"), callback(&runs[2], "a"), callback(&runs[1], "b")];
    rows.merge(set_of(&made));
    commit(store, term, &rows).await;
    // A change is no news.
    let ended = Callback { state: CallbackState::Failed, end_date: Some(at(1)), ..made[0].clone() };
    commit(store, term, &set_of(&[ended])).await;
    let list = |dag_id: Option<&str>, run_id: Option<&str>| {
        let filter = CallbackFilter { dag_id: dag_id.map(Into::into), run_id: run_id.map(Into::into) };
        async {
            let ids: Vec<TiId> = callbacks(store, filter).await.iter().map(|callback| callback.id).collect();
            ids
        }
    };
    let [z, m, a, b] = made.map(|callback| callback.id);
    assert_eq!(list(None, None).await, [b, a, m, z]);
    assert_eq!(list(Some("d"), None).await, [b, m, z]);
    assert_eq!(list(Some("d"), Some("run-2")).await, [b, z]);
    assert_eq!(list(None, Some("run-3")).await, [a]);
    assert_eq!(list(Some("e"), Some("run-2")).await, []);
    let page = store.callbacks(&CallbackFilter::default(), Page { limit: 1, offset: 2 }).await.unwrap();
    assert_eq!((page.rows[0].id, page.total), (m, 4));
}

/// One that runs is claimed, one that is over has an end; its run is known and stays the same.
pub async fn unsound_callbacks_are_refused(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &[]);
    let runs = [run(1, &version), run(2, &version)];
    for run in &runs {
        rows.run(run, true);
    }
    let good = callback(&runs[0], "good");
    rows.merge(set_of(std::slice::from_ref(&good)));
    commit(store, term, &rows).await;
    let changed = |change: fn(&mut Callback)| {
        let mut row = good.clone();
        change(&mut row);
        row
    };
    let other_run = Callback { id: good.id, ..callback(&runs[1], "x") };
    for row in [
        changed(|row| row.state = CallbackState::Running),
        changed(|row| row.state = CallbackState::Success),
        changed(|row| row.state = CallbackState::Failed),
        changed(|row| row.task = Some(("t".into(), -2, 1))),
        other_run,
    ] {
        let error = refuse(store, term, &set_of(&[callback(&runs[1], "new"), row])).await;
        assert!(matches!(error, StoreError::Broken(_)), "{error:?}");
    }
    let orphan = callback(&run(3, &version), "orphan");
    let error = refuse(store, term, &set_of(&[callback(&runs[1], "new"), orphan])).await;
    assert!(matches!(error, StoreError::Conflict(_)), "{error:?}");
    assert_eq!(callbacks(store, CallbackFilter::default()).await, [good]);
}

fn asked(inputs: &[HumanInput]) -> WriteSet {
    let mut rows = WriteSet::default();
    rows.human_inputs.extend(inputs.iter().map(|input| (input.ti, input.clone())));
    rows
}

/// A question comes back equal, answered or open; the next question of the same task instance takes its place.
pub async fn questions_are_kept(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &["a", "b"]);
    let first = run(1, &version);
    let (a, b) = (task_instance(&first, "a"), task_instance(&first, "b"));
    rows.run(&first, true);
    for ti in [&a, &b] {
        rows.task_instance(ti, true);
    }
    rows.merge(asked(&[human_input(&a), full_human_input(&b)]));
    commit(store, term, &rows).await;
    assert_eq!(store.human_input(a.id).await.unwrap(), Some(human_input(&a)));
    for input in [human_input(&b), full_human_input(&b)] {
        let mut again = input.clone();
        again.created_at = at(90);
        again.subject = "Ü?".to_owned();
        again.map_index = 0;
        for row in [again, input] {
            for _ in 0..2 {
                commit(store, term, &asked(std::slice::from_ref(&row))).await;
            }
            assert_eq!(store.human_input(b.id).await.unwrap(), Some(row));
        }
    }
    let nobody = task_instance(&run(9, &version), "a");
    assert_eq!(store.human_input(nobody.id).await.unwrap(), None);
    let error = refuse(store, term, &asked(&[human_input(&nobody)])).await;
    assert!(matches!(error, StoreError::Conflict(_)), "{error:?}");
}

/// Questions come oldest first; each condition counts.
pub async fn questions_are_listed_oldest_first(store: &dyn Store) {
    let term = lead(store).await;
    let mut rows = WriteSet::default();
    let mut inputs = Vec::new();
    for (no, dag_id, seconds, answered) in
        [(1, "d", 30, false), (2, "d", 10, true), (3, "e", 20, false), (4, "e", 5, true)]
    {
        let (dag, version) = dag_set(dag_id, &["a"]);
        rows.merge(dag);
        let run = run(no, &version);
        let ti = task_instance(&run, "a");
        rows.run(&run, true);
        rows.task_instance(&ti, true);
        let input = if answered { full_human_input(&ti) } else { human_input(&ti) };
        inputs.push(HumanInput { created_at: at(seconds), ..input });
    }
    rows.merge(asked(&inputs));
    commit(store, term, &rows).await;
    let list = |dag_id: Option<&str>, run_id: Option<&str>, answered| {
        let filter = HumanInputFilter { dag_id: dag_id.map(Into::into), run_id: run_id.map(Into::into), answered };
        async move {
            let listing = store.human_inputs(&filter, Page::default()).await.unwrap();
            assert_eq!(listing.total, listing.rows.len() as u64);
            let runs: Vec<String> = listing.rows.iter().map(|input| input.run_id.to_string()).collect();
            runs.join(" ").replace("run-", "")
        }
    };
    assert_eq!(list(None, None, None).await, "4 2 3 1");
    assert_eq!(list(None, None, Some(false)).await, "3 1");
    assert_eq!(list(None, None, Some(true)).await, "4 2");
    assert_eq!(list(Some("d"), None, None).await, "2 1");
    assert_eq!(list(Some("d"), None, Some(false)).await, "1");
    assert_eq!(list(Some("e"), Some("run-3"), None).await, "3");
    assert_eq!(list(Some("d"), Some("run-3"), None).await, "");
    let page = store.human_inputs(&HumanInputFilter::default(), Page { limit: 2, offset: 1 }).await.unwrap();
    assert_eq!((page.rows, page.total), (vec![inputs[1].clone(), inputs[2].clone()], 4));
}

/// The unexpanded instance becomes the first and the others come beside it in one set; each waits for something of its own.
pub async fn mapped_tasks_are_expanded(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &["m"]);
    let first = run(1, &version);
    let unexpanded = task_instance(&first, "m");
    rows.run(&first, true);
    rows.task_instance(&unexpanded, true);
    commit(store, term, &rows).await;
    let wait = |trigger, resume| Deferral {
        trigger,
        timeout_at: None,
        next_method: "execute".to_owned(),
        next_kwargs: Value::Null,
        resume,
    };
    let waits = [
        wait(Trigger::At { at: at(9), event: json!({"nul": "\0"}), end: Some(TaskState::Success) }, None),
        wait(Trigger::Input, Some(Resume::Event { event: json!([0.1, u64::MAX, null]) })),
        super::deferral(),
    ];
    let mut rows = WriteSet::default();
    let mut instances = Vec::new();
    for (map_index, deferral) in (0..).zip(waits) {
        let state = if deferral.trigger == Trigger::Input { TaskState::AwaitingInput } else { TaskState::Deferred };
        let ti = TaskInstance {
            id: TiId::derive(first.run_no, &"m".into(), map_index),
            map_index,
            state,
            deferral: Some(Box::new(deferral)),
            ..unexpanded.clone()
        };
        rows.task_instance(&ti, map_index > 0);
        instances.push(ti);
    }
    for _ in 0..2 {
        commit(store, term, &rows).await;
    }
    assert_eq!(unexpanded.map_index, UNMAPPED);
    assert_eq!(store.run_task_instances("d", "run-1").await.unwrap(), instances);
    // One index a task and run.
    let twin = TaskInstance { id: TiId::derive(first.run_no, &"twin".into(), 1), map_index: 1, ..unexpanded };
    let mut rows = WriteSet::default();
    rows.task_instance(&twin, true);
    let error = refuse(store, term, &rows).await;
    assert!(matches!(error, StoreError::Conflict(_)), "{error:?}");
}

/// Values are kept by scope and key, replaced, and deleted one by one or all of a scope.
pub async fn state_values_are_kept(store: &dyn Store) {
    store.migrate().await.unwrap();
    let value = |scope: &'static str, key: &'static str| async move { store.state_value(scope, key).await.unwrap() };
    let task = "task/d/run/ü%/-1";
    assert_eq!(value(task, "k").await, None);
    for (scope, key, kept) in [
        (task, "k", json!({"nul": "\0", "f": [0.1, u64::MAX, null]})),
        (task, "", Value::Null),
        (task, "'K", json!("x".repeat(2_000_000))),
        ("asset/x", "k", json!(1)),
        (task, "k", json!("second")),
        (task, "k", json!({"nul": "\0", "f": [0.2, u64::MAX, null]})),
    ] {
        for _ in 0..2 {
            store.put_state_value(scope, key, &kept).await.unwrap();
        }
        assert!(value(scope, key).await == Some(kept), "{scope} {key}");
    }
    assert_eq!(value(task, "").await, Some(Value::Null));
    assert_eq!(value("asset/x", "k").await, Some(json!(1)));
    assert_eq!(value("asset/x", "").await, None);
    assert_eq!(store.delete_state_values(task, Some("k")).await.unwrap(), 1);
    assert_eq!(store.delete_state_values(task, Some("k")).await.unwrap(), 0);
    assert_eq!(value(task, "k").await, None);
    assert_eq!(store.delete_state_values(task, None).await.unwrap(), 2);
    assert_eq!(value(task, "").await, None);
    assert_eq!(store.delete_state_values("asset", None).await.unwrap(), 0);
    assert_eq!(value("asset/x", "k").await, Some(json!(1)));
}
