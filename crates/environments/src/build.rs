//! Builds one environment: an empty one, the versions that go together, the packages.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tradewind_types::{BlobHash, Environment, PackageSource, sha256_hex};

use crate::{
    EnvironmentError,
    base::Base,
    messages,
    uv::{Ended, Uv},
};

/// The versions that `uv` settled on.
const RESOLVED: &str = ".tradewind-resolved.txt";
/// What a `uv.lock` pins, with hashes and without.
const LOCKED: &str = ".tradewind-locked.txt";
const LOCKED_PLAIN: &str = ".tradewind-locked-plain.txt";

/// One build.
pub(crate) struct Build<'b> {
    pub(crate) environment: &'b Environment,
    pub(crate) base: &'b Base,
    pub(crate) uv: &'b Path,
    /// The interpreter whose Python is used when the environment asks for none.
    pub(crate) python: &'b Path,
    /// Where the files of the definition lie: a bundle, or the DAG folder.
    pub(crate) root: &'b Path,
    /// A folder that is ours.
    pub(crate) work: &'b Path,
    pub(crate) limit: Duration,
}

impl Build<'_> {
    /// Builds it and answers the folder that it is in, below `work`.
    pub(crate) async fn run(&self) -> Result<PathBuf, EnvironmentError> {
        let LaidOut { folder, has_hashes } = self.lay_out().await?;
        let venv = self.work.join("venv");
        let uv = Uv { program: self.uv, folder: &folder, until: Instant::now() + self.limit, limit: self.limit };

        let python: OsString = self.environment.python.as_deref().map_or_else(|| self.python.into(), Into::into);
        // Programs of packages name their interpreter by a path, which a rename would break.
        let relocatable = ["venv", "--quiet", "--no-project", "--relocatable", "--python"];
        self.step(&uv, args(&relocatable).chain([python, venv.clone().into()])).await?;

        let interpreter: OsString = venv.join("bin/python").into();
        let source = match &self.environment.packages {
            PackageSource::Project { lock: Some(_), .. } => {
                let export =
                    ["export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--python"];
                for (file, hashes) in [(LOCKED, "--hashes"), (LOCKED_PLAIN, "--no-hashes")] {
                    let rest = [interpreter.clone(), hashes.into(), "--output-file".into(), file.into()];
                    self.step(&uv, args(&export).chain(rest)).await?;
                }
                LOCKED_PLAIN
            }
            PackageSource::Project { .. } => "pyproject.toml",
            PackageSource::Requirements { file } => file,
        };
        let compile =
            ["pip", "compile", "--quiet", "--no-header", "--no-annotate", "--emit-index-url", "--emit-find-links"];
        let rest = ["--python".into(), interpreter.clone(), "--output-file".into(), RESOLVED.into()];
        let guest = self.work.join("guest");
        let inputs =
            [source.into(), guest.join("wanted.txt").into(), "--constraints".into(), guest.join("pins.txt").into()];
        self.step(&uv, args(&compile).chain(rest).chain(inputs)).await?;

        // What came with hashes is installed first, where they are checked; it is in the other list as well.
        let locked = match source {
            LOCKED_PLAIN => Some(LOCKED),
            file => has_hashes.then_some(file),
        };
        for list in locked.into_iter().chain([RESOLVED]) {
            // Compiled here, once: a task must not spend its time on it.
            let install = ["pip", "install", "--quiet", "--no-deps", "--compile-bytecode", "--python"];
            self.step(&uv, args(&install).chain([interpreter.clone(), "--requirements".into(), list.into()])).await?;
        }
        Ok(venv)
    }

    async fn step(&self, uv: &Uv<'_>, args: impl Iterator<Item = OsString>) -> Result<(), EnvironmentError> {
        let args: Vec<OsString> = args.collect();
        let Ended { status, stderr } =
            uv.run(&args).await.map_err(|error| EnvironmentError(messages::whole(self.environment, &error.0)))?;
        if status.success() {
            return Ok(());
        }
        let work = format!("{}/", self.work.display());
        let stderr = stderr.replace(&format!("{work}definition/"), "").replace(&work, "");
        Err(EnvironmentError(messages::failed(self.environment, self.base, &stderr)))
    }

    /// Copies the definition, checks that it is what its hash says, and writes the guest's part.
    async fn lay_out(&self) -> Result<LaidOut, EnvironmentError> {
        let (root, work, base) = (self.root.to_owned(), self.work.to_owned(), self.base.clone());
        let environment = self.environment.clone();
        let done = tokio::task::spawn_blocking(move || lay_out(&environment, &base, &root, &work)).await;
        done.unwrap_or_else(|error| Err(error.to_string()))
            .map_err(|why| EnvironmentError(messages::whole(self.environment, &why)))
    }
}

/// A definition, ready to be built.
struct LaidOut {
    /// Where to call `uv`.
    folder: PathBuf,
    /// Whether the requirements say what their files must hash to.
    has_hashes: bool,
}

fn args(words: &[&str]) -> impl Iterator<Item = OsString> {
    words.iter().map(OsString::from).collect::<Vec<_>>().into_iter()
}

fn lay_out(environment: &Environment, base: &Base, root: &Path, work: &Path) -> Result<LaidOut, String> {
    let definition = work.join("definition");
    let mut has_hashes = false;
    let mut files = Vec::new();
    for rel in &environment.files {
        let bytes = std::fs::read(root.join(rel)).map_err(|error| format!("{rel}: {error}"))?;
        write(&definition.join(rel), &bytes)?;
        has_hashes |= std::str::from_utf8(&bytes).is_ok_and(|text| text.contains("--hash="));
        files.push((rel.as_str(), BlobHash::from(sha256_hex(&bytes))));
    }
    let files = files.iter().map(|(rel, blob)| (*rel, blob));
    let python = environment.python.as_deref();
    if Environment::hash_of(&environment.packages, python, files) != environment.hash {
        return Err("a file of it changed meanwhile; it will be tried again".to_owned());
    }
    // Ends the search of uv for a configuration of the project that we happen to be in; that of the user stays.
    write(&work.join("uv.toml"), b"")?;
    write(&work.join("guest/wanted.txt"), base.wanted.as_bytes())?;
    write(&work.join("guest/pins.txt"), base.pins.as_bytes())?;
    let folder = match &environment.packages {
        // Its own settings for uv are found from there.
        PackageSource::Project { file, .. } => definition.join(file).parent().unwrap_or(&definition).to_owned(),
        PackageSource::Requirements { .. } => definition,
    };
    // The versions that an earlier result holds are preferred.
    write(&folder.join(RESOLVED), base.lock.as_bytes())?;
    let is_project = matches!(environment.packages, PackageSource::Project { .. });
    Ok(LaidOut { folder, has_hashes: has_hashes && !is_project })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder.and_then(|()| std::fs::write(path, bytes)).map_err(|error| format!("{}: {error}", path.display()))
}
