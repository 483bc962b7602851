//! `tradewind worker`.

use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tradewind_config::Config;
use tradewind_ports::Queue;
use tradewind_proto::LeaderClient;
use tradewind_worker::{Worker, WorkerSettings};

use super::{
    guest::{absolute, guest_env},
    scheduler::open_queue_patiently,
};
use crate::context::client_options;

/// Runs a worker until the token is cancelled and what it ran has ended, or until it was drained.
///
/// # Errors
/// The configuration is wrong, or another worker uses its folder.
pub async fn run_worker(config: &Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Some(queue) = open_queue_patiently(config, &shutdown).await? else { return Ok(()) };
    let token = Some(config.security.worker_token.clone());
    let client = LeaderClient::new(client_options(config, token, None)?)?;
    start_worker(config, client, queue, shutdown).await
}

/// Runs the worker of a configuration on its ports.
pub(super) async fn start_worker(
    config: &Config,
    client: LeaderClient,
    queue: Arc<dyn Queue>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let home = absolute(&config.home.dir);
    let mut settings =
        WorkerSettings::from_options(&config.worker, home.join("worker")).map_err(anyhow::Error::msg)?;
    settings.dir = absolute(&settings.dir);
    let guest = guest_env(config, settings.dir.join("guest"));
    let worker = Worker::new(settings, client, queue, guest).context("the worker cannot start")?;
    worker.run(shutdown).await?;
    Ok(())
}
