//! `tradewind workers`.

use std::collections::{BTreeMap, HashMap};

use clap::Subcommand;
use serde::Serialize;
use tradewind_proto::v1;
use tradewind_types::{TaskState, Timestamp};

use crate::{
    client::Client,
    context::Context,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, Record, Text, Tone},
    suggest,
};

/// The commands of `tradewind workers`.
#[derive(Debug, Subcommand)]
pub enum WorkersCommand {
    /// List the workers: queues, slots in use, when last seen.
    List {
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Let a worker finish what it runs and then end; it takes nothing new.
    #[command(after_help = "Example:\n  tradewind workers drain worker-1")]
    Drain {
        /// Its name.
        name: String,
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Serialize)]
struct WorkerRecord {
    name: String,
    status: String,
    queues: Vec<String>,
    slots: u32,
    running: u32,
    /// Deferred task instances whose triggers it runs.
    triggers: u64,
    hostname: String,
    pid: u32,
    version: String,
    registered_at: String,
    last_seen: String,
    incarnation: String,
    labels: BTreeMap<String, String>,
    #[serde(skip)]
    seen: String,
}

impl WorkerRecord {
    fn new(worker: v1::Worker, triggers: &HashMap<String, u64>, now: Timestamp) -> Self {
        Self {
            triggers: triggers.get(&worker.name).copied().unwrap_or(0),
            seen: output::ago(worker.last_seen, now),
            name: worker.name,
            status: worker.status,
            queues: worker.queues,
            slots: worker.slots,
            running: worker.running,
            hostname: worker.hostname,
            pid: worker.pid,
            version: worker.version,
            registered_at: output::iso(worker.registered_at),
            last_seen: output::iso(worker.last_seen),
            incarnation: worker.incarnation,
            labels: worker.labels.into_iter().collect(),
        }
    }
}

impl Record for WorkerRecord {
    const HEADINGS: &'static [&'static str] =
        &["name", "status", "queues", "slots in use", "", "triggers", "host", "pid", "last seen", "version"];

    fn cells(&self) -> Vec<Text> {
        let tone = match self.status.as_str() {
            "active" => Tone::Good,
            "draining" => Tone::Warn,
            _ => Tone::Bad,
        };
        vec![
            Text::plain(&self.name),
            Text::toned(tone, &self.status),
            Text::plain(self.queues.join(", ")),
            Text::number(format!("{}/{}", self.running, self.slots)),
            Text::toned(Tone::Info, output::bar(f64::from(self.running) / f64::from(self.slots.max(1)), 10)),
            Text::number(self.triggers),
            Text::plain(&self.hostname),
            Text::number(self.pid),
            Text::plain(&self.seen),
            Text::plain(&self.version),
        ]
    }
}

/// Runs a command of `tradewind workers`.
///
/// # Errors
/// No leader answers, or there is no such worker.
pub async fn run(context: &Context, command: WorkersCommand) -> Outcome {
    let client = context.client()?;
    match command {
        WorkersCommand::List { output } => {
            let now = Timestamp::now();
            let triggers = triggers(&client).await?;
            let workers = list(&client).await?.into_iter();
            let rows: Vec<WorkerRecord> = workers.map(|worker| WorkerRecord::new(worker, &triggers, now)).collect();
            output::print_listing(output.output, &rows, rows.len() as u64)?;
        }
        WorkersCommand::Drain { name, output } => {
            let request = v1::NameRequest { name };
            let drained = client.write(async |mut admin| admin.drain_worker(request.clone()).await).await;
            let worker = match drained {
                Ok(worker) => worker,
                Err(error) if error.exit == Exit::NotFound => {
                    let known = list(&client).await.unwrap_or_default();
                    let names = known.iter().map(|worker| worker.name.as_str());
                    return Err(suggest::near_one(error, &request.name, names));
                }
                Err(error) => return Err(error),
            };
            let record = WorkerRecord::new(worker, &triggers(&client).await?, Timestamp::now());
            if output.output.is_data() {
                output::print_record(output.output, &record)?;
            } else {
                output::line(format!(
                    "{} is draining: it finishes {} running task instances and ends.",
                    record.name, record.running
                ))?;
            }
        }
    }
    Ok(Exit::Success)
}

async fn list(client: &Client) -> Result<Vec<v1::Worker>, CliError> {
    Ok(client.read(async |mut admin| admin.list_workers(v1::Empty {}).await).await?.workers)
}

/// How many triggers of deferred task instances each worker runs.
async fn triggers(client: &Client) -> Result<HashMap<String, u64>, CliError> {
    let (deferred, _) = output::all_pages(0, async |page| {
        let request = v1::ListTaskInstancesRequest {
            page: Some(page),
            states: vec![TaskState::Deferred.to_string()],
            ..Default::default()
        };
        let answer = client.read(async |mut admin| admin.list_task_instances(request.clone()).await).await?;
        Ok((answer.task_instances, answer.total))
    })
    .await?;
    let mut counts = HashMap::new();
    // One that only waits for a moment is nobody's.
    for worker in deferred.into_iter().filter_map(|ti| ti.worker) {
        *counts.entry(worker).or_insert(0) += 1;
    }
    Ok(counts)
}
