//! Cases for assets, their aliases and their events.

use serde_json::json;
use tradewind_types::{AssetEvent, AssetKey, DEFAULT_SHARD, RunNo, Term, WriteSet};

use super::{
    asset, asset_event, asset_source, at, commit, dag_set, full_task_instance, lead, refuse, run, task_instance,
};
use crate::{AssetEventFilter, Page, Store, StoreError};

/// Assets of any name come back equal; the last word on an asset counts; listings are by name and find parts of names and
/// URIs.
pub async fn assets_are_kept(store: &dyn Store) {
    let term = lead(store).await;
    let mut full = asset("ä%_'\"\\");
    full.group = "ü".to_owned();
    full.extra = json!({"nul": "\0", "n": [u64::MAX, 0.1, null]});
    // Longer than an index takes, and hard to compress.
    let digits: String = (0..900_u64).map(|i| format!("{:x}é", i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)).collect();
    let long = asset(&digits);
    let mut same_name = asset("orders");
    same_name.key.uri = "file:///ORDERS".to_owned();
    let mut rows = WriteSet::default();
    for one in [asset("orders"), long.clone(), full.clone(), same_name.clone()] {
        rows.assets.insert(one.key.clone(), one);
    }
    commit(store, term, &rows).await;
    let mut changed = asset("orders");
    changed.group = "sales".to_owned();
    changed.extra = json!(null);
    let mut nul = asset("a\0b");
    let mut rows = WriteSet::default();
    for one in [&changed, &nul] {
        rows.assets.insert(one.key.clone(), one.clone());
    }
    for _ in 0..2 {
        commit(store, term, &rows).await;
    }
    (nul.key.name, nul.key.uri) = ("a\u{fffd}b".to_owned(), "s3://a\u{fffd}b".to_owned());
    let mut all = store.assets(None, Page::default()).await.unwrap();
    assert_eq!(all.total, 5);
    // Databases differ in how they order letters beyond ASCII.
    all.rows.sort_by(|a, b| a.key.cmp(&b.key));
    let mut expected = vec![same_name.clone(), changed.clone(), long, full.clone(), nul];
    expected.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(all.rows, expected);
    let found = store.assets(Some("rders"), Page::default()).await.unwrap();
    assert_eq!(found.rows, [same_name.clone(), changed]);
    let page = Page { limit: 1, offset: 1 };
    assert_eq!(store.assets(Some("rders"), page).await.unwrap().total, 2);
    assert_eq!(store.assets(Some("ORD"), Page::default()).await.unwrap().rows, [same_name]);
    // Not a LIKE pattern.
    assert_eq!(store.assets(Some("%_"), Page::default()).await.unwrap().rows, [full]);
}

/// An alias finds every asset that its events were attached to, once, by name.
pub async fn aliases_find_their_assets(store: &dyn Store) {
    let term = lead(store).await;
    let mut rows = WriteSet::default();
    for name in ["a", "b", "c"] {
        rows.assets.insert(asset(name).key, asset(name));
    }
    let pair = |alias: &str, name: &str| (alias.to_owned(), asset(name).key);
    rows.asset_aliases = vec![pair("one", "b"), pair("one", "a"), pair("one", "b"), pair("two", "c")];
    commit(store, term, &rows).await;
    let rows = WriteSet {
        asset_aliases: vec![pair("two", "a"), pair("two", "c"), pair("two", "unknown")],
        ..WriteSet::default()
    };
    for _ in 0..2 {
        commit(store, term, &rows).await;
    }
    assert_eq!(store.assets_of_alias("one").await.unwrap(), [asset("a"), asset("b")]);
    assert_eq!(store.assets_of_alias("two").await.unwrap(), [asset("a"), asset("c")]);
    assert_eq!(store.assets_of_alias("ONE").await.unwrap(), []);
    let loaded = store.load(DEFAULT_SHARD).await.unwrap();
    assert_eq!(loaded.assets, [asset("a"), asset("b"), asset("c")]);
    let expected = [pair("one", "a"), pair("one", "b"), pair("two", "a"), pair("two", "c"), pair("two", "unknown")];
    assert_eq!(loaded.asset_aliases, expected);
}

async fn numbers(store: &dyn Store, filter: AssetEventFilter) -> Vec<u64> {
    let listing = store.asset_events(&filter, Page::default()).await.unwrap();
    assert_eq!(listing.total, listing.rows.len() as u64);
    listing.rows.iter().map(|event| event.no).collect()
}

/// Two runs of `d` whose instances of `a` and `b` updated assets, and an event that a person made:
/// 1: x by a in run 1, through `one` and `two`; 2: y by b in run 1; 3: x by a in run 2, through `two`; 4: x by nobody,
/// of an earlier moment than 3.
async fn some_events(store: &dyn Store) -> (Term, Vec<AssetEvent>) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &["a", "b"]);
    let runs = [run(1, &version), run(2, &version)];
    for run in &runs {
        rows.run(run, true);
    }
    let made = |no, name: &str, run: usize, task: &str, aliases: &[&str]| AssetEvent {
        source: Some(asset_source(&task_instance(&runs[run], task))),
        aliases: aliases.iter().map(ToString::to_string).collect(),
        ..asset_event(no, name)
    };
    let mut by_hand = asset_event(4, "x");
    by_hand.at = at(2);
    let events = vec![
        made(1, "x", 0, "a", &["one", "two"]),
        made(2, "y", 0, "b", &[]),
        made(3, "x", 1, "a", &["two", "two"]),
        by_hand,
    ];
    rows.asset_events.extend(events.clone());
    for name in ["x", "y"] {
        rows.assets.insert(asset(name).key, asset(name));
    }
    commit(store, term, &rows).await;
    (term, events)
}

