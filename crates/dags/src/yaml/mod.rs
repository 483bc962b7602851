//! The native YAML DAG format: read without Python, with errors that name line, column and field.
//!
//! A file holds one DAG, or several with `---` between them. A document that is wrong costs its own DAG only; a file that is
//! no YAML at all costs all of them.

mod asset;
mod build;
mod decode;
mod fields;
mod group;
mod mapping;
mod node;
mod operators;
mod params;
mod schedule;
mod span;
mod task;

use std::collections::BTreeMap;

use tradewind_types::DagSpec;

pub(crate) use self::span::parse_span;
use self::{
    build::Builder,
    decode::Fault,
    node::{Node, Yaml},
};
use crate::Problem;

/// What the installation sets for YAML DAGs.
#[derive(Clone, Debug)]
pub struct YamlSettings {
    /// The zone of a DAG without `timezone`.
    pub default_timezone: String,
    /// Whether a plain cron expression or duration means data intervals, as `core.create_cron_data_intervals`.
    pub create_cron_data_intervals: bool,
}

impl Default for YamlSettings {
    fn default() -> Self {
        Self { default_timezone: "UTC".to_owned(), create_cron_data_intervals: false }
    }
}

/// What a YAML file holds: the sound DAGs, and everything that is wrong with the others.
#[derive(Clone, Debug, Default)]
pub struct YamlFile {
    /// Its DAGs, in the order of the file.
    pub dags: Vec<DagSpec>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Whether a YAML file means to be a DAG file: it has a line that begins with `dag_id:`, or with `tasks:` and has an
/// `operator:` somewhere. Other YAML files are data of the tasks.
pub fn is_dag_yaml(text: &str) -> bool {
    let starts = |line: &str, key: &str| {
        let line = line.trim_start_matches(['{', '"', '\'']);
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
    };
    text.lines().any(|line| starts(line, "dag_id"))
        || (text.lines().any(|line| starts(line, "tasks"))
            && text.lines().any(|line| starts(line.trim_start_matches([' ', '-', ',']), "operator")))
}

/// Reads a YAML DAG file; `rel_path` is its path below the DAG folder.
pub fn parse_yaml(rel_path: &str, text: &str, settings: &YamlSettings) -> YamlFile {
    let mut file = YamlFile::default();
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    };
    let documents: Vec<Node> = match serde_saphyr::from_multiple_with_options(text, options) {
        Ok(documents) => documents,
        Err(error) => {
            file.problems.push(syntax_problem(&error, text));
            return file;
        }
    };
    let mut lines: BTreeMap<String, u32> = BTreeMap::new();
    for document in documents.iter().filter(|node| node.value != Yaml::Null) {
        let mut builder = Builder::new(rel_path, document, settings);
        let built = builder.build();
        let id = built.as_ref().map(|spec| spec.dag_id.to_string());
        let prefix = match builder.dag_id() {
            Some(dag_id) if documents.len() > 1 => format!("DAG \"{dag_id}\": "),
            _ => String::new(),
        };
        file.problems.extend(builder.faults.into_iter().map(|fault| problem(&fault, &prefix)));
        if let (Some(spec), Some(id)) = (built, id) {
            let at = document.place_of("dag_id");
            if let Some(first) = lines.get(&id) {
                let message = format!(
                    "dag_id: the DAG id \"{id}\" is used twice in this file, first in line {first}; give one of them \
                     another id"
                );
                file.problems.push(problem(&Fault::new(at, "", message), ""));
                continue;
            }
            lines.insert(id, at.line);
            file.dags.push(spec);
        }
    }
    if documents.iter().all(|node| node.value == Yaml::Null) {
        file.problems.push(Problem::new("the file holds no DAG: it has no content but comments"));
    }
    file
}

fn problem(fault: &Fault, prefix: &str) -> Problem {
    Problem {
        message: format!("{prefix}{fault}"),
        line: fault.at.map(|at| at.line).filter(|line| *line > 0),
        column: fault.at.map(|at| at.column).filter(|column| *column > 0),
        traceback: None,
    }
}

fn syntax_problem(error: &serde_saphyr::Error, text: &str) -> Problem {
    let at = error.location().map(node::Place::from);
    let message = error.without_snippet().to_string();
    // The library ends its messages with the place, which the problem has fields for.
    let message = match message.rfind(" at line ") {
        Some(end) => &message[..end],
        None => &message,
    };
    let near_template = at.is_some_and(|at| {
        let line = text.lines().nth(at.line.saturating_sub(1) as usize).unwrap_or_default();
        line.contains(": {{") || line.contains("- {{") || line.contains(": {%")
    });
    let tabs = message.contains(" tab");
    let hint = if near_template {
        "; a template such as {{ ds }} needs quotes around it"
    } else if tabs {
        "; YAML is indented with blanks, not with tabs"
    } else {
        ""
    };
    problem(&Fault { at, path: String::new(), message: format!("not YAML: {message}{hint}") }, "")
}

/// The names of the fields of each part of a YAML DAG, for the test that compares them with the JSON Schema and the
/// document: `dag`, `task`, `task_group`, `schedule`, `asset`, and `operator.KIND` for each operator.
pub fn documented_fields() -> BTreeMap<String, Vec<&'static str>> {
    let mut parts = BTreeMap::from([
        ("dag".to_owned(), build::dag_field_names()),
        ("default_args".to_owned(), build::default_field_names()),
        ("task".to_owned(), build::task_field_names()),
        ("task_group".to_owned(), decode::field_names::<fields::GroupFields>().to_vec()),
        ("schedule".to_owned(), schedule::schedule_field_names()),
        ("asset".to_owned(), decode::field_names::<fields::AssetFields>().to_vec()),
    ]);
    for kind in operators::KINDS {
        parts.insert(format!("operator.{}", kind.name), kind.fields());
    }
    parts
}
