//! `tradewind dags trigger`.

use clap::Args;
use serde_json::Value;
use tradewind_proto::v1;
use tradewind_types::Timestamp;

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
    /// Watch the run until it is over; the exit code is 0 when it succeeded, 1 when it failed.
    #[arg(short, long)]
    wait: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Triggers a run.
///
/// # Errors
/// No leader answers, there is no such DAG, a value is wrong.
pub async fn run(client: &Client, args: TriggerArgs) -> Outcome {
    let conf = args.conf.as_deref().map(check_conf).transpose()?.unwrap_or_default();
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
    let run = match client.write(async |mut admin| admin.trigger_run(request.clone()).await).await {
        Ok(run) => run,
        Err(error) => return Err(suggest::near_names(client, error, &request.dag_id, None, None).await),
    };
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

/// Checks that a conf is a JSON object.
pub(super) fn check_conf(text: &str) -> Result<String, CliError> {
    let hint = "for example -c '{\"key\": \"value\"}'";
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
            Err(CliError::usage(format!("--conf must be a JSON object, not {found}")).with_hint(hint))
        }
        Err(error) => Err(CliError::usage(format!("--conf is not JSON: {error}")).with_hint(hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conf_is_a_json_object() {
        assert!(check_conf("{\"a\": 1}").is_ok());
        for (bad, part) in
            [("{broken", "not JSON"), ("[1]", "not a list"), ("null", "not null"), ("\"x\"", "not a text")]
        {
            let error = check_conf(bad).unwrap_err();
            assert!(error.message.contains(part), "{error}");
            assert_eq!(error.exit, Exit::Usage);
        }
    }
}
