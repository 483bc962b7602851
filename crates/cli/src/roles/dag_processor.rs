//! `tradewind dag-processor`.

use clap::Args;
use tradewind_config::{Config, Role};
use tradewind_dags::DagProcessor;
use tradewind_proto::LeaderClient;

use super::{
    guest,
    local::serve_client,
    process::{Loading, hide_secrets, run_role},
    settings,
    stop::Stop,
};
use crate::{
    context::Context,
    errors::{CliError, Outcome},
};

/// The arguments of `tradewind dag-processor`.
#[derive(Debug, Args)]
pub struct DagProcessorArgs {
    /// The DAG folder (dags.folder) [default: dags].
    #[arg(long, value_name = "DIR")]
    dags_folder: Option<String>,
}

/// Runs a DAG processor until it is told to stop.
///
/// # Errors
/// The configuration is not usable.
pub fn run(context: &Context, args: DagProcessorArgs) -> Outcome {
    let loading = Loading::new(context, vec![("dags.folder", args.dags_folder)])?;
    run_role("dag-processor", loading.checked(Role::DagProcessor)?, serve)
}

async fn serve(config: Config, stop: Stop) -> Result<(), CliError> {
    hide_secrets();
    let settings = settings::processor(&config)?;
    let guest = guest::environment(&config, &config.home.dir.join("dag-processor"))?;
    let client = LeaderClient::new(serve_client(&config, &config.security.processor_token)?)?;
    tracing::info!(folder = %settings.folder.display(), python = guest.is_some(), "DAG processor is up");
    tokio::select! {
        () = DagProcessor::new(settings, client, guest).run(stop.shutdown) => {}
        () = stop.abort.cancelled() => {}
    }
    Ok(())
}
