//! `tradewind callbacks`.

use clap::Subcommand;
use serde::Serialize;
use tradewind_proto::v1;

use crate::{
    client::Client,
    context::Context,
    errors::{CliError, Exit, Outcome},
    output::{self, PageArgs, Record, Text, Tone},
    suggest,
};

/// The commands of `tradewind callbacks`.
#[derive(Debug, Subcommand)]
pub enum CallbacksCommand {
    /// List callbacks that run on workers by themselves: of DAG runs, of missed deadlines, of tasks whose worker was lost.
    #[command(after_help = "Callbacks of a task run in its own process; its log has them.

Example:\n  tradewind callbacks list hello latest")]
    List {
        /// Only those of this DAG.
        dag_id: Option<String>,
        /// Only those of this run: its id, its logical date, or `latest`.
        run: Option<String>,
        /// How many, and how to print.
        #[command(flatten)]
        page: PageArgs,
    },
}

#[derive(Serialize)]
struct CallbackRecord {
    id: String,
    dag_id: String,
    run_id: String,
    kind: String,
    task_id: Option<String>,
    map_index: i32,
    try_number: u32,
    reason: Option<String>,
    state: String,
    queue: String,
    attempt: u32,
    worker: Option<String>,
    created_at: String,
    start_date: Option<String>,
    end_date: Option<String>,
    note: Option<String>,
}

impl From<v1::Callback> for CallbackRecord {
    fn from(row: v1::Callback) -> Self {
        Self {
            id: row.id,
            dag_id: row.dag_id,
            run_id: row.run_id,
            kind: row.kind,
            map_index: if row.task_id.is_some() { row.map_index } else { -1 },
            task_id: row.task_id,
            try_number: row.try_number,
            reason: row.reason,
            state: row.state,
            queue: row.queue,
            attempt: row.attempt,
            worker: row.worker,
            created_at: output::iso(row.created_at),
            start_date: output::iso_or_none(row.start_date),
            end_date: output::iso_or_none(row.end_date),
            note: row.note,
        }
    }
}

impl Record for CallbackRecord {
    const HEADINGS: &'static [&'static str] =
        &["dag_id", "run_id", "kind", "task", "reason", "state", "worker", "start_date", "end_date", "note"];

    fn cells(&self) -> Vec<Text> {
        let task = match &self.task_id {
            Some(task_id) if self.map_index >= 0 => Text::plain(format!("{task_id}[{}]", self.map_index)),
            other => Text::maybe(other.as_ref()),
        };
        vec![
            Text::plain(&self.dag_id),
            Text::plain(&self.run_id),
            Text::toned(Tone::Info, &self.kind),
            task,
            Text::maybe(self.reason.as_ref()),
            output::state_text(&self.state),
            Text::maybe(self.worker.as_ref()),
            Text::instant(self.start_date.as_deref()),
            Text::instant(self.end_date.as_deref()),
            self.note.as_deref().map_or_else(Text::default, |note| Text::brief(note, 60)),
        ]
    }
}

/// Runs a command of `tradewind callbacks`.
///
/// # Errors
/// No scheduler answers, or there is no such DAG or run.
pub async fn run(context: &Context, command: CallbacksCommand) -> Outcome {
    let client = context.client()?;
    let CallbacksCommand::List { dag_id, run, page } = command;
    let request = v1::ListCallbacksRequest { page: None, dag_id, run_id: run };
    let (callbacks, total) = match fetch(&client, &request, page.limit).await {
        Ok(found) => found,
        Err(error) => {
            let dag_id = request.dag_id.as_deref().unwrap_or_default();
            return Err(suggest::near_names(&client, error, dag_id, None, None).await);
        }
    };
    let rows: Vec<CallbackRecord> = callbacks.into_iter().map(Into::into).collect();
    output::print_listing(page.output, &rows, total)?;
    Ok(Exit::Success)
}

/// Callbacks that a request names, over all pages up to `limit` rows (0: all).
pub(crate) async fn fetch(
    client: &Client,
    request: &v1::ListCallbacksRequest,
    limit: u64,
) -> Result<(Vec<v1::Callback>, u64), CliError> {
    output::all_pages(limit, async |page| {
        let request = v1::ListCallbacksRequest { page: Some(page), ..request.clone() };
        let answer = client.read(async |mut admin| admin.list_callbacks(request.clone()).await).await?;
        Ok((answer.callbacks, answer.total))
    })
    .await
}
