//! `tradewind dags clear`.

use clap::Args;
use tradewind_proto::v1;

use super::details;
use crate::{
    client::Client,
    commands::tasks::{HowToClear, WhichRuns, clear_runs},
    errors::Outcome,
};

/// The arguments of `tradewind dags clear`.
#[derive(Debug, Args)]
pub struct ClearArgs {
    /// The DAG.
    dag_id: String,
    #[command(flatten)]
    runs: WhichRuns,
    #[command(flatten)]
    how: HowToClear,
}

/// Clears all task instances of runs: shows them, asks, clears.
///
/// # Errors
/// No leader answers, something does not exist, nobody is there to answer the question.
pub async fn run(client: &Client, args: ClearArgs) -> Outcome {
    details::fetch(client, &args.dag_id).await?;
    let request = v1::ClearTasksRequest { dag_id: args.dag_id, ..Default::default() };
    clear_runs(client, request, &args.runs, args.how).await
}
