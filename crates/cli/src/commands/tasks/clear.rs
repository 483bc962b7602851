//! `tradewind tasks clear`.

use clap::Args;
use regex::Regex;
use tradewind_proto::v1;
use tradewind_types::{TaskState, Timestamp};

use super::states::{self, TaskInstanceRecord};
use crate::{
    client::Client,
    commands::dags::{details, list_runs},
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs},
};

/// The arguments of `tradewind tasks clear`.
#[derive(Debug, Args)]
pub struct ClearArgs {
    /// The DAG.
    dag_id: String,
    /// The run: its id, its logical date, or `latest`.
    #[arg(long, value_name = "RUN", required_unless_present_any = ["start_date", "end_date"])]
    run_id: Option<String>,
    /// Only tasks whose id this regular expression finds.
    #[arg(short, long, value_name = "REGEX")]
    task_regex: Option<String>,
    /// All runs from this logical date on.
    #[arg(short, long, value_name = "DATE", conflicts_with = "run_id")]
    start_date: Option<String>,
    /// All runs up to this logical date.
    #[arg(short, long, value_name = "DATE", conflicts_with = "run_id")]
    end_date: Option<String>,
    /// Also what lies upstream of them.
    #[arg(short, long)]
    upstream: bool,
    /// Also what lies downstream of them.
    #[arg(short, long)]
    downstream: bool,
    /// Only failed ones.
    #[arg(short = 'f', long)]
    only_failed: bool,
    /// Only running ones.
    #[arg(short = 'r', long, conflicts_with = "only_failed")]
    only_running: bool,
    /// Show what would be cleared, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Clears task instances: shows them, asks, clears.
///
/// # Errors
/// No leader answers, something does not exist, nobody is there to answer the question.
pub async fn run(client: &Client, args: ClearArgs) -> Outcome {
    let (_, spec) = details::fetch(client, &args.dag_id).await?;
    let tasks: Vec<String> = spec.tasks.iter().map(|task| task.task_id.to_string()).collect();
    let chosen = match &args.task_regex {
        None => Vec::new(),
        Some(pattern) => matching(pattern, &tasks)?,
    };
    let mut requests = Vec::new();
    let mut found = Vec::new();
    for run_id in runs(client, &args).await? {
        let mut request = v1::ClearTasksRequest {
            dag_id: args.dag_id.clone(),
            run_id,
            task_ids: chosen.clone(),
            upstream: args.upstream,
            downstream: args.downstream,
            only_failed: args.only_failed,
            dry_run: true,
        };
        let mut would = clear(client, &request).await?;
        if args.only_running {
            // The scheduler has no such filter: name the running ones, without their relations.
            would.retain(|ti| ti.state == TaskState::Running.as_str());
            request = v1::ClearTasksRequest {
                task_ids: would.iter().map(|ti| ti.task_id.clone()).collect(),
                upstream: false,
                downstream: false,
                ..request
            };
        }
        if let Some(first) = would.first() {
            // `latest` may be another run by the time that the question is answered.
            request.run_id.clone_from(&first.run_id);
            found.extend(would);
            requests.push(request);
        }
    }
    let now = Timestamp::now();
    if found.is_empty() {
        output::print_listing::<TaskInstanceRecord>(args.output.output, &[], 0)?;
        return Ok(Exit::Success);
    }
    if args.dry_run {
        let rows: Vec<_> = found.into_iter().map(|ti| TaskInstanceRecord::new(ti, now)).collect();
        output::print_listing(args.output.output, &rows, rows.len() as u64)?;
        return Ok(Exit::Success);
    }
    if !args.yes {
        for ti in &found {
            let name = states::name(&ti.task_id, ti.map_index);
            output::note(&format!(
                "  {} {name} ({})",
                ti.run_id,
                output::paint(output::state_tone(&ti.state), &ti.state)
            ));
        }
    }
    if !output::confirm(&format!("Clear {} task instances?", found.len()), args.yes)? {
        output::note("Nothing was cleared.");
        return Ok(Exit::Negative);
    }
    let mut rows = Vec::new();
    for request in requests {
        let request = v1::ClearTasksRequest { dry_run: false, ..request };
        rows.extend(clear(client, &request).await?.into_iter().map(|ti| TaskInstanceRecord::new(ti, now)));
    }
    output::print_listing(args.output.output, &rows, rows.len() as u64)?;
    Ok(Exit::Success)
}

async fn clear(client: &Client, request: &v1::ClearTasksRequest) -> Result<Vec<v1::TaskInstance>, CliError> {
    Ok(client.write(async |mut admin| admin.clear_tasks(request.clone()).await).await?.task_instances)
}

async fn runs(client: &Client, args: &ClearArgs) -> Result<Vec<String>, CliError> {
    if let Some(run_id) = &args.run_id {
        return Ok(vec![run_id.clone()]);
    }
    let date = |text: &Option<String>| text.as_deref().map(output::parse_date).transpose();
    let request = v1::ListRunsRequest {
        dag_id: Some(args.dag_id.clone()),
        from: date(&args.start_date)?.map(Timestamp::as_microsecond),
        to: date(&args.end_date)?.map(Timestamp::as_microsecond),
        ..Default::default()
    };
    Ok(list_runs(client, &request, 0).await?.0.into_iter().map(|run| run.run_id).collect())
}

/// The tasks that a pattern finds, as Airflow's `--task-regex` does: anywhere in the id.
fn matching(pattern: &str, tasks: &[String]) -> Result<Vec<String>, CliError> {
    let regex = Regex::new(pattern)
        .map_err(|error| CliError::usage(format!("\"{pattern}\" is not a regular expression: {error}")))?;
    let found: Vec<String> = tasks.iter().filter(|id| regex.is_match(id)).cloned().collect();
    if found.is_empty() {
        let near = tradewind_types::did_you_mean(pattern, tasks.iter().map(String::as_str));
        return Err(CliError::new(Exit::NotFound, format!("no task of the DAG matches \"{pattern}\"{near}")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_finds_tasks_anywhere_in_their_ids() {
        let tasks = ["load".to_owned(), "group.load".to_owned(), "train".to_owned()];
        assert_eq!(matching("load", &tasks).unwrap(), ["load", "group.load"]);
        assert_eq!(matching("^load$", &tasks).unwrap(), ["load"]);
        assert_eq!(matching("(", &tasks).unwrap_err().exit, Exit::Usage);
        let missing = matching("trian", &tasks).unwrap_err();
        assert_eq!(missing.exit, Exit::NotFound);
        assert!(missing.message.contains("did you mean \"train\""), "{missing}");
    }
}
