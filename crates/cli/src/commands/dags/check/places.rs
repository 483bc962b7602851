//! From the paths of a command line to folders that are loaded as DAG folders.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use tradewind_dags::review::{Finding, rule};

use crate::errors::CliError;

/// Files of one DAG folder.
#[derive(Debug)]
pub(super) struct Place {
    /// The DAG folder: on the path of what its files import.
    pub(super) root: PathBuf,
    /// Files and folders in it; all when empty.
    pub(super) only: Vec<String>,
    /// What stands before a path in the folder, as seen from the current folder.
    prefix: PathBuf,
}

impl Place {
    /// A path of the folder as people see it from where they are.
    pub(super) fn shown(&self, rel: &str) -> String {
        let path = self.prefix.join(rel);
        let text = path.display().to_string();
        match text.trim_end_matches('/') {
            "" => ".".to_owned(),
            text => text.to_owned(),
        }
    }
}

/// Finds the DAG folder of each path: the configured one where the path is in it, else the path itself, or the folder of
/// a file.
pub(super) fn resolve(paths: &[String], configured: &Path) -> Result<Vec<Place>, CliError> {
    let here = std::env::current_dir()?;
    let dags = std::fs::canonicalize(configured).ok().filter(|dags| dags.is_dir());
    let mut found: BTreeMap<PathBuf, Option<Vec<String>>> = BTreeMap::new();
    let default = [configured.display().to_string()];
    let is_default = paths.is_empty();
    for path in if is_default { &default } else { paths } {
        let absolute = std::fs::canonicalize(path).map_err(|error| {
            let error = CliError::file("read", Path::new(path), &error);
            if is_default { error.with_hint("name a folder or files, or set dags.folder") } else { error }
        })?;
        let is_file = absolute.is_file();
        if is_file
            && !absolute.extension().is_some_and(|ending| ["py", "yaml", "yml"].iter().any(|known| ending == *known))
        {
            return Err(CliError::usage(format!("{path} is no DAG file: these end with .py, .yaml or .yml")));
        }
        let root = match &dags {
            Some(dags) if absolute.starts_with(dags) => dags.clone(),
            _ if is_file => absolute.parent().unwrap_or(&absolute).to_owned(),
            _ => absolute.clone(),
        };
        let rel = absolute.strip_prefix(&root).unwrap_or(&absolute).display().to_string();
        let only = found.entry(root).or_insert_with(|| Some(Vec::new()));
        match only {
            // The whole folder was named.
            _ if rel.is_empty() => *only = None,
            Some(only) => only.push(rel),
            None => {}
        }
    }
    let place = |(root, only): (PathBuf, Option<Vec<String>>)| Place {
        prefix: root.strip_prefix(&here).map_or_else(|_| root.clone(), Path::to_path_buf),
        only: only.unwrap_or_default(),
        root,
    };
    Ok(found.into_iter().map(place).collect())
}

/// A path that was named and holds no DAG.
pub(super) fn without_dags(file: &str) -> Finding {
    let message = "no DAG is defined here".to_owned();
    let mend = "a Python DAG file mentions \"airflow\" and \"dag\" and makes a DAG when it is imported; a YAML one has dag_id and tasks";
    finding("no-dag", file, message, Some(mend.to_owned()))
}

/// A remark about the folder.
pub(super) fn of_folder(folder: &str, warning: &str) -> Finding {
    finding("folder", folder, warning.to_owned(), None)
}

fn finding(rule_id: &str, file: &str, message: String, mend: Option<String>) -> Finding {
    let rule = rule(rule_id);
    Finding {
        rule,
        level: rule.level,
        file: file.to_owned(),
        line: None,
        column: None,
        dag_id: None,
        task_id: None,
        message,
        mend,
        drawing: None,
    }
}
