use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor, Row};
use tradewind_operators::{Finished, OperatorError};
use tradewind_types::Connection;

use crate::support::{Attempt, Worker, until};

fn rows(value: Value) -> Result<Finished, OperatorError> {
    Ok(Finished::Success(Some(value)))
}

fn sql(text: &str) -> Value {
    json!({"kind": "sql", "connection": "db", "sql": text})
}

fn sqlite() -> (Worker, Attempt) {
    let attempt = Attempt::new();
    let connection = Connection {
        conn_id: "db".to_owned(),
        conn_type: "sqlite".to_owned(),
        host: Some(attempt.scratch.path().join("data.db").display().to_string()),
        ..Connection::default()
    };
    let worker = Worker::new().with(|state| {
        state.connections.insert("db".to_owned(), connection);
    });
    (worker, attempt)
}

#[tokio::test]
async fn sqlite_runs_all_statements_and_returns_the_last_rows() {
    let (worker, attempt) = sqlite();
    let text = "CREATE TABLE t (id INTEGER, name TEXT, ok BOOLEAN, weight REAL, raw BLOB);
        -- a comment; with a semicolon
        CREATE TRIGGER doubled AFTER INSERT ON t WHEN new.id = 1 BEGIN
            INSERT INTO t VALUES (2, 'by; trigger', 0, NULL, NULL); END;
        INSERT INTO t VALUES (1, 'it''s {{ ds }}', 1, 1.5, x'00ff');
        SELECT id FROM t;
        SELECT id, name, ok, weight, raw, count(*) OVER () FROM t ORDER BY id;";
    assert_eq!(
        worker.run(sql(text), &attempt).await,
        rows(json!([[1, "it's 2026-03-04", true, 1.5, "\\x00ff", 2], [2, "by; trigger", false, null, null, 2]]))
    );
    assert!(worker.lines("tradewind.sql")[0].starts_with("5 statement(s) committed"));
}

#[tokio::test]
async fn sqlite_binds_parameters_and_limits_rows() {
    let (worker, attempt) = sqlite();
    worker.run(sql("CREATE TABLE t (id INTEGER, name TEXT)"), &attempt).await.unwrap();
    let mut insert = sql("INSERT INTO t VALUES ($1, $2), (8, 'b'), (9, 'c') RETURNING id");
    insert["parameters"] = json!([7, "{{ params.limit }}'); DROP TABLE t; --"]);
    assert_eq!(worker.run(insert, &attempt).await, rows(json!([[7], [8], [9]])));
    let mut select = sql("SELECT * FROM t ORDER BY id");
    select["max_rows"] = json!(1);
    assert_eq!(worker.run(select, &attempt).await, rows(json!([[7, "10'); DROP TABLE t; --"]])));
    let mut several = sql("DELETE FROM t WHERE id = $1; DELETE FROM t");
    several["parameters"] = json!([7]);
    assert!(worker.run(several, &attempt).await.is_err());
    assert_eq!(worker.run(sql("SELECT count(*) FROM t"), &attempt).await, rows(json!([[3]])));
}

#[tokio::test]
async fn sqlite_is_all_or_nothing() {
    let (worker, attempt) = sqlite();
    worker.run(sql("CREATE TABLE t (id INTEGER)"), &attempt).await.unwrap();
    let error = worker.run(sql("INSERT INTO t VALUES (1); INSERT INTO nowhere VALUES (1)"), &attempt).await;
    assert!(error.unwrap_err().to_string().contains("nowhere"));
    let error = worker.run(sql("INSERT INTO t VALUES (1); COMMIT; SELECT 1"), &attempt).await.unwrap_err();
    assert!(error.to_string().contains("ends the transaction"), "{error}");
    let before = worker.run(sql("SELECT count(*) FROM t"), &attempt).await;
    // The text committed for itself; what came before that cannot be taken back, but the task fails and says so.
    assert_eq!(before, rows(json!([[1]])));
}

#[tokio::test]
async fn wrong_connections_are_named() {
    let (worker, attempt) = sqlite();
    let none = json!({"kind": "sql", "connection": "other", "sql": "SELECT 1"});
    assert!(worker.run(none, &attempt).await.unwrap_err().to_string().contains("\"other\""));
    let odd = Connection { conn_id: "odd".to_owned(), conn_type: "mysql".to_owned(), ..Connection::default() };
    worker.state.lock().unwrap().connections.insert("odd".to_owned(), odd);
    let odd = json!({"kind": "sql", "connection": "odd", "sql": "SELECT 1"});
    assert!(worker.run(odd, &attempt).await.unwrap_err().to_string().contains("mysql"));
}

/// A connection to a fresh schema of the test server. The server's own database is enough: every name is unique.
struct Postgres {
    worker: Worker,
    attempt: Attempt,
    url: String,
    schema: String,
}

async fn postgres() -> Postgres {
    let url = std::env::var("TRADEWIND_TEST_POSTGRES_URL")
        .expect("TRADEWIND_TEST_POSTGRES_URL is not set: run the tests with `make test`");
    let parsed = reqwest::Url::parse(&url).unwrap();
    let schema = format!("op_{}", uuid::Uuid::new_v4().simple());
    let mut admin = sqlx::PgConnection::connect(&url).await.unwrap();
    admin.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await.unwrap();
    let present = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let host = parsed.query_pairs().find(|(name, _)| name == "host").map(|(_, host)| host.into_owned());
    let connection = Connection {
        conn_id: "db".to_owned(),
        conn_type: "postgres".to_owned(),
        host: host.or_else(|| parsed.host_str().map(str::to_owned)),
        port: parsed.port(),
        schema: present(parsed.path().trim_start_matches('/')),
        login: present(parsed.username()),
        password: parsed.password().map(str::to_owned),
        extra: Some(json!({"options": format!("-c search_path={schema}")}).to_string()),
        ..Connection::default()
    };
    let worker = Worker::new().with(|state| {
        state.connections.insert("db".to_owned(), connection);
    });
    Postgres { worker, attempt: Attempt::new(), url, schema }
}

