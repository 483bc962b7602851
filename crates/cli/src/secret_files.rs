//! Files that a standalone installation keeps in its home folder and that the CLI finds there by itself.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::errors::{CliError, Exit};

/// The files of a home folder.
#[derive(Clone, Debug)]
pub struct LocalFiles {
    home: PathBuf,
}

impl LocalFiles {
    /// The files of `home`; nothing is read yet.
    pub fn new(home: &Path) -> Self {
        Self { home: home.to_owned() }
    }

    /// The admin token, if a standalone installation made one.
    ///
    /// # Errors
    /// The file is there but cannot be read.
    pub fn admin_token(&self) -> Result<Option<String>, CliError> {
        self.secret("admin.token")
    }

    /// The address of the standalone process that runs here, or ran here last.
    ///
    /// # Errors
    /// The file is there but cannot be read.
    pub fn address(&self) -> Result<Option<String>, CliError> {
        self.secret("address")
    }

    /// The text of a file; none when there is no such file.
    ///
    /// # Errors
    /// The file is there but cannot be read.
    pub fn secret(&self, name: &str) -> Result<Option<String>, CliError> {
        let path = self.home.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(CliError::new(Exit::Denied, format!("cannot read {}: {error}", path.display()))),
        }
    }

    /// Keeps `text` in a file that only its owner can read. The file appears whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, name: &str, text: &str) -> Result<(), CliError> {
        let path = self.home.join(name);
        let fresh = self.home.join(format!(".{name}.{}", std::process::id()));
        let write = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            writeln!(file, "{text}")?;
            file.sync_all()?;
            fs::rename(&fresh, &path)
        };
        write().map_err(|error| CliError::file("write", &path, &error))
    }

    /// Removes a file; none is fine.
    pub fn forget(&self, name: &str) {
        // A file that stays behind is replaced at the next start.
        let _ = fs::remove_file(self.home.join(name));
    }
}
