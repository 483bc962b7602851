//! Which files define an environment: the one that it names, and those that this one includes.

use std::collections::BTreeSet;

use toml::Value;
use tradewind_types::PackageSource;

use super::{declare::Packages, locked};
use crate::scan::Scan;

/// The packages of an environment and the files that define it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) packages: PackageSource,
    pub(crate) files: BTreeSet<String>,
}

/// Where something is wrong, if not in the `tradewind.toml`, and what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// File and line.
    pub(crate) place: Option<(String, u32)>,
    pub(crate) message: String,
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Self { place: None, message: message.into() }
    }
}

/// Follows what the `tradewind.toml` in `folder` names.
pub(crate) fn follow(scan: &Scan, folder: &str, named: &Packages) -> Result<Definition, Fault> {
    let path = join(folder, &named.path)
        .ok_or_else(|| Fault::new(format!("\"{}\" does not lie in the DAG folder", named.path)))?;
    let mut files = BTreeSet::new();
    let packages = if named.is_project {
        let path = path.trim_end_matches("pyproject.toml").trim_end_matches('/').to_owned();
        let beside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let file = beside("pyproject.toml");
        known(scan, &file).map_err(Fault::new)?;
        files.insert(file.clone());
        let lock = Some(beside("uv.lock")).filter(|lock| scan.files.contains_key(lock));
        files.extend(lock.clone());
        let project = table_of(scan, &file)?;
        if let Some(lock) = &lock {
            let stale = locked::fault(&project, &table_of(scan, lock)?);
            stale.map_or(Ok(()), |why| {
                Err(Fault::new(format!("{lock} does not fit {file}: {why}; run \"uv lock\" there")))
            })?;
        }
        files.extend(Some(beside("uv.toml")).filter(|settings| scan.files.contains_key(settings)));
        path_sources(scan, &project, &file, &path, &mut files)?;
        PackageSource::Project { file, lock }
    } else {
        known(scan, &path).map_err(Fault::new)?;
        requirements(scan, &path, &mut files)?;
        PackageSource::Requirements { file: path }
    };
    Ok(Definition { packages, files })
}

