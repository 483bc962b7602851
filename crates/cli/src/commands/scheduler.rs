//! `tradewind scheduler`: the role, and `status`.

use clap::{Args, Subcommand};
use serde::Serialize;
use tradewind_proto::v1;
use tradewind_types::Timestamp;

use crate::{
    context::Context,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, Record, Text, Tone, paint},
    roles::scheduler::SchedulerArgs,
};

/// `tradewind scheduler [status]`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SchedulerGroup {
    /// Runs a scheduler without one.
    #[command(subcommand)]
    pub command: Option<SchedulerCommand>,
    #[command(flatten)]
    pub args: SchedulerArgs,
}

/// The commands of `tradewind scheduler`.
#[derive(Debug, Subcommand)]
pub enum SchedulerCommand {
    /// Show how the scheduler is; the exit code is 0 when it is healthy, 1 when not.
    Status {
        /// How to print.
        #[command(flatten)]
        output: OutputArgs,
    },
}

#[derive(Serialize)]
struct StatusRecord {
    healthy: bool,
    scheduler: SchedulerRecord,
    store_ms: Option<f64>,
    queue_ms: Option<f64>,
    counts: Option<CountsRecord>,
    problems: Vec<String>,
    #[serde(skip)]
    up: String,
}

#[derive(Serialize)]
struct SchedulerRecord {
    name: String,
    address: String,
    role: String,
    term: Option<u64>,
    leader_address: Option<String>,
    version: String,
    started_at: String,
}

#[derive(Serialize)]
struct CountsRecord {
    dags: u64,
    active_runs: u64,
    task_instances: u64,
    scheduled: u64,
    queued: u64,
    running: u64,
    workers: u64,
    commits: u64,
    commit_ms: f64,
    transitions: u64,
}

impl StatusRecord {
    fn new(answer: v1::StatusResponse, now: Timestamp) -> Result<Self, CliError> {
        let scheduler = answer
            .scheduler
            .ok_or_else(|| CliError::new(Exit::Internal, "the scheduler answered without its status"))?;
        let knows_a_leader = matches!(scheduler.role.as_str(), "leader" | "standby");
        Ok(Self {
            // A missing worker is a problem to mention, but the scheduler is well.
            healthy: knows_a_leader && answer.store_ms.is_some() && answer.queue_ms.is_some(),
            up: output::duration(output::since(scheduler.started_at, now.as_microsecond())),
            scheduler: SchedulerRecord {
                started_at: output::iso(scheduler.started_at),
                name: scheduler.name,
                address: scheduler.address,
                role: scheduler.role,
                term: scheduler.term,
                leader_address: scheduler.leader_address,
                version: scheduler.version,
            },
            store_ms: answer.store_ms,
            queue_ms: answer.queue_ms,
            counts: answer.counts.map(|counts| {
                let v1::LeaderCounts {
                    dags,
                    active_runs,
                    task_instances,
                    scheduled,
                    queued,
                    running,
                    workers,
                    commits,
                    commit_ms,
                    transitions,
                } = counts;
                CountsRecord {
                    dags,
                    active_runs,
                    task_instances,
                    scheduled,
                    queued,
                    running,
                    workers,
                    commits,
                    commit_ms,
                    transitions,
                }
            }),
            problems: answer.problems,
        })
    }
}

impl Record for StatusRecord {
    const HEADINGS: &'static [&'static str] = &[
        "scheduler",
        "address",
        "role",
        "leader",
        "up",
        "store",
        "queue",
        "DAGs",
        "runs",
        "task instances",
        "workers",
        "commits",
    ];

    fn cells(&self) -> Vec<Text> {
        let tone = match self.scheduler.role.as_str() {
            "leader" => Tone::Good,
            "standby" => Tone::Info,
            _ => Tone::Warn,
        };
        let term = self.scheduler.term.map_or_else(String::new, |term| format!(" (term {term})"));
        let round_trip = |took: Option<f64>| match took {
            Some(ms) => Text::toned(Tone::Good, format!("{ms:.1} ms")),
            None => Text::toned(Tone::Bad, "away"),
        };
        let count = |text: &dyn Fn(&CountsRecord) -> String| Text::maybe(self.counts.as_ref().map(text));
        vec![
            Text::plain(format!("{} {}", self.scheduler.name, self.scheduler.version)),
            Text::plain(&self.scheduler.address),
            Text::toned(tone, format!("{}{term}", self.scheduler.role)),
            Text::maybe(self.scheduler.leader_address.as_ref().filter(|leader| **leader != self.scheduler.address)),
            Text::plain(&self.up),
            round_trip(self.store_ms),
            round_trip(self.queue_ms),
            count(&|counts| counts.dags.to_string()),
            count(&|counts| format!("{} active", counts.active_runs)),
            count(&|counts| {
                format!(
                    "{} in memory: {} scheduled, {} queued, {} running",
                    counts.task_instances, counts.scheduled, counts.queued, counts.running
                )
            }),
            count(&|counts| counts.workers.to_string()),
            count(&|counts| {
                format!("{} of {:.1} ms with {} transitions", counts.commits, counts.commit_ms, counts.transitions)
            }),
        ]
    }
}

/// Shows how a scheduler is.
///
/// # Errors
/// No scheduler answers.
pub async fn status(context: &Context, output: OutputArgs) -> Outcome {
    let client = context.client()?;
    let answer = client.read(async |mut admin| admin.get_status(v1::Empty {}).await).await?;
    let record = StatusRecord::new(answer, Timestamp::now())?;
    output::print_record(output.output, &record)?;
    if !output.output.is_data() {
        for problem in &record.problems {
            output::note(&format!("{} {problem}", paint(Tone::Warn, "problem:")));
        }
    }
    Ok(if record.healthy { Exit::Success } else { Exit::Negative })
}
