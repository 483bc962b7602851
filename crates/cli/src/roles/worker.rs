//! `tradewind worker`.

use clap::Args;
use tradewind_config::{Config, Role};
use tradewind_proto::LeaderClient;
use tradewind_worker::Worker;

use super::{
    backends, guest,
    local::{serve_client, worker_error},
    process::{Loading, hide_secrets, run_role},
    settings,
    stop::Stop,
};
use crate::{
    context::Context,
    errors::{CliError, Outcome},
};

/// The arguments of `tradewind worker`.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Its name, unique among live workers (worker.name) [default: host and process id].
    #[arg(long)]
    name: Option<String>,
    /// Queues to serve, separated by commas (worker.queues) [default: default].
    #[arg(short, long, value_name = "QUEUES")]
    queues: Option<String>,
    /// Task instances to run at once (worker.slots) [default: 4 a core].
    #[arg(long, value_name = "N")]
    slots: Option<String>,
    /// Triggers of deferred task instances to run at once (worker.trigger_slots) [default: 1000]; 0 runs none.
    #[arg(long, value_name = "N")]
    trigger_slots: Option<String>,
    /// Its working folder: bundle cache, scratch folders (worker.dir) [default: worker in the home folder].
    #[arg(long, value_name = "DIR")]
    dir: Option<String>,
}

/// Runs a worker until it is told to stop or drained.
///
/// # Errors
/// The configuration is not usable, the scheduler refuses the worker, or it breaks.
pub fn run(context: &Context, args: WorkerArgs) -> Outcome {
    let loading = Loading::new(
        context,
        vec![
            ("worker.name", args.name),
            ("worker.queues", args.queues),
            ("worker.slots", args.slots),
            ("worker.trigger_slots", args.trigger_slots),
            ("worker.dir", args.dir),
        ],
    )?;
    run_role("worker", loading.checked(Role::Worker)?, serve)
}

async fn serve(config: Config, stop: Stop) -> Result<(), CliError> {
    hide_secrets();
    let settings = settings::worker(&config)?;
    let guest = guest::environment(&config, &settings.dir.join("guest"))?;
    let client = LeaderClient::new(serve_client(&config, &config.security.worker_token)?)?;
    let Some(queue) = backends::wait_for_queue(&config, &stop.shutdown).await? else { return Ok(()) };
    Worker::new(settings, client, queue, guest)
        .with_abort(stop.abort)
        .run(stop.shutdown)
        .await
        .map_err(|error| worker_error(&error))
}
