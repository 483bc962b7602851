//! A DAG in layers: each task stands one layer below the lowest of what it needs.

use std::collections::HashMap;

use serde::Serialize;
use tradewind_types::{AssetRef, DagSpec, Expand, TaskSpec, TriggerRule};

use crate::output::{Record, Text, Tone, paint};

/// A task with its place in the graph.
#[derive(Debug, Serialize)]
pub(super) struct TaskRecord {
    pub(super) layer: usize,
    pub(super) task_id: String,
    operator: String,
    upstream: Vec<String>,
    trigger_rule: String,
    task_group: Option<String>,
    is_mapped: bool,
    mapped_over: Vec<String>,
    is_setup: bool,
    is_teardown: bool,
    outlets: Vec<String>,
    inlets: Vec<String>,
    /// Whether it is the first of its layer.
    #[serde(skip)]
    is_first: bool,
    #[serde(skip)]
    remarks: String,
}

impl Record for TaskRecord {
    const HEADINGS: &'static [&'static str] = &["layer", "task", "operator", "needs", "remarks"];

    fn cells(&self) -> Vec<Text> {
        let mark = if self.is_mapped { " ×" } else { "" };
        let tone = match (self.is_setup, self.is_teardown) {
            (true, _) | (_, true) => Tone::Skip,
            _ => Tone::Plain,
        };
        vec![
            if self.is_first { Text::number(self.layer) } else { Text::number("") },
            Text::toned(tone, format!("{}{mark}", self.task_id)),
            Text::toned(Tone::Info, &self.operator),
            Text::plain(self.upstream.join(", ")),
            Text::toned(Tone::Dim, &self.remarks),
        ]
    }
}

/// The tasks by layers, and in a layer as the DAG file has them.
pub(super) fn layered(spec: &DagSpec) -> Vec<TaskRecord> {
    let layers = layers(spec);
    let mut tasks: Vec<(usize, &TaskSpec)> =
        spec.tasks.iter().map(|task| (layers[task.task_id.as_str()], task)).collect();
    tasks.sort_by_key(|(layer, _)| *layer);
    let mut last = None;
    let record = |(layer, task): (usize, &TaskSpec)| {
        let is_first = last.replace(layer) != Some(layer);
        TaskRecord {
            layer,
            is_first,
            task_id: task.task_id.to_string(),
            operator: task.operator.name().to_owned(),
            upstream: task.upstream.iter().map(ToString::to_string).collect(),
            trigger_rule: task.trigger_rule.to_string(),
            task_group: group_of(spec, task).map(ToOwned::to_owned),
            is_mapped: task.expand.is_some() || task.mapped_group.is_some(),
            mapped_over: task.expand.as_ref().map_or_else(Vec::new, over),
            is_setup: task.is_setup,
            is_teardown: task.is_teardown,
            outlets: task.outlets.iter().map(asset).collect(),
            inlets: task.inlets.iter().map(asset).collect(),
            remarks: remarks(task),
        }
    };
    tasks.into_iter().map(record).collect()
}

