//! From the command line to an exit code.

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    airflow_words,
    args::{Cli, Command},
    commands::{self, scheduler::SchedulerCommand},
    context::Context,
    errors::{Exit, Outcome},
    output, roles,
};

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Printing to a closed stream is nobody's loss.
            let _ = error.print();
            if !error.use_stderr() {
                return Exit::Success.into();
            }
            let arguments: Vec<String> = std::env::args().skip(1).collect();
            if let Some(advice) = airflow_words::instead(&arguments) {
                output::note(&format!(
                    "\n{} in Tradewind, {advice}",
                    output::paint(output::Tone::Info, "from Airflow?")
                ));
            }
            return Exit::Usage.into();
        }
    };
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            if error.exit != Exit::Success {
                output::error(&error);
            }
            error.exit.into()
        }
    }
}

fn run(cli: Cli) -> Outcome {
    let context = Context::new(cli.global);
    match cli.command {
        Command::Version => {
            output::line(env!("CARGO_PKG_VERSION"))?;
            Ok(Exit::Success)
        }
        Command::Standalone(args) => roles::standalone::run(&context, args),
        Command::Scheduler(group) => match group.command {
            None => roles::scheduler::run(&context, group.args),
            Some(SchedulerCommand::Status { output }) => client_command(commands::scheduler::status(&context, output)),
        },
        Command::Worker(args) => roles::worker::run(&context, args),
        Command::DagProcessor(args) => roles::dag_processor::run(&context, args),
        Command::Db(command) => client_command(commands::db::run(&context, command)),
        Command::Completion { shell } => commands::completion::run(shell),
        Command::Config(command) => commands::config::run(&context, command),
        Command::Dags(command) => commands::dags::run(&context, command),
        Command::Tasks(command) => commands::tasks::run(&context, command),
        Command::Backfill(command) => client_command(commands::backfill::run(&context, command)),
        Command::Assets(command) => client_command(commands::assets::run(&context, command)),
        Command::Simulate(command) => client_command(commands::simulate::run(&context, command)),
        Command::Callbacks(command) => client_command(commands::callbacks::run(&context, command)),
        Command::Xcom(command) => client_command(commands::xcom::run(&context, command)),
        Command::Pools(command) => client_command(commands::pools::run(&context, command)),
        Command::Variables(command) => client_command(commands::variables::run(&context, command)),
        Command::Connections(command) => client_command(commands::connections::run(&context, command)),
        Command::Queues(command) => client_command(commands::queues::run(&context, command)),
        Command::Workers(command) => client_command(commands::workers::run(&context, command)),
    }
}

/// Client commands do one thing after the other: one thread is enough, and starts fastest.
pub fn client_command(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(command)
}
