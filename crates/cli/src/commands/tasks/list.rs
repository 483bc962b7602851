//! `tradewind tasks list`.

use serde::Serialize;
use tradewind_types::TaskSpec;

use crate::{
    client::Client,
    commands::dags::details,
    errors::{Exit, Outcome},
    output::{self, OutputArgs, Record, Text, Tone},
};

#[derive(Serialize)]
struct TaskRecord {
    task_id: String,
    operator: String,
    upstream: Vec<String>,
    trigger_rule: String,
    pool: String,
    pool_slots: u32,
    queue: String,
    priority_weight: i64,
    retries: u32,
    owner: Option<String>,
}

impl From<&TaskSpec> for TaskRecord {
    fn from(task: &TaskSpec) -> Self {
        Self {
            task_id: task.task_id.to_string(),
            operator: task.operator.name().to_owned(),
            upstream: task.upstream.iter().map(ToString::to_string).collect(),
            trigger_rule: task.trigger_rule.to_string(),
            pool: task.pool.to_string(),
            pool_slots: task.pool_slots,
            queue: task.queue.to_string(),
            priority_weight: task.priority_weight,
            retries: task.retry.retries,
            owner: task.owner.clone(),
        }
    }
}

impl Record for TaskRecord {
    const HEADINGS: &'static [&'static str] =
        &["task_id", "operator", "upstream", "trigger rule", "pool", "slots", "queue", "retries"];

    fn cells(&self) -> Vec<Text> {
        vec![
            Text::plain(&self.task_id),
            Text::toned(Tone::Info, &self.operator),
            Text::plain(self.upstream.join(", ")),
            Text::plain(&self.trigger_rule),
            Text::plain(&self.pool),
            Text::number(self.pool_slots),
            Text::plain(&self.queue),
            Text::number(self.retries),
        ]
    }
}

/// Lists the tasks of a DAG.
///
/// # Errors
/// No scheduler answers, or there is no such DAG.
pub async fn run(client: &Client, dag_id: &str, output: OutputArgs) -> Outcome {
    let (_, spec) = details::fetch(client, dag_id).await?;
    let rows: Vec<TaskRecord> = spec.tasks.iter().map(Into::into).collect();
    output::print_listing(output.output, &rows, rows.len() as u64)?;
    Ok(Exit::Success)
}
