//! `tradewind dags list`.

use clap::Args;
use serde::Serialize;
use tradewind_proto::v1;

use crate::{
    client::Client,
    errors::{CliError, Exit, Outcome},
    output::{self, PageArgs, Record, Text, Tone},
};

/// The arguments of `tradewind dags list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only ids that contain this.
    pattern: Option<String>,
    /// Only paused ones.
    #[arg(long, conflicts_with = "active")]
    paused: bool,
    /// Only unpaused ones.
    #[arg(long)]
    active: bool,
    /// Also those whose file is gone.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    page: PageArgs,
}

/// A DAG as a row.
#[derive(Serialize)]
pub struct DagRecord {
    dag_id: String,
    fileloc: String,
    owners: String,
    is_paused: bool,
    is_stale: bool,
    schedule: Option<String>,
    next_run: Option<String>,
    version: u32,
    version_hash: String,
    source: String,
    tags: Vec<String>,
    description: Option<String>,
    tasks: u32,
    last_parsed: String,
}

impl DagRecord {
    /// One line about it.
    pub(super) fn description(&self) -> Option<&String> {
        self.description.as_ref()
    }

    /// Number and content address of its version.
    pub(super) fn version_text(&self) -> String {
        format!("{} ({})", self.version, self.version_hash.get(..12).unwrap_or(&self.version_hash))
    }
}

impl From<v1::Dag> for DagRecord {
    fn from(dag: v1::Dag) -> Self {
        Self {
            dag_id: dag.dag_id,
            fileloc: dag.rel_path,
            owners: dag.owners.join(", "),
            is_paused: dag.is_paused,
            is_stale: dag.is_stale,
            schedule: dag.schedule,
            next_run: output::iso_or_none(dag.next_run_after),
            version: dag.version_number,
            version_hash: dag.version,
            source: dag.source_kind,
            tags: dag.tags,
            description: dag.description,
            tasks: dag.task_count,
            last_parsed: output::iso(dag.parsed_at),
        }
    }
}

impl Record for DagRecord {
    const HEADINGS: &'static [&'static str] =
        &["dag_id", "state", "schedule", "next run", "tasks", "version", "owners", "tags", "file"];

    fn cells(&self) -> Vec<Text> {
        let state = match (self.is_stale, self.is_paused) {
            (true, _) => Text::toned(Tone::Dim, "file gone"),
            (false, true) => Text::toned(Tone::Warn, "paused"),
            (false, false) => Text::toned(Tone::Good, "active"),
        };
        vec![
            Text::plain(&self.dag_id),
            state,
            Text::plain(self.schedule.as_deref().unwrap_or("-")),
            Text::instant(self.next_run.as_deref()),
            Text::number(self.tasks),
            Text::number(self.version),
            Text::plain(&self.owners),
            Text::plain(self.tags.join(", ")),
            Text::toned(Tone::Dim, &self.fileloc),
        ]
    }
}

/// Lists DAGs.
///
/// # Errors
/// No scheduler answers.
pub async fn run(client: &Client, args: ListArgs) -> Outcome {
    let request = v1::ListDagsRequest {
        page: None,
        pattern: args.pattern,
        include_stale: args.all,
        paused: if args.paused || args.active { Some(args.paused) } else { None },
    };
    let (dags, total) = fetch(client, &request, args.page.limit).await?;
    let rows: Vec<DagRecord> = dags.into_iter().map(Into::into).collect();
    output::print_listing(args.page.output, &rows, total)?;
    if rows.is_empty() && !args.page.output.is_data() {
        output::note("See `tradewind dags list-import-errors` for files that could not be loaded.");
    }
    Ok(Exit::Success)
}

/// DAGs that a request names, over all pages up to `limit` rows (0: all).
pub(crate) async fn fetch(
    client: &Client,
    request: &v1::ListDagsRequest,
    limit: u64,
) -> Result<(Vec<v1::Dag>, u64), CliError> {
    output::all_pages(limit, async |page| {
        let request = v1::ListDagsRequest { page: Some(page), ..request.clone() };
        let answer = client.read(async |mut admin| admin.list_dags(request.clone()).await).await?;
        Ok((answer.dags, answer.total))
    })
    .await
}
