//! A comparison for people, and as data.

use serde_json::{Value, json};
use tradewind_dags::compare::{Comparison, DagChange, FieldChange, WholeDag};
use tradewind_types::ImportError;

use super::Broken;
use crate::{
    errors::CliError,
    output::{self, Format, Tone, paint},
};

/// Prints it DAG by DAG; `+` is new, `-` is gone, `~` differs.
pub(super) fn people(comparison: &Comparison) -> Result<(), CliError> {
    for dag in &comparison.removed {
        output::line(paint(Tone::Bad, format!("- {}", whole(dag))))?;
    }
    for dag in &comparison.added {
        output::line(paint(Tone::Good, format!("+ {}", whole(dag))))?;
    }
    for dag in &comparison.changed {
        changed(dag)?;
    }
    let count = |count: usize, what: &str| format!("{count} {what}");
    output::note(&format!(
        "{}, {}, {}, {}",
        count(comparison.added.len(), "DAGs added"),
        count(comparison.removed.len(), "removed"),
        count(comparison.changed.len(), "changed"),
        count(comparison.same, "the same")
    ));
    Ok(())
}

fn whole(dag: &WholeDag) -> String {
    let schedule = dag.schedule.as_deref().map_or_else(String::new, |schedule| format!(", {schedule}"));
    let tasks = if dag.tasks == 1 { "task" } else { "tasks" };
    format!("{}  ({}: {} {tasks}{schedule})", dag.dag_id, dag.file, dag.tasks)
}

fn changed(dag: &DagChange) -> Result<(), CliError> {
    output::line(format!(
        "{} {}  {}",
        paint(Tone::Warn, "~"),
        paint(Tone::Bold, &dag.dag_id),
        paint(Tone::Dim, &dag.file)
    ))?;
    fields("    ", &dag.fields)?;
    if dag.code {
        output::line("    its callbacks do something else")?;
    }
    for task in &dag.tasks_removed {
        output::line(paint(Tone::Bad, format!("    - task {task}")))?;
    }
    for task in &dag.tasks_added {
        output::line(paint(Tone::Good, format!("    + task {task}")))?;
    }
    for task in &dag.tasks {
        let from = task.renamed_from.as_ref().map_or_else(String::new, |old| format!("  (was {old})"));
        output::line(format!("    {} task {}{from}", paint(Tone::Warn, "~"), task.task_id))?;
        fields("        ", &task.fields)?;
        if task.code {
            output::line("        its code does something else")?;
        }
    }
    for (tone, sign, edges) in [(Tone::Bad, '-', &dag.edges_removed), (Tone::Good, '+', &dag.edges_added)] {
        for edge in edges {
            output::line(paint(tone, format!("    {sign} {} -> {}", edge.upstream, edge.downstream)))?;
        }
    }
    Ok(())
}

/// Old and new of each field, one below the other where they are long.
fn fields(indent: &str, fields: &[FieldChange]) -> Result<(), CliError> {
    const SHORT: usize = 60;
    let width = fields.iter().map(|field| field.field.chars().count()).max().unwrap_or(0);
    for field in fields {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
        let (old, new) = (shown(&field.old), shown(&field.new));
        let name = paint(Tone::Dim, format!("{:width$}", field.field));
        let is_long = old.chars().count() + new.chars().count() > SHORT || old.contains('\n') || new.contains('\n');
        if !is_long {
            output::line(format!("{indent}{name}  {} -> {}", paint(Tone::Bad, old), paint(Tone::Good, new)))?;
            continue;
        }
        let blank = " ".repeat(width);
        for (at, (tone, sign, text)) in [(Tone::Bad, '-', &old), (Tone::Good, '+', &new)].into_iter().enumerate() {
            for (line, part) in text.lines().enumerate() {
                let head = if at == 0 && line == 0 { &name } else { &blank };
                let sign = if line == 0 { sign } else { ' ' };
                output::line(format!("{indent}{head}  {}", paint(tone, format!("{sign} {part}"))))?;
            }
        }
    }
    Ok(())
}

/// Prints everything as one object.
pub(super) fn data(format: Format, comparison: &Comparison, broken: &Broken) -> Result<(), CliError> {
    let errors = |errors: &[ImportError]| -> Vec<Value> {
        errors
            .iter()
            .map(|error| json!({"file": error.rel_path, "line": error.line, "message": error.message}))
            .collect()
    };
    output::print_serialized(
        format,
        &json!({
            "added": comparison.added,
            "removed": comparison.removed,
            "changed": comparison.changed,
            "same": comparison.same,
            "not_loaded": {"old": errors(&broken.old), "new": errors(&broken.new)},
        }),
    )
}
