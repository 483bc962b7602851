//! Params of DAGs: the defaults of the DAG under the conf of the run, each checked against its JSON schema, as Airflow
//! checks them when it creates a run (`serialization/definitions/param.py`).

use serde_json::Value;
use tradewind_types::{ApiError, DagId, DagSpec, Timetable};

use crate::core::Core;

/// Checks a value against a JSON schema; the error says what is wrong with it and which rule says so.
pub(crate) fn check_value(schema: &Value, value: &Value) -> Result<(), String> {
    if schema.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok(());
    }
    // Formats (`date`, `date-time`, `email`…) count, as with Airflow's format checker.
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .map_err(|error| format!("its schema is not usable: {error}"))?;
    validator.validate(value).map_err(|error| {
        let rule = error.schema_path().as_str().trim_start_matches('/').to_owned();
        let place = error.instance_path().as_str();
        let place = if place.is_empty() { String::new() } else { format!(" (at {place})") };
        format!("{error}{place}, says its rule \"{rule}\"")
    })
}

/// The conf of a run as it is stored: an object; none given is an empty one.
///
/// # Errors
/// It is something else.
pub(crate) fn conf_object(conf: Value) -> Result<Value, ApiError> {
    match conf {
        Value::Null => Ok(serde_json::json!({})),
        conf @ Value::Object(_) => Ok(conf),
        _ => Err(ApiError::invalid("conf: it must be a JSON object, e.g. '{\"key\": \"value\"}'")),
    }
}

/// Checks the params that a run with this conf would have. Keys of the conf that are no params are free.
///
/// # Errors
/// Names DAG, param, value and rule.
pub(crate) fn check_conf(spec: &DagSpec, conf: &Value) -> Result<(), ApiError> {
    for (name, param) in &spec.params {
        let given = conf.get(name);
        let value = given.unwrap_or(&param.value);
        check_value(&param.schema, value).map_err(|problem| {
            let origin = if given.is_some() { "" } else { " by default; give it in the conf" };
            ApiError::invalid(format!(
                "the param \"{name}\" of the DAG \"{}\" has the value {value}{origin}: {problem}",
                spec.dag_id
            ))
        })?;
    }
    Ok(())
}

/// Checks a run's conf against the current version of its DAG. A DAG that the engine does not know passes: the engine
/// refuses it in its own words.
pub(crate) async fn check_run_conf(core: &Core, dag_id: &DagId, conf: &Value) -> Result<(), ApiError> {
    let dag_id = dag_id.clone();
    let version =
        core.query(move |engine, _| engine.dag(&dag_id).map(|dag| std::sync::Arc::clone(dag.version))).await?;
    version.map_or(Ok(()), |version| check_conf(&version.spec, conf))
}

/// Why a DAG with a schedule cannot have one: its runs would begin with params that break their own schemas.
pub fn default_problems(spec: &DagSpec) -> Vec<String> {
    if spec.timetable == Timetable::None {
        return Vec::new();
    }
    let problem = |(name, param): (&String, &tradewind_types::Param)| {
        let problem = check_value(&param.schema, &param.value).err()?;
        Some(format!(
            "the DAG \"{}\" has a schedule, but its param \"{name}\" has no valid default ({}): {problem}. Give it one, \
             or remove the schedule",
            spec.dag_id, param.value
        ))
    };
    spec.params.iter().filter_map(problem).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(timetable: Value, params: Value) -> DagSpec {
        serde_json::from_value(json!({
            "dag_id": "d", "tasks": [], "timetable": timetable, "params": params,
            "source": {"kind": "yaml", "rel_path": "d.yaml"},
        }))
        .unwrap()
    }

    fn counted() -> Value {
        json!({"n": {"value": 1, "schema": {"type": "integer", "maximum": 3}}, "free": {"value": null, "schema": {}}})
    }

    #[test]
    fn the_conf_overrides_defaults_and_breaking_a_rule_names_everything() {
        let spec = spec(json!({"type": "none"}), counted());
        assert_eq!(check_conf(&spec, &json!({})), Ok(()));
        assert_eq!(check_conf(&spec, &json!({"n": 3, "other": "x", "free": [1]})), Ok(()));
        let message = check_conf(&spec, &json!({"n": 4})).unwrap_err().message;
        for part in ["\"d\"", "\"n\"", "value 4", "maximum"] {
            assert!(message.contains(part), "{part} in {message}");
        }
        assert!(check_conf(&spec, &json!({"n": "2"})).unwrap_err().message.contains("\"type\""));
    }

    #[test]
    fn formats_and_nested_places_count() {
        let schema = json!({"type": "array", "items": {"type": "string", "format": "date"}});
        assert_eq!(check_value(&schema, &json!(["2026-01-31"])), Ok(()));
        let problem = check_value(&schema, &json!(["2026-01-31", "2026-02-31"])).unwrap_err();
        assert!(problem.contains("/1") && problem.contains("items/format"), "{problem}");
    }

    #[test]
    fn a_schedule_needs_valid_defaults() {
        let required = json!({"n": {"value": null, "schema": {"type": "integer"}}});
        assert!(default_problems(&spec(json!({"type": "none"}), required.clone())).is_empty());
        let problems = default_problems(&spec(json!({"type": "once"}), required));
        assert!(problems[0].contains("\"n\"") && problems[0].contains("schedule"), "{problems:?}");
        assert!(default_problems(&spec(json!({"type": "once"}), counted())).is_empty());
    }

    #[test]
    fn a_broken_schema_is_told_apart_from_a_bad_value() {
        let problem = check_value(&json!({"type": "intger"}), &json!(1)).unwrap_err();
        assert!(problem.contains("schema is not usable"), "{problem}");
    }
}
