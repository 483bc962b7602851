//! What a Python task says of its outlets, as asset events: the rules of Airflow's `register_asset_changes_in_db`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value};
use tradewind_types::{AssetKey, OutletEvent};

/// An outlet of a task, as the SDK names it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Outlet {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    uri: Option<String>,
    #[serde(rename = "type")]
    kind: String,
}

/// What a task recorded for an outlet.
#[derive(Clone, Debug, Deserialize)]
struct Recorded {
    dest_asset_key: AssetKey,
    #[serde(default)]
    extra: Value,
    #[serde(default)]
    dest_asset_extra: Value,
    #[serde(default)]
    source_alias_name: Option<String>,
}

/// Finds assets by half of their key.
#[async_trait]
pub(crate) trait FindAsset: Send + Sync {
    /// The asset of this name or URI; none when no DAG names one. An error says why it could not be looked up.
    async fn find(&self, name: Option<&str>, uri: Option<&str>) -> Result<Option<AssetKey>, String>;
}

/// The events of a task that succeeded, and the outlets that are no assets.
///
/// # Errors
/// An outlet could not be looked up.
pub(crate) async fn events(
    task_outlets: &Value,
    outlet_events: &Value,
    find: &dyn FindAsset,
) -> Result<(Vec<OutletEvent>, Vec<String>), String> {
    let outlets: Vec<Outlet> = parsed(task_outlets);
    let recorded: Vec<Recorded> = parsed(outlet_events);
    let mut events = Vec::new();
    let mut unknown = Vec::new();
    let mut seen: Vec<&Outlet> = Vec::new();
    for outlet in &outlets {
        if seen.contains(&outlet) {
            continue;
        }
        seen.push(outlet);
        let key = match (outlet.kind.as_str(), filled(&outlet.name), filled(&outlet.uri)) {
            ("Asset", Some(name), Some(uri)) => Some(AssetKey { name: name.to_owned(), uri: uri.to_owned() }),
            ("AssetNameRef", Some(name), _) => {
                let found = find.find(Some(name), None).await?;
                if found.is_none() {
                    unknown.push(format!("Asset.ref(name={name})"));
                }
                found
            }
            ("AssetUriRef", _, Some(uri)) => {
                let found = find.find(None, Some(uri)).await?;
                if found.is_none() {
                    unknown.push(format!("Asset.ref(uri={uri})"));
                }
                found
            }
            _ => None,
        };
        if let Some(key) = key {
            events.extend(of_asset(key, &recorded));
        }
    }
    let aliases: Vec<&str> =
        outlets.iter().filter(|outlet| outlet.kind == "AssetAlias").filter_map(|outlet| filled(&outlet.name)).collect();
    events.extend(through_aliases(&aliases, &recorded));
    Ok((events, unknown))
}

fn parsed<T: serde::de::DeserializeOwned>(list: &Value) -> Vec<T> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| T::deserialize(item).ok()).collect()
}

