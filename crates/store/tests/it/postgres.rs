//! Postgres.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use sqlx::{Executor, PgConnection};
use tokio::io::copy_bidirectional;
use tradewind_ports::{
    Page, Store, StoreError,
    conformance::{dag_set, lead, run},
};
use tradewind_store::{FullStore, StoreOptions, open};
use tradewind_types::{AuditEvent, DEFAULT_SHARD, RunState, Term, Timestamp, WriteSet};
use uuid::Uuid;

use crate::fixture::{self, Database, options};

async fn store() -> (Arc<dyn FullStore>, Database) {
    fixture::postgres().await
}

async fn migrated() -> (Arc<dyn FullStore>, Database) {
    let (store, database) = store().await;
    store.migrate().await.unwrap();
    (store, database)
}

tradewind_ports::store_conformance!(store);

mod logs {
    tradewind_ports::log_conformance!(super::migrated);
}

fn running(no: u64) -> (WriteSet, WriteSet) {
    let (mut rows, version) = dag_set("d", &[]);
    let mut row = run(no, &version);
    rows.run(&row, true);
    row.state = RunState::Running;
    let mut change = WriteSet::default();
    change.run(&row, false);
    (rows, change)
}

async fn take(store: &dyn Store) -> Option<Term> {
    let leader = store
        .acquire_lease(DEFAULT_SHARD, "taker", Uuid::from_u128(2), "http://2", Duration::from_secs(60))
        .await
        .unwrap();
    leader.map(|leader| leader.term)
}

async fn expire_lease(connection: &mut PgConnection) {
    connection.execute("UPDATE lease SET expires_at = clock_timestamp()").await.unwrap();
}

/// A leader that froze in the middle of a transaction holds its lock on the lease. The taker ends its session, whose
/// writes are undone, and leads (reliability D3).
#[tokio::test]
async fn a_frozen_leader_is_ended_by_the_taker() {
    let (store, database) = store().await;
    let old = lead(store.as_ref()).await;
    store.commit(DEFAULT_SHARD, old, &running(1).0).await.unwrap();
    let mut frozen = database.connect().await;
    frozen
        .execute(
            "UPDATE lease SET backend_pid = pg_backend_pid(),
                backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())",
        )
        .await
        .unwrap();
    frozen.execute("BEGIN").await.unwrap();
    frozen.execute("SELECT 1 FROM lease WHERE shard = 0 FOR KEY SHARE").await.unwrap();
    frozen.execute("UPDATE dag_run SET note = 'from the grave'").await.unwrap();

    let taker = open(&database.url, options()).await.unwrap();
    assert_eq!(take(taker.as_ref()).await, None);
    expire_lease(&mut database.connect().await).await;
    let before = Instant::now();
    let new = take(taker.as_ref()).await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(3), "{:?}", before.elapsed());
    assert_eq!(new, Term(old.0 + 1));
    assert!(frozen.execute("COMMIT").await.is_err());
    assert_eq!(taker.run("d", "run-1").await.unwrap().unwrap().note, None);
}

/// The lock of a session that is not the recorded holder's is left alone: the taker waits for its turn.
#[tokio::test]
async fn a_stranger_that_locks_the_lease_is_not_ended() {
    let (store, database) = store().await;
    let old = lead(store.as_ref()).await;
    let mut stranger = database.connect().await;
    expire_lease(&mut stranger).await;
    stranger.execute("BEGIN").await.unwrap();
    stranger.execute("SELECT 1 FROM lease WHERE shard = 0 FOR KEY SHARE").await.unwrap();
    let taker = open(&database.url, options()).await.unwrap();
    assert_eq!(take(taker.as_ref()).await, None);
    stranger.execute("COMMIT").await.unwrap();
    assert_eq!(take(taker.as_ref()).await, Some(Term(old.0 + 1)));
}

