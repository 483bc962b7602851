//! `tradewind dags list-runs`, `state`, `next-execution` and `mark-run`.

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use tradewind_proto::{json, v1};
use tradewind_types::{RunState, Timestamp};

use crate::{
    client::Client,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, PageArgs, Record, Text, Tone},
    suggest,
};

/// The arguments of `tradewind dags list-runs`.
#[derive(Debug, Args)]
pub struct ListRunsArgs {
    /// The DAG; runs of all DAGs without it.
    #[arg(conflicts_with = "dag_id_flag")]
    dag_id: Option<String>,
    /// The same as a flag, as older Airflow had it.
    #[arg(short, long = "dag-id", value_name = "DAG_ID", hide = true)]
    dag_id_flag: Option<String>,
    /// Only runs in this state: queued, running, success or failed; can be repeated.
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// Only runs from this logical date on.
    #[arg(short, long, value_name = "DATE")]
    start_date: Option<String>,
    /// Only runs up to this logical date.
    #[arg(short, long, value_name = "DATE")]
    end_date: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

/// A run as a row or an object.
#[derive(Clone, Debug, Serialize)]
pub struct RunRecord {
    dag_id: String,
    run_id: String,
    state: String,
    run_type: String,
    run_after: String,
    logical_date: Option<String>,
    data_interval_start: Option<String>,
    data_interval_end: Option<String>,
    queued_at: String,
    start_date: Option<String>,
    end_date: Option<String>,
    duration_secs: Option<f64>,
    conf: Value,
    version_hash: String,
    triggered_by: Option<String>,
    note: Option<String>,
    #[serde(skip)]
    duration: String,
    /// The duration's share of the longest that is shown.
    #[serde(skip)]
    share: f64,
}

impl RunRecord {
    /// A run of the wire; a running one lasts until `now`.
    ///
    /// # Errors
    /// Its conf is not JSON.
    pub fn new(run: v1::DagRun, now: Timestamp) -> Result<Self, CliError> {
        let end = run.end_date.unwrap_or_else(|| now.as_microsecond());
        let lasted = run.start_date.map(|start| output::since(start, end));
        Ok(Self {
            duration: lasted.map_or_else(String::new, output::duration),
            duration_secs: lasted.map(|lasted| lasted.as_secs_f64()),
            share: 0.0,
            dag_id: run.dag_id,
            run_id: run.run_id,
            state: run.state,
            run_type: run.run_type,
            run_after: output::iso(run.run_after),
            logical_date: output::iso_or_none(run.logical_date),
            data_interval_start: output::iso_or_none(run.data_interval_start),
            data_interval_end: output::iso_or_none(run.data_interval_end),
            queued_at: output::iso(run.queued_at),
            start_date: output::iso_or_none(run.start_date),
            end_date: output::iso_or_none(run.end_date),
            conf: json("conf", &run.conf_json)?,
            version_hash: run.version,
            triggered_by: run.triggered_by,
            note: run.note,
        })
    }
}

impl Record for RunRecord {
    const HEADINGS: &'static [&'static str] =
        &["dag_id", "run_id", "state", "duration", "", "run_after", "start_date", "end_date", "note"];

    fn cells(&self) -> Vec<Text> {
        vec![
            Text::plain(&self.dag_id),
            Text::plain(&self.run_id),
            output::state_text(&self.state),
            Text::number(&self.duration),
            Text::toned(output::state_tone(&self.state), output::bar(self.share, 10)),
            Text::instant(Some(&self.run_after)),
            Text::instant(self.start_date.as_deref()),
            Text::instant(self.end_date.as_deref()),
            self.note.as_deref().map_or_else(Text::default, |note| Text::brief(note, 60)),
        ]
    }
}

/// Lists runs.
///
/// # Errors
/// No scheduler answers, there is no such DAG, or a state or date is none.
pub async fn list(client: &Client, args: ListRunsArgs) -> Outcome {
    for state in &args.state {
        state.parse::<RunState>().map_err(CliError::usage)?;
    }
    let date = |text: &Option<String>| text.as_deref().map(output::parse_date).transpose();
    let request = v1::ListRunsRequest {
        page: None,
        dag_id: args.dag_id.or(args.dag_id_flag),
        states: args.state,
        from: date(&args.start_date)?.map(Timestamp::as_microsecond),
        to: date(&args.end_date)?.map(Timestamp::as_microsecond),
    };
    let (runs, total) = fetch(client, &request, args.page.limit).await?;
    let now = Timestamp::now();
    let mut rows = runs.into_iter().map(|run| RunRecord::new(run, now)).collect::<Result<Vec<_>, _>>()?;
    let longest = rows.iter().filter_map(|row| row.duration_secs).fold(0.0, f64::max);
    for row in &mut rows {
        row.share = row.duration_secs.map_or(0.0, |secs| secs / longest.max(f64::MIN_POSITIVE));
    }
    output::print_listing(args.page.output, &rows, total)?;
    Ok(Exit::Success)
}

