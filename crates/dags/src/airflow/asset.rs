//! Assets as DAGs and tasks name them (`encode_asset_like` of `airflow/serialization/encoders.py`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tradewind_types::{Asset, AssetCondition, AssetKey, AssetRef};

use super::value::plain;

/// The kind of something like an asset, and its fields. A task's are in a wrapper, those of a schedule are not.
fn parts(value: &Value) -> Option<(&str, &Map<String, Value>)> {
    let kind = value.get("__type")?.as_str()?;
    Some((kind, value.get("__var").unwrap_or(value).as_object()?))
}

fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name).and_then(Value::as_str).map(ToOwned::to_owned)
}

fn key(fields: &Map<String, Value>) -> Option<AssetKey> {
    Some(AssetKey { name: text(fields, "name")?, uri: text(fields, "uri")? })
}

/// An asset, a reference to one, or an alias; none for anything else (an inlet may be an XCom).
fn read_ref(value: &Value) -> Option<AssetRef> {
    let (kind, fields) = parts(value)?;
    match kind {
        "asset" => key(fields).map(AssetRef::Asset),
        "asset_alias" => text(fields, "name").map(|name| AssetRef::Alias { name }),
        "asset_ref" => match text(fields, "name") {
            Some(name) => Some(AssetRef::Name { name }),
            None => text(fields, "uri").map(|uri| AssetRef::Uri { uri }),
        },
        _ => None,
    }
}

/// The inlets or outlets of a task.
pub(super) fn read_refs(list: Option<&Value>) -> Vec<AssetRef> {
    list.and_then(Value::as_array).map(|items| items.iter().filter_map(read_ref).collect()).unwrap_or_default()
}

/// When the updates of an asset schedule suffice.
pub(super) fn read_condition(value: &Value) -> Result<AssetCondition, String> {
    let unknown = || format!("the asset schedule holds {value}, which is no asset");
    let (kind, fields) = parts(value).ok_or_else(unknown)?;
    let objects = || -> Result<Vec<AssetCondition>, String> {
        fields.get("objects").and_then(Value::as_array).ok_or_else(unknown)?.iter().map(read_condition).collect()
    };
    match kind {
        "asset_all" => Ok(AssetCondition::All { of: objects()? }),
        "asset_any" => Ok(AssetCondition::Any { of: objects()? }),
        _ => read_ref(value).map(|asset| AssetCondition::One { asset }).ok_or_else(unknown),
    }
}

/// A condition as people write it: `a & (b | c)`; long ones as a number of assets.
pub(crate) fn show_condition(condition: &AssetCondition) -> String {
    let text = show(condition, true);
    if text.chars().count() <= 100 { text } else { format!("{} assets", condition.assets().len()) }
}

fn show(condition: &AssetCondition, is_outer: bool) -> String {
    let (of, sign) = match condition {
        AssetCondition::One { asset } => {
            return match asset {
                AssetRef::Asset(AssetKey { name, .. }) | AssetRef::Name { name } | AssetRef::Alias { name } => name,
                AssetRef::Uri { uri } => uri,
            }
            .clone();
        }
        AssetCondition::All { of } => (of, " & "),
        AssetCondition::Any { of } => (of, " | "),
    };
    let text = of.iter().map(|part| show(part, of.len() == 1 && is_outer)).collect::<Vec<_>>().join(sign);
    if is_outer || of.len() == 1 { text } else { format!("({text})") }
}

/// Every asset that a DAG names anywhere, by its identity.
#[derive(Default)]
pub(super) struct Assets {
    found: BTreeMap<AssetKey, Asset>,
    pub(super) warnings: Vec<String>,
}

impl Assets {
    /// Looks through a condition, or the inlets or outlets of a task.
    pub(super) fn look_at(&mut self, value: &Value) {
        if let Value::Array(items) = value {
            items.iter().for_each(|item| self.look_at(item));
            return;
        }
        let Some((kind, fields)) = parts(value) else { return };
        if let Some(objects) = fields.get("objects") {
            self.look_at(objects);
        }
        let Some(key) = key(fields).filter(|_| kind == "asset") else { return };
        if fields.get("watchers").is_some_and(|watchers| watchers.as_array().is_some_and(|list| !list.is_empty())) {
            let remark =
                format!("the asset \"{key}\" has watchers, which are not supported: only tasks and people update it");
            if !self.warnings.contains(&remark) {
                self.warnings.push(remark);
            }
        }
        let extra = fields.get("extra").map_or(Value::Null, plain);
        let asset = Asset { key: key.clone(), group: text(fields, "group").unwrap_or_default(), extra };
        // The first mention counts, unless a later one says more.
        let known = self.found.entry(key).or_insert_with(|| asset.clone());
        if !says_something(&known.extra) && says_something(&asset.extra) {
            *known = asset;
        }
    }

    /// All of them, in the order of their names.
    pub(super) fn into_list(self) -> Vec<Asset> {
        self.found.into_values().collect()
    }
}

fn says_something(extra: &Value) -> bool {
    extra.as_object().is_some_and(|fields| !fields.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_mention_that_says_more_counts() {
        let asset = |group: &str, extra: Value| json!({"__type": "asset", "name": "a", "uri": "a", "group": group, "extra": extra});
        let mut assets = Assets::default();
        for mention in [asset("first", json!({})), asset("second", json!({"k": 1})), asset("third", json!({"k": 2}))] {
            assets.look_at(&json!([mention]));
        }
        let list = assets.into_list();
        assert_eq!((list.len(), list[0].group.as_str(), &list[0].extra), (1, "second", &json!({"k": 1})));
    }
}
