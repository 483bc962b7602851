//! `tradewind backfill create`.

use std::collections::HashMap;

use clap::{Args, ValueEnum};
use tradewind_proto::v1;

use super::{DateRecord, FullRecord, followed};
use crate::{
    client::Client,
    commands::dags::{json_object, list_runs},
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, Tone, paint},
    suggest,
};

/// Which existing runs a backfill runs again.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Reprocess {
    /// None: dates that have a run are left alone.
    #[default]
    None,
    /// Those that failed.
    Failed,
    /// All that are over.
    Completed,
}

/// The arguments of `tradewind backfill create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The DAG.
    #[arg(required_unless_present = "dag_id_flag", conflicts_with = "dag_id_flag")]
    dag_id: Option<String>,
    /// The same as a flag, as Airflow has it.
    #[arg(long = "dag-id", value_name = "DAG_ID")]
    dag_id_flag: Option<String>,
    /// The first date.
    #[arg(long, value_name = "DATE")]
    from_date: String,
    /// The last date.
    #[arg(long, value_name = "DATE")]
    to_date: String,
    /// Runs of it that may run at once.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    max_active_runs: u32,
    /// Begin with the latest date.
    #[arg(long)]
    run_backwards: bool,
    /// The conf of its runs, a JSON object.
    #[arg(long, value_name = "JSON")]
    dag_run_conf: Option<String>,
    /// Which existing runs to run again.
    #[arg(long, value_enum, default_value_t)]
    reprocess_behavior: Reprocess,
    /// Show what would happen to each date, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Watch it until all its runs are over; the exit code is 0 when none failed, 1 otherwise.
    #[arg(short, long, conflicts_with = "dry_run")]
    follow: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Creates a backfill, or shows what it would do.
///
/// # Errors
/// No leader answers, there is no such DAG, it cannot be backfilled, a value is wrong.
pub async fn run(client: &Client, args: CreateArgs) -> Outcome {
    let (from, to) = (output::parse_date(&args.from_date)?, output::parse_date(&args.to_date)?);
    if from > to {
        return Err(CliError::usage(format!("--from-date {} is after --to-date {}", args.from_date, args.to_date))
            .with_hint("swap them"));
    }
    let conf_json =
        args.dag_run_conf.as_deref().map(|conf| json_object("--dag-run-conf", conf)).transpose()?.unwrap_or_default();
    let request = v1::CreateBackfillRequest {
        dag_id: args.dag_id.or(args.dag_id_flag).unwrap_or_default(),
        from: from.as_microsecond(),
        to: to.as_microsecond(),
        max_active_runs: args.max_active_runs,
        reprocess: match args.reprocess_behavior {
            Reprocess::None => "none",
            Reprocess::Failed => "failed",
            Reprocess::Completed => "completed",
        }
        .to_owned(),
        backwards: args.run_backwards,
        conf_json,
        dry_run: args.dry_run,
    };
    let answer = match client.write(async |mut admin| admin.create_backfill(request.clone()).await).await {
        Ok(answer) => answer,
        Err(error) => return Err(suggest::near_names(client, error, &request.dag_id, None, None).await),
    };
    let format = args.output.output;
    if args.dry_run {
        let items = with_existing(client, &request, answer.items).await?;
        let rows: Vec<DateRecord> = items.into_iter().map(|item| DateRecord::new(item, true)).collect();
        output::print_listing(format, &rows, rows.len() as u64)?;
        if !format.is_data() {
            let skipped = rows.iter().filter(|row| row.is_skipped()).count();
            output::note(&format!("{} runs; {skipped} dates are left alone.", rows.len() - skipped));
        }
        return Ok(Exit::Success);
    }
    let full = FullRecord::new(answer.clone())?;
    let no = full.no();
    if args.follow {
        output::note(&format!("Backfill {} of {}", paint(Tone::Bold, no), request.dag_id));
        return followed(client, no, args.output).await;
    }
    if format.is_data() {
        output::print_serialized(format, &full)?;
        return Ok(Exit::Success);
    }
    let skipped = answer.items.iter().filter(|item| item.skipped.is_some()).count();
    output::line(format!(
        "Created backfill {} of {}: {} runs, {skipped} dates are left alone.",
        paint(Tone::Bold, no),
        request.dag_id,
        answer.items.len() - skipped
    ))?;
    output::note(&format!("Watch it with `tradewind backfill show {no} --follow`."));
    Ok(Exit::Success)
}

/// Adds the runs that exist already: a plan names none.
async fn with_existing(
    client: &Client,
    request: &v1::CreateBackfillRequest,
    mut items: Vec<v1::BackfillItem>,
) -> Result<Vec<v1::BackfillItem>, CliError> {
    let wanted = v1::ListRunsRequest {
        dag_id: Some(request.dag_id.clone()),
        from: items.iter().map(|item| item.logical_date).min(),
        to: items.iter().map(|item| item.logical_date).max(),
        ..Default::default()
    };
    let (runs, _) = list_runs(client, &wanted, 0).await?;
    let by_date: HashMap<i64, v1::DagRun> = runs.into_iter().filter_map(|run| Some((run.logical_date?, run))).collect();
    for item in &mut items {
        if let (None, Some(run)) = (&item.run_id, by_date.get(&item.logical_date)) {
            item.run_id = Some(run.run_id.clone());
            item.state = Some(run.state.clone());
        }
    }
    Ok(items)
}
