//! `tradewind dags details`, and the spec of a DAG for other commands.

use serde::Serialize;
use serde_json::Value;
use tradewind_proto::{from_json, v1};
use tradewind_types::DagSpec;

use super::list::DagRecord;
use crate::{
    client::Client,
    errors::{CliError, Exit, Outcome},
    output::{self, OutputArgs, Record, Text, Tone},
    suggest,
};

#[derive(Serialize)]
struct DetailsRecord {
    #[serde(flatten)]
    dag: DagRecord,
    timezone: String,
    start_date: Option<String>,
    end_date: Option<String>,
    catchup: bool,
    max_active_runs: u32,
    max_active_tasks: u32,
    dagrun_timeout_secs: Option<f64>,
    params: Value,
    /// The Python environment of its file; that of the installation when absent.
    environment: Option<String>,
    task_ids: Vec<String>,
    warnings: Vec<String>,
    doc_md: Option<String>,
}

impl Record for DetailsRecord {
    const HEADINGS: &'static [&'static str] = &[
        "dag_id",
        "state",
        "description",
        "schedule",
        "next run",
        "timezone",
        "start date",
        "end date",
        "catchup",
        "max_active_runs",
        "max_active_tasks",
        "params",
        "version",
        "file",
        "environment",
        "owners",
        "tags",
        "tasks",
        "warnings",
        "documentation",
    ];

    fn cells(&self) -> Vec<Text> {
        let [dag_id, state, schedule, next_run, _, _, owners, tags, file] =
            <[Text; 9]>::try_from(self.dag.cells()).unwrap_or_default();
        let params = match &self.params {
            Value::Object(params) if params.is_empty() => String::new(),
            params => params.to_string(),
        };
        vec![
            dag_id,
            state,
            Text::maybe(self.dag.description()),
            schedule,
            next_run,
            Text::plain(&self.timezone),
            Text::instant(self.start_date.as_deref()),
            Text::instant(self.end_date.as_deref()),
            Text::plain(if self.catchup { "yes" } else { "no" }),
            Text::plain(self.max_active_runs),
            Text::plain(self.max_active_tasks),
            Text::plain(params),
            Text::plain(self.dag.version_text()),
            file,
            Text::maybe(self.environment.as_ref()),
            owners,
            tags,
            Text::plain(self.task_ids.join("\n")),
            Text::toned(Tone::Warn, self.warnings.join("\n")),
            Text::maybe(self.doc_md.as_ref()),
        ]
    }
}

/// Shows a DAG.
///
/// # Errors
/// No scheduler answers, or there is no such DAG.
pub async fn run(client: &Client, dag_id: &str, output: OutputArgs) -> Outcome {
    let (mut dag, spec) = fetch(client, dag_id).await?;
    // The scheduler adds remarks of the file, which are none of the DAG's own fields.
    let json: Value = from_json("spec", &dag.spec_json.take().unwrap_or_default())?;
    let warnings = json.get("warnings").and_then(Value::as_array).into_iter().flatten();
    let params: serde_json::Map<String, Value> =
        spec.params.iter().map(|(name, param)| (name.clone(), param.value.clone())).collect();
    let record = DetailsRecord {
        dag: dag.into(),
        timezone: spec.timezone,
        start_date: spec.start_date.map(output::iso_micros),
        end_date: spec.end_date.map(output::iso_micros),
        catchup: spec.catchup,
        max_active_runs: spec.max_active_runs,
        max_active_tasks: spec.max_active_tasks,
        dagrun_timeout_secs: spec.dagrun_timeout.map(|timeout| timeout.as_secs_f64()),
        params: params.into(),
        environment: spec.environment.map(|environment| format!("{} ({})", environment.name, environment.declared_in)),
        task_ids: spec.tasks.iter().map(|task| task.task_id.to_string()).collect(),
        warnings: warnings.filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
        doc_md: spec.doc_md,
    };
    output::print_record(output.output, &record)?;
    Ok(Exit::Success)
}

/// What a DAG says, without suggestions for a wrong id.
///
/// # Errors
/// No scheduler answers, or there is no such DAG.
pub async fn spec(client: &Client, dag_id: &str) -> Result<DagSpec, CliError> {
    Ok(fetch_plain(client, dag_id).await?.1)
}

/// A DAG with what it says.
///
/// # Errors
/// No scheduler answers, or there is no such DAG; then with the one that was probably meant.
pub async fn fetch(client: &Client, dag_id: &str) -> Result<(v1::Dag, DagSpec), CliError> {
    match fetch_plain(client, dag_id).await {
        Ok(found) => Ok(found),
        Err(error) => Err(Box::pin(suggest::near_names(client, error, dag_id, None, None)).await),
    }
}

async fn fetch_plain(client: &Client, dag_id: &str) -> Result<(v1::Dag, DagSpec), CliError> {
    let request = v1::GetDagRequest { dag_id: dag_id.to_owned() };
    let dag = client.read(async |mut admin| admin.get_dag(request.clone()).await).await?;
    let spec = from_json("spec", dag.spec_json.as_deref().unwrap_or_default())?;
    Ok((dag, spec))
}