fn filled(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn object(value: &Value) -> Value {
    if value.is_object() { value.clone() } else { Value::Object(Map::new()) }
}

/// One event for each that the task recorded of the asset, at least one.
fn of_asset(asset: AssetKey, recorded: &[Recorded]) -> Vec<OutletEvent> {
    let own: Vec<&Recorded> =
        recorded.iter().filter(|event| event.source_alias_name.is_none() && event.dest_asset_key == asset).collect();
    let event = |extra: Value| OutletEvent { asset: asset.clone(), extra, aliases: Vec::new() };
    if own.is_empty() {
        return vec![event(Value::Object(Map::new()))];
    }
    own.into_iter().map(|recorded| event(object(&recorded.extra))).collect()
}

/// One event for each asset and extra that came through the task's aliases, with all of these.
fn through_aliases(aliases: &[&str], recorded: &[Recorded]) -> Vec<OutletEvent> {
    let mut order = Vec::new();
    let mut events: BTreeMap<(String, String, String, String), OutletEvent> = BTreeMap::new();
    for event in recorded {
        let Some(alias) = event.source_alias_name.as_deref().filter(|alias| aliases.contains(alias)) else {
            continue;
        };
        let asset = &event.dest_asset_key;
        // JSON objects keep their keys in order, so that equal ones have equal texts.
        let id = (asset.name.clone(), asset.uri.clone(), event.dest_asset_extra.to_string(), event.extra.to_string());
        let entry = events.entry(id.clone()).or_insert_with(|| {
            order.push(id);
            OutletEvent { asset: asset.clone(), extra: object(&event.extra), aliases: Vec::new() }
        });
        if !entry.aliases.iter().any(|known| known == alias) {
            entry.aliases.push(alias.to_owned());
        }
    }
    order.into_iter().filter_map(|id| events.remove(&id)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Knows `known` with the URI `s3://known`.
    struct Known;

    #[async_trait]
    impl FindAsset for Known {
        async fn find(&self, name: Option<&str>, uri: Option<&str>) -> Result<Option<AssetKey>, String> {
            Ok((name == Some("known") || uri == Some("s3://known")).then(|| key("known")))
        }
    }

    fn key(name: &str) -> AssetKey {
        AssetKey { name: name.to_owned(), uri: format!("s3://{name}") }
    }

    fn asset(name: &str) -> Value {
        json!({"name": name, "uri": format!("s3://{name}"), "type": "Asset"})
    }

    fn recorded(name: &str, extra: Value) -> Value {
        json!({"dest_asset_key": {"name": name, "uri": format!("s3://{name}")}, "extra": extra})
    }

    fn aliased(alias: &str, name: &str, extra: Value) -> Value {
        let mut event = recorded(name, extra);
        event["source_alias_name"] = alias.into();
        event["dest_asset_extra"] = json!({});
        event
    }

    async fn of(outlets: Value, recorded: Value) -> Vec<(String, Value, Vec<String>)> {
        let (events, _) = events(&outlets, &recorded, &Known).await.unwrap();
        events.into_iter().map(|event| (event.asset.name, event.extra, event.aliases)).collect()
    }

    fn event(name: &str, extra: Value, aliases: &[&str]) -> (String, Value, Vec<String>) {
        (name.to_owned(), extra, aliases.iter().map(|alias| (*alias).to_owned()).collect())
    }

    #[tokio::test]
    async fn every_outlet_gives_an_event_once() {
        let both = of(json!([asset("a"), asset("b"), asset("a")]), json!([recorded("b", json!({"rows": 3}))])).await;
        assert_eq!(both, [event("a", json!({}), &[]), event("b", json!({"rows": 3}), &[])]);
    }

    #[tokio::test]
    async fn several_records_of_one_asset_are_several_events() {
        let two =
            of(json!([asset("a")]), json!([recorded("a", json!({"n": 1})), recorded("a", json!({"n": 2}))])).await;
        assert_eq!(two, [event("a", json!({"n": 1}), &[]), event("a", json!({"n": 2}), &[])]);
    }

    #[tokio::test]
    async fn what_is_recorded_of_something_else_counts_for_nothing() {
        assert_eq!(of(json!([asset("a")]), json!([recorded("other", json!({}))])).await, [event("a", json!({}), &[])]);
        assert_eq!(of(json!([]), json!([recorded("other", json!({}))])).await, []);
        assert_eq!(of(Value::Null, Value::Null).await, []);
    }

    #[tokio::test]
    async fn references_are_looked_up() {
        let outlets = json!([{"name": "known", "type": "AssetNameRef"}, {"uri": "s3://known", "type": "AssetUriRef"}]);
        let records = json!([recorded("known", json!({"n": 1}))]);
        let known = || event("known", json!({"n": 1}), &[]);
        assert_eq!(of(outlets, records).await, [known(), known()], "each reference gives its own event, as in Airflow");
        let outlets = json!([{"name": "no", "type": "AssetNameRef"}, {"uri": "s3://no", "type": "AssetUriRef"}]);
        let (events, unknown) = events(&outlets, &Value::Null, &Known).await.unwrap();
        assert!(events.is_empty());
        assert_eq!(unknown, ["Asset.ref(name=no)", "Asset.ref(uri=s3://no)"]);
    }

    #[tokio::test]
    async fn events_through_aliases_are_joined_by_asset_and_extra() {
        let outlets = json!([{"name": "x", "type": "AssetAlias"}, {"name": "y", "type": "AssetAlias"}]);
        let records = json!([
            aliased("x", "a", json!({"n": 1})),
            aliased("y", "a", json!({"n": 1})),
            aliased("y", "a", json!({"n": 2})),
            aliased("stranger", "a", json!({"n": 1})),
            aliased("x", "b", json!({})),
        ]);
        assert_eq!(
            of(outlets, records).await,
            [
                event("a", json!({"n": 1}), &["x", "y"]),
                event("a", json!({"n": 2}), &["y"]),
                event("b", json!({}), &["x"])
            ]
        );
        let none = of(json!([{"name": "x", "type": "AssetAlias"}]), json!([])).await;
        assert_eq!(none, [], "an alias alone is no asset");
    }
}
