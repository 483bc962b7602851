//! Cases for backfills.

use serde_json::json;
use tradewind_types::{Backfill, BackfillItem, BackfillRef, DEFAULT_SHARD, Reprocess, RunNo, RunType, WriteSet};

use super::{at, backfill, commit, dag_set, full_run, lead, refuse, run};
use crate::{Page, Store, StoreError};

fn set_of(backfills: &[Backfill]) -> WriteSet {
    let mut rows = WriteSet::default();
    rows.backfills.extend(backfills.iter().map(|backfill| (backfill.no, backfill.clone())));
    rows
}

/// Backfills come back equal, are changed, and are listed newest first.
pub async fn backfills_are_kept(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, _) = dag_set("d", &[]);
    rows.merge(dag_set("e", &[]).0);
    let bare = backfill(1, "d");
    let full = Backfill {
        max_active_runs: u32::MAX,
        reprocess: Reprocess::Completed,
        backwards: true,
        conf: json!({"nul": "\0", "n": [0.1, null]}),
        is_paused: true,
        completed_at: Some(at(61)),
        by: "cli:ü".to_owned(),
        ..backfill(3, "d")
    };
    let failed = Backfill { reprocess: Reprocess::Failed, ..backfill(2, "e") };
    rows.merge(set_of(&[bare.clone(), failed.clone(), full.clone()]));
    commit(store, term, &rows).await;
    let all = store.backfills(None, Page::default()).await.unwrap();
    assert_eq!(all.rows, [full.clone(), failed.clone(), bare.clone()]);
    let of_dag = store.backfills(Some("d"), Page { limit: 1, offset: 1 }).await.unwrap();
    assert_eq!((of_dag.rows, of_dag.total), (vec![bare.clone()], 2));
    assert_eq!(store.backfill(2).await.unwrap(), Some((failed, vec![])));
    assert_eq!(store.backfill(4).await.unwrap(), None);
    for changed in [Backfill { no: 1, ..full.clone() }, bare.clone()] {
        for _ in 0..2 {
            commit(store, term, &set_of(std::slice::from_ref(&changed))).await;
        }
        assert_eq!(store.backfill(1).await.unwrap(), Some((changed, vec![])));
    }
    let loaded = store.load(DEFAULT_SHARD).await.unwrap();
    assert_eq!(loaded.next_backfill_no, 4);

    // A number is never used again, and the DAG must be known.
    let error = refuse(store, term, &set_of(&[backfill(4, "d"), backfill(1, "e")])).await;
    assert!(matches!(error, StoreError::Broken(_)), "{error:?}");
    let error = refuse(store, term, &set_of(&[backfill(4, "d"), backfill(5, "unknown")])).await;
    assert!(matches!(error, StoreError::Conflict(_)), "{error:?}");
    let backward = Backfill { from: at(2), to: at(1), ..backfill(4, "d") };
    let error = refuse(store, term, &set_of(&[backward])).await;
    assert!(matches!(error, StoreError::Broken(_)), "{error:?}");
    assert_eq!(store.backfill(4).await.unwrap(), None);
    assert_eq!(store.backfill(1).await.unwrap().unwrap().0, bare);
}

/// What a backfill does about a date is said once a place, the last word counts.
pub async fn dates_of_backfills_are_replaced(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &[]);
    rows.merge(set_of(&[backfill(1, "d"), backfill(2, "d")]));
    rows.run(&run(7, &version), true);
    let item = |backfill, ordinal| BackfillItem {
        backfill,
        ordinal,
        logical_date: at(ordinal.into()),
        run_no: None,
        skipped: None,
    };
    let made = BackfillItem { run_no: Some(RunNo(7)), ..item(1, 2) };
    let skipped = BackfillItem { skipped: Some("already exists: ü".to_owned()), ..item(1, 1) };
    rows.backfill_items = vec![item(1, 2), item(2, 1), item(1, 1), skipped.clone(), item(1, 10)];
    commit(store, term, &rows).await;
    let items = |no: u64| async move { store.backfill(no).await.unwrap().unwrap().1 };
    assert_eq!(items(1).await, [skipped.clone(), item(1, 2), item(1, 10)]);
    let rows = WriteSet {
        backfill_items: vec![made.clone(), item(1, 1), BackfillItem { logical_date: at(99), ..item(1, 10) }],
        ..WriteSet::default()
    };
    for _ in 0..2 {
        commit(store, term, &rows).await;
    }
    let expected = [item(1, 1), made, BackfillItem { logical_date: at(99), ..item(1, 10) }];
    assert_eq!(items(1).await, expected);
    assert_eq!(items(2).await, [item(2, 1)]);
    // Backfill and run must be known, and places begin at 1.
    for (bad, unsound) in
        [(item(3, 1), false), (BackfillItem { run_no: Some(RunNo(8)), ..item(1, 1) }, false), (item(1, 0), true)]
    {
        let rows = WriteSet { backfill_items: vec![item(2, 2), bad], ..WriteSet::default() };
        let error = refuse(store, term, &rows).await;
        assert!(
            matches!((&error, unsound), (StoreError::Conflict(_), false) | (StoreError::Broken(_), true)),
            "{error:?}"
        );
    }
    assert_eq!(items(2).await.len(), 1);
}

/// A run keeps its place in the backfill that made it; one that is run again gets type and place, and may lose them.
pub async fn runs_name_their_backfill(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &[]);
    let plain = full_run(1, &version);
    let mut made = run(2, &version);
    made.backfill = Some(BackfillRef { no: 5, ordinal: u32::MAX });
    rows.merge(set_of(&[backfill(5, "d")]));
    rows.run(&plain, true);
    rows.run(&made, true);
    commit(store, term, &rows).await;
    assert_eq!(store.run("d", "run-2").await.unwrap(), Some(made.clone()));
    let mut again = plain.clone();
    again.run_type = RunType::Backfill;
    again.backfill = Some(BackfillRef { no: 5, ordinal: 1 });
    for row in [&again, &plain, &again] {
        let mut rows = WriteSet::default();
        rows.run(row, false);
        commit(store, term, &rows).await;
        assert_eq!(store.run("d", plain.run_id.as_str()).await.unwrap().as_ref(), Some(row));
    }
    for (backfill, unsound) in [(BackfillRef { no: 6, ordinal: 1 }, false), (BackfillRef { no: 5, ordinal: 0 }, true)] {
        made.backfill = Some(backfill);
        let mut rows = WriteSet::default();
        rows.run(&made, false);
        let error = refuse(store, term, &rows).await;
        assert!(
            matches!((&error, unsound), (StoreError::Conflict(_), false) | (StoreError::Broken(_), true)),
            "{error:?}"
        );
    }
}
