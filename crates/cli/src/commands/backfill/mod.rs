//! `tradewind backfill`.

mod create;
mod progress;
mod records;

use clap::Subcommand;
use tradewind_proto::v1;

use crate::{
    client::Client,
    context::Context,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, PageArgs},
    suggest,
};

use records::{BackfillRecord, DateRecord, FullRecord, print_full};

/// The commands of `tradewind backfill`.
#[derive(Debug, Subcommand)]
pub enum BackfillCommand {
    /// Make runs for a range of past dates.
    #[command(after_help = "Examples:
  tradewind backfill create hello --from-date 2026-01-01 --to-date 2026-01-31 --dry-run
  tradewind backfill create hello --from-date 2026-01-01 --to-date 2026-01-31 --max-active-runs 3 --follow
  tradewind backfill create hello --from-date 2026-01-01 --to-date 2026-01-31 --reprocess-behavior failed")]
    Create(create::CreateArgs),
    /// List backfills, newest first.
    List {
        /// Only those of this DAG.
        dag_id: Option<String>,
        /// How many, and how to print.
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show a backfill with its dates.
    #[command(after_help = "Example:\n  tradewind backfill show 3 --follow")]
    Show {
        /// Its number.
        no: u64,
        /// Watch it until all its runs are over; the exit code is 0 when none failed, 1 otherwise.
        #[arg(short, long)]
        follow: bool,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Start no more of its runs; those that run go on.
    Pause {
        /// Its number.
        no: u64,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Go on with a paused backfill.
    Unpause {
        /// Its number.
        no: u64,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// End a backfill: its queued runs fail, those that run go on.
    Cancel {
        /// Its number.
        no: u64,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
}

/// Runs a command of `tradewind backfill`.
///
/// # Errors
/// No leader answers, there is no such DAG or backfill, a value is wrong.
pub async fn run(context: &Context, command: BackfillCommand) -> Outcome {
    let client = context.client()?;
    match command {
        BackfillCommand::Create(args) => create::run(&client, args).await,
        BackfillCommand::List { dag_id, page } => list(&client, dag_id, page).await,
        BackfillCommand::Show { no, follow, output } => {
            if follow {
                return followed(&client, no, output).await;
            }
            print_full(output.output, get(&client, no).await?)?;
            Ok(Exit::Success)
        }
        BackfillCommand::Pause { no, output } => set(&client, no, "pause", output).await,
        BackfillCommand::Unpause { no, output } => set(&client, no, "unpause", output).await,
        BackfillCommand::Cancel { no, output } => set(&client, no, "cancel", output).await,
    }
}

async fn list(client: &Client, dag_id: Option<String>, page: PageArgs) -> Outcome {
    let fetched = output::all_pages(page.limit, async |wanted| {
        let request = v1::ListBackfillsRequest { page: Some(wanted), dag_id: dag_id.clone() };
        let answer = client.read(async |mut admin| admin.list_backfills(request.clone()).await).await?;
        Ok((answer.backfills, answer.total))
    })
    .await;
    let (backfills, total) = match (fetched, &dag_id) {
        (Ok(found), _) => found,
        (Err(error), Some(dag_id)) => return Err(suggest::near_names(client, error, dag_id, None, None).await),
        (Err(error), None) => return Err(error),
    };
    let rows = backfills.into_iter().map(BackfillRecord::new).collect::<Result<Vec<_>, _>>()?;
    output::print_listing(page.output, &rows, total)?;
    Ok(Exit::Success)
}

/// A backfill with its dates.
async fn get(client: &Client, no: u64) -> Result<v1::BackfillResponse, CliError> {
    let request = v1::GetBackfillRequest { no };
    client.read(async |mut admin| admin.get_backfill(request).await).await
}

async fn set(client: &Client, no: u64, action: &str, output: OutputArgs) -> Outcome {
    let request = v1::SetBackfillRequest { no, action: action.to_owned() };
    let answer = client.write(async |mut admin| admin.set_backfill(request.clone()).await).await?;
    if output.output.is_data() {
        print_full(output.output, answer)?;
        return Ok(Exit::Success);
    }
    let done = match action {
        "pause" => "is paused: no more of its runs start",
        "unpause" => "goes on",
        _ => "is cancelled: its queued runs failed",
    };
    let over = answer.items.iter().filter(|item| records::is_over(item)).count();
    output::line(format!("Backfill {no} {done} ({over} of {} dates are over).", answer.items.len()))?;
    Ok(Exit::Success)
}

/// Watches a backfill to its end and says how it ended.
async fn followed(client: &Client, no: u64, output: OutputArgs) -> Outcome {
    let last = progress::follow(client, no).await?;
    let failed = last.items.iter().any(|item| item.state.as_deref() == Some("failed"));
    if output.output.is_data() {
        print_full(output.output, last)?;
    } else {
        output::line(progress::verdict(&last))?;
    }
    Ok(if failed { Exit::Negative } else { Exit::Success })
}
