//! `tradewind tasks state`, `states-for-dag-run` and `tries`.

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tradewind_proto::v1;
use tradewind_types::{TaskState, Timestamp};

use super::{TaskArgs, explained, instance};
use crate::{
    client::Client,
    errors::{CliError, Exit, Outcome},
    output::{self, Format, OutputArgs, Record, Text},
    suggest,
};

/// The arguments of `tradewind tasks state`.
#[derive(Debug, Args)]
pub struct StateArgs {
    /// The DAG.
    dag_id: String,
    /// The task.
    task_id: String,
    /// The run: its id, its logical date, or `latest`.
    #[arg(default_value = "latest")]
    run: String,
    /// The map index of the task instance.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    map_index: i32,
    #[command(flatten)]
    output: OutputArgs,
}

/// The arguments of `tradewind tasks states-for-dag-run`.
#[derive(Debug, Args)]
pub struct RunStatesArgs {
    /// The DAG.
    dag_id: String,
    /// The run: its id, its logical date, or `latest`.
    #[arg(default_value = "latest")]
    run: String,
    /// Only task instances in this state; can be repeated.
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// A task instance as a row or an object.
#[derive(Serialize)]
pub struct TaskInstanceRecord {
    dag_id: String,
    run_id: String,
    task_id: String,
    map_index: i32,
    state: String,
    try_number: u32,
    max_tries: u32,
    operator: String,
    pool: String,
    pool_slots: u32,
    queue: String,
    priority_weight: i64,
    worker: Option<String>,
    scheduled_at: Option<String>,
    queued_at: Option<String>,
    start_date: Option<String>,
    end_date: Option<String>,
    duration_secs: Option<f64>,
    next_at: Option<String>,
    note: Option<String>,
    rendered_map_index: Option<String>,
    reschedules: u32,
    /// What it waits for without a slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    deferral: Option<Value>,
    id: String,
    #[serde(skip)]
    duration: String,
}

impl TaskInstanceRecord {
    /// A task instance of the wire; a running one lasts until `now`.
    pub fn new(ti: v1::TaskInstance, now: Timestamp) -> Self {
        let end = ti.end_date.or_else(|| (ti.state == "running").then(|| now.as_microsecond()));
        let lasted = ti.start_date.zip(end).map(|(start, end)| output::since(start, end));
        Self {
            duration: lasted.map_or_else(String::new, output::duration),
            duration_secs: lasted.map(|lasted| lasted.as_secs_f64()),
            dag_id: ti.dag_id,
            run_id: ti.run_id,
            task_id: ti.task_id,
            map_index: ti.map_index,
            state: ti.state,
            try_number: ti.try_number,
            max_tries: ti.max_tries,
            operator: ti.operator,
            pool: ti.pool,
            pool_slots: ti.pool_slots,
            queue: ti.queue,
            priority_weight: ti.priority_weight,
            worker: ti.worker,
            scheduled_at: output::iso_or_none(ti.scheduled_at),
            queued_at: output::iso_or_none(ti.queued_at),
            start_date: output::iso_or_none(ti.start_date),
            end_date: output::iso_or_none(ti.end_date),
            next_at: output::iso_or_none(ti.next_at),
            note: ti.note,
            rendered_map_index: ti.rendered_map_index,
            reschedules: ti.reschedules,
            // What is no JSON is left out rather than the whole listing.
            deferral: ti.deferral_json.and_then(|text| serde_json::from_str(&text).ok()),
            id: ti.id,
        }
    }
}

/// A task with its map index.
pub(super) fn name(task_id: &str, map_index: i32) -> String {
    if map_index >= 0 { format!("{task_id}[{map_index}]") } else { task_id.to_owned() }
}

impl Record for TaskInstanceRecord {
    const HEADINGS: &'static [&'static str] =
        &["task_id", "state", "try", "duration", "start_date", "end_date", "queue", "pool", "worker", "note"];

    fn cells(&self) -> Vec<Text> {
        let label = self.rendered_map_index.as_ref().map_or_else(String::new, |label| format!(" {label}"));
        vec![
            Text::plain(format!("{}{label}", name(&self.task_id, self.map_index))),
            output::state_text(&self.state),
            Text::number(format!("{}/{}", self.try_number, self.max_tries.saturating_add(1))),
            Text::number(&self.duration),
            Text::instant(self.start_date.as_deref()),
            Text::instant(self.end_date.as_deref()),
            Text::plain(&self.queue),
            Text::plain(&self.pool),
            Text::maybe(self.worker.as_ref()),
            self.note.as_deref().map_or_else(Text::default, |note| Text::brief(note, 60)),
        ]
    }
}

