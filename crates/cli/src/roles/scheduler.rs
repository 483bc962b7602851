//! `tradewind scheduler`.

use std::sync::Arc;

use clap::Args;
use tradewind_config::{Config, Role};
use tradewind_ports::{Clock, LogStore, Store, SystemClock};
use tradewind_scheduler::Scheduler;
use tradewind_store::FullStore;

use super::{
    backends,
    process::{Loading, run_role},
    settings,
    stop::Stop,
};
use crate::{
    context::Context,
    errors::{CliError, Outcome},
};

/// The arguments of `tradewind scheduler`.
#[derive(Debug, Default, Args)]
pub struct SchedulerArgs {
    /// Its name in status and leases (scheduler.name) [default: host and process id].
    #[arg(long)]
    name: Option<String>,
    /// Address of the gRPC server (scheduler.listen) [default: 127.0.0.1:7070].
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<String>,
    /// Address that others reach it at (scheduler.advertise) [default: made from --listen].
    #[arg(long, value_name = "URL")]
    advertise: Option<String>,
}

/// Runs a scheduler until it is told to stop.
///
/// # Errors
/// The configuration or the database is not usable, or the scheduler breaks.
pub fn run(context: &Context, args: SchedulerArgs) -> Outcome {
    let loading = Loading::new(
        context,
        vec![("scheduler.name", args.name), ("scheduler.listen", args.listen), ("scheduler.advertise", args.advertise)],
    )?;
    run_role("scheduler", loading.checked(Role::Scheduler)?, serve)
}

async fn serve(config: Config, stop: Stop) -> Result<(), CliError> {
    let settings = settings::scheduler(&config)?;
    let Some(store) = backends::wait_for_store(&config, &stop.shutdown).await? else { return Ok(()) };
    backends::check_schema(&*store).await?;
    let Some(queue) = backends::wait_for_queue(&config, &stop.shutdown).await? else { return Ok(()) };
    let rows: Arc<dyn Store> = Arc::<dyn FullStore>::clone(&store);
    let logs: Arc<dyn LogStore> = store;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let name = settings.name.clone();
    let running = Scheduler::start(settings, rows, logs, queue, clock, stop.shutdown.clone()).await?;
    tracing::info!(name, listen = %running.listen, address = running.address, "scheduler is up");
    tokio::select! {
        ended = running.wait() => Ok(ended?),
        () = stop.abort.cancelled() => Ok(()),
    }
}
