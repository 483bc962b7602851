//! Where the Python guest is.

use std::path::{Path, PathBuf};

use tradewind_config::Config;
use tradewind_guest::GuestEnv;

/// The guest of the configuration, or why there is none: without one, native tasks and YAML DAGs still run.
pub(super) fn guest_env(config: &Config, home: PathBuf) -> Option<GuestEnv> {
    let python = absolute(config.python.interpreter.clone().unwrap_or_else(|| PathBuf::from(".venv/bin/python")));
    if !python.exists() {
        tracing::warn!(
            interpreter = %python.display(),
            "there is no Python interpreter (python.interpreter): native tasks and YAML DAGs only"
        );
        return None;
    }
    let Some(guest_package_dir) = config.python.guest_dir.clone().or_else(find_guest_dir).map(absolute) else {
        tracing::warn!("the folder of the tradewind_guest package is not found (python.guest_dir)");
        return None;
    };
    if !guest_package_dir.join("tradewind_guest").is_dir() {
        tracing::warn!(
            folder = %guest_package_dir.display(),
            "there is no tradewind_guest package in this folder (python.guest_dir)"
        );
        return None;
    }
    Some(GuestEnv {
        python,
        guest_package_dir,
        home,
        extra_env: config.worker.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
    })
}

/// `python` in the current folder or beside the checkout that the binary was built in.
fn find_guest_dir() -> Option<PathBuf> {
    let beside_binary = std::env::current_exe().ok().and_then(|exe| {
        exe.ancestors().map(|folder| folder.join("python")).find(|folder| folder.join("tradewind_guest").is_dir())
    });
    let here = PathBuf::from("python");
    if here.join("tradewind_guest").is_dir() { Some(here) } else { beside_binary }
}

/// Makes a path independent of the current folder, without following links: an environment's `python` is a link to
/// another interpreter, and only under its own name it finds its packages.
pub(super) fn absolute(path: impl AsRef<Path>) -> PathBuf {
    std::path::absolute(path.as_ref()).unwrap_or_else(|_| path.as_ref().to_path_buf())
}
