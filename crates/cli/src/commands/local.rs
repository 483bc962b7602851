//! The DAG folder as this process loads it, without a scheduler.

use std::path::Path;

use tradewind_config::Config;
use tradewind_dags::{LoadedFile, LocalFolder, ProcessorSettings, load_local};
use tradewind_types::{DagSpec, did_you_mean};

use crate::{
    context::Context,
    errors::{CliError, Exit},
    output::{self, Tone, paint},
    roles,
};

/// Loads a folder, or one file of it; without a place, or with an empty one, the configured folder.
///
/// # Errors
/// The place does not exist or cannot be read.
pub async fn load(context: &Context, place: Option<&str>) -> Result<LocalFolder, CliError> {
    let place = place.filter(|place| !place.is_empty()).map(Path::new);
    let mut only = None;
    let folder = match place {
        Some(place) if place.is_file() => {
            let absolute = std::fs::canonicalize(place).map_err(|error| CliError::file("read", place, &error))?;
            only = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
            // The folder above it stands for the DAG folder, whose other files it may import.
            absolute.parent().map(Path::to_path_buf)
        }
        Some(place) => Some(place.to_owned()),
        None => None,
    };
    let overrides = folder.map(|folder| ("dags.folder".to_owned(), folder.display().to_string()));
    let mut config = context.load(overrides.into_iter().collect())?.config;
    let home = tempfile::Builder::new().prefix("tradewind-load.").tempdir()?;
    roles::share_environments(&mut config)?;
    home.path().clone_into(&mut config.home.dir);
    let mut loaded = load_config(&config).await?;
    if let Some(only) = only {
        loaded.files.retain(|file| file.rel_path == only);
    }
    Ok(loaded)
}

/// Loads a folder, or only some files and folders of it, with notes for its author.
///
/// # Errors
/// The folder cannot be read.
pub async fn load_authored(context: &Context, folder: &Path, only: Vec<String>) -> Result<LocalFolder, CliError> {
    let overrides = vec![("dags.folder".to_owned(), folder.display().to_string())];
    let mut config = context.load_quietly(overrides)?.config;
    let home = tempfile::Builder::new().prefix("tradewind-load.").tempdir()?;
    roles::share_environments(&mut config)?;
    home.path().clone_into(&mut config.home.dir);
    load_noted(&config, only).await
}

/// As [`load_config`], with notes for the author.
///
/// # Errors
/// The folder cannot be read.
pub async fn load_noted(config: &Config, only: Vec<String>) -> Result<LocalFolder, CliError> {
    let settings = ProcessorSettings { with_notes: true, only, ..roles::processor_settings(config)? };
    load_settings(config, settings).await
}

/// Loads the folder of a configuration; guests keep their files in its home folder.
///
/// # Errors
/// The folder cannot be read.
pub async fn load_config(config: &Config) -> Result<LocalFolder, CliError> {
    load_settings(config, roles::processor_settings(config)?).await
}

async fn load_settings(config: &Config, settings: ProcessorSettings) -> Result<LocalFolder, CliError> {
    let shown = settings.folder.display().to_string();
    let guest = roles::guest_environment(config, &config.home.dir.join("dag-processor"))?;
    load_local(settings, guest)
        .await
        .map_err(|error| CliError::usage(format!("the DAG folder {shown} cannot be read: {error}")))
}

/// A DAG of the configured folder, and its file.
///
/// # Errors
/// There is none; says what is near, and which files could not be loaded.
pub async fn find(config: &Config, dag_id: &str) -> Result<(LoadedFile, DagSpec), CliError> {
    find_in(&load_config(config).await?, config, dag_id)
}

/// A DAG of a folder that was loaded, and its file.
///
/// # Errors
/// As [`find`].
pub fn find_in(loaded: &LocalFolder, config: &Config, dag_id: &str) -> Result<(LoadedFile, DagSpec), CliError> {
    let mut ids = Vec::new();
    for file in &loaded.files {
        for (_, spec) in &file.dags {
            if spec.dag_id.as_str() == dag_id {
                return Ok((file.clone(), spec.clone()));
            }
            ids.push(spec.dag_id.to_string());
        }
    }
    for file in &loaded.files {
        for error in &file.errors {
            let line = error.line.map_or_else(String::new, |line| format!(":{line}"));
            output::note(&format!("{}{line}: {}", paint(Tone::Bad, &file.rel_path), error.message));
        }
    }
    let near = did_you_mean(dag_id, ids.iter().map(String::as_str));
    let folder = config.dags.folder.display();
    Err(CliError::new(Exit::NotFound, format!("no DAG in {folder} has the id \"{dag_id}\"{near}")))
}
