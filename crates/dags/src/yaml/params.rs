//! The params of a YAML DAG: defaults, and the JSON Schema that values must fit.

use std::collections::BTreeMap;

use tradewind_types::Param;

use super::{
    build::Builder,
    node::{Node, Yaml},
};

impl Builder<'_> {
    /// `name: value`, or `name:` with `default` and the keywords of a JSON Schema, as Airflow's `Param`.
    pub(super) fn params(&mut self) -> BTreeMap<String, Param> {
        let Some(entry) = self.root.entry("params") else {
            return BTreeMap::new();
        };
        let Yaml::Map(params) = &entry.node.value else {
            let message = format!("expects a mapping of names, found {}", entry.node.described());
            self.fault(entry.node.at, "params", message);
            return BTreeMap::new();
        };
        params
            .iter()
            .map(|entry| {
                let param = read_param(&entry.node);
                if let Err(message) = check(&param) {
                    self.fault(entry.node.place_of("default"), &format!("params.{}", entry.key), message);
                }
                (entry.key.clone(), param)
            })
            .collect()
    }
}

fn read_param(node: &Node) -> Param {
    let plain = || Param { value: node.to_json(), description: None, schema: serde_json::json!({}) };
    let Yaml::Map(entries) = &node.value else {
        return plain();
    };
    let Some(default) = node.entry("default") else {
        return plain();
    };
    Param {
        value: default.node.to_json(),
        description: node.entry("description").and_then(|entry| entry.node.as_text()).map(ToOwned::to_owned),
        schema: entries
            .iter()
            .filter(|entry| !matches!(entry.key.as_str(), "default" | "description"))
            .map(|entry| (entry.key.clone(), entry.node.to_json()))
            .collect(),
    }
}

/// Whether the schema is one, and the default fits it. A default of null stands for none: a run has to give the value.
fn check(param: &Param) -> Result<(), String> {
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&param.schema)
        .map_err(|error| format!("its keywords are no JSON Schema: {error}"))?;
    if param.value.is_null() {
        return Ok(());
    }
    validator.validate(&param.value).map_err(|error| format!("its default does not fit its own schema: {error}"))
}