/// A path from a folder, both below the DAG folder; none when it leads out.
fn join(folder: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn known(scan: &Scan, file: &str) -> Result<(), String> {
    if scan.files.contains_key(file) {
        return Ok(());
    }
    Err(match scan.root.join(file).is_file() {
        true => format!("{file} is left out of the DAG folder by an .airflowignore, its name or its size"),
        false => format!("there is no file {file} in the DAG folder"),
    })
}

fn text_of(scan: &Scan, file: &str) -> Result<String, Fault> {
    std::fs::read_to_string(scan.root.join(file)).map_err(|error| Fault::new(format!("{file} cannot be read: {error}")))
}

/// Takes a requirements file along, and what it includes.
fn requirements(scan: &Scan, file: &str, files: &mut BTreeSet<String>) -> Result<(), Fault> {
    if !files.insert(file.to_owned()) {
        return Ok(());
    }
    let text = text_of(scan, file)?;
    for (number, line) in logical_lines(&text) {
        let fault = |message: String| Fault { place: Some((file.to_owned(), number)), message };
        let below = |path: &str| {
            join(parent(file), path).ok_or_else(|| fault(format!("\"{path}\" does not lie in the DAG folder")))
        };
        match Line::of(&line) {
            Line::Include(path) => {
                let included = below(path)?;
                known(scan, &included).map_err(fault)?;
                requirements(scan, &included, files)?;
            }
            Line::Local(path) => take_along(scan, &below(path)?, files).map_err(fault)?,
            Line::Editable => {
                return Err(fault(
                    "an environment is built once and shared, so that nothing in it can be editable: remove this line; \
                     modules in the DAG folder can be imported without it"
                        .to_owned(),
                ));
            }
            Line::Other => {}
        }
    }
    Ok(())
}

/// A file, or all files of a folder.
fn take_along(scan: &Scan, path: &str, files: &mut BTreeSet<String>) -> Result<(), String> {
    let before = files.len();
    let folder = format!("{path}/");
    files.extend(scan.files.keys().filter(|file| *file == path || file.starts_with(&folder)).cloned());
    if files.len() == before && !files.iter().any(|file| file == path || file.starts_with(&folder)) {
        return Err(format!("there is no {path} in the DAG folder"));
    }
    Ok(())
}

/// Lines with their numbers, those joined that end in a backslash, without comments.
fn logical_lines(text: &str) -> Vec<(u32, String)> {
    let mut lines: Vec<(u32, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = if line.starts_with('#') { "" } else { line.split(" #").next().unwrap_or(line) };
        let (line, next) = line.trim().strip_suffix('\\').map_or((line.trim(), false), |line| (line.trim_end(), true));
        match lines.last_mut() {
            Some((_, before)) if goes_on => {
                before.push(' ');
                before.push_str(line);
            }
            _ => lines.push((number, line.to_owned())),
        }
        goes_on = next;
    }
    lines
}

/// What a line of a requirements file means for us.
#[derive(Debug, PartialEq, Eq)]
enum Line<'l> {
    /// Another requirements or constraints file.
    Include(&'l str),
    /// A path of a package or of a folder of packages.
    Local(&'l str),
    Editable,
    /// Names, addresses, options.
    Other,
}

impl<'l> Line<'l> {
    fn of(line: &'l str) -> Self {
        let option = |names: &[&str]| {
            names.iter().find_map(|name| {
                let rest = line.strip_prefix(name)?;
                let is_long = name.starts_with("--");
                let value = rest.trim_start_matches([' ', '\t', '=']);
                (!is_long || value.len() < rest.len()).then(|| value.trim().trim_matches(['"', '\'']))
            })
        };
        let is_address = |path: &str| path.contains("://") || path.starts_with("file:") || path.starts_with('/');
        if option(&["--editable", "-e"]).is_some() {
            return Self::Editable;
        }
        if let Some(path) = option(&["--requirements", "--requirement", "-r", "--constraints", "--constraint", "-c"]) {
            return if is_address(path) { Self::Other } else { Self::Include(path) };
        }
        if let Some(path) = option(&["--find-links", "-f"]) {
            return if is_address(path) { Self::Other } else { Self::Local(path) };
        }
        let requirement = line.split([';']).next().unwrap_or(line).trim();
        let requirement = requirement.split_once(" @ ").map_or(requirement, |(_, path)| path.trim());
        let requirement = requirement.split(" --").next().unwrap_or(requirement).trim();
        let is_archive = [".whl", ".tar.gz", ".zip"].iter().any(|ending| requirement.ends_with(ending));
        let is_path = requirement.starts_with("./") || requirement.starts_with("../") || is_archive;
        if is_path && !is_address(requirement) { Self::Local(requirement) } else { Self::Other }
    }
}

fn table_of(scan: &Scan, file: &str) -> Result<toml::Table, Fault> {
    let text = text_of(scan, file)?;
    text.parse().map_err(|error: toml::de::Error| {
        let offset = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1;
        let place = Some((file.to_owned(), u32::try_from(line).unwrap_or(u32::MAX)));
        Fault { place, message: format!("it is not TOML: {}", error.message()) }
    })
}

/// Takes along what `[tool.uv.sources]` of a `pyproject.toml` names by a path.
fn path_sources(
    scan: &Scan,
    project: &toml::Table,
    file: &str,
    folder: &str,
    files: &mut BTreeSet<String>,
) -> Result<(), Fault> {
    let sources = ["tool", "uv", "sources"].iter().try_fold(project, |table, key| table.get(*key)?.as_table());
    for source in sources.into_iter().flat_map(toml::Table::values) {
        let of = |source: &Value| source.get("path").and_then(Value::as_str).map(ToOwned::to_owned);
        let paths: Vec<String> = match source {
            Value::Array(sources) => sources.iter().filter_map(of).collect(),
            source => of(source).into_iter().collect(),
        };
        for path in paths.iter().filter(|path| !path.starts_with('/')) {
            let fault = |message: String| Fault { place: Some((file.to_owned(), 1)), message };
            let below =
                join(folder, path).ok_or_else(|| fault(format!("\"{path}\" does not lie in the DAG folder")))?;
            take_along(scan, &below, files).map_err(fault)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_folder() {
        assert_eq!(join("a/b", "../c.txt").as_deref(), Some("a/c.txt"));
        assert_eq!(join("", "./x/../r.txt").as_deref(), Some("r.txt"));
        assert_eq!(join("a", "../../r.txt"), None);
        assert_eq!(join("a", "/r.txt"), None);
        assert_eq!(join("a", ".").as_deref(), Some("a"));
    }

    #[test]
    fn lines_that_name_files_are_known() {
        for (line, expected) in [
            ("-r more.txt", Line::Include("more.txt")),
            ("-rmore.txt", Line::Include("more.txt")),
            ("--constraint=c.txt", Line::Include("c.txt")),
            ("--requirement https://x.example/r.txt", Line::Other),
            ("-e .", Line::Editable),
            ("./wheels/a-1-py3-none-any.whl ; python_version > '3'", Line::Local("./wheels/a-1-py3-none-any.whl")),
            ("a @ ../libs/a", Line::Local("../libs/a")),
            ("a @ https://x.example/a-1.whl", Line::Other),
            ("wheels/a-1.tar.gz --hash=sha256:00", Line::Local("wheels/a-1.tar.gz")),
            ("--find-links ./wheels", Line::Local("./wheels")),
            ("--find-links /opt/wheels", Line::Other),
            ("humanize==3.14.0", Line::Other),
            ("--extra-index-url https://x.example/simple", Line::Other),
        ] {
            assert_eq!(Line::of(line), expected, "{line}");
        }
    }

    #[test]
    fn lines_go_on_and_keep_their_number() {
        let text = "# first\na==1 \\\n  --hash=x # why\nb";
        let lines = logical_lines(text);
        assert_eq!(lines[1..], [(2, "a==1 --hash=x".to_owned()), (4, "b".to_owned())]);
    }
}
