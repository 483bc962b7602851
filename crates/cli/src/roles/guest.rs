//! Where the Python of guests is.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tradewind_config::Config;
use tradewind_guest::GuestEnv;

use super::backends::absolute;
use crate::errors::CliError;

/// The folder that a prepared environment has when nothing is configured.
const DEFAULT_INTERPRETER: &str = ".venv/bin/python";
/// What makes a folder the one that holds the guest's package.
const GUEST_PACKAGE: &str = "tradewind_guest/__init__.py";

/// The guest environment for a process that keeps its files in `home`; none when there is no interpreter or no guest
/// package, which is logged.
///
/// # Errors
/// A path cannot be made absolute.
pub fn environment(config: &Config, home: &Path) -> Result<Option<GuestEnv>, CliError> {
    let (python, is_configured) = match &config.python.interpreter {
        Some(python) => (absolute(python)?, true),
        None => (absolute(Path::new(DEFAULT_INTERPRETER))?, false),
    };
    if !python.is_file() {
        if is_configured {
            tracing::warn!(
                "there is no interpreter {} (python.interpreter): Python DAG files and tasks cannot run",
                python.display()
            );
        } else {
            tracing::info!("no Python environment (python.interpreter): native tasks and YAML DAGs only");
        }
        return Ok(None);
    }
    let guest_package_dir = match &config.python.guest_dir {
        Some(dir) => Some(absolute(dir)?).filter(|dir| dir.join(GUEST_PACKAGE).is_file()),
        None => find_package(),
    };
    let Some(guest_package_dir) = guest_package_dir else {
        tracing::warn!(
            "the folder with the tradewind_guest package was not found (python.guest_dir): Python DAG files and tasks \
             cannot run"
        );
        return Ok(None);
    };
    Ok(Some(GuestEnv {
        python,
        guest_package_dir,
        home: absolute(home)?,
        extra_env: extra_env(config),
        // The configuration is validated: the number is finite and not negative.
        warm_dags: Duration::try_from_secs_f64(config.python.warm_dag_secs).unwrap_or_default(),
    }))
}

/// What Airflow in the guest must agree on with this process; what the configuration sets for tasks comes last and wins.
fn extra_env(config: &Config) -> Vec<(String, String)> {
    let intervals = if config.core.create_cron_data_intervals { "True" } else { "False" };
    let agreed = [
        ("AIRFLOW__CORE__DEFAULT_TIMEZONE", config.core.default_timezone.as_str()),
        ("AIRFLOW__SCHEDULER__CREATE_CRON_DATA_INTERVALS", intervals),
        ("AIRFLOW__SCHEDULER__CREATE_DELTA_DATA_INTERVALS", intervals),
    ];
    agreed
        .into_iter()
        .filter(|(name, _)| !config.worker.env.contains_key(*name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .chain(config.worker.env.iter().map(|(name, value)| (name.clone(), value.clone())))
        .collect()
}

/// The `python` folder of the checkout that the binary was built in, or of the current folder.
fn find_package() -> Option<PathBuf> {
    let exe = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    let beside = exe.iter().flat_map(|exe| exe.ancestors().skip(1));
    let here = std::env::current_dir().ok();
    beside
        .chain(here.as_deref())
        .flat_map(|dir| [dir.join("python"), dir.join("share/tradewind/python")])
        .find(|dir| dir.join(GUEST_PACKAGE).is_file())
}
