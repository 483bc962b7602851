//! Cases for the lease and the term guard.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tradewind_types::{
    AssetEvent, AuditEvent, Backfill, BackfillItem, DEFAULT_SHARD, LeaderInfo, Pool, RunState, TaskState, Term,
    WriteSet,
};
use uuid::Uuid;

use super::{
    asset, asset_event, at, backfill, callback, commit, dag_set, human_input, lead, past_try, run, task_instance, xcom,
};
use crate::{AssetEventFilter, CallbackFilter, DagFilter, Page, RunFilter, Store, StoreError, TaskInstanceFilter};

const LONG: Duration = Duration::from_secs(600);

async fn acquire(store: &dyn Store, owner: u128, ttl: Duration) -> Option<LeaderInfo> {
    store
        .acquire_lease(
            DEFAULT_SHARD,
            &format!("scheduler-{owner}"),
            Uuid::from_u128(owner),
            &format!("http://{owner}"),
            ttl,
        )
        .await
        .unwrap()
}

/// Asks until the lease is free.
async fn acquire_at_last(store: &dyn Store, owner: u128, ttl: Duration) -> LeaderInfo {
    loop {
        if let Some(leader) = acquire(store, owner, ttl).await {
            return leader;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// While one holds the lease, nobody else gets it; its holder may renew it.
pub async fn one_owner_holds_the_lease(store: &dyn Store) {
    store.migrate().await.unwrap();
    assert_eq!(store.leader(DEFAULT_SHARD).await.unwrap(), None);
    let first = acquire(store, 1, LONG).await.unwrap();
    assert_eq!(first.term, Term(1));
    assert_eq!((first.owner.as_str(), first.incarnation), ("scheduler-1", Uuid::from_u128(1)));
    assert_eq!(store.leader(DEFAULT_SHARD).await.unwrap(), Some(first.clone()));
    assert_eq!(acquire(store, 2, LONG).await, None);
    // Its holder is no exception: a new process of the same name must wait, too.
    assert_eq!(acquire(store, 1, LONG).await, None);
    assert!(store.renew_lease(DEFAULT_SHARD, first.term, 2 * LONG).await.unwrap());
    let renewed = store.leader(DEFAULT_SHARD).await.unwrap().unwrap();
    assert!(renewed.expires_at > first.expires_at);
    for wrong in [Term(0), Term(2)] {
        assert!(!store.renew_lease(DEFAULT_SHARD, wrong, LONG).await.unwrap());
    }
    assert_eq!(
        store.leader(DEFAULT_SHARD).await.unwrap().unwrap(),
        LeaderInfo { expires_at: renewed.expires_at, ..first }
    );
}

/// A standby need not wait for a lease that was given up; only the holder can give it up.
pub async fn a_released_lease_is_free_at_once(store: &dyn Store) {
    store.migrate().await.unwrap();
    let first = acquire(store, 1, LONG).await.unwrap();
    store.release_lease(DEFAULT_SHARD, Term(first.term.0 + 1)).await.unwrap();
    assert!(acquire(store, 2, LONG).await.is_none());
    store.release_lease(DEFAULT_SHARD, first.term).await.unwrap();
    assert_eq!(store.leader(DEFAULT_SHARD).await.unwrap(), None);
    assert!(!store.renew_lease(DEFAULT_SHARD, first.term, LONG).await.unwrap());
    let second = acquire(store, 2, LONG).await.unwrap();
    assert_eq!(second.term, Term(first.term.0 + 1));
    // What the former holder does late changes nothing.
    store.release_lease(DEFAULT_SHARD, first.term).await.unwrap();
    assert_eq!(store.leader(DEFAULT_SHARD).await.unwrap(), Some(second));
}

/// A lease that ran out is taken, and the term rises by one.
pub async fn an_expired_lease_is_taken_with_a_higher_term(store: &dyn Store) {
    store.migrate().await.unwrap();
    let first = acquire(store, 1, Duration::from_millis(50)).await.unwrap();
    let second = acquire_at_last(store, 2, LONG).await;
    assert_eq!(second.term, Term(first.term.0 + 1));
    assert!(!store.renew_lease(DEFAULT_SHARD, first.term, LONG).await.unwrap());
    let stale = store.commit(DEFAULT_SHARD, first.term, &dag_set("d", &[]).0).await;
    assert!(matches!(stale, Err(StoreError::StaleTerm)), "{stale:?}");
    commit(store, second.term, &dag_set("d", &[]).0).await;
}

/// Of twenty candidates at once exactly one leads, again and again.
pub async fn of_many_candidates_one_wins(store: &dyn Store) {
    store.migrate().await.unwrap();
    for round in 1..=5 {
        let candidates = (0..20).map(|owner| acquire(store, owner, LONG));
        let mut won = Vec::new();
        for candidate in join_all(candidates.collect()).await {
            won.extend(candidate);
        }
        assert_eq!(won.len(), 1, "{won:?}");
        assert_eq!(won[0].term, Term(round));
        store.release_lease(DEFAULT_SHARD, won[0].term).await.unwrap();
    }
}

/// Polls all futures to their end, on one task.
async fn join_all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    results.into_iter().flatten().collect()
}

/// Each shard has its own lease and its own terms.
pub async fn shards_are_independent(store: &dyn Store) {
    store.migrate().await.unwrap();
    let zero = acquire(store, 1, LONG).await.unwrap();
    let acquire_seven = || store.acquire_lease(7, "other", Uuid::from_u128(9), "http://9", LONG);
    let seven = acquire_seven().await.unwrap().unwrap();
    assert_eq!((zero.term, seven.term), (Term(1), Term(1)));
    assert!(acquire_seven().await.unwrap().is_none());
    store.release_lease(7, seven.term).await.unwrap();
    let stale = store.commit(7, seven.term, &WriteSet::default()).await;
    assert!(matches!(stale, Err(StoreError::StaleTerm)));
    commit(store, zero.term, &dag_set("d", &[]).0).await;
}

/// A set that inserts, changes and deletes something of every kind, on top of `first_set`.
fn every_kind() -> WriteSet {
    let (_, version) = dag_set("d", &["a", "b"]);
    let mut rows = WriteSet::default();
    rows.versions.push(super::version(version.spec.clone(), "v2", 2));
    let mut dag = super::dag(&version);
    dag.is_paused = true;
    rows.dags.insert("d".into(), dag);
    let mut old = run(1, &version);
    old.state = RunState::Running;
    rows.run(&old, false);
    rows.run(&run(2, &version), true);
    let mut ti = task_instance(&old, "a");
    ti.state = TaskState::Scheduled;
    rows.task_instance(&ti, false);
    rows.task_instance(&task_instance(&old, "b"), true);
    rows.tries.push(past_try(&ti, 1));
    rows.xcoms_cleared.push(ti.id);
    rows.xcoms.push(xcom(&ti, "new", serde_json::Value::Bool(true)));
    rows.pools.insert(
        "new".into(),
        Some(Pool { name: "new".into(), slots: 1, description: String::new(), include_deferred: false, rate: None }),
    );
    rows.pools.insert("default_pool".into(), None);
    rows.assets.insert(asset("old").key, tradewind_types::Asset { group: "new".to_owned(), ..asset("old") });
    rows.assets.insert(asset("new").key, asset("new"));
    rows.asset_aliases.push(("alias".to_owned(), asset("old").key));
    rows.asset_events.push(AssetEvent { aliases: vec!["alias".to_owned()], ..asset_event(2, "old") });
    rows.consumed_events.extend([(old.run_no, 1), (old.run_no, 2)]);
    rows.backfills.insert(1, Backfill { is_paused: true, ..backfill(1, "d") });
    rows.backfills.insert(2, backfill(2, "d"));
    let item = BackfillItem { backfill: 1, ordinal: 1, logical_date: at(1), run_no: None, skipped: None };
    rows.backfill_items.push(item);
    let mut changed = callback(&old, "old");
    changed.note = Some("changed".to_owned());
    for callback in [changed, callback(&old, "new")] {
        rows.callbacks.insert(callback.id, callback);
    }
    rows.human_inputs.insert(ti.id, human_input(&ti));
    rows.audit.push(AuditEvent {
        at: at(0),
        event: "e".to_owned(),
        by: "b".to_owned(),
        dag_id: None,
        run_id: None,
        task_id: None,
        detail: None,
    });
    rows
}

/// What `every_kind` builds on.
fn first_set() -> WriteSet {
    let (mut rows, version) = dag_set("d", &["a", "b"]);
    let old = run(1, &version);
    let ti = task_instance(&old, "a");
    rows.run(&old, true);
    rows.task_instance(&ti, true);
    rows.xcoms.push(xcom(&ti, "old", serde_json::Value::Bool(false)));
    rows.assets.insert(asset("old").key, asset("old"));
    rows.asset_events.push(asset_event(1, "old"));
    rows.backfills.insert(1, backfill(1, "d"));
    let callback = callback(&old, "old");
    rows.callbacks.insert(callback.id, callback);
    rows
}

/// Everything that `every_kind` touches, as text.
async fn everything(store: &dyn Store) -> String {
    let ti = task_instance(&run(1, &dag_set("d", &[]).1), "a").id;
    let dags = DagFilter { include_stale: true, ..DagFilter::default() };
    let page = Page::default();
    let query = crate::XComQuery {
        dag_id: "d".into(),
        run_id: "run-1".into(),
        task_id: None,
        map_index: None,
        key: None,
        include_prior: false,
    };
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        store.dags(&dags, page).await.unwrap(),
        store.dag_version("d", &"v2".into()).await.unwrap(),
        store.runs(&RunFilter::default(), page).await.unwrap(),
        store.task_instances(&TaskInstanceFilter::default(), page).await.unwrap(),
        store.tries(ti).await.unwrap(),
        store.xcoms(&query, page).await.unwrap(),
        store.pools().await.unwrap(),
        store.audit(page).await.unwrap(),
        store.assets(None, page).await.unwrap(),
        store.assets_of_alias("alias").await.unwrap(),
        store.asset_events(&AssetEventFilter::default(), page).await.unwrap(),
        store.consumed_events("d", "run-1").await.unwrap(),
        store.backfill(1).await.unwrap(),
        store.backfills(None, page).await.unwrap(),
        store.callbacks(&CallbackFilter::default(), page).await.unwrap(),
        store.human_input(ti).await.unwrap(),
    )
}

async fn writes_nothing(store: &dyn Store, stale: Term) {
    let before = everything(store).await;
    let refused = store.commit(DEFAULT_SHARD, stale, &every_kind()).await;
    assert!(matches!(refused, Err(StoreError::StaleTerm)), "{refused:?}");
    assert_eq!(everything(store).await, before);
}

/// A term that is over, or that never was, changes no row of any kind; the current one does.
pub async fn a_stale_term_writes_nothing(store: &dyn Store) {
    store.migrate().await.unwrap();
    let first = acquire(store, 1, Duration::from_millis(50)).await.unwrap();
    let second = acquire_at_last(store, 2, LONG).await;
    commit(store, second.term, &first_set()).await;
    let before = everything(store).await;
    for stale in [first.term, Term(0), Term(second.term.0 + 1)] {
        writes_nothing(store, stale).await;
    }
    commit(store, second.term, &every_kind()).await;
    assert_ne!(everything(store).await, before);
}

/// Who gave the lease up writes no more, even while nobody else has it.
pub async fn a_released_term_writes_nothing(store: &dyn Store) {
    let term = lead(store).await;
    commit(store, term, &first_set()).await;
    store.release_lease(DEFAULT_SHARD, term).await.unwrap();
    writes_nothing(store, term).await;
}

/// Leaders come and go while others commit: what a term committed was committed while it held the lease. Each commit
/// writes its term into the same row, so a commit under an old term after a take-over would be seen.
pub async fn takers_and_commits_exclude_each_other(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &[]);
    rows.run(&run(1, &version), true);
    commit(store, term, &rows).await;
    store.release_lease(DEFAULT_SHARD, term).await.unwrap();
    let over = AtomicBool::new(false);
    let write = |term: Term| {
        let mut rows = WriteSet::default();
        let mut row = run(1, &version);
        row.clear_number = u32::try_from(term.0).unwrap();
        rows.run(&row, false);
        rows
    };
    let leading = async {
        for owner in 0..30 {
            let leader = acquire_at_last(store, owner, Duration::from_millis(3)).await;
            commit_or_stale(store, leader.term, &write(leader.term)).await;
        }
        over.store(true, Ordering::SeqCst);
    };
    let zombie = async {
        let mut highest = Term(0);
        while !over.load(Ordering::SeqCst) {
            if let Some(leader) = store.leader(DEFAULT_SHARD).await.unwrap() {
                highest = leader.term;
            }
            commit_or_stale(store, highest, &write(highest)).await;
        }
    };
    let watching = async {
        let mut seen = 0;
        while !over.load(Ordering::SeqCst) {
            let row = store.run("d", "run-1").await.unwrap().unwrap();
            assert!(row.clear_number >= seen, "an old term wrote after a new one");
            seen = row.clear_number;
        }
    };
    tokio::join!(leading, zombie, watching);
}

async fn commit_or_stale(store: &dyn Store, term: Term, rows: &WriteSet) {
    match store.commit(DEFAULT_SHARD, term, rows).await {
        Ok(()) | Err(StoreError::StaleTerm) => {}
        Err(error) => panic!("{error}"),
    }
}
