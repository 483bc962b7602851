//! Runs `uv`.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
};

use crate::EnvironmentError;

/// How much of its output is kept for a message.
const KEPT_LINES: usize = 200;
/// What a build may see of our environment; it may run code of packages, so secrets must not be among it.
const INHERITED: [&str; 27] = [
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SSL_CLIENT_CERT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "NETRC",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "CC",
    "CXX",
    "CFLAGS",
    "CXXFLAGS",
    "LDFLAGS",
    "LD_LIBRARY_PATH",
    "PKG_CONFIG_PATH",
];

/// Finds `uv`: the configured one, else that beside the interpreter, else that on `PATH`.
pub(crate) fn find(configured: Option<&Path>, python: &Path) -> Result<PathBuf, EnvironmentError> {
    if let Some(uv) = configured {
        if uv.is_file() {
            return Ok(uv.to_owned());
        }
        return Err(EnvironmentError(format!(
            "there is no {} (python.uv), and building a Python environment needs uv",
            uv.display()
        )));
    }
    let beside = python.parent().map(|folder| folder.join("uv"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join("uv"));
    beside.into_iter().chain(on_path).find(|uv| uv.is_file()).ok_or_else(|| {
        EnvironmentError(
            "building a Python environment needs uv, which is neither beside the interpreter (python.interpreter) nor on \
             PATH: install it there (pip install uv) or name it in python.uv"
                .to_owned(),
        )
    })
}

/// How a run ended, with the end of its standard error.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

/// Calls `uv` in one folder, up to one instant.
pub(crate) struct Uv<'b> {
    pub(crate) program: &'b Path,
    pub(crate) folder: &'b Path,
    pub(crate) until: Instant,
    /// The whole time, for the message.
    pub(crate) limit: Duration,
}

impl Uv<'_> {
    /// Runs it. An error means that it did not come to an end of its own.
    pub(crate) async fn run(&self, args: &[OsString]) -> Result<Ended, EnvironmentError> {
        let failed = |error: std::io::Error| {
            EnvironmentError(format!("{} (python.uv) does not run: {error}", self.program.display()))
        };
        let mut child = Command::new(self.program)
            .args(args)
            .current_dir(self.folder)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| {
                name.to_str().is_some_and(|name| {
                    INHERITED.contains(&name)
                        || name.starts_with("LC_")
                        || (name.starts_with("UV_") && !name.starts_with("UV_PROJECT") && name != "UV_PYTHON")
                })
            }))
            .env("NO_COLOR", "1")
            .env("UV_NO_PROGRESS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).map(Group);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let whole = async { tokio::join!(child.wait(), lines(stdout), lines(stderr)) };
        let ended = tokio::time::timeout_at(self.until.into(), whole).await;
        if ended.is_ok() {
            // It has been waited for: its number may belong to another process now.
            std::mem::forget(group);
        }
        let Ok((status, _, stderr)) = ended else {
            return Err(EnvironmentError(format!(
                "it was not done after {} s and was stopped (python.build_timeout_secs)",
                self.limit.as_secs_f64()
            )));
        };
        Ok(Ended { status: status.map_err(failed)?, stderr })
    }
}

/// Kills `uv` and what it started, unless it ended.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // What is gone already need not be killed.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// Reads to the end, tells the log, and keeps the last lines.
async fn lines(from: Option<impl AsyncRead + Unpin>) -> String {
    let Some(from) = from else { return String::new() };
    let mut kept = std::collections::VecDeque::new();
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::debug!(target: "tradewind_environments::uv", "{line}");
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    Vec::from(kept).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(folder: &Path, limit: Duration) -> Uv<'_> {
        Uv { program: Path::new("/bin/sh"), folder, until: Instant::now() + limit, limit }
    }

    fn args(script: &str) -> [OsString; 2] {
        ["-c".into(), script.into()]
    }

    #[test]
    fn a_missing_uv_says_how_to_get_it() {
        let error = find(Some(Path::new("/nonexistent/uv")), Path::new("/bin/sh")).unwrap_err();
        assert!(error.0.contains("/nonexistent/uv (python.uv)"), "{error}");
    }

    #[test]
    fn uv_beside_the_interpreter_is_found() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("uv"), "").unwrap();
        assert_eq!(find(None, &dir.path().join("python")).unwrap(), dir.path().join("uv"));
    }

    #[tokio::test]
    async fn its_end_and_its_last_words_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let ended = shell(dir.path(), Duration::from_secs(20)).run(&args("echo out; echo why >&2; exit 3")).await;
        let ended = ended.unwrap();
        assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(3), "why"));
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let script = "sleep 1000 & echo $! > child; wait";
        let error = shell(dir.path(), Duration::from_millis(700)).run(&args(script)).await.err().expect("an error");
        assert!(error.0.contains("0.7 s") && error.0.contains("python.build_timeout_secs"), "{error}");
        let child = std::fs::read_to_string(dir.path().join("child")).unwrap();
        let stat = format!("/proc/{}/stat", child.trim());
        for _ in 0..100 {
            match std::fs::read_to_string(&stat) {
                Ok(text) if !text.contains(") Z ") => tokio::time::sleep(Duration::from_millis(20)).await,
                _ => return,
            }
        }
        panic!("the child of uv still runs");
    }
}
