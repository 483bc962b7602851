//! `tradewind tasks render`.

use clap::Args;
use serde_json::Value;
use tradewind_proto::{json, v1};

use super::explained;
use crate::{
    client::Client,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, Tone, paint},
};

/// The arguments of `tradewind tasks render`.
#[derive(Debug, Args)]
pub struct RenderArgs {
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

/// Prints the template fields as they were rendered for the last attempt.
///
/// # Errors
/// No scheduler answers, there is no such task instance, or nothing was rendered yet.
pub async fn run(client: &Client, args: RenderArgs) -> Outcome {
    let task =
        v1::TaskInstanceRef { dag_id: args.dag_id, run_id: args.run, task_id: args.task_id, map_index: args.map_index };
    let answer = match client.read(async |mut admin| admin.get_rendered(task.clone()).await).await {
        Ok(answer) => answer,
        Err(error) => return Err(explained(client, error, &task).await),
    };
    let Some(fields) = answer.fields_json else {
        return Err(CliError::new(
            Exit::NotFound,
            format!("nothing was rendered for {} in this run: it has no templates, or did not start yet", task.task_id),
        ));
    };
    match json("fields", &fields)? {
        Value::Object(fields) if !args.output.output.is_data() => {
            for (name, value) in fields {
                let text = match value {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                output::line(format!("{}\n{text}\n", paint(Tone::Bold, format!("# {name}"))))?;
            }
        }
        fields => output::print_serialized(args.output.output, &fields)?,
    }
    Ok(Exit::Success)
}
