//! `bash`, as Airflow's `BashOperator`: the last line of standard output is the return value.

use std::{os::unix::process::ExitStatusExt, path::PathBuf, sync::OnceLock};

use async_trait::async_trait;
use serde_json::Value;
use tokio::process::Command;
use tradewind_types::BashOptions;

use crate::{
    Finished, Operator, OperatorError, OperatorIo, OperatorResult, Renderer, TaskContext,
    operator::too_large,
    process::{self, Ended},
};

#[async_trait]
impl Operator for BashOptions {
    async fn run(&self, ctx: &TaskContext, io: &dyn OperatorIo) -> OperatorResult {
        let mut renderer = Renderer::new(ctx, io);
        let command = renderer.text("command", &self.command).await?;
        let mut env = Vec::with_capacity(self.env.len());
        for (name, value) in &self.env {
            check_name(name)?;
            let value = renderer.text(&format!("env.{name}"), value).await?;
            env.push((name, value));
        }
        let cwd = match &self.cwd {
            Some(cwd) => Some(renderer.text("cwd", cwd).await?),
            None => None,
        };
        renderer.report().await?;

        let (folder, temporary) = working_folder(cwd, ctx).await?;
        let mut process = Command::new(bash());
        process.arg("-c").arg(&command).current_dir(&folder).env_clear();
        if self.append_env {
            process.envs(ctx.env.iter().map(|(name, value)| (name, value)));
        }
        process.envs(env).envs(ctx.airflow_vars()).env(&ctx.marker.0, &ctx.marker.1);

        let limit = usize::try_from(ctx.xcom_max_bytes).unwrap_or(usize::MAX);
        let ended = process::run(process, &ctx.marker, &ctx.stop, io, limit).await;
        if let Some(temporary) = temporary {
            // Removing can take long, and what is left behind goes with the worker's scratch folder.
            drop(tokio::task::spawn_blocking(move || drop(temporary)));
        }
        match ended.map_err(|error| start_error(&error))? {
            Ended::Stopped => Err(OperatorError::Stopped),
            Ended::Exit(status, last) => {
                let code = status.code();
                if code.is_some_and(|code| self.skip_on_exit_code.contains(&code)) {
                    return Err(OperatorError::Skipped(format!(
                        "the command exited with {}, which skip_on_exit_code lists",
                        code.unwrap_or_default()
                    )));
                }
                match (code, status.signal()) {
                    (Some(0), _) => {}
                    (Some(code), _) => {
                        return Err(OperatorError::Failed(format!("the command returned a non-zero exit code {code}")));
                    }
                    (None, signal) => {
                        return Err(OperatorError::Failed(format!(
                            "the command was killed by signal {}",
                            signal.unwrap_or_default()
                        )));
                    }
                }
                match last {
                    Ok(line) => Ok(Finished::Success(Some(Value::String(line)))),
                    Err(_) if !ctx.task.do_xcom_push => Ok(Finished::Success(None)),
                    Err(size) => Err(too_large(size as u64, ctx.xcom_max_bytes)),
                }
            }
        }
    }
}

/// Where bash is, by the worker's own `PATH`: the command's may be another one, or none.
fn bash() -> &'static PathBuf {
    static BASH: OnceLock<PathBuf> = OnceLock::new();
    BASH.get_or_init(|| {
        std::env::var_os("PATH")
            .into_iter()
            .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
            .map(|folder| folder.join("bash"))
            .find(|candidate| candidate.is_file())
            .unwrap_or_else(|| PathBuf::from("bash"))
    })
}

fn check_name(name: &str) -> Result<(), OperatorError> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(OperatorError::Fatal(format!("env: {name:?} is not the name of an environment variable")));
    }
    Ok(())
}

/// The folder that the command runs in; a temporary one goes when its guard does.
async fn working_folder(
    cwd: Option<String>,
    ctx: &TaskContext,
) -> Result<(PathBuf, Option<tempfile::TempDir>), OperatorError> {
    let Some(cwd) = cwd else {
        let folder = std::fs::create_dir_all(&*ctx.scratch)
            .and_then(|()| tempfile::Builder::new().prefix("bash-").tempdir_in(&*ctx.scratch))
            .map_err(|error| {
                OperatorError::Failed(format!("cannot make a working folder below {}: {error}", ctx.scratch.display()))
            })?;
        return Ok((folder.path().to_owned(), Some(folder)));
    };
    let folder = PathBuf::from(&cwd);
    match tokio::fs::metadata(&folder).await {
        Ok(meta) if meta.is_dir() => Ok((folder, None)),
        Ok(_) => Err(OperatorError::Failed(format!("cwd: {cwd} is not a folder"))),
        Err(error) => Err(OperatorError::Failed(format!("cwd: {cwd}: {error}"))),
    }
}

fn start_error(error: &std::io::Error) -> OperatorError {
    use std::io::ErrorKind;
    OperatorError::Failed(match error.kind() {
        ErrorKind::NotFound => "cannot start bash: it is not installed on this worker, or not on its PATH".to_owned(),
        ErrorKind::InvalidInput => {
            "cannot start bash: the command or an environment value contains a NUL character".to_owned()
        }
        ErrorKind::ArgumentListTooLong => {
            "cannot start bash: the rendered command and environment are larger than the system \
             allows; put large values into a file"
                .to_owned()
        }
        _ => format!("cannot start bash: {error}"),
    })
}
