//! `tradewind tasks why` and `failed-deps`.

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tradewind_proto::{json, v1};

use super::{TaskArgs, explained, states};
use crate::{
    client::Client,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, Tone, paint},
};

#[derive(Serialize)]
struct WhyRecord {
    dag_id: String,
    run_id: String,
    task_id: String,
    map_index: i32,
    state: String,
    reasons: Vec<Value>,
    in_words: Vec<String>,
}

/// Says why a task instance is not running.
///
/// # Errors
/// No leader answers, or there is no such task instance.
pub async fn run(client: &Client, task: &TaskArgs, output: OutputArgs) -> Outcome {
    explain(client, task.wire(), output).await
}

/// The arguments of `tradewind tasks failed-deps`.
#[derive(Debug, Args)]
pub struct FailedDepsArgs {
    /// The DAG.
    dag_id: String,
    /// The task.
    task_id: String,
    /// The run: its id, its logical date, or `latest`.
    run: String,
    /// The map index of the task instance.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    map_index: i32,
    #[command(flatten)]
    output: OutputArgs,
}

/// The same as [`run`], with Airflow's order of arguments.
///
/// # Errors
/// No leader answers, or there is no such task instance.
pub async fn failed_deps(client: &Client, args: FailedDepsArgs) -> Outcome {
    let task =
        v1::TaskInstanceRef { dag_id: args.dag_id, run_id: args.run, task_id: args.task_id, map_index: args.map_index };
    explain(client, task, args.output).await
}

async fn explain(client: &Client, task: v1::TaskInstanceRef, output: OutputArgs) -> Outcome {
    let answer = match client.read(async |mut admin| admin.explain_task(task.clone()).await).await {
        Ok(answer) => answer,
        Err(error) => return Err(explained(client, error, &task).await),
    };
    let ti = answer
        .task_instance
        .ok_or_else(|| CliError::new(Exit::Internal, "the scheduler answered without the task instance"))?;
    if output.output.is_data() {
        let reasons = answer.reasons_json.iter().map(|reason| json("reason", reason)).collect::<Result<_, _>>()?;
        let record = WhyRecord {
            dag_id: ti.dag_id,
            run_id: ti.run_id,
            task_id: ti.task_id,
            map_index: ti.map_index,
            state: ti.state,
            reasons,
            in_words: answer.reasons,
        };
        output::print_serialized(output.output, &record)?;
        return Ok(Exit::Success);
    }
    output::line(format!(
        "{} of {} {} is {}:",
        paint(Tone::Bold, states::name(&ti.task_id, ti.map_index)),
        ti.dag_id,
        paint(Tone::Dim, &ti.run_id),
        paint(output::state_tone(&ti.state), &ti.state),
    ))?;
    if answer.reasons.is_empty() {
        output::line("  • nothing holds it; it is about to be scheduled")?;
    }
    for reason in answer.reasons {
        output::line(format!("  • {reason}"))?;
    }
    Ok(Exit::Success)
}
