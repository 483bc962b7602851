//! `tradewind dags show`: a DAG's tasks and how they depend on each other.

mod export;
mod graph;

use clap::{Args, ValueEnum};

use super::details;
use crate::{
    client::Client,
    errors::{Exit, Outcome},
    output::{self, Format, Tone, paint},
};

use graph::{TaskRecord, layered};

/// How the graph is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum GraphFormat {
    /// Layers of tasks for people: each stands below all that it needs.
    #[default]
    Table,
    /// JSON: the tasks with their layers.
    Json,
    /// YAML: the tasks with their layers.
    Yaml,
    /// Columns with blanks between them, without colours or lines.
    Plain,
    /// Graphviz.
    Dot,
    /// Mermaid, for Markdown.
    Mermaid,
}

/// The arguments of `tradewind dags show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The DAG.
    dag_id: String,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: GraphFormat,
}

/// Shows the graph of a DAG.
///
/// # Errors
/// No scheduler answers, or there is no such DAG.
pub async fn run(client: &Client, args: ShowArgs) -> Outcome {
    let (dag, spec) = details::fetch(client, &args.dag_id).await?;
    let format = match args.output {
        GraphFormat::Dot => return print_text(&export::dot(&spec)),
        GraphFormat::Mermaid => return print_text(&export::mermaid(&spec)),
        GraphFormat::Table => Format::Table,
        GraphFormat::Json => Format::Json,
        GraphFormat::Yaml => Format::Yaml,
        GraphFormat::Plain => Format::Plain,
    };
    let tasks: Vec<TaskRecord> = layered(&spec);
    if format == Format::Table {
        let layers = tasks.iter().map(|task| task.layer + 1).max().unwrap_or(0);
        output::line(format!(
            "{}  {}  {} tasks in {layers} layers\n",
            paint(Tone::Bold, &spec.dag_id),
            dag.schedule.as_deref().unwrap_or("by hand"),
            tasks.len()
        ))?;
    }
    output::print_listing(format, &tasks, tasks.len() as u64)?;
    if format == Format::Table {
        for line in graph::groups(&spec) {
            output::line(line)?;
        }
    }
    Ok(Exit::Success)
}

fn print_text(text: &str) -> Outcome {
    output::line(text.trim_end())?;
    Ok(Exit::Success)
}