/// While a take-over is under way a commit under the old term waits for its outcome, and then writes nothing.
#[tokio::test]
async fn a_commit_waits_for_a_taker() {
    let (store, database) = store().await;
    let term = lead(store.as_ref()).await;
    store.commit(DEFAULT_SHARD, term, &running(1).0).await.unwrap();
    let mut taker = database.connect().await;
    taker.execute("BEGIN").await.unwrap();
    taker.execute("SELECT 1 FROM lease WHERE shard = 0 FOR UPDATE").await.unwrap();
    taker.execute("UPDATE lease SET term = term + 1, owner = 'taker'").await.unwrap();
    let mut watcher = database.connect().await;
    let change = running(1).1;
    let taking = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let before = Instant::now();
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut watcher).await.unwrap() == 0 {
            assert!(before.elapsed() < Duration::from_secs(10), "the commit did not wait");
        }
        taker.execute("COMMIT").await.unwrap();
    };
    let (committed, ()) = tokio::join!(store.commit(DEFAULT_SHARD, term, &change), taking);
    assert!(matches!(committed, Err(StoreError::StaleTerm)), "{committed:?}");
    assert_eq!(store.run("d", "run-1").await.unwrap().unwrap().state, RunState::Queued);
}

/// The lease names the session that the leader commits on, also after that connection was replaced.
#[tokio::test]
async fn the_lease_names_the_session_of_the_leader() {
    let (store, database) = store().await;
    let term = lead(store.as_ref()).await;
    let mut server = database.connect().await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity JOIN lease
        ON pid = backend_pid AND pg_stat_activity.backend_start = lease.backend_start";
    for round in 1..=3 {
        let ended: i64 = sqlx::query_scalar(end).fetch_one(&mut server).await.unwrap();
        assert_eq!(ended, 1);
        // The commit finds its connection dead and is repeated on a new one.
        store.commit(DEFAULT_SHARD, term, &running(round).0).await.unwrap();
        assert!(store.renew_lease(DEFAULT_SHARD, term, Duration::from_secs(600)).await.unwrap());
    }
}

/// A renewal waits for no commit and a commit for no renewal, but both keep a taker away.
#[tokio::test]
async fn renewals_and_commits_do_not_hold_each_other_up() {
    let (store, database) = store().await;
    let term = lead(store.as_ref()).await;
    let mut commit_under_way = database.connect().await;
    commit_under_way.execute("BEGIN").await.unwrap();
    commit_under_way.execute("SELECT 1 FROM lease WHERE shard = 0 FOR KEY SHARE").await.unwrap();
    assert!(store.renew_lease(DEFAULT_SHARD, term, Duration::from_secs(600)).await.unwrap());
    commit_under_way.execute("ROLLBACK").await.unwrap();

    let mut renewal_under_way = database.connect().await;
    renewal_under_way.execute("BEGIN").await.unwrap();
    renewal_under_way.execute("UPDATE lease SET expires_at = expires_at").await.unwrap();
    store.commit(DEFAULT_SHARD, term, &running(1).0).await.unwrap();
}

/// All connections of a store end at once, as when the server restarts: the next calls work.
#[tokio::test]
async fn it_reconnects_after_the_server_ended_its_sessions() {
    let (store, database) = store().await;
    let term = lead(store.as_ref()).await;
    store.commit(DEFAULT_SHARD, term, &running(1).0).await.unwrap();
    let mut server = database.connect().await;
    for _ in 0..5 {
        let ended: i64 = sqlx::query_scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .fetch_one(&mut server)
        .await
        .unwrap();
        assert!(ended > 0);
        store.commit(DEFAULT_SHARD, term, &running(1).1).await.unwrap();
        assert_eq!(store.run("d", "run-1").await.unwrap().unwrap().state, RunState::Running);
    }
}

