//! Cases for what is not written by the leader.

use tradewind_types::{
    AuditEvent, BlobHash, Bundle, BundleFile, Connection, DEFAULT_POOL, DEFAULT_POOL_SLOTS, ImportError, RunNo, TiId,
    UNMAPPED, Variable, sha256_hex,
};

use super::{at, lead};
use crate::{Page, Store, StoreError};

/// Migrations run once, from several processes at once too.
pub async fn migrating_makes_the_schema_ready(store: &dyn Store) {
    let before = store.schema_status().await.unwrap();
    assert!(!before.is_ready() && before.applied.is_empty());
    let (a, b) = tokio::join!(store.migrate(), store.migrate());
    assert!(a.unwrap().is_ready() && b.unwrap().is_ready());
    let after = store.schema_status().await.unwrap();
    assert_eq!(after.applied, before.pending);
    assert_eq!(store.migrate().await.unwrap(), after);
}

/// The pool that every installation has is there from the beginning.
pub async fn a_new_store_has_the_default_pool(store: &dyn Store) {
    store.migrate().await.unwrap();
    let pools = store.pools().await.unwrap();
    assert_eq!(pools.len(), 1);
    assert_eq!(pools[0].name.as_str(), DEFAULT_POOL);
    assert_eq!(pools[0].slots, DEFAULT_POOL_SLOTS);
}

/// Variables are inserted, replaced, listed by key and deleted.
pub async fn variables_are_kept(store: &dyn Store) {
    store.migrate().await.unwrap();
    assert!(store.variable("a").await.unwrap().is_none());
    for (key, value) in [("b", "1"), ("a", "gAAAA…ü"), ("b", "2")] {
        let variable = Variable {
            key: key.to_owned(),
            value: value.to_owned(),
            description: (value == "2").then(|| "two".to_owned()),
        };
        store.put_variable(&variable).await.unwrap();
    }
    let all = store.variables(Page::default()).await.unwrap();
    let shown: Vec<_> = all.rows.iter().map(|v| (v.key.as_str(), v.value.as_str(), v.description.as_deref())).collect();
    assert_eq!(shown, [("a", "gAAAA…ü", None), ("b", "2", Some("two"))]);
    assert_eq!(all.total, 2);
    assert!(store.delete_variable("a").await.unwrap());
    assert!(!store.delete_variable("a").await.unwrap());
    assert!(store.variable("a").await.unwrap().is_none());
    assert_eq!(store.variable("b").await.unwrap().unwrap().value, "2");
}

/// Connections keep every field.
pub async fn connections_are_kept(store: &dyn Store) {
    store.migrate().await.unwrap();
    let full = Connection {
        conn_id: "warehouse".to_owned(),
        conn_type: "postgres".to_owned(),
        description: Some("d".to_owned()),
        host: Some("h".to_owned()),
        schema: Some("s".to_owned()),
        login: Some("l".to_owned()),
        password: Some("gAAAA".to_owned()),
        port: Some(65_535),
        extra: Some("{}".to_owned()),
    };
    let bare = Connection { conn_id: "a".to_owned(), conn_type: "http".to_owned(), ..Connection::default() };
    store.put_connection(&bare).await.unwrap();
    store.put_connection(&full).await.unwrap();
    assert!(store.connection("warehouse").await.unwrap().unwrap() == full);
    let all = store.connections(Page::first(1)).await.unwrap();
    assert!(all.total == 2 && all.rows == [bare.clone()]);
    let changed = Connection { conn_id: "warehouse".to_owned(), ..bare };
    store.put_connection(&changed).await.unwrap();
    assert!(store.connection("warehouse").await.unwrap().unwrap() == changed);
    assert!(store.delete_connection("warehouse").await.unwrap());
    assert!(!store.delete_connection("warehouse").await.unwrap());
    assert!(store.connection("warehouse").await.unwrap().is_none());
}