#[tokio::test]
async fn postgres_types_become_json() {
    let it = postgres().await;
    let text = "CREATE TYPE mood AS ENUM ('glad', 'sad');
        CREATE FUNCTION twice(n int) RETURNS int LANGUAGE plpgsql AS $body$ BEGIN RETURN 2 * n; END; $body$;
        CREATE TABLE t (id int, name text); /* a /* nested; */ comment */
        INSERT INTO t VALUES (1, 'a;b'), (2, E'it\\'s');
        SELECT id, twice(id), name, true, 1.5::float8, 12.50::numeric, '{\"a\": 1}'::jsonb, ARRAY[1, NULL],
            ARRAY['x y', 'z'], 'glad'::mood, NULL, '2026-01-01 00:00:00+00'::timestamptz AT TIME ZONE 'UTC',
            '\\x00ff'::bytea, 9007199254740993
        FROM t ORDER BY id;";
    let row = |id: i64, name: &str| {
        json!([id, 2 * id, name, true, 1.5, 12.5, {"a": 1}, [1, null], ["x y", "z"], "glad", null,
            "2026-01-01 00:00:00", "\\x00ff", 9_007_199_254_740_993_i64])
    };
    assert_eq!(it.worker.run(sql(text), &it.attempt).await, rows(json!([row(1, "a;b"), row(2, "it's")])));
}

#[tokio::test]
async fn postgres_parameters_are_values_and_nothing_else() {
    let it = postgres().await;
    it.worker.run(sql("CREATE TABLE t (id int, name text, extra jsonb)"), &it.attempt).await.unwrap();
    let mut insert = sql("INSERT INTO t VALUES ($1, $2, $3) RETURNING id, name, extra->'k';");
    insert["parameters"] = json!([7, "{{ ds }}'); DROP TABLE t; -- \\", {"k": [true]}]);
    assert_eq!(
        it.worker.run(insert, &it.attempt).await,
        rows(json!([[7, "2026-03-04'); DROP TABLE t; -- \\", [true]]]))
    );
    let mut several = sql("SELECT $1::int; DROP TABLE t");
    several["parameters"] = json!([1]);
    assert!(it.worker.run(several, &it.attempt).await.is_err());
    assert_eq!(it.worker.run(sql("SELECT count(*) FROM t"), &it.attempt).await, rows(json!([[1]])));
}

#[tokio::test]
async fn postgres_is_all_or_nothing() {
    let it = postgres().await;
    it.worker.run(sql("CREATE TABLE t (id int)"), &it.attempt).await.unwrap();
    let error = it.worker.run(sql("INSERT INTO t VALUES (1); SELECT 1/0"), &it.attempt).await.unwrap_err();
    assert!(error.to_string().contains("division by zero"), "{error}");
    assert_eq!(it.worker.run(sql("SELECT count(*) FROM t"), &it.attempt).await, rows(json!([[0]])));
    let error = it.worker.run(sql("INSERT INTO t VALUES (1); COMMIT"), &it.attempt).await.unwrap_err();
    assert!(error.to_string().contains("ends the transaction"), "{error}");
    let many = it.attempt.with(|ctx| ctx.xcom_max_bytes = 50);
    let error = it.worker.run(sql("INSERT INTO t SELECT generate_series(1, 100) RETURNING id"), &many).await;
    assert!(error.unwrap_err().to_string().contains("xcom.inline_max_bytes"));
    let count = it.worker.run(sql("SELECT count(*) FROM t WHERE id > 50"), &many).await;
    assert_eq!(count, rows(json!([[0]])), "a result that is too large is rolled back");
}

#[tokio::test]
async fn a_stop_cancels_the_statement_on_the_server() {
    let it = postgres().await;
    let marker = &it.schema;
    let text = format!("SELECT pg_sleep(600) /* {marker} */");
    let mut watcher = sqlx::PgConnection::connect(&it.url).await.unwrap();
    let active = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(600) /* {marker}%' AND pid <> pg_backend_pid()"
    );
    let task = it.worker.run(sql(&text), &it.attempt);
    let mut task = Box::pin(task);
    let mut seen = 0_i64;
    while seen == 0 {
        tokio::select! {
            ended = &mut task => panic!("it ended: {ended:?}"),
            row = watcher.fetch_one(AssertSqlSafe(active.clone())) => seen = row.unwrap().get(0),
        }
    }
    it.attempt.stopper.stop(std::time::Duration::from_secs(60));
    assert_eq!(task.await, Err(OperatorError::Stopped));
    let gone = std::sync::atomic::AtomicBool::new(false);
    let watch = async {
        while watcher.fetch_one(AssertSqlSafe(active.clone())).await.unwrap().get::<i64, _>(0) > 0 {}
        gone.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    tokio::join!(watch, until("the statement is gone", || gone.load(std::sync::atomic::Ordering::SeqCst)));
}