/// A way to the server that can be cut.
async fn proxy(url: &str) -> (String, Arc<tokio::sync::Semaphore>, Arc<tokio::sync::Notify>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (head, rest) = url.rsplit_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    let through = format!("{head}@{}/{database}", listener.local_addr().unwrap());
    let server = server.to_owned();
    let open = Arc::new(tokio::sync::Semaphore::new(1));
    let cut = Arc::new(tokio::sync::Notify::new());
    let (gate, cutter) = (open.clone(), cut.clone());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            // Closed: the connection is accepted and nothing comes.
            let (server, gate, cutter) = (server.clone(), gate.clone(), cutter.clone());
            tokio::spawn(async move {
                let Ok(permit) = gate.acquire().await else { return };
                drop(permit);
                let Ok(mut upstream) = tokio::net::TcpStream::connect(server).await else { return };
                tokio::select! {
                    _ = copy_bidirectional(&mut client, &mut upstream) => {}
                    () = cutter.notified() => {}
                }
            });
        }
    });
    (through, open, cut)
}

/// A server that is gone is told by place, within the time that a call may take; when it is back, calls work again.
#[tokio::test]
async fn a_silent_server_is_given_up_and_found_again() {
    let database = Database::create().await;
    let (url, gate, cut) = proxy(&database.url).await;
    let short = StoreOptions {
        connect_timeout: Duration::from_millis(500),
        call_timeout: Duration::from_secs(2),
        ..StoreOptions::default()
    };
    let store = open(&url, short).await.unwrap();
    let term = lead(store.as_ref()).await;
    store.commit(DEFAULT_SHARD, term, &running(1).0).await.unwrap();
    let permit = gate.acquire().await.unwrap();
    cut.notify_waiters();
    let place = url.rsplit_once('@').unwrap().1.split('/').next().unwrap();
    let before = Instant::now();
    let committed = store.commit(DEFAULT_SHARD, term, &running(1).1).await;
    let read = store.run("d", "run-1").await;
    for error in [committed.unwrap_err(), read.unwrap_err()] {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(error.to_string().contains(place), "{error}");
    }
    assert!(before.elapsed() < Duration::from_secs(6), "{:?}", before.elapsed());
    drop(permit);
    store.commit(DEFAULT_SHARD, term, &running(1).1).await.unwrap();
    assert_eq!(store.run("d", "run-1").await.unwrap().unwrap().state, RunState::Running);
}

/// A commit whose answer is lost is repeated; its lines in the audit trail are there once.
#[tokio::test]
async fn many_cut_commits_leave_each_change_once() {
    const COMMITS: u64 = 60;
    let database = Database::create().await;
    let (url, _gate, cut) = proxy(&database.url).await;
    let store = open(&url, options()).await.unwrap();
    let term = lead(store.as_ref()).await;
    let done = AtomicU64::new(0);
    let committing = async {
        for no in 1..=COMMITS {
            let (mut rows, _) = running(no);
            rows.audit.push(AuditEvent {
                at: Timestamp::UNIX_EPOCH,
                event: format!("run-{no}"),
                by: "test".to_owned(),
                dag_id: None,
                run_id: None,
                task_id: None,
                detail: None,
            });
            store.commit(DEFAULT_SHARD, term, &rows).await.unwrap();
            done.store(no, SeqCst);
        }
    };
    // Once a commit at most, at another moment each time: before it is sent, under way, or when its answer comes.
    let cutting = async {
        let mut seen = 0;
        while seen < COMMITS {
            if done.load(SeqCst) > seen {
                seen = done.load(SeqCst);
                for _ in 0..(seen * 13) % 60 {
                    tokio::task::yield_now().await;
                }
                cut.notify_waiters();
                seen = done.load(SeqCst);
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(committing, cutting);
    let direct = open(&database.url, options()).await.unwrap();
    for no in 1..=COMMITS {
        assert!(direct.run("d", &format!("run-{no}")).await.unwrap().is_some());
    }
    let trail = direct.audit(Page::first(1_000)).await.unwrap();
    let mut events: Vec<String> = trail.rows.into_iter().map(|line| line.event).collect();
    events.sort();
    let mut expected: Vec<String> = (1..=COMMITS).map(|no| format!("run-{no}")).collect();
    expected.sort();
    assert_eq!(events, expected);
}
