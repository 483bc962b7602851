//! Files of `import` and `export`.

use std::{
    io::{Read as _, Write as _},
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::errors::{CliError, Exit};

/// Reads a JSON or YAML file (by its extension; `-` is standard input, as JSON).
///
/// # Errors
/// It cannot be read or does not hold what is expected; the message names the line.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, CliError> {
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|error| CliError::file("read", path, &error))?;
        text
    } else {
        std::fs::read_to_string(path).map_err(|error| CliError::file("read", path, &error))?
    };
    let bad = |error: String| CliError::usage(format!("{} is not usable: {error}", path.display()));
    if is_yaml(path) {
        serde_saphyr::from_str(&text).map_err(|error| bad(error.to_string()))
    } else {
        serde_json::from_str(&text).map_err(|error| bad(error.to_string()))
    }
}

/// Writes a JSON or YAML file (by its extension; `-` is standard output, as JSON). With `secret`, only its owner can
/// read it.
///
/// # Errors
/// It cannot be written.
pub fn write<T: Serialize>(path: &Path, value: &T, secret: bool) -> Result<(), CliError> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let internal = |error: String| CliError::new(Exit::Internal, format!("cannot write the entries: {error}"));
    let mut text = if is_yaml(path) {
        serde_saphyr::to_string(value).map_err(|error| internal(error.to_string()))?
    } else {
        serde_json::to_string_pretty(value).map_err(|error| internal(error.to_string()))?
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    if path.as_os_str() == "-" {
        std::io::stdout().lock().write_all(text.as_bytes())?;
        return Ok(());
    }
    let mode = if secret { 0o600 } else { 0o644 };
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
        if secret {
            // A file that was there keeps its old mode otherwise.
            file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        }
        file.write_all(text.as_bytes())
    };
    write().map_err(|error| CliError::file("write", path, &error))
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}
