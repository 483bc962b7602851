//! The JSON Schema, the document and the example say what the code does.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};
use tradewind_dags::{
    ProcessorSettings, load_local,
    yaml::{YamlSettings, documented_fields, parse_yaml},
};
use tradewind_types::Operator;

use crate::support::repository;

fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string(repository().join("docs/dags-yaml.schema.json")).unwrap()).unwrap()
}

fn names(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(fields) => fields.keys().cloned().collect(),
        Value::Array(items) => items.iter().map(|item| item.as_str().unwrap().to_owned()).collect(),
        _ => panic!("{value}"),
    }
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_schema_has_every_field_and_no_other() {
    let (schema, fields) = (schema(), documented_fields());
    assert_eq!(names(&schema["properties"]), set(&fields["dag"]));
    assert_eq!(names(&schema["properties"]["default_args"]["properties"]), set(&fields["default_args"]));
    let schedule = schema["properties"]["schedule"]["oneOf"].as_array().unwrap().last().unwrap();
    assert_eq!(names(&schedule["properties"]), set(&fields["schedule"]));

    assert_eq!(names(&schema["definitions"]["task_group"]["properties"]), set(&fields["task_group"]));
    assert_eq!(names(&schema["definitions"]["asset"]["oneOf"][1]["properties"]), set(&fields["asset"]));

    let task = &schema["definitions"]["task"];
    let kinds: BTreeSet<String> = task["properties"]["operator"]["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| format!("operator.{}", kind["const"].as_str().unwrap()))
        .collect();
    let known: BTreeSet<String> = fields.keys().filter(|name| name.starts_with("operator.")).cloned().collect();
    assert_eq!(kinds, known);
    let branches = task["allOf"].as_array().unwrap();
    assert_eq!(branches.len(), kinds.len());
    for branch in branches {
        let kind = branch["if"]["properties"]["operator"]["const"].as_str().unwrap();
        let own = &fields[&format!("operator.{kind}")];
        assert_eq!(names(&branch["then"]["properties"]), set(own), "{kind}");
        let mut all = set(&fields["task"]);
        all.extend(set(own));
        assert_eq!(names(&branch["then"]["propertyNames"]["enum"]), all, "{kind}");
        for name in &all {
            assert!(task["properties"].get(name).is_some(), "{kind}.{name}");
        }
    }
}

#[test]
fn the_document_names_every_field() {
    let text = fs::read_to_string(repository().join("docs/dags-yaml.md")).unwrap();
    for (part, fields) in documented_fields() {
        for field in fields {
            assert!(text.contains(&format!("`{field}`")), "docs/dags-yaml.md lacks `{field}` of {part}");
        }
    }
}

#[test]
fn the_examples_of_the_document_are_dags() {
    let text = fs::read_to_string(repository().join("docs/dags-yaml.md")).unwrap();
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let mut examples = 0;
    for part in text.split("```yaml\n").skip(1) {
        let (example, _) = part.split_once("```").unwrap();
        if !example.contains("dag_id:") {
            continue;
        }
        examples += 1;
        let file = parse_yaml("doc.yaml", example, &YamlSettings::default());
        assert!(file.problems.is_empty(), "{:#?}\n{example}", file.problems);
        for document in documents(example) {
            let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{errors:#?}\n{example}");
        }
    }
    assert!(examples >= 3);
}

fn documents(text: &str) -> Vec<Value> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_multiple_with_options(text, options).unwrap()
}

#[tokio::test]
async fn the_example_fits_the_schema_and_needs_no_python() {
    let text = fs::read_to_string(repository().join("dags/native_pipeline.yaml")).unwrap();
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for document in documents(&text) {
        let errors: Vec<String> =
            validator.iter_errors(&document).map(|error| format!("{} {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
    let folder = load_local(ProcessorSettings::new(repository().join("dags")), None).await.unwrap();
    let file = folder.files.iter().find(|file| file.rel_path == "native_pipeline.yaml").unwrap();
    assert!(file.errors.is_empty(), "{:#?}", file.errors);
    let spec = &file.dags[0].1;
    assert!(spec.tasks.iter().all(|task| !matches!(task.operator, Operator::Python { .. })));
    for (number, line) in text.lines().enumerate() {
        assert!(line.chars().count() <= 122, "line {} is long", number + 1);
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let dag = |task: Value| json!({"dag_id": "d", "tasks": [task]});
    assert!(validator.is_valid(&dag(json!({"id": "a", "operator": "bash", "command": "x", "retries": 2}))));
    assert!(validator.is_valid(&dag(json!({"id": "a", "operator": "bash", "expand": {"command": ["x"]}}))));
    for wrong in [
        json!({"id": "a", "operator": "bash", "command": "x", "retires": 2}),
        json!({"id": "a", "operator": "bash"}),
        json!({"id": "a", "operator": "bahs", "command": "x"}),
        json!({"id": "a", "operator": "bash", "command": "x", "retries": -1}),
        json!({"id": "a", "operator": "noop", "command": "x"}),
        json!({"id": "a", "operator": "bash", "command": "x", "trigger_rule": "all_don"}),
        json!({"operator": "empty"}),
        json!({"id": "a", "operator": "bash", "expand": {}}),
        json!({"id": "a", "operator": "bash", "expand": {"command": "x"}}),
        json!({"id": "a", "operator": "bash", "command": "x", "outlets": [{"nam": "y"}]}),
        json!({"id": "a", "operator": "bash", "command": "x", "concurrency": {"key": "y", "limit": 0}}),
    ] {
        assert!(!validator.is_valid(&dag(wrong.clone())), "{wrong}");
        let text = dag(wrong).to_string();
        let file = parse_yaml("d.yaml", &text, &YamlSettings::default());
        assert!(!file.problems.is_empty(), "{text}");
    }
}
