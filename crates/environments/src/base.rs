//! What every environment needs beside its own packages: those of the guest.

use std::path::Path;

use tradewind_guest::GuestEnv;
use tradewind_types::sha256_hex;

use crate::EnvironmentError;

/// The pinned packages of the installation, beside the guest's package.
const LOCK: &str = "requirements.lock";
/// What the guest imports: every environment gets them, in the versions of the lock. What they need in turn is free to be of
/// another version than in the lock.
const GUEST_PACKAGES: [&str; 3] =
    ["apache-airflow-core", "apache-airflow-task-sdk", "apache-airflow-providers-standard"];
/// Packages that are not needed, but must be of the lock's version where somebody asks for them.
const TIED: [&str; 1] = ["apache-airflow"];

/// The guest's part of each environment.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    /// The whole lock: versions that are preferred where nothing asks for others.
    pub(crate) lock: String,
    /// The packages that are always installed, one a line.
    pub(crate) wanted: String,
    /// The versions that must be, one a line, with their markers.
    pub(crate) pins: String,
    /// Over the pins, the interpreter and the machine.
    pub(crate) hash: String,
}

impl Base {
    /// Reads the lock and asks the interpreter what it is.
    pub(crate) async fn of(guest: &GuestEnv) -> Result<Self, EnvironmentError> {
        let path = guest.guest_package_dir.join(LOCK);
        let lock = tokio::fs::read_to_string(&path).await.map_err(|error| {
            EnvironmentError(format!(
                "{}: {error}; python.guest_dir must name the folder with tradewind_guest and {LOCK}",
                path.display()
            ))
        })?;
        let pins = pins(&lock);
        for package in GUEST_PACKAGES {
            if !pins.iter().any(|pin| name_of(pin) == package) {
                let path = path.display();
                return Err(EnvironmentError(format!(
                    "{path}: it pins no version of {package}, which every guest needs"
                )));
            }
        }
        let pins = pins.join("\n") + "\n";
        let machine = about(&guest.python).await?;
        let hash = sha256_hex(format!("{pins}\n{}\n{machine}", sha256_hex(lock.as_bytes())).as_bytes());
        Ok(Self { wanted: GUEST_PACKAGES.join("\n") + "\n", lock, pins, hash })
    }

    /// The pins in words, e.g. `apache-airflow-core 3.3.2 and apache-airflow-task-sdk 1.3.2`.
    pub(crate) fn pins_in_words(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for pin in self.pins.lines().filter(|pin| !TIED.contains(&name_of(pin))) {
            let version = pin.split(';').next().unwrap_or(pin).trim().replacen("==", " ", 1);
            // A package with markers has one line for each of them.
            words.retain(|other| name_of(other) != name_of(&version));
            words.push(version);
        }
        match words.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => words.concat(),
        }
    }

    /// Whether a text of `uv` speaks of a package that is pinned.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let pinned = |word: &str| self.pins.lines().any(|pin| name_of(pin) == name_of(word));
        text.split(|c: char| c.is_whitespace() || "`\"',()".contains(c)).any(pinned)
    }
}

/// The lines of a lock that pin what the guest needs.
fn pins(lock: &str) -> Vec<&str> {
    let is_pin =
        |line: &&str| line.contains("==") && (GUEST_PACKAGES.contains(&name_of(line)) || TIED.contains(&name_of(line)));
    lock.lines().filter(is_pin).map(str::trim_end).collect()
}

/// The name that a requirement begins with.
fn name_of(requirement: &str) -> &str {
    let end = requirement.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    &requirement[..end.unwrap_or(requirement.len())]
}

/// Version, implementation and platform of an interpreter: environments of another one do not fit.
async fn about(python: &Path) -> Result<String, EnvironmentError> {
    const ABOUT: &str =
        "import sys, sysconfig; print(sys.implementation.cache_tag, sys.version.split()[0], sysconfig.get_platform())";
    let failed = |why: String| {
        EnvironmentError(format!("the interpreter {} (python.interpreter) does not run: {why}", python.display()))
    };
    let done = tokio::process::Command::new(python)
        .args(["-I", "-S", "-c", ABOUT])
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if !done.status.success() {
        return Err(failed(format!("{}: {}", done.status, String::from_utf8_lossy(&done.stderr).trim())));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "\
aiosqlite==0.22.1
    # via apache-airflow-core
apache-airflow==3.3.2
    # via apache-airflow-providers-smtp
apache-airflow-core==3.3.2
apache-airflow-providers-standard==1.20.0 ; python_full_version < '3.11'
    # via -r requirements.in
apache-airflow-providers-standard==1.21.0 ; python_full_version >= '3.11'
apache-airflow-task-sdk==1.3.2
";

    fn base() -> Base {
        let pins = pins(LOCK).join("\n");
        Base { lock: LOCK.to_owned(), wanted: String::new(), pins, hash: String::new() }
    }

    #[test]
    fn only_what_the_guest_imports_is_pinned() {
        let pinned: Vec<&str> = pins(LOCK).into_iter().map(name_of).collect();
        let expected = [
            "apache-airflow",
            "apache-airflow-core",
            "apache-airflow-providers-standard",
            "apache-airflow-providers-standard",
            "apache-airflow-task-sdk",
        ];
        assert_eq!(pinned, expected);
    }

    #[test]
    fn pins_are_named_once() {
        let words =
            "apache-airflow-core 3.3.2, apache-airflow-providers-standard 1.21.0 and apache-airflow-task-sdk 1.3.2";
        assert_eq!(base().pins_in_words(), words);
    }

    #[test]
    fn a_text_about_a_pin_is_known() {
        let base = base();
        assert!(base.is_in("Because apache-airflow-core==3.3.2 depends on sqlalchemy>=2"));
        assert!(!base.is_in("Because apache-airflow-providers-http==9 needs humanize"));
    }

    #[tokio::test]
    async fn an_interpreter_that_does_not_run_is_named() {
        let error = about(Path::new("/nonexistent/python")).await.unwrap_err();
        assert!(error.0.contains("/nonexistent/python (python.interpreter)"), "{error}");
    }
}
