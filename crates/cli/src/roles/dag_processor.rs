//! `tradewind dag-processor`.

use tokio_util::sync::CancellationToken;
use tradewind_config::Config;
use tradewind_dags::{DagProcessor, ProcessorSettings};
use tradewind_proto::LeaderClient;

use super::guest::{absolute, guest_env};
use crate::context::client_options;

/// Runs a DAG processor until the token is cancelled.
///
/// # Errors
/// The configuration is wrong, or the DAG folder does not exist.
pub async fn run_dag_processor(config: &Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let token = Some(config.security.processor_token.clone());
    let client = LeaderClient::new(client_options(config, token, None)?)?;
    start_dag_processor(config, client, shutdown).await
}

/// Runs the DAG processor of a configuration.
pub(super) async fn start_dag_processor(
    config: &Config,
    client: LeaderClient,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let home = absolute(&config.home.dir);
    let guest = guest_env(config, home.join("parse"));
    let processor = DagProcessor::new(ProcessorSettings::from_config(config), client, guest);
    processor.run(shutdown).await?;
    Ok(())
}
