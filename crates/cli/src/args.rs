//! The command line: global options and the tree of commands, as Airflow's where Airflow has them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, builder::styling};

use crate::{commands, roles};

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default().bold())
    .placeholder(styling::AnsiColor::Cyan.on_default());

const AFTER_HELP: &str = "\
Examples:
  tradewind standalone --dags-folder dags      everything in one process
  tradewind dags unpause hello
  tradewind dags trigger hello --wait          run it and watch
  tradewind tasks why hello latest greet       what is it waiting for?
  tradewind tasks logs hello latest greet -f

Exit codes:
  0 done   1 done, but failed or not healthy   2 wrong usage, value or configuration   3 not found
  4 no scheduler answers   5 exists already, or not now   6 wrong token   70 a defect   130 Ctrl-C";

/// Runs Airflow DAG files on a Rust control plane.
#[derive(Debug, Parser)]
#[command(name = "tradewind", version, about, after_help = AFTER_HELP, styles = STYLES, max_term_width = 110)]
#[command(propagate_version = true, arg_required_else_help = true, infer_long_args = true)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Configuration file [default: tradewind.toml, if there is one].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address of a scheduler, e.g. http://127.0.0.1:7070 (client.schedulers); several separated by commas.
    #[arg(long, global = true, value_name = "ADDR")]
    pub scheduler: Option<String>,
    /// Admin token (security.admin_token) [default: the one that `standalone` keeps in its home folder]. Others on this
    /// machine see it in the list of processes; the variable or the file hides it.
    #[arg(long, global = true, value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Home folder (home.dir) [default: .tradewind].
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Say more: which scheduler is asked, what is tried again.
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process, on SQLite and an in-process queue.
    #[command(after_help = "Example:\n  tradewind standalone --dags-folder dags --queues default,ml")]
    Standalone(roles::standalone::StandaloneArgs),
    /// Run a scheduler (several: one leads, the others stand by), or show its status.
    #[command(after_help = "Examples:\n  tradewind --config scheduler.toml scheduler\n  tradewind scheduler status")]
    Scheduler(commands::scheduler::SchedulerGroup),
    /// Run a worker.
    #[command(after_help = "Example:\n  tradewind --config worker.toml worker --queues ml --slots 8")]
    Worker(roles::worker::WorkerArgs),
    /// Run a DAG processor: it reads the DAG folder and publishes what it finds.
    #[command(after_help = "Example:\n  tradewind --config processor.toml dag-processor --dags-folder /srv/dags")]
    DagProcessor(roles::dag_processor::DagProcessorArgs),
    /// DAGs: list, show, trigger, pause.
    #[command(subcommand)]
    Dags(commands::dags::DagsCommand),
    /// Task instances: states, logs, clearing, and why one does not run.
    #[command(subcommand)]
    Tasks(commands::tasks::TasksCommand),
    /// Backfills: runs for a range of past dates.
    #[command(subcommand, visible_alias = "backfills")]
    Backfill(commands::backfill::BackfillCommand),
    /// Assets: list, events, materialize.
    #[command(subcommand)]
    Assets(commands::assets::AssetsCommand),
    /// Callbacks that run on workers by themselves.
    #[command(subcommand)]
    Callbacks(commands::callbacks::CallbacksCommand),
    /// What is going to happen: next runs, a backfill, the next hours; nothing is changed.
    #[command(subcommand)]
    Simulate(commands::simulate::SimulateCommand),
    /// XComs of a run.
    #[command(subcommand)]
    Xcom(commands::xcom::XcomCommand),
    /// Pools and how full they are.
    #[command(subcommand)]
    Pools(commands::pools::PoolsCommand),
    /// Variables.
    #[command(subcommand)]
    Variables(commands::variables::VariablesCommand),
    /// Connections.
    #[command(subcommand)]
    Connections(commands::connections::ConnectionsCommand),
    /// Queues: depth, oldest entry, who serves them.
    #[command(subcommand)]
    Queues(commands::queues::QueuesCommand),
    /// Workers: list, drain.
    #[command(subcommand)]
    Workers(commands::workers::WorkersCommand),
    /// The database: bring its schema up to date, check it.
    #[command(subcommand)]
    Db(commands::db::DbCommand),
    /// The configuration: show it, make secrets.
    #[command(subcommand)]
    Config(commands::config::ConfigCommand),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  tradewind completion bash > /etc/bash_completion.d/tradewind")]
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the version.
    Version,
}