/// Runs that a request names, over all pages up to `limit` rows (0: all).
pub(crate) async fn fetch(
    client: &Client,
    request: &v1::ListRunsRequest,
    limit: u64,
) -> Result<(Vec<v1::DagRun>, u64), CliError> {
    let fetched = output::all_pages(limit, async |page| {
        let request = v1::ListRunsRequest { page: Some(page), ..request.clone() };
        let answer = client.read(async |mut admin| admin.list_runs(request.clone()).await).await?;
        Ok((answer.runs, answer.total))
    })
    .await;
    match (fetched, &request.dag_id) {
        (Err(error), Some(dag_id)) => Err(suggest::near_names(client, error, dag_id, None, None).await),
        (fetched, _) => fetched,
    }
}

/// The arguments of `tradewind dags state`.
#[derive(Debug, Args)]
pub struct StateArgs {
    /// The DAG.
    dag_id: String,
    /// The run: its id, its logical date, or `latest`.
    #[arg(default_value = "latest")]
    run: String,
    #[command(flatten)]
    output: OutputArgs,
}

/// Prints the state of a run.
///
/// # Errors
/// No scheduler answers, or there is no such run.
pub async fn state(client: &Client, args: StateArgs) -> Outcome {
    let run = get(client, &args.dag_id, &args.run).await?;
    if args.output.output.is_data() {
        output::print_record(args.output.output, &RunRecord::new(run, Timestamp::now())?)?;
    } else {
        output::line(output::paint(output::state_tone(&run.state), &run.state))?;
    }
    Ok(Exit::Success)
}

/// A run by its id or logical date, or the latest.
pub(crate) async fn get(client: &Client, dag_id: &str, run: &str) -> Result<v1::DagRun, CliError> {
    let request = v1::GetRunRequest { dag_id: dag_id.to_owned(), run_id: run.to_owned() };
    match client.read(async |mut admin| admin.get_run(request.clone()).await).await {
        Ok(answer) => answer.run.ok_or_else(|| CliError::new(Exit::Internal, "the scheduler answered without the run")),
        Err(error) => Err(suggest::near_names(client, error, dag_id, None, None).await),
    }
}

/// The arguments of `tradewind dags next-execution`.
#[derive(Debug, Args)]
pub struct NextArgs {
    /// The DAG.
    dag_id: String,
    /// How many.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    num_executions: u32,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Serialize)]
struct NextRecord {
    logical_date: Option<String>,
    data_interval_start: Option<String>,
    data_interval_end: Option<String>,
    run_after: String,
}

impl Record for NextRecord {
    const HEADINGS: &'static [&'static str] = &["run_after", "data_interval_start", "data_interval_end"];

    fn cells(&self) -> Vec<Text> {
        vec![
            Text::instant(Some(&self.run_after)),
            Text::instant(self.data_interval_start.as_deref()),
            Text::instant(self.data_interval_end.as_deref()),
        ]
    }
}

/// Prints when a DAG runs next.
///
/// # Errors
/// No leader answers, or there is no such DAG.
pub async fn next(client: &Client, args: NextArgs) -> Outcome {
    let request = v1::NextRunsRequest { dag_id: args.dag_id, count: args.num_executions };
    let runs = match client.read(async |mut admin| admin.next_runs(request.clone()).await).await {
        Ok(answer) => answer.runs,
        Err(error) => return Err(suggest::near_names(client, error, &request.dag_id, None, None).await),
    };
    let rows: Vec<NextRecord> = runs
        .into_iter()
        .map(|run| NextRecord {
            logical_date: output::iso_or_none(run.logical_date),
            data_interval_start: output::iso_or_none(run.data_interval_start),
            data_interval_end: output::iso_or_none(run.data_interval_end),
            run_after: output::iso(run.run_after),
        })
        .collect();
    if rows.is_empty() && !args.output.output.is_data() {
        output::note(&format!("\"{}\" is not scheduled any more, or only by hand.", request.dag_id));
        return Ok(Exit::Success);
    }
    output::print_listing(args.output.output, &rows, rows.len() as u64)?;
    Ok(Exit::Success)
}

/// A state that a run can be given.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FinalRunState {
    /// All its unfinished task instances become success.
    Success,
    /// Running task instances are stopped, the others skipped.
    Failed,
}

/// The arguments of `tradewind dags mark-run`.
#[derive(Debug, Args)]
pub struct MarkRunArgs {
    /// The DAG.
    dag_id: String,
    /// The run: its id, its logical date, or `latest`.
    run: String,
    /// The new state.
    state: FinalRunState,
    #[command(flatten)]
    output: OutputArgs,
}

/// Marks a run.
///
/// # Errors
/// No leader answers, or there is no such run.
pub async fn mark(client: &Client, args: MarkRunArgs) -> Outcome {
    let state = match args.state {
        FinalRunState::Success => "success",
        FinalRunState::Failed => "failed",
    };
    let request = v1::MarkRunRequest { dag_id: args.dag_id, run_id: args.run, state: state.to_owned() };
    let run = match client.write(async |mut admin| admin.mark_run(request.clone()).await).await {
        Ok(run) => run,
        Err(error) => return Err(suggest::near_names(client, error, &request.dag_id, None, None).await),
    };
    if args.output.output.is_data() {
        output::print_record(args.output.output, &RunRecord::new(run, Timestamp::now())?)?;
    } else {
        let shown = output::paint(Tone::Bold, &run.run_id);
        output::line(format!(
            "Marked {} {shown} as {}.",
            run.dag_id,
            output::paint(output::state_tone(&run.state), &run.state)
        ))?;
    }
    Ok(Exit::Success)
}
