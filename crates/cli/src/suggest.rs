//! "Did you mean": names near one that does not exist.

use tradewind_proto::v1;
use tradewind_types::did_you_mean;

use crate::{
    client::Client,
    errors::{CliError, Exit},
};

/// Adds the DAG id, or the task id, that was probably meant to a "not found".
pub async fn near_names(
    client: &Client,
    error: CliError,
    dag_id: &str,
    task_id: Option<&str>,
    run: Option<&str>,
) -> CliError {
    if error.exit != Exit::NotFound {
        return error;
    }
    // The error stands as it is when the names cannot be had.
    let Ok(ids) = dag_ids(client).await else {
        return error;
    };
    if !ids.iter().any(|id| id == dag_id) {
        return amended(error, did_you_mean(dag_id, ids.iter().map(String::as_str)));
    }
    let Some(task_id) = task_id else {
        return error;
    };
    let Ok(tasks) = task_ids(client, dag_id).await else {
        return error;
    };
    if tasks.iter().any(|id| id == task_id) {
        return error;
    }
    if let Some(run) = run
        && tasks.iter().any(|id| id == run)
    {
        return error.with_hint(format!("\"{run}\" is a task: is the order of the arguments right? See --help"));
    }
    amended(error, did_you_mean(task_id, tasks.iter().map(String::as_str)))
}

/// Adds the name that was probably meant to a "not found".
pub fn near_one<'n>(error: CliError, name: &str, known: impl IntoIterator<Item = &'n str>) -> CliError {
    if error.exit != Exit::NotFound {
        return error;
    }
    amended(error, did_you_mean(name, known))
}

fn amended(mut error: CliError, suggestion: String) -> CliError {
    error.message.push_str(&suggestion);
    error
}

async fn dag_ids(client: &Client) -> Result<Vec<String>, CliError> {
    let request = v1::ListDagsRequest {
        page: Some(v1::Page { limit: 1_000, offset: 0 }),
        include_stale: true,
        ..v1::ListDagsRequest::default()
    };
    let answer = client.read(async |mut admin| admin.list_dags(request.clone()).await).await?;
    Ok(answer.dags.into_iter().map(|dag| dag.dag_id).collect())
}

async fn task_ids(client: &Client, dag_id: &str) -> Result<Vec<String>, CliError> {
    let spec = crate::commands::dags::details::spec(client, dag_id).await?;
    Ok(spec.tasks.iter().map(|task| task.task_id.to_string()).collect())
}
