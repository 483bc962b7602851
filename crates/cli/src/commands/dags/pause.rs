//! `tradewind dags pause` and `unpause`.

use clap::Args;
use regex::Regex;
use tradewind_proto::v1;

use super::list::{self, DagRecord};
use crate::{
    client::Client,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs},
    suggest,
};

/// The arguments of `tradewind dags pause` and `unpause`.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// The DAG.
    dag_id: String,
    /// Take the id as a regular expression, for several DAGs at once.
    #[arg(long)]
    treat_dag_id_as_regex: bool,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Pauses or unpauses DAGs.
///
/// # Errors
/// No leader answers, or there is no such DAG.
pub async fn run(client: &Client, args: PauseArgs, paused: bool) -> Outcome {
    let verb = if paused { "pause" } else { "unpause" };
    let ids = if args.treat_dag_id_as_regex {
        let ids = matching(client, &args.dag_id, paused).await?;
        if ids.is_empty() {
            output::note(&format!("No DAG to {verb} matches \"{}\".", args.dag_id));
            return Ok(Exit::Success);
        }
        if !output::confirm(&format!("{verb} {} DAGs ({})?", ids.len(), ids.join(", ")), args.yes)? {
            return Ok(Exit::Negative);
        }
        ids
    } else {
        vec![args.dag_id]
    };
    let mut rows = Vec::new();
    for dag_id in ids {
        let request = v1::SetDagPausedRequest { dag_id, paused };
        match client.write(async |mut admin| admin.set_dag_paused(request.clone()).await).await {
            Ok(dag) => rows.push(DagRecord::from(dag)),
            Err(error) => return Err(suggest::near_names(client, error, &request.dag_id, None, None).await),
        }
    }
    output::print_listing(args.output.output, &rows, rows.len() as u64)?;
    Ok(Exit::Success)
}

async fn matching(client: &Client, pattern: &str, paused: bool) -> Result<Vec<String>, CliError> {
    let regex = Regex::new(pattern)
        .map_err(|error| CliError::usage(format!("\"{pattern}\" is not a regular expression: {error}")))?;
    let request = v1::ListDagsRequest { paused: Some(!paused), ..Default::default() };
    let (dags, _) = list::fetch(client, &request, 0).await?;
    Ok(dags.into_iter().map(|dag| dag.dag_id).filter(|id| regex.is_match(id)).collect())
}
