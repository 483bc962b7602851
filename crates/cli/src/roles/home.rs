//! The home folder of a standalone installation: its lock, and the secrets that are made at the first start.

use std::{
    fs::{self, File, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use tradewind_config::{Config, generate_secrets};

use crate::{
    errors::{CliError, Exit},
    secret_files::LocalFiles,
};

/// Holds a home folder for this process; it is free again when this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

/// Makes the home folder if it is missing, and takes it for this process.
///
/// # Errors
/// Another process holds it (named by its id), or it cannot be made or written.
pub fn lock(home: &Path) -> Result<HomeLock, CliError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(home)
        .map_err(|error| CliError::file("make the home folder", home, &error))?;
    let path = home.join("standalone.lock");
    let failed = |error: &std::io::Error| CliError::file("use", &path, error);
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Without a number the message is still true.
            let _ = file.read_to_string(&mut pid);
            return Err(CliError::new(
                Exit::Conflict,
                format!("another standalone process (pid {}) uses the home folder {}", pid.trim(), home.display()),
            )
            .with_hint("stop it, or give this one a folder of its own with --home DIR"));
        }
        Err(TryLockError::Error(error)) => return Err(failed(&error)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(|error| failed(&error))?;
    Ok(HomeLock { _file: file })
}

/// Fills in the secrets that the configuration lacks: those in the home folder, or fresh ones, which are kept there.
///
/// # Errors
/// A file cannot be read or written.
pub fn fill_secrets(config: &mut Config) -> Result<(), CliError> {
    let files = LocalFiles::new(&config.home.dir);
    let fresh = generate_secrets();
    let security = &mut config.security;
    for (secret, name, new) in [
        (&mut security.admin_token, "admin.token", fresh.admin_token),
        (&mut security.worker_token, "worker.token", fresh.worker_token),
        (&mut security.processor_token, "processor.token", fresh.processor_token),
        (&mut security.fernet_key, "fernet.key", fresh.fernet_key),
    ] {
        if !secret.is_empty() {
            continue;
        }
        *secret = match files.secret(name)? {
            Some(kept) => kept,
            None => {
                files.keep(name, &new)?;
                new
            }
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_home_belongs_to_one_process_which_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        let held = lock(&home).unwrap();
        let error = lock(&home).unwrap_err();
        assert!(error.message.contains(&format!("pid {}", std::process::id())), "{error}");
        assert_eq!(error.exit, Exit::Conflict);
        drop(held);
        lock(&home).unwrap();
    }

    #[test]
    fn secrets_are_made_once_and_only_their_owner_can_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.home.dir = dir.path().to_owned();
        config.security.worker_token = "configured".to_owned();
        let mut again = config.clone();
        fill_secrets(&mut config).unwrap();
        fill_secrets(&mut again).unwrap();
        assert!(config.security == again.security, "the second start finds what the first made");
        assert_eq!(config.security.worker_token, "configured");
        assert!(config.security.admin_token.len() >= 32);
        assert!(!dir.path().join("worker.token").exists());
        for name in ["admin.token", "processor.token", "fernet.key"] {
            let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let loaded = LocalFiles::new(dir.path()).admin_token().unwrap();
        assert_eq!(loaded.as_deref(), Some(config.security.admin_token.as_str()));
    }
}
