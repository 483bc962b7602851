//! `tradewind simulate`: what is going to happen. The scheduler is only asked what there is; the engine runs in this
//! process under a virtual clock, and nothing is changed.

mod day;
mod inputs;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;
use tradewind_engine::BackfillRequest;
use tradewind_sim::forecast::{self, NextRun, Planned, PlannedRun};
use tradewind_types::Reprocess;

use crate::{
    context::Context,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, Record, Text, Tone},
};

/// The commands of `tradewind simulate`.
#[derive(Debug, Subcommand)]
pub enum SimulateCommand {
    /// Show the next runs of a DAG's schedule, with local time.
    #[command(after_help = "Examples:
  tradewind simulate next hello -n 5
  tradewind simulate next hello --from 2026-03-28          across the night on which clocks change")]
    Next(NextArgs),
    /// Show which runs a backfill would make, without making it.
    #[command(after_help = "Example:\n  tradewind simulate backfill hello --from-date 2026-01-01 --to-date 2026-01-31")]
    Backfill(BackfillArgs),
    /// Show the next hours as past durations suggest them, and what other pools would change.
    #[command(after_help = "\
Every task is taken to succeed at its first try, after the median of what it took so far. What runs at this moment is
left out.

Examples:
  tradewind simulate day
  tradewind simulate day --pool ml_training=2 --pool default_pool=64
  tradewind simulate day etl report --hours 6 --parallelism 16 -o json")]
    Day(day::DayArgs),
}

/// The arguments of `tradewind simulate next`.
#[derive(Debug, Args)]
pub struct NextArgs {
    /// The DAG.
    dag_id: String,
    /// How many runs.
    #[arg(short, long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    num_executions: u16,
    /// As if the DAG were switched on then; else its schedule goes on after its last run.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Which existing runs a backfill runs again.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ReprocessArg {
    /// None: dates that have a run are left alone.
    #[default]
    None,
    /// Those that failed.
    Failed,
    /// All that are over.
    Completed,
}

/// The arguments of `tradewind simulate backfill`.
#[derive(Debug, Args)]
pub struct BackfillArgs {
    /// The DAG.
    dag_id: String,
    /// The first date.
    #[arg(long, value_name = "DATE")]
    from_date: String,
    /// The last date.
    #[arg(long, value_name = "DATE")]
    to_date: String,
    /// Begin with the latest date.
    #[arg(long)]
    run_backwards: bool,
    /// Which existing runs to run again.
    #[arg(long, value_enum, default_value_t)]
    reprocess_behavior: ReprocessArg,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs a command of `tradewind simulate`.
///
/// # Errors
/// No scheduler answers, there is no such DAG, its schedule is not to be foreseen, a value is wrong.
pub async fn run(context: &Context, command: SimulateCommand) -> Outcome {
    match command {
        SimulateCommand::Next(args) => next(context, args).await,
        SimulateCommand::Backfill(args) => backfill(context, args).await,
        SimulateCommand::Day(args) => day::run(context, args).await,
    }
}

async fn next(context: &Context, args: NextArgs) -> Outcome {
    let from = args.from.as_deref().map(output::parse_date).transpose()?;
    let client = context.client()?;
    let dag = inputs::dag(&client, &args.dag_id).await?;
    let runs = forecast::next_runs(&dag, Timestamp::now(), from, args.num_executions.into())?;
    let rows: Vec<NextRecord> = runs.into_iter().map(NextRecord).collect();
    if rows.is_empty() && !args.output.output.is_data() {
        output::note(&format!("The schedule of {} has come to its end.", args.dag_id));
        return Ok(Exit::Success);
    }
    output::print_listing(args.output.output, &rows, rows.len() as u64)?;
    Ok(Exit::Success)
}

async fn backfill(context: &Context, args: BackfillArgs) -> Outcome {
    let (from, to) = (output::parse_date(&args.from_date)?, output::parse_date(&args.to_date)?);
    if from > to {
        let error = format!("--from-date {} is after --to-date {}", args.from_date, args.to_date);
        return Err(CliError::usage(error).with_hint("swap them"));
    }
    let client = context.client()?;
    let dag = inputs::dag(&client, &args.dag_id).await?;
    let existing = inputs::runs(&client, &args.dag_id, from, to).await?;
    let request = BackfillRequest {
        dag_id: dag.version.spec.dag_id.clone(),
        from,
        to,
        max_active_runs: 1,
        reprocess: match args.reprocess_behavior {
            ReprocessArg::None => Reprocess::None,
            ReprocessArg::Failed => Reprocess::Failed,
            ReprocessArg::Completed => Reprocess::Completed,
        },
        backwards: args.run_backwards,
        conf: serde_json::Value::Null,
        dates: None,
        dry_run: true,
        by: "cli".to_owned(),
    };
    let planned = forecast::backfill(&dag, &existing, request, Timestamp::now())?;
    let rows: Vec<PlannedRecord> = planned.into_iter().map(PlannedRecord).collect();
    output::print_listing(args.output.output, &rows, rows.len() as u64)?;
    if !args.output.output.is_data() {
        let count = |planned| rows.iter().filter(|row| row.0.planned == planned).count();
        output::note(&format!(
            "{} runs would be made, {} run again, {} dates are left alone.",
            count(Planned::Create),
            count(Planned::RunAgain),
            count(Planned::Skip)
        ));
    }
    Ok(Exit::Success)
}

#[derive(Serialize)]
#[serde(transparent)]
struct NextRecord(NextRun);

fn instant(at: Timestamp) -> Text {
    Text::instant(Some(&output::iso_micros(at)))
}

impl Record for NextRecord {
    const HEADINGS: &'static [&'static str] =
        &["run_id", "logical_date", "data_interval_start", "data_interval_end", "run_after", "local time", "clocks"];

    fn cells(&self) -> Vec<Text> {
        let Self(run) = self;
        let clocks = match run.clock_change {
            0 => Text::default(),
            change => {
                let way = if change > 0 { "forward" } else { "back" };
                let by = std::time::Duration::from_secs(change.unsigned_abs().into());
                Text::toned(Tone::Warn, format!("{way} {}", output::duration(by)))
            }
        };
        vec![
            Text::plain(&run.run_id),
            instant(run.logical_date),
            instant(run.data_interval_start),
            instant(run.data_interval_end),
            instant(run.run_after),
            Text::plain(format!("{} {}", run.local_time, run.timezone)),
            clocks,
        ]
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct PlannedRecord(PlannedRun);

impl Record for PlannedRecord {
    const HEADINGS: &'static [&'static str] =
        &["#", "logical_date", "would", "run_id", "data_interval_start", "data_interval_end"];

    fn cells(&self) -> Vec<Text> {
        let Self(run) = self;
        let would = match run.planned {
            Planned::Create => Text::toned(Tone::Good, "be made"),
            Planned::RunAgain => Text::toned(Tone::Warn, "run again"),
            Planned::Skip => {
                let why = run.why.as_deref().unwrap_or_default();
                Text::toned(Tone::Dim, format!("be left alone: {why}"))
            }
        };
        vec![
            Text::number(run.ordinal),
            instant(run.logical_date),
            would,
            Text::maybe(run.run_id.as_ref()),
            run.data_interval_start.map_or_else(Text::default, instant),
            run.data_interval_end.map_or_else(Text::default, instant),
        ]
    }
}
