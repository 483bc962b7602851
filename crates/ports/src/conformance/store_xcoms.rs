//! Cases for XComs and the objects that large ones are kept in.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tradewind_types::{Timestamp, WriteSet, XCom, XComObject};

use super::{commit, dag_set, lead, run, store_commit::values, task_instance, xcom};
use crate::{Page, Store, XComQuery};

/// JSON comes back equal: numbers to the last bit, every character, any depth and size.
pub async fn xcom_values_are_kept_exactly(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &["a"]);
    let run = run(1, &version);
    let ti = task_instance(&run, "a");
    rows.run(&run, true);
    rows.task_instance(&ti, true);
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let wanted: BTreeMap<String, Value> = [
        ("null", Value::Null),
        ("floats", json!([0.1 + 0.2, 5e-324, f64::MAX, -0.0, 1.0, 100.0, 1e23])),
        ("integers", json!([u64::MAX, i64::MIN, 0, 9_007_199_254_740_993_u64])),
        ("text", json!("nul \u{0} quote \" slash \\ line \n crab 🦀 e\u{301} \u{fffd}")),
        ("keys", json!({"b": 1, "a": {"": null, "\u{0}": []}})),
        ("python", json!({"__type": "datetime.datetime", "__var": 1_767_225_600.000_001})),
        ("deep", deep),
        ("large", json!("x".repeat(2_000_000))),
        ("key with ü and '\"", json!(false)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    for (key, value) in &wanted {
        rows.xcoms.push(xcom(&ti, key, value.clone()));
    }
    commit(store, term, &rows).await;
    let found = values(store, &run).await;
    for (key, value) in &wanted {
        assert!(found.get(key) == Some(value), "{key}");
    }
    assert_eq!(found.len(), wanted.len());
}

/// Whatever way the row of a large XCom goes or gets another value, its object is noted, and only then.
pub async fn objects_of_xcoms_that_go_are_noted(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &["a"]);
    let run = run(1, &version);
    let a = task_instance(&run, "a");
    rows.run(&run, true);
    rows.task_instance(&a, true);
    let far: Timestamp = "2200-01-01T00:00:00Z".parse().unwrap();
    let object = |name: &str| {
        Some(XComObject { url: format!("file:///x/{name}"), size: 5_000_000_000, sha256: "00ff".to_owned() })
    };
    let push = |rows: &mut WriteSet, key: &str, name: &str| {
        rows.xcoms.push(XCom { object: object(name), ..xcom(&a, key, serde_json::Value::Null) });
    };
    for key in ["deleted", "replaced", "inlined", "repeated", "cleared"] {
        push(&mut rows, key, key);
    }
    commit(store, term, &rows).await;
    let query = XComQuery {
        dag_id: run.dag_id.clone(),
        run_id: run.run_id.clone(),
        task_id: None,
        map_index: None,
        key: Some("deleted".to_owned()),
        include_prior: false,
    };
    let listing = store.xcoms(&query, Page::default()).await.unwrap();
    assert_eq!(listing.rows[0].object, object("deleted"));
    let dropped = async || {
        let mut urls = store.dropped_xcom_objects(far, 10).await.unwrap();
        urls.sort_unstable();
        urls
    };
    assert!(dropped().await.is_empty());
    assert!(store.is_xcom_object_named("file:///x/deleted").await.unwrap());
    let id = store.installation_id().await.unwrap();
    assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
    assert_eq!(store.installation_id().await.unwrap(), id);

    assert!(store.delete_xcom(a.id, "deleted").await.unwrap());
    let mut rows = WriteSet::default();
    push(&mut rows, "replaced", "other");
    push(&mut rows, "repeated", "repeated");
    rows.xcoms.push(xcom(&a, "inlined", json!(1)));
    commit(store, term, &rows).await;
    assert_eq!(dropped().await, ["file:///x/deleted", "file:///x/inlined", "file:///x/replaced"]);
    assert!(!store.is_xcom_object_named("file:///x/deleted").await.unwrap());

    // Cleared and written again in one commit: it is named all the same.
    let mut rows = WriteSet::default();
    rows.xcoms_cleared.push(a.id);
    push(&mut rows, "repeated", "repeated");
    commit(store, term, &rows).await;
    for url in dropped().await {
        assert_ne!(url, "file:///x/repeated");
        store.forget_dropped_xcom_object(&url).await.unwrap();
    }
    assert!(dropped().await.is_empty());
    assert!(store.is_xcom_object_named("file:///x/repeated").await.unwrap());
}

/// Clearing removes what was there before the set, not what the set writes; the last write of a key counts.
pub async fn xcoms_are_cleared_before_they_are_written(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &["a", "b"]);
    let run = run(1, &version);
    let (a, b) = (task_instance(&run, "a"), task_instance(&run, "b"));
    rows.run(&run, true);
    for ti in [&a, &b] {
        rows.task_instance(ti, true);
    }
    rows.xcoms.push(xcom(&a, "stays", json!(1)));
    rows.xcoms.push(xcom(&a, "goes", json!(1)));
    rows.xcoms.push(xcom(&b, "other", json!(1)));
    commit(store, term, &rows).await;
    let mut rows = WriteSet::default();
    rows.xcoms_cleared.extend([a.id, a.id]);
    rows.xcoms.push(xcom(&a, "stays", json!(2)));
    rows.xcoms.push(xcom(&a, "new", json!(2)));
    rows.xcoms.push(xcom(&a, "stays", json!(3)));
    commit(store, term, &rows).await;
    let expected = [("stays", json!(3)), ("new", json!(2)), ("other", json!(1))];
    assert_eq!(values(store, &run).await, expected.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
    assert!(store.delete_xcom(a.id, "stays").await.unwrap());
    assert!(!store.delete_xcom(a.id, "stays").await.unwrap());
    assert_eq!(values(store, &run).await.len(), 2);
    let mut rows = WriteSet::default();
    rows.xcoms_cleared.push(b.id);
    commit(store, term, &rows).await;
    assert_eq!(values(store, &run).await, [("new".to_owned(), json!(2))].into());
}
