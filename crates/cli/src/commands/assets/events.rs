//! `tradewind assets events`.

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tradewind_proto::{json, v1};

use super::extra_text;
use crate::{
    client::Client,
    errors::{CliError, Exit, Outcome},
    output::{self, PageArgs, Record, Text, Tone},
    suggest,
};

/// The arguments of `tradewind assets events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only those of the asset with this name.
    #[arg(long)]
    name: Option<String>,
    /// Only those of the asset with this URI.
    #[arg(long)]
    uri: Option<String>,
    /// Only those that tasks of this DAG made.
    #[arg(long, value_name = "DAG")]
    source_dag_id: Option<String>,
    /// Only those that a run consumed: the DAG and the run (its id, its logical date, or `latest`).
    #[arg(long, num_args = 2, value_names = ["DAG", "RUN"])]
    consumed_by: Vec<String>,
    #[command(flatten)]
    page: PageArgs,
}

/// An asset event as a row.
#[derive(Serialize)]
pub(super) struct EventRecord {
    id: u64,
    name: String,
    uri: String,
    timestamp: String,
    extra: Value,
    source_dag_id: Option<String>,
    source_run_id: Option<String>,
    source_task_id: Option<String>,
    source_map_index: i32,
    aliases: Vec<String>,
}

impl EventRecord {
    /// An event of the wire.
    ///
    /// # Errors
    /// Its extra is not JSON.
    pub(super) fn new(event: v1::AssetEvent) -> Result<Self, CliError> {
        Ok(Self {
            id: event.no,
            name: event.name,
            uri: event.uri,
            timestamp: output::iso(event.at),
            extra: json("extra", &event.extra_json)?,
            source_map_index: if event.source_task_id.is_some() { event.source_map_index } else { -1 },
            source_dag_id: event.source_dag_id,
            source_run_id: event.source_run_id,
            source_task_id: event.source_task_id,
            aliases: event.aliases,
        })
    }
}

impl Record for EventRecord {
    const HEADINGS: &'static [&'static str] = &["id", "name", "timestamp", "extra", "source", "aliases"];

    fn cells(&self) -> Vec<Text> {
        let source = match (&self.source_dag_id, &self.source_run_id, &self.source_task_id) {
            (Some(dag_id), Some(run_id), Some(task_id)) => {
                let index =
                    if self.source_map_index >= 0 { format!("[{}]", self.source_map_index) } else { String::new() };
                Text::plain(format!("{dag_id} {run_id} {task_id}{index}"))
            }
            _ => Text::toned(Tone::Dim, "by hand"),
        };
        vec![
            Text::number(self.id),
            Text::plain(&self.name),
            Text::instant(Some(&self.timestamp)),
            extra_text(&self.extra),
            source,
            Text::plain(self.aliases.join(", ")),
        ]
    }
}

/// Lists asset events.
///
/// # Errors
/// No scheduler answers, or there is no such DAG or run.
pub(super) async fn run(client: &Client, args: EventsArgs) -> Outcome {
    let [consumed_by_dag_id, consumed_by_run_id] = match args.consumed_by.as_slice() {
        [dag_id, run_id] => [Some(dag_id.clone()), Some(run_id.clone())],
        _ => [None, None],
    };
    let request = v1::ListAssetEventsRequest {
        page: None,
        name: args.name,
        uri: args.uri,
        source_dag_id: args.source_dag_id,
        consumed_by_run_id,
        consumed_by_dag_id,
    };
    let (events, total) = match fetch(client, &request, args.page.limit).await {
        Ok(found) => found,
        Err(error) => {
            let dag_id = request.consumed_by_dag_id.as_deref().unwrap_or_default();
            return Err(suggest::near_names(client, error, dag_id, None, None).await);
        }
    };
    let rows = events.into_iter().map(EventRecord::new).collect::<Result<Vec<_>, _>>()?;
    output::print_listing(args.page.output, &rows, total)?;
    Ok(Exit::Success)
}

/// Events that a request names, over all pages up to `limit` rows (0: all).
pub(super) async fn fetch(
    client: &Client,
    request: &v1::ListAssetEventsRequest,
    limit: u64,
) -> Result<(Vec<v1::AssetEvent>, u64), CliError> {
    output::all_pages(limit, async |page| {
        let request = v1::ListAssetEventsRequest { page: Some(page), ..request.clone() };
        let answer = client.read(async |mut admin| admin.list_asset_events(request.clone()).await).await?;
        Ok((answer.events, answer.total))
    })
    .await
}