/// Events come newest first, those of one moment by number; each condition counts.
pub async fn asset_events_are_listed(store: &dyn Store) {
    let (_, events) = some_events(store).await;
    let all = store.asset_events(&AssetEventFilter::default(), Page::default()).await.unwrap();
    let newest_first = [&events[2], &events[3], &events[1], &events[0]];
    assert_eq!(all.rows.iter().collect::<Vec<_>>(), newest_first);
    let any = AssetEventFilter::default;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(numbers(store, AssetEventFilter { ascending: true, ..any() }).await, [1, 2, 4, 3]);
    assert_eq!(numbers(store, AssetEventFilter { name: text("x"), ..any() }).await, [3, 4, 1]);
    assert_eq!(numbers(store, AssetEventFilter { name: text("X"), ..any() }).await, [0; 0]);
    assert_eq!(numbers(store, AssetEventFilter { uri: text("s3://y"), ..any() }).await, [2]);
    let both = AssetEventFilter { name: text("x"), uri: text("s3://y"), ..any() };
    assert_eq!(numbers(store, both).await, [0; 0]);
    assert_eq!(numbers(store, AssetEventFilter { alias: text("two"), ..any() }).await, [3, 1]);
    assert_eq!(numbers(store, AssetEventFilter { alias: text("one"), ..any() }).await, [1]);
    let oldest_first = AssetEventFilter { alias: text("two"), ascending: true, ..any() };
    assert_eq!(numbers(store, oldest_first.clone()).await, [1, 3]);
    assert_eq!(numbers(store, AssetEventFilter { after: Some(at(2)), ..oldest_first }).await, [3]);
    let of_dag = AssetEventFilter { source_dag_id: Some("d".into()), ..any() };
    assert_eq!(numbers(store, of_dag.clone()).await, [3, 2, 1]);
    assert_eq!(numbers(store, AssetEventFilter { source_dag_id: Some("e".into()), ..any() }).await, [0; 0]);
    let of_run = AssetEventFilter { source_run_id: Some("run-1".into()), ..of_dag.clone() };
    assert_eq!(numbers(store, of_run.clone()).await, [2, 1]);
    assert_eq!(numbers(store, AssetEventFilter { source_task_id: text("a"), ..of_run }).await, [1]);
    assert_eq!(numbers(store, AssetEventFilter { source_task_id: text("a"), ..of_dag }).await, [3, 1]);
    assert_eq!(numbers(store, AssetEventFilter { after: Some(at(2)), ..any() }).await, [3, 4, 2]);
    assert_eq!(numbers(store, AssetEventFilter { before: Some(at(2)), ..any() }).await, [1]);
    let page = Page { limit: 1, offset: 1 };
    let listing = store.asset_events(&any(), page).await.unwrap();
    assert_eq!((listing.rows[0].no, listing.total), (4, 4));
}

/// Events come back equal, and the same number again changes nothing.
pub async fn asset_events_are_appended(store: &dyn Store) {
    let term = lead(store).await;
    let (mut rows, version) = dag_set("d", &["a"]);
    let first = run(1, &version);
    let ti = full_task_instance(&first, "a");
    rows.run(&first, true);
    let full = AssetEvent {
        extra: json!({"nul": "\0", "f": 0.1}),
        source: Some(asset_source(&ti)),
        aliases: vec!["z\0".to_owned(), "ä".to_owned(), "z\0".to_owned()],
        asset: AssetKey { name: "ü".to_owned(), uri: String::new() },
        ..asset_event(7, "x")
    };
    // What a set names twice is there once.
    rows.asset_events.extend([full.clone(), full.clone(), asset_event(9, "x")]);
    commit(store, term, &rows).await;
    let mut rows = WriteSet::default();
    let other = AssetEvent { no: 7, extra: json!(1), aliases: vec!["other".to_owned()], ..asset_event(1, "other") };
    rows.asset_events.extend([other, asset_event(8, "x")]);
    for _ in 0..2 {
        commit(store, term, &rows).await;
    }
    let found = store.asset_events(&AssetEventFilter::default(), Page::default()).await.unwrap();
    assert_eq!(found.rows, [asset_event(9, "x"), asset_event(8, "x"), full]);
    for (alias, expected) in [("other", &[][..]), ("ä", &[7])] {
        let filter = AssetEventFilter { alias: Some(alias.to_owned()), ..AssetEventFilter::default() };
        assert_eq!(numbers(store, filter).await, expected);
    }
    assert_eq!(store.load(DEFAULT_SHARD).await.unwrap().next_event_no, 10);
}

/// What a run consumed is there once, by number, and both must be known.
pub async fn consumed_events_are_kept(store: &dyn Store) {
    let (term, events) = some_events(store).await;
    let rows = WriteSet {
        consumed_events: vec![(RunNo(1), 4), (RunNo(1), 2), (RunNo(1), 4), (RunNo(2), 4)],
        ..WriteSet::default()
    };
    for _ in 0..2 {
        commit(store, term, &rows).await;
    }
    assert_eq!(store.consumed_events("d", "run-1").await.unwrap(), [events[1].clone(), events[3].clone()]);
    assert_eq!(store.consumed_events("d", "run-2").await.unwrap(), [events[3].clone()]);
    assert_eq!(store.consumed_events("d", "run-3").await.unwrap(), []);
    assert_eq!(store.consumed_events("e", "run-1").await.unwrap(), []);
    for unknown in [(RunNo(3), 1), (RunNo(2), 5)] {
        let rows = WriteSet { consumed_events: vec![(RunNo(2), 1), unknown], ..WriteSet::default() };
        let error = refuse(store, term, &rows).await;
        assert!(matches!(error, StoreError::Conflict(_)), "{error:?}");
    }
    assert_eq!(store.consumed_events("d", "run-2").await.unwrap().len(), 1);
}