/// A task instance among those of several runs.
#[derive(Serialize)]
#[serde(transparent)]
struct OfRun(TaskInstanceRecord);

impl Record for OfRun {
    const HEADINGS: &'static [&'static str] =
        &["dag_id", "run_id", "task_id", "state", "try", "start_date", "end_date"];

    fn cells(&self) -> Vec<Text> {
        let [task, state, try_number, _, start, end, ..] = <[Text; 10]>::try_from(self.0.cells()).unwrap_or_default();
        vec![Text::plain(&self.0.dag_id), Text::plain(&self.0.run_id), task, state, try_number, start, end]
    }
}

/// Prints task instances, which may be of several runs and DAGs.
///
/// # Errors
/// Standard output is closed or broken.
pub(super) fn print_of_runs(format: Format, rows: Vec<TaskInstanceRecord>) -> Result<(), CliError> {
    let rows: Vec<OfRun> = rows.into_iter().map(OfRun).collect();
    output::print_listing(format, &rows, rows.len() as u64)
}

/// Prints the state of a task instance.
///
/// # Errors
/// No scheduler answers, or there is no such task instance.
pub async fn state(client: &Client, args: StateArgs) -> Outcome {
    let task =
        v1::TaskInstanceRef { dag_id: args.dag_id, run_id: args.run, task_id: args.task_id, map_index: args.map_index };
    let (_, ti) = instance(client, &task).await?;
    if args.output.output.is_data() {
        output::print_record(args.output.output, &TaskInstanceRecord::new(ti, Timestamp::now()))?;
    } else {
        output::line(output::paint(output::state_tone(&ti.state), &ti.state))?;
    }
    Ok(Exit::Success)
}

/// Lists the task instances of a run.
///
/// # Errors
/// No scheduler answers, there is no such run, or a state is none.
pub async fn run_states(client: &Client, args: RunStatesArgs) -> Outcome {
    for state in &args.state {
        state.parse::<TaskState>().map_err(CliError::usage)?;
    }
    let request = v1::GetRunRequest { dag_id: args.dag_id, run_id: args.run };
    let answer = match client.read(async |mut admin| admin.get_run(request.clone()).await).await {
        Ok(answer) => answer,
        Err(error) => return Err(suggest::near_names(client, error, &request.dag_id, None, None).await),
    };
    let now = Timestamp::now();
    let rows: Vec<TaskInstanceRecord> = answer
        .task_instances
        .into_iter()
        .filter(|ti| args.state.is_empty() || args.state.contains(&ti.state))
        .map(|ti| TaskInstanceRecord::new(ti, now))
        .collect();
    output::print_listing(args.output.output, &rows, rows.len() as u64)?;
    Ok(Exit::Success)
}

#[derive(Serialize)]
struct TryRecord {
    attempt: u32,
    try_number: u32,
    state: String,
    queued_at: Option<String>,
    start_date: Option<String>,
    end_date: Option<String>,
    worker: Option<String>,
    note: Option<String>,
}

impl Record for TryRecord {
    const HEADINGS: &'static [&'static str] =
        &["try", "attempt", "state", "queued_at", "start_date", "end_date", "worker", "note"];

    fn cells(&self) -> Vec<Text> {
        vec![
            Text::number(self.try_number),
            Text::number(self.attempt),
            output::state_text(&self.state),
            Text::instant(self.queued_at.as_deref()),
            Text::instant(self.start_date.as_deref()),
            Text::instant(self.end_date.as_deref()),
            Text::maybe(self.worker.as_ref()),
            self.note.as_deref().map_or_else(Text::default, |note| Text::brief(note, 80)),
        ]
    }
}

/// Lists the tries of a task instance.
///
/// # Errors
/// No scheduler answers, or there is no such task instance.
pub async fn tries(client: &Client, task: &TaskArgs, output: OutputArgs) -> Outcome {
    let task = task.wire();
    let answer = match client.read(async |mut admin| admin.list_tries(task.clone()).await).await {
        Ok(answer) => answer,
        Err(error) => return Err(explained(client, error, &task).await),
    };
    let rows: Vec<TryRecord> = answer
        .tries
        .into_iter()
        .map(|row| TryRecord {
            attempt: row.attempt,
            try_number: row.try_number,
            state: row.state,
            queued_at: output::iso_or_none(row.queued_at),
            start_date: output::iso_or_none(row.start_date),
            end_date: output::iso_or_none(row.end_date),
            worker: row.worker,
            note: row.note,
        })
        .collect();
    output::print_listing(output.output, &rows, rows.len() as u64)?;
    Ok(Exit::Success)
}
