//! `tradewind queues`.

use clap::Subcommand;
use serde::Serialize;
use tradewind_proto::v1;
use tradewind_types::Timestamp;

use crate::{
    context::Context,
    errors::{Exit, Outcome},
    output::{self, OutputArgs, Record, Text, Tone},
};

/// The commands of `tradewind queues`.
#[derive(Debug, Subcommand)]
pub enum QueuesCommand {
    /// List the queues: how many wait, since when, how many run, who serves them.
    List {
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Serialize)]
struct QueueRecord {
    queue: String,
    queued: u64,
    oldest: Option<String>,
    running: u64,
    workers: Vec<String>,
    hints: Option<u64>,
    #[serde(skip)]
    waited: Option<String>,
    #[serde(skip)]
    share: f64,
}

impl Record for QueueRecord {
    const HEADINGS: &'static [&'static str] = &["queue", "queued", "", "oldest", "running", "hints", "workers"];

    fn cells(&self) -> Vec<Text> {
        let workers = match self.workers.as_slice() {
            [] if self.queued > 0 => Text::toned(Tone::Bad, "none: nobody serves it"),
            [] => Text::toned(Tone::Dim, "none"),
            workers => Text::plain(workers.join(", ")),
        };
        vec![
            Text::plain(&self.queue),
            Text::number(self.queued),
            Text::toned(Tone::Info, output::bar(self.share, 10)),
            Text::maybe(self.waited.as_ref()),
            Text::number(self.running),
            Text::number(self.hints.map_or_else(|| "?".to_owned(), |hints| hints.to_string())),
            workers,
        ]
    }
}

/// Runs a command of `tradewind queues`.
///
/// # Errors
/// No leader answers.
pub async fn run(context: &Context, command: QueuesCommand) -> Outcome {
    let QueuesCommand::List { output } = command;
    let client = context.client()?;
    let answer = client.read(async |mut admin| admin.list_queues(v1::Empty {}).await).await?;
    let now = Timestamp::now();
    let longest = answer.queues.iter().map(|queue| queue.queued).max().unwrap_or(0).max(1);
    let rows: Vec<QueueRecord> = answer
        .queues
        .into_iter()
        .map(|queue| QueueRecord {
            #[expect(clippy::cast_precision_loss, reason = "for a bar")]
            share: queue.queued as f64 / longest as f64,
            queue: queue.queue,
            queued: queue.queued,
            oldest: output::iso_or_none(queue.oldest),
            waited: queue.oldest.map(|oldest| output::duration(output::since(oldest, now.as_microsecond()))),
            running: queue.running,
            workers: queue.workers,
            hints: queue.hints,
        })
        .collect();
    output::print_listing(output.output, &rows, rows.len() as u64)?;
    Ok(Exit::Success)
}