/// The layer of each task. The order of the tasks does not matter; what needs itself, which no DAG has, ends somewhere.
fn layers(spec: &DagSpec) -> HashMap<&str, usize> {
    let mut layers: HashMap<&str, usize> = spec.tasks.iter().map(|task| (task.task_id.as_str(), 0)).collect();
    for _ in 0..spec.tasks.len() {
        let mut moved = false;
        for task in &spec.tasks {
            let below = task.upstream.iter().filter_map(|id| layers.get(id.as_str())).map(|layer| layer + 1).max();
            if let (Some(below), Some(layer)) = (below, layers.get_mut(task.task_id.as_str()))
                && *layer < below
            {
                *layer = below;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    layers
}

/// What a mapped task is mapped over, in words.
fn over(expand: &Expand) -> Vec<String> {
    let tasks = expand.dependencies();
    if tasks.is_empty() {
        vec!["values of the DAG file".to_owned()]
    } else {
        tasks.iter().map(ToString::to_string).collect()
    }
}

fn remarks(task: &TaskSpec) -> String {
    let mut parts = Vec::new();
    if let Some(expand) = &task.expand {
        parts.push(format!("mapped over {}", over(expand).join(", ")));
    }
    if let Some(group) = &task.mapped_group {
        parts.push(format!("mapped with its group {group}"));
    }
    if task.trigger_rule != TriggerRule::AllSuccess {
        parts.push(task.trigger_rule.to_string());
    }
    for (is_so, word) in [
        (task.is_setup, "setup"),
        (task.is_teardown, "teardown"),
        (task.start_trigger.is_some(), "starts in its trigger"),
        (task.depends_on_past, "depends on the past"),
    ] {
        if is_so {
            parts.push(word.to_owned());
        }
    }
    for outlet in &task.outlets {
        parts.push(format!("makes {}", asset(outlet)));
    }
    if let Some(marker) = &task.marker {
        parts.push(format!("waited for by {}", marker.dag_id));
    }
    parts.join(", ")
}

/// What an asset is called.
fn asset(named: &AssetRef) -> String {
    match named {
        AssetRef::Asset(key) => key.name.clone(),
        AssetRef::Name { name } => name.clone(),
        AssetRef::Uri { uri } => uri.clone(),
        AssetRef::Alias { name } => format!("alias {name}"),
    }
}

/// The task group that a task is directly in.
pub(super) fn group_of<'s>(spec: &'s DagSpec, task: &TaskSpec) -> Option<&'s str> {
    spec.task_groups.iter().find(|group| group.tasks.contains(&task.task_id)).map(|group| group.group_id.as_str())
}

/// A line for each task group.
pub(super) fn groups(spec: &DagSpec) -> Vec<String> {
    let mut lines = Vec::new();
    for group in spec.task_groups.iter().filter(|group| !group.group_id.is_empty()) {
        let mapped = group
            .expand
            .as_ref()
            .map_or_else(String::new, |expand| format!(" × mapped over {}", over(expand).join(", ")));
        let tooltip = group.tooltip.as_deref().filter(|text| !text.is_empty());
        let tooltip = tooltip.map_or_else(String::new, |text| format!("  {text}"));
        let line =
            format!("group {}{mapped}: {} tasks{tooltip}", paint(Tone::Bold, &group.group_id), group.tasks.len());
        lines.push(if lines.is_empty() { format!("\n{line}") } else { line });
    }
    lines
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn spec() -> DagSpec {
        serde_json::from_value(json!({
            "dag_id": "d", "source": {"kind": "yaml", "rel_path": "d.yaml"},
            "tasks": [
                {"task_id": "last", "upstream": ["g.two", "first"], "operator": {"type": "empty"}, "trigger_rule": "all_done"},
                {"task_id": "first", "operator": {"type": "empty"},
                 "outlets": [{"type": "asset", "name": "orders", "uri": "s3://orders"}]},
                {"task_id": "g.one", "upstream": ["first"], "operator": {"type": "empty"}, "mapped_group": "g"},
                {"task_id": "g.two", "upstream": ["g.one"], "operator": {"type": "empty"}, "mapped_group": "g"},
                {"task_id": "alone", "operator": {"type": "empty"},
                 "expand": {"type": "rows", "rows": {"type": "literal", "length": 2}}},
            ],
            "task_groups": [{"group_id": "g", "tasks": ["g.one", "g.two"],
                "expand": {"type": "rows", "rows": {"type": "x_com", "task_id": "first", "key": "return_value"}}}],
        }))
        .unwrap()
    }

    #[test]
    fn each_task_stands_below_all_that_it_needs() {
        let rows = layered(&spec());
        let shown: Vec<(usize, &str, bool)> =
            rows.iter().map(|row| (row.layer, row.task_id.as_str(), row.is_first)).collect();
        assert_eq!(
            shown,
            [(0, "first", true), (0, "alone", false), (1, "g.one", true), (2, "g.two", true), (3, "last", true)]
        );
        assert_eq!(rows[0].remarks, "makes orders");
        assert_eq!(rows[1].cells()[1].text, "alone ×");
        assert_eq!(rows[1].remarks, "mapped over values of the DAG file");
        assert_eq!((rows[2].task_group.as_deref(), rows[4].remarks.as_str()), (Some("g"), "all_done"));
        let lines = groups(&spec());
        assert!(lines[0].contains("× mapped over first: 2 tasks"), "{lines:?}");
    }
}
