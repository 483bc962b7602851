//! A DAG as Graphviz or Mermaid text.

use std::collections::HashMap;

use tradewind_types::{DagSpec, TaskSpec};

use super::graph::group_of;

/// The parts of the two languages that differ.
struct Language {
    node: fn(usize, &str) -> String,
    edge: fn(usize, usize) -> String,
    open: fn(usize, &str) -> String,
    close: &'static str,
}

/// The graph for Graphviz.
pub(super) fn dot(spec: &DagSpec) -> String {
    let language = Language {
        node: |id, label| format!("n{id} [label=\"{}\"];", escaped(label)),
        edge: |from, to| format!("n{from} -> n{to};"),
        open: |id, label| format!("subgraph cluster_{id} {{ label=\"{}\"; style=rounded;", escaped(label)),
        close: "}",
    };
    let name = escaped(spec.dag_id.as_str());
    format!("digraph \"{name}\" {{\n  rankdir=LR;\n  node [shape=box, style=rounded];\n{}}}\n", body(spec, &language))
}

/// The graph for Mermaid.
pub(super) fn mermaid(spec: &DagSpec) -> String {
    let language = Language {
        node: |id, label| format!("n{id}[\"{}\"]", label.replace('"', "#quot;")),
        edge: |from, to| format!("n{from} --> n{to}"),
        open: |id, label| format!("subgraph g{id}[\"{}\"]", label.replace('"', "#quot;")),
        close: "end",
    };
    format!("flowchart LR\n{}", body(spec, &language))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn body(spec: &DagSpec, language: &Language) -> String {
    let ids: HashMap<&str, usize> =
        spec.tasks.iter().enumerate().map(|(id, task)| (task.task_id.as_str(), id)).collect();
    let mut lines = Vec::new();
    members(spec, None, 1, language, &ids, &mut lines);
    for task in &spec.tasks {
        for upstream in task.upstream.iter().filter_map(|id| ids.get(id.as_str())) {
            lines.push(format!("  {}", (language.edge)(*upstream, ids[task.task_id.as_str()])));
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The tasks and groups directly in a group, indented.
fn members(
    spec: &DagSpec,
    group: Option<&str>,
    depth: usize,
    language: &Language,
    ids: &HashMap<&str, usize>,
    lines: &mut Vec<String>,
) {
    let indent = "  ".repeat(depth);
    for task in spec.tasks.iter().filter(|task| group_of(spec, task).filter(|id| !id.is_empty()) == group) {
        lines.push(format!("{indent}{}", (language.node)(ids[task.task_id.as_str()], &label(task))));
    }
    for (id, child) in spec.task_groups.iter().enumerate().filter(|(_, child)| !child.group_id.is_empty()) {
        let parent = child.parent.as_deref().filter(|parent| !parent.is_empty());
        if parent != group || Some(child.group_id.as_str()) == group {
            continue;
        }
        let mark = if child.expand.is_some() { " ×" } else { "" };
        lines.push(format!("{indent}{}", (language.open)(id, &format!("{}{mark}", child.group_id))));
        members(spec, Some(&child.group_id), depth + 1, language, ids, lines);
        lines.push(format!("{indent}{}", language.close));
    }
}

fn label(task: &TaskSpec) -> String {
    let mark = if task.expand.is_some() { " ×" } else { "" };
    format!("{}{mark}", task.task_id)
}

#[cfg(test)]
mod tests {
    use super::{super::graph::tests::spec, *};

    #[test]
    fn groups_nest_and_edges_follow() {
        let text = mermaid(&spec());
        assert!(text.starts_with("flowchart LR\n  n0[\"last\"]\n  n1[\"first\"]\n  n4[\"alone ×\"]\n"), "{text}");
        assert!(text.contains("  subgraph g0[\"g ×\"]\n    n2[\"g.one\"]\n    n3[\"g.two\"]\n  end\n"), "{text}");
        assert!(text.contains("n3 --> n0") && text.contains("n1 --> n2"), "{text}");
        let text = dot(&spec());
        assert!(text.contains("subgraph cluster_0 { label=\"g ×\"; style=rounded;"), "{text}");
        assert!(text.contains("n1 -> n0;") && text.ends_with("}\n"), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
        assert_eq!(escaped("a\"b\\"), "a\\\"b\\\\");
    }
}
