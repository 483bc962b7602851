//! What the schema refuses that no row of Rust can say: half a pair, a number below zero, an unknown name.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};
use tradewind_ports::conformance::{
    asset_event, asset_source, backfill, callback, commit, dag_set, full_callback, full_task_instance, lead, run,
};
use tradewind_store::FullStore;
use tradewind_types::{AssetEvent, BackfillItem, BackfillRef, Pool, RateLimit, RunNo, WriteSet};

use crate::fixture::{self, sqlite_url};

/// One row of each kind, with every pair filled in.
async fn fill(store: &Arc<dyn FullStore>) {
    let term = lead(store.as_ref()).await;
    let (mut rows, version) = dag_set("d", &["a"]);
    let mut run = run(1, &version);
    run.backfill = Some(BackfillRef { no: 1, ordinal: 1 });
    let ti = full_task_instance(&run, "a");
    rows.backfills.insert(1, backfill(1, "d"));
    let logical_date = run.run_after;
    rows.backfill_items.push(BackfillItem {
        backfill: 1,
        ordinal: 1,
        logical_date,
        run_no: Some(RunNo(1)),
        skipped: None,
    });
    rows.run(&run, true);
    rows.task_instance(&ti, true);
    let source = Some(asset_source(&ti));
    rows.asset_events.push(AssetEvent { source, aliases: vec!["alias".to_owned()], ..asset_event(1, "x") });
    rows.consumed_events.push((RunNo(1), 1));
    let full = full_callback(&run, "full");
    rows.callbacks.insert(full.id, full);
    let pool = Pool {
        name: "p".into(),
        slots: 1,
        description: String::new(),
        include_deferred: false,
        rate: Some(RateLimit { starts: 1, per_secs: 1 }),
    };
    rows.pools.insert("p".into(), Some(pool));
    commit(store.as_ref(), term, &rows).await;
    // What is to be refused is refused for its own sake: the row takes other values.
    let mut rows = WriteSet::default();
    let bare = callback(&run, "full");
    rows.callbacks.insert(bare.id, bare);
    commit(store.as_ref(), term, &rows).await;
}

const ACCEPTED: &[&str] = &[
    "UPDATE dag_run SET backfill = NULL, backfill_ordinal = NULL",
    "UPDATE dag_run SET backfill = 1, backfill_ordinal = 2",
    "UPDATE pool SET rate_starts = 1, rate_seconds = 1 WHERE name = 'p'",
    "UPDATE callback SET task_id = 't', map_index = -1, try_number = 0",
    "UPDATE task_instance SET map_index = -1, reschedules = 0, xcom_length = 0",
];

const REFUSED: &[&str] = &[
    "UPDATE dag_run SET backfill = NULL",
    "UPDATE dag_run SET backfill_ordinal = NULL",
    "UPDATE dag_run SET backfill_ordinal = 0",
    "UPDATE dag_run SET missed_deadlines = -1",
    "UPDATE pool SET rate_starts = NULL WHERE name = 'p'",
    "UPDATE pool SET rate_seconds = NULL WHERE name = 'p'",
    "UPDATE pool SET rate_starts = 0 WHERE name = 'p'",
    "UPDATE pool SET rate_seconds = 0 WHERE name = 'p'",
    "UPDATE asset_event SET no = -1",
    "UPDATE asset_event SET source_dag_id = NULL",
    "UPDATE asset_event SET source_run_no = NULL",
    "UPDATE asset_event SET source_run_id = NULL",
    "UPDATE asset_event SET source_task_id = NULL",
    "UPDATE asset_event SET source_map_index = NULL",
    "UPDATE callback SET task_id = NULL",
    "UPDATE callback SET map_index = NULL",
    "UPDATE callback SET try_number = NULL",
    "UPDATE callback SET map_index = -2",
    "UPDATE callback SET try_number = -1",
    "UPDATE callback SET attempt = 0",
    "UPDATE callback SET kind = 'x'",
    "UPDATE callback SET state = 'x'",
    "UPDATE callback SET state = 'running'",
    "UPDATE callback SET state = 'success'",
    "UPDATE backfill SET no = -1",
    "UPDATE backfill SET reprocess = 'x'",
    "UPDATE backfill SET max_active_runs = -1",
    "UPDATE backfill SET from_date = to_date, to_date = from_date",
    "UPDATE backfill_item SET ordinal = 0",
    "UPDATE task_instance SET map_index = -2",
    "UPDATE task_instance SET reschedules = -1",
    "UPDATE task_instance SET xcom_length = -1",
    "UPDATE task_instance SET state = 'deferred', deferral = NULL",
    "UPDATE task_instance SET state = 'awaiting_input', deferral = NULL",
];

/// What names something that is not there.
const DANGLING: &[&str] = &[
    "UPDATE dag_run SET backfill = 9",
    "UPDATE backfill SET dag_id = 'e'",
    "UPDATE backfill_item SET backfill = 9",
    "UPDATE backfill_item SET run_no = 9",
    "UPDATE asset_event_alias SET event_no = 9",
    "UPDATE consumed_event SET event_no = 9",
    "UPDATE consumed_event SET run_no = 9",
    "UPDATE callback SET run_no = 9",
];

fn check(text: &str, result: Result<(), sqlx::Error>) {
    let error = result.err().unwrap_or_else(|| panic!("{text} is accepted"));
    let refused = error.as_database_error().is_some_and(|error| {
        if DANGLING.contains(&text) { error.is_foreign_key_violation() } else { error.is_check_violation() }
    });
    assert!(refused, "{text}: {error}");
}

#[tokio::test]
async fn postgres_refuses_unsound_rows() {
    let (store, database) = fixture::postgres().await;
    fill(&store).await;
    let mut connection = database.connect().await;
    for text in ACCEPTED {
        connection.execute(*text).await.unwrap();
    }
    for text in REFUSED.iter().chain(DANGLING) {
        check(text, connection.execute(AssertSqlSafe(*text)).await.map(drop));
    }
}

#[tokio::test]
async fn sqlite_refuses_unsound_rows() {
    let (store, folder) = fixture::sqlite().await;
    fill(&store).await;
    let mut connection = SqliteConnection::connect(&sqlite_url(&folder)).await.unwrap();
    for text in ACCEPTED {
        connection.execute(*text).await.unwrap();
    }
    for text in REFUSED.iter().chain(DANGLING) {
        check(text, connection.execute(AssertSqlSafe(*text)).await.map(drop));
    }
}
