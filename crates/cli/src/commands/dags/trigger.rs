//! `tradewind dags trigger`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;
use tradewind_proto::v1;
use tradewind_types::{Param, Timestamp};

use super::runs::RunRecord;
use crate::{
    client::Client,
    errors::{CliError, Exit, Outcome},
    follow,
    output::{self, OutputArgs, Tone, paint},
    suggest,
};

/// The arguments of `tradewind dags trigger`.
#[derive(Debug, Args)]
pub struct TriggerArgs {
    /// The DAG.
    dag_id: String,
    /// The run's id [default: manual__ with the current time].
    #[arg(short, long)]
    run_id: Option<String>,
    /// The run's conf, a JSON object; its entries override the DAG's params.
    #[arg(short, long, value_name = "JSON")]
    conf: Option<String>,
    /// The logical date [default: now]; `none` for a run without one.
    #[arg(short, long, value_name = "DATE")]
    logical_date: Option<String>,
    #[command(flatten)]
    triggered: TriggeredArgs,
}

/// What to do with a run that was triggered.
#[derive(Clone, Copy, Debug, Args)]
pub struct TriggeredArgs {
    /// Watch the run until it is over; the exit code is 0 when it succeeded, 1 when it failed.
    #[arg(short, long)]
    wait: bool,
    /// How to print.
    #[command(flatten)]
    output: OutputArgs,
}

/// Triggers a run.
///
/// # Errors
/// No leader answers, there is no such DAG, a value is wrong.
pub async fn run(client: &Client, args: TriggerArgs) -> Outcome {
    let conf = args.conf.as_deref().map(|conf| json_object("--conf", conf)).transpose()?.unwrap_or_default();
    let (logical_date, null_logical_date) = match args.logical_date.as_deref() {
        None => (None, false),
        Some("none") => (None, true),
        Some(text) => (Some(output::parse_date(text)?.as_microsecond()), false),
    };
    let request = v1::TriggerRunRequest {
        dag_id: args.dag_id,
        run_id: args.run_id,
        logical_date,
        null_logical_date,
        run_after: None,
        conf_json: conf,
    };
    match client.write(async |mut admin| admin.trigger_run(request.clone()).await).await {
        Ok(run) => triggered(client, run, args.triggered).await,
        Err(error) if error.exit == Exit::Usage => Err(with_params(client, error, &request.dag_id).await),
        Err(error) => Err(suggest::near_names(client, error, &request.dag_id, None, None).await),
    }
}

/// Says that a run was triggered, or watches it to its end.
///
/// # Errors
/// No scheduler answers, or the person stopped watching.
pub async fn triggered(client: &Client, run: v1::DagRun, args: TriggeredArgs) -> Outcome {
    let format = args.output.output;
    if !args.wait {
        warn_if_paused(client, &run).await;
        if format.is_data() {
            output::print_record(format, &RunRecord::new(run, Timestamp::now())?)?;
        } else {
            output::line(format!("Triggered {} as {}.", run.dag_id, paint(Tone::Bold, &run.run_id)))?;
        }
        return Ok(Exit::Success);
    }
    output::note(&format!("{} {}", paint(Tone::Bold, &run.dag_id), paint(Tone::Dim, &run.run_id)));
    warn_if_paused(client, &run).await;
    let finished = follow::run(client, &run.dag_id, &run.run_id).await?;
    let failed = finished.state != "success";
    if format.is_data() {
        output::print_record(format, &RunRecord::new(finished, Timestamp::now())?)?;
    } else {
        output::line(follow::verdict(&finished))?;
    }
    Ok(if failed { Exit::Negative } else { Exit::Success })
}

/// A run of a paused DAG waits, which surprises people.
async fn warn_if_paused(client: &Client, run: &v1::DagRun) {
    let request = v1::GetDagRequest { dag_id: run.dag_id.clone() };
    // The run is triggered; whether there is something to warn of is a courtesy.
    if let Ok(dag) = client.read(async |mut admin| admin.get_dag(request.clone()).await).await
        && dag.is_paused
    {
        output::warn(&format!("{} is paused: the run waits until `tradewind dags unpause {}`", run.dag_id, run.dag_id));
    }
}

/// Adds what params the DAG has to an error that is about one of them.
async fn with_params(client: &Client, error: CliError, dag_id: &str) -> CliError {
    if !error.message.contains("param") {
        return error;
    }
    // The error stands as it is when the DAG cannot be had.
    match super::details::spec(client, dag_id).await {
        Ok(spec) if !spec.params.is_empty() => {
            let lines: Vec<String> = spec.params.iter().map(|(name, param)| describe(name, param)).collect();
            error.with_hint(format!("the params of {dag_id} are\n  {}", lines.join("\n  ")))
        }
        _ => error,
    }
}

/// A param in one line: its default, what its schema asks for, what it is.
fn describe(name: &str, param: &Param) -> String {
    let mut parts = vec![match &param.value {
        Value::Null => "no default".to_owned(),
        value => format!("default {value}"),
    }];
    if let Value::Object(schema) = &param.schema {
        let rules: BTreeMap<_, _> = schema.iter().collect();
        for (rule, value) in rules {
            let is_prose = matches!(rule.as_str(), "title" | "description" | "description_md" | "section");
            match value {
                _ if is_prose => {}
                Value::String(text) => parts.push(format!("{rule} {text}")),
                value => parts.push(format!("{rule} {value}")),
            }
        }
    }
    let about = param.description.as_deref().and_then(|text| text.lines().next());
    let about = about.map_or_else(String::new, |about| format!(": {about}"));
    format!("{name} ({}){about}", parts.join(", "))
}

/// Checks that the value of a flag is a JSON object.
///
/// # Errors
/// It is something else; the message names the flag.
pub fn json_object(flag: &str, text: &str) -> Result<String, CliError> {
    let hint = format!("for example {flag} '{{\"key\": \"value\"}}'");
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(_)) => Ok(text.to_owned()),
        Ok(other) => {
            let found = match other {
                Value::Array(_) => "a list",
                Value::String(_) => "a text",
                Value::Number(_) => "a number",
                Value::Bool(_) => "true or false",
                Value::Null | Value::Object(_) => "null",
            };
            Err(CliError::usage(format!("{flag} must be a JSON object, not {found}")).with_hint(hint))
        }
        Err(error) => Err(CliError::usage(format!("{flag} is not JSON: {error}")).with_hint(hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conf_is_a_json_object() {
        assert!(json_object("--conf", "{\"a\": 1}").is_ok());
        for (bad, part) in
            [("{broken", "not JSON"), ("[1]", "not a list"), ("null", "not null"), ("\"x\"", "not a text")]
        {
            let error = json_object("--conf", bad).unwrap_err();
            assert!(error.message.contains(part) && error.message.starts_with("--conf "), "{error}");
            assert_eq!(error.exit, Exit::Usage);
        }
    }

    #[test]
    fn a_param_is_described_by_its_default_and_its_rules() {
        let param = Param {
            value: serde_json::json!(3),
            description: Some("How many.\nMore.".to_owned()),
            schema: serde_json::json!({"type": "integer", "maximum": 5, "title": "N"}),
        };
        assert_eq!(describe("n", &param), "n (default 3, maximum 5, type integer): How many.");
        assert_eq!(describe("free", &Param::default()), "free (no default)");
    }
}
