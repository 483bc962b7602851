//! Where the Python of guests is.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use tradewind_config::Config;
use tradewind_environments::EnvironmentOptions;
use tradewind_guest::GuestEnv;

use super::backends::absolute;
use crate::errors::CliError;

/// The folder that a prepared environment has when nothing is configured.
const DEFAULT_INTERPRETER: &str = ".venv/bin/python";
/// The folder of environments below that of a worker or a DAG processor.
pub const ENVIRONMENTS: &str = "environments";
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

/// How environments of DAG files are built and kept; `default_dir` when the configuration names no folder.
///
/// # Errors
/// Names the option that is wrong.
pub fn environment_options(config: &Config, default_dir: &Path) -> Result<EnvironmentOptions, CliError> {
    let options = &config.python;
    let seconds = |option: &str, value: f64| {
        Duration::try_from_secs_f64(value)
            .map_err(|_| CliError::usage(format!("{option}: {value} is not a number of seconds")))
    };
    Ok(EnvironmentOptions {
        dir: Some(absolute(options.environments_dir.as_deref().unwrap_or(default_dir))?),
        uv: options.uv.as_deref().map(absolute).transpose()?,
        cache_bytes: options.environment_cache_bytes,
        idle: seconds("python.environment_idle_secs", options.environment_idle_secs)?,
        warm: usize::try_from(options.environment_warm).unwrap_or(usize::MAX),
        build_timeout: seconds("python.build_timeout_secs", options.build_timeout_secs)?,
    })
}

/// Lets a system with a home folder of its own use the environments of the configured one: call it before `home.dir` and
/// `worker.dir` change.
///
/// # Errors
/// A path cannot be made absolute.
pub fn share_environments(config: &mut Config) -> Result<(), CliError> {
    if config.python.environments_dir.is_none() {
        config.python.environments_dir = Some(super::settings::worker_dir(config)?.join(ENVIRONMENTS));
    }
    Ok(())
}

/// What Airflow in the guest must agree on with this process; what the configuration sets for tasks comes last and wins.
fn extra_env(config: &Config) -> Vec<(String, String)> {
    let intervals = if config.core.create_cron_data_intervals { "True" } else { "False" };
    let agreed = [
        ("AIRFLOW__CORE__DEFAULT_TIMEZONE", config.core.default_timezone.as_str()),
        ("AIRFLOW__SCHEDULER__CREATE_CRON_DATA_INTERVALS", intervals),
        ("AIRFLOW__SCHEDULER__CREATE_DELTA_DATA_INTERVALS", intervals),
    ];
    // Later ones win.
    let mut variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| is_for_guests(name))
        .collect();
    variables.extend(agreed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    variables.extend(config.worker.env.clone());
    variables.into_iter().collect()
}

/// Whether user code sees this variable of our environment, as it would on a worker of Airflow's: connections, variables,
/// and options but those of Airflow's own servers, which hold secrets that no task needs.
fn is_for_guests(name: &str) -> bool {
    const SEEN: [&str; 3] = ["AIRFLOW_CONN_", "AIRFLOW_VAR_", "AIRFLOW__"];
    const HIDDEN: [&str; 7] = [
        "AIRFLOW__API_AUTH__",
        "AIRFLOW__API__SECRET_KEY",
        "AIRFLOW__CELERY__",
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__CORE__SQL_ALCHEMY_CONN",
        "AIRFLOW__DATABASE__",
        "AIRFLOW__WEBSERVER__SECRET_KEY",
    ];
    let has = |prefix: &&str| name.starts_with(*prefix);
    SEEN.iter().any(has) && !HIDDEN.iter().any(has)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_see_what_airflow_would_show_them() {
        for name in ["AIRFLOW_CONN_DB", "AIRFLOW_VAR_KEY", "AIRFLOW__SECRETS__BACKEND", "AIRFLOW__CORE__XCOM_BACKEND"] {
            assert!(is_for_guests(name), "{name}");
        }
        for name in [
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
            "AIRFLOW__CORE__FERNET_KEY_CMD",
            "AIRFLOW__API_AUTH__JWT_SECRET",
            "AIRFLOW_HOME",
            "TRADEWIND__SECURITY__FERNET_KEY",
            "AWS_SECRET_ACCESS_KEY",
        ] {
            assert!(!is_for_guests(name), "{name}");
        }
    }

    #[test]
    fn options_of_ours_win_over_the_environment_and_those_for_tasks_over_both() {
        let mut config = Config::default();
        config.worker.env.insert("AIRFLOW__CORE__DEFAULT_TIMEZONE".to_owned(), "Asia/Tokyo".to_owned());
        let variables: BTreeMap<_, _> = extra_env(&config).into_iter().collect();
        assert_eq!(variables.get("AIRFLOW__CORE__DEFAULT_TIMEZONE").map(String::as_str), Some("Asia/Tokyo"));
        let intervals = variables.get("AIRFLOW__SCHEDULER__CREATE_CRON_DATA_INTERVALS").map(String::as_str);
        assert_eq!(intervals, Some("False"));
    }
}
