//! From options to the settings of the parts.

use std::{path::PathBuf, time::Duration};

use tradewind_config::Config;
use tradewind_dags::{ProcessorSettings, yaml::YamlSettings};
use tradewind_engine::EngineOptions;
use tradewind_objects::Storage;
use tradewind_scheduler::{SchedulerSettings, ServerTls, Tokens};
use tradewind_worker::WorkerSettings;

use super::{backends::absolute, guest};
use crate::{context::read_pem, errors::CliError};

/// Seconds of an option.
fn seconds(key: &str, value: f64) -> Result<Duration, CliError> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| CliError::usage(format!("{key}: {value} is not a number of seconds")))
}

/// A name of this process: host and process id.
fn process_name() -> String {
    format!("{}-{}", rustix::system::uname().nodename().to_string_lossy(), std::process::id())
}

/// The settings of the scheduler.
///
/// # Errors
/// Names the option that is wrong.
pub fn scheduler(config: &Config) -> Result<SchedulerSettings, CliError> {
    let options = &config.scheduler;
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let tls = match (&config.tls.cert, &config.tls.key) {
        (Some(cert), Some(key)) => Some(ServerTls {
            cert: read_pem(cert)?,
            key: read_pem(key)?,
            client_ca: config.tls.ca.as_deref().map(read_pem).transpose()?,
        }),
        _ => None,
    };
    Ok(SchedulerSettings {
        name: some(&options.name).unwrap_or_else(process_name),
        listen: options
            .listen
            .parse()
            .map_err(|_| CliError::usage(format!("scheduler.listen: \"{}\" is not IP:PORT", options.listen)))?,
        advertise: some(&options.advertise),
        engine: EngineOptions {
            parallelism: options.parallelism,
            lease: seconds("scheduler.task_lease_secs", options.task_lease_secs)?,
            max_retry_delay: seconds("scheduler.max_retry_delay_secs", options.max_retry_delay_secs)?,
            max_worker_losses: options.max_worker_losses,
            max_map_length: options.max_map_length,
            execution_timeout_spans_deferral: options.execution_timeout_spans_deferral,
            sensor_timeout_spans_retries: options.sensor_timeout_spans_retries,
        },
        leader_lease: seconds("scheduler.leader_lease_secs", options.leader_lease_secs)?,
        repair_interval: seconds("scheduler.repair_secs", options.repair_secs)?,
        queue_window: usize::try_from(config.queue.window).unwrap_or(usize::MAX),
        xcom_inline_max_bytes: config.xcom.inline_max_bytes,
        xcom_max_bytes: config.xcom.max_bytes,
        xcom_storage: xcom_storage(config)?,
        xcom_sweep: seconds("xcom.sweep_secs", config.xcom.sweep_secs)?,
        xcom_orphans: seconds("xcom.orphan_secs", config.xcom.orphan_secs)?,
        log_max_bytes: options.log_max_bytes,
        paused_by_default: config.core.dags_are_paused_at_creation,
        tokens: Tokens {
            admin: config.security.admin_token.clone(),
            worker: config.security.worker_token.clone(),
            processor: config.security.processor_token.clone(),
        },
        fernet_keys: config.security.fernet_key.split(',').map(|key| key.trim().to_owned()).collect(),
        tls,
    })
}

/// Where large XComs are kept, if anywhere.
fn xcom_storage(config: &Config) -> Result<Option<Storage>, CliError> {
    let options = &config.xcom;
    if options.storage_url.is_empty() {
        return Ok(None);
    }
    Storage::open(&options.storage_url, &options.storage_options)
        .map(Some)
        .map_err(|error| CliError::usage(format!("xcom.storage_url: {error}")))
}

/// The URL of the folder for large XComs of a process that holds every role, when none is configured.
///
/// # Errors
/// The path cannot be made absolute.
pub fn fill_xcom_storage(config: &mut Config) -> Result<(), CliError> {
    if config.xcom.storage_url.is_empty() {
        let folder = absolute(&config.home.dir.join("xcoms"))?;
        config.xcom.storage_url = format!("file://{}", folder.display());
    }
    Ok(())
}

/// The folder of the worker.
///
/// # Errors
/// The path cannot be made absolute.
pub fn worker_dir(config: &Config) -> Result<PathBuf, CliError> {
    absolute(&config.worker.dir.clone().unwrap_or_else(|| config.home.dir.join("worker")))
}

/// The settings of the worker.
///
/// # Errors
/// Names the option that is wrong.
pub fn worker(config: &Config) -> Result<WorkerSettings, CliError> {
    let dir = worker_dir(config)?;
    let mut settings = WorkerSettings::from_options(&config.worker, dir.clone()).map_err(CliError::usage)?;
    settings.environments = guest::environment_options(config, &dir.join(guest::ENVIRONMENTS))?;
    settings.dir = dir;
    settings.xcom_max_bytes = config.xcom.max_bytes;
    settings.xcom_storage = xcom_storage(config)?;
    Ok(settings)
}

/// The settings of the DAG processor.
///
/// # Errors
/// Names the option that is wrong.
pub fn processor(config: &Config) -> Result<ProcessorSettings, CliError> {
    const MIB: u64 = 1 << 20;
    let options = &config.dags;
    let folder = absolute(&options.folder)?;
    if !folder.is_dir() {
        return Err(CliError::usage(format!("dags.folder: there is no folder {}", folder.display()))
            .with_hint("create it, or name another with --dags-folder"));
    }
    Ok(ProcessorSettings {
        scan_interval: seconds("dags.scan_secs", options.scan_secs)?,
        parse_timeout: seconds("dags.parse_timeout_secs", options.parse_timeout_secs)?,
        parse_memory_bytes: options.parse_memory_mib.saturating_mul(MIB),
        parse_processes: usize::try_from(options.parse_processes).unwrap_or(1),
        bundle_file_max_bytes: options.bundle_file_max_mib.saturating_mul(MIB),
        yaml: YamlSettings {
            default_timezone: config.core.default_timezone.clone(),
            create_cron_data_intervals: config.core.create_cron_data_intervals,
        },
        environments: guest::environment_options(
            config,
            &config.home.dir.join("dag-processor").join(guest::ENVIRONMENTS),
        )?,
        ..ProcessorSettings::new(folder)
    })
}