/// A file's errors are replaced as a whole; other files keep theirs.
pub async fn import_errors_are_replaced_by_file(store: &dyn Store) {
    store.migrate().await.unwrap();
    let error = |rel_path: &str, message: &str| ImportError {
        rel_path: rel_path.to_owned(),
        message: message.to_owned(),
        line: Some(3),
        column: None,
        traceback: Some("Traceback…".to_owned()),
        at: at(5),
    };
    let first = [error("b.py", "z"), error("b.py", "a")];
    store.set_import_errors("b.py", &first).await.unwrap();
    store.set_import_errors("a.py", &[error("a.py", "x")]).await.unwrap();
    let all = store.import_errors(Page::default()).await.unwrap();
    assert_eq!(all.rows, [error("a.py", "x"), error("b.py", "z"), error("b.py", "a")]);
    store.set_import_errors("b.py", &[]).await.unwrap();
    let all = store.import_errors(Page::default()).await.unwrap();
    assert_eq!((all.rows, all.total), (vec![error("a.py", "x")], 1));
}

/// Blobs are kept by hash; a bundle needs all of its blobs.
pub async fn blobs_and_bundles_are_kept(store: &dyn Store) {
    store.migrate().await.unwrap();
    let blob = |bytes: &[u8]| (BlobHash::from(sha256_hex(bytes)), bytes.to_vec());
    let large = blob(&vec![7; 3_000_000]);
    let empty = blob(b"");
    let other = blob(b"\0\xff binary");
    let hashes: Vec<_> = [&large, &empty, &other].map(|b| b.0.clone()).to_vec();
    assert_eq!(store.missing_blobs(&hashes).await.unwrap(), hashes);
    store.put_blobs(&[large.clone(), empty.clone()]).await.unwrap();
    assert_eq!(store.missing_blobs(&hashes).await.unwrap(), hashes[2..]);
    let bundle = Bundle::new(
        [&large, &other]
            .into_iter()
            .enumerate()
            .map(|(i, (hash, bytes))| BundleFile {
                path: format!("dags/{i}.py"),
                blob: hash.clone(),
                size: bytes.len() as u64,
                executable: i == 1,
            })
            .collect(),
    );
    let refused = store.put_bundle(&bundle).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    store.put_blobs(&[large.clone(), other.clone()]).await.unwrap();
    store.put_bundle(&bundle).await.unwrap();
    store.put_bundle(&bundle).await.unwrap();
    assert_eq!(store.bundle(&bundle.hash).await.unwrap(), Some(bundle));
    assert_eq!(store.bundle(&"none".into()).await.unwrap(), None);
    for (hash, bytes) in [large, empty, other] {
        assert!(store.blob(&hash).await.unwrap() == Some(bytes));
    }
    assert_eq!(store.blob(&"none".into()).await.unwrap(), None);
}

/// Only the last attempt's fields are kept.
pub async fn rendered_fields_are_replaced(store: &dyn Store) {
    store.migrate().await.unwrap();
    let ti = TiId::derive(RunNo(1), &"t".into(), UNMAPPED);
    assert_eq!(store.rendered(ti).await.unwrap(), None);
    for fields in [
        serde_json::json!({"bash_command": "echo 1"}),
        serde_json::json!({"bash_command": "echo \u{0} ü", "env": null}),
    ] {
        store.put_rendered(ti, &fields).await.unwrap();
        assert_eq!(store.rendered(ti).await.unwrap(), Some(fields));
    }
}

/// Lines come newest first, whether the leader or somebody else wrote them.
pub async fn the_audit_trail_is_newest_first(store: &dyn Store) {
    let term = lead(store).await;
    let line = |n: i64, full: bool| AuditEvent {
        at: at(n),
        event: format!("event-{n}"),
        by: "somebody".to_owned(),
        dag_id: full.then(|| "d".into()),
        run_id: full.then(|| "r".into()),
        task_id: full.then(|| "t".into()),
        detail: full.then(|| "more".to_owned()),
    };
    store.put_audit(&line(1, true)).await.unwrap();
    let mut rows = tradewind_types::WriteSet::default();
    rows.audit.push(line(2, false));
    rows.audit.push(line(3, true));
    super::commit(store, term, &rows).await;
    store.put_audit(&line(4, false)).await.unwrap();
    let all = store.audit(Page::default()).await.unwrap();
    assert_eq!(all.total, 4);
    assert_eq!(all.rows, [line(4, false), line(3, true), line(2, false), line(1, true)]);
}

/// A ping takes some time.
pub async fn ping_answers(store: &dyn Store) {
    assert!(!store.ping().await.unwrap().is_zero());
}
