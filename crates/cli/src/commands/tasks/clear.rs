//! `tradewind tasks clear`, and what `dags clear` shares with it.

use std::collections::HashSet;

use clap::Args;
use regex::Regex;
use tradewind_proto::v1;
use tradewind_types::Timestamp;

use super::states::{self, TaskInstanceRecord};
use crate::{
    client::Client,
    commands::dags::{details, get_run, list_runs},
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs},
};

/// Which runs are cleared.
#[derive(Debug, Args)]
pub struct WhichRuns {
    /// The run: its id, its logical date, or `latest`.
    #[arg(long, value_name = "RUN", required_unless_present_any = ["start_date", "end_date"])]
    run_id: Option<String>,
    /// All runs from this logical date on.
    #[arg(short, long, value_name = "DATE", conflicts_with = "run_id")]
    start_date: Option<String>,
    /// All runs up to this logical date.
    #[arg(short, long, value_name = "DATE", conflicts_with = "run_id")]
    end_date: Option<String>,
    /// Also the runs before it.
    #[arg(long)]
    past: bool,
    /// Also the runs after it.
    #[arg(long)]
    future: bool,
}

/// Which of the chosen task instances are cleared, and how.
#[derive(Debug, Args)]
pub struct HowToClear {
    /// Only failed ones.
    #[arg(short = 'f', long)]
    only_failed: bool,
    /// Only running ones.
    #[arg(short = 'r', long, conflicts_with = "only_failed")]
    only_running: bool,
    /// Do not clear what waits for them in other DAGs (`ExternalTaskMarker`).
    #[arg(long)]
    exclude_markers: bool,
    /// Show what would be cleared, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// The arguments of `tradewind tasks clear`.
#[derive(Debug, Args)]
pub struct ClearArgs {
    /// The DAG.
    dag_id: String,
    #[command(flatten)]
    runs: WhichRuns,
    /// Only tasks whose id this regular expression finds.
    #[arg(short, long, value_name = "REGEX")]
    task_regex: Option<String>,
    /// Only the task instances with this map index; can be repeated.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    map_index: Vec<i32>,
    /// Also what lies upstream of them.
    #[arg(short, long)]
    upstream: bool,
    /// Also what lies downstream of them.
    #[arg(short, long)]
    downstream: bool,
    #[command(flatten)]
    how: HowToClear,
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
    let request = v1::ClearTasksRequest {
        dag_id: args.dag_id,
        task_ids: chosen,
        map_indexes: args.map_index,
        upstream: args.upstream,
        downstream: args.downstream,
        ..Default::default()
    };
    clear_runs(client, request, &args.runs, args.how).await
}

/// Clears what a request names in each of the runs: shows it, asks, clears.
///
/// # Errors
/// No leader answers, something does not exist, nobody is there to answer the question.
pub async fn clear_runs(
    client: &Client,
    request: v1::ClearTasksRequest,
    which: &WhichRuns,
    how: HowToClear,
) -> Outcome {
    let request = v1::ClearTasksRequest {
        past: which.past,
        future: which.future,
        only_failed: how.only_failed,
        only_running: how.only_running,
        exclude_markers: how.exclude_markers,
        ..request
    };
    let mut requests = Vec::new();
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for run_id in runs(client, &request.dag_id, which).await? {
        let request = v1::ClearTasksRequest { run_id, dry_run: true, ..request.clone() };
        let mut would = clear(client, &request).await?;
        // Runs that lie before or after several of the runs come up more than once.
        would.retain(|ti| seen.insert(ti.id.clone()));
        if !would.is_empty() {
            found.extend(would);
            requests.push(v1::ClearTasksRequest { dry_run: false, ..request });
        }
    }
    let now = Timestamp::now();
    let format = how.output.output;
    if found.is_empty() || how.dry_run {
        let rows: Vec<_> = found.into_iter().map(|ti| TaskInstanceRecord::new(ti, now)).collect();
        states::print_of_runs(format, rows)?;
        return Ok(Exit::Success);
    }
    if !how.yes {
        for ti in &found {
            let name = states::name(&ti.task_id, ti.map_index);
            let dag = if ti.dag_id == request.dag_id { String::new() } else { format!("{} ", ti.dag_id) };
            output::note(&format!(
                "  {dag}{} {name} ({})",
                ti.run_id,
                output::paint(output::state_tone(&ti.state), &ti.state)
            ));
        }
    }
    if !output::confirm(&format!("Clear {} task instances?", found.len()), how.yes)? {
        output::note("Nothing was cleared.");
        return Ok(Exit::Negative);
    }
    let mut rows = Vec::new();
    for request in requests {
        rows.extend(clear(client, &request).await?.into_iter().map(|ti| TaskInstanceRecord::new(ti, now)));
    }
    states::print_of_runs(format, rows)?;
    Ok(Exit::Success)
}

async fn clear(client: &Client, request: &v1::ClearTasksRequest) -> Result<Vec<v1::TaskInstance>, CliError> {
    Ok(client.write(async |mut admin| admin.clear_tasks(request.clone()).await).await?.task_instances)
}

async fn runs(client: &Client, dag_id: &str, which: &WhichRuns) -> Result<Vec<String>, CliError> {
    if let Some(run) = &which.run_id {
        // `latest` may be another run by the time that the question is answered.
        return Ok(vec![get_run(client, dag_id, run).await?.run_id]);
    }
    let date = |text: &Option<String>| text.as_deref().map(output::parse_date).transpose();
    let request = v1::ListRunsRequest {
        dag_id: Some(dag_id.to_owned()),
        from: date(&which.start_date)?.map(Timestamp::as_microsecond),
        to: date(&which.end_date)?.map(Timestamp::as_microsecond),
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
