//! Whether a `uv.lock` was made for the `pyproject.toml` beside it. `uv` could say so itself, but it compares the addresses of
//! indexes as well, which may be others where an environment is built.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// By normalized name, the versions that are asked for, where they can be compared.
type Asked = BTreeMap<String, Option<Vec<String>>>;

/// What the lock does not know of, or knows otherwise.
pub(crate) fn fault(project: &Table, lock: &Table) -> Option<String> {
    let project = project.get("project")?.as_table()?;
    let name = normal(project.get("name")?.as_str()?);
    let dependencies = project.get("dependencies").and_then(Value::as_array);
    let asked: Asked = collect(dependencies.into_iter().flatten().filter_map(Value::as_str).filter_map(requirement));

    let packages = lock.get("package").and_then(Value::as_array);
    let of_name = |package: &&Table| package.get("name").and_then(Value::as_str).map(normal).as_deref() == Some(&name);
    let Some(package) = packages.into_iter().flatten().filter_map(Value::as_table).find(of_name) else {
        return Some(format!("it is not for the project \"{name}\""));
    };
    let locked = package.get("metadata").and_then(|metadata| metadata.get("requires-dist")).and_then(Value::as_array);
    let locked: Asked = collect(locked.into_iter().flatten().filter_map(Value::as_table).filter_map(|entry| {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        Some((normal(text("name")?), versions(text("specifier").unwrap_or_default())))
    }));

    if let Some(unknown) = asked.keys().find(|name| !locked.contains_key(*name)) {
        return Some(format!("it does not know the dependency \"{unknown}\""));
    }
    // Extras and groups are in the lock as well: what it knows beyond is no fault.
    asked.iter().find_map(|(name, wanted)| match (wanted, &locked[name]) {
        (Some(wanted), Some(known)) if wanted != known => Some(format!(
            "it has \"{name}{}\" where the project asks for \"{name}{}\"",
            known.join(","),
            wanted.join(",")
        )),
        _ => None,
    })
}

/// A name that is there twice, with other markers, is not compared.
fn collect(requirements: impl Iterator<Item = (String, Option<Vec<String>>)>) -> Asked {
    let mut asked = Asked::new();
    for (name, versions) in requirements {
        asked.entry(name).and_modify(|versions| *versions = None).or_insert(versions);
    }
    asked
}

/// Name and versions of `name[extras] >=1, <2 ; marker`.
fn requirement(text: &str) -> Option<(String, Option<Vec<String>>)> {
    let text = text.split(';').next()?.trim();
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let rest = if rest.starts_with('[') { rest.split_once(']')?.1 } else { rest };
    Some((normal(name), versions(rest)))
}

/// Sorted; none when it is not plain enough to be compared as text.
fn versions(text: &str) -> Option<Vec<String>> {
    let mut parts: Vec<String> = text
        .trim()
        .trim_matches(['(', ')'])
        .split(',')
        .map(|part| part.chars().filter(|c| !c.is_whitespace()).collect::<String>())
        .filter(|part| !part.is_empty())
        .collect();
    parts.sort_unstable();
    parts.iter().all(|part| is_plain(part)).then_some(parts)
}

fn is_plain(part: &str) -> bool {
    let version = part.trim_start_matches(['=', '>', '<', '!', '~']);
    let number = |number: &str| number == "0" || (!number.starts_with('0') && number.parse::<u32>().is_ok());
    part.len() > version.len() && version.strip_suffix(".*").unwrap_or(version).split('.').all(number)
}

/// Names are the same in all spellings of case, `-`, `_` and `.`.
fn normal(name: &str) -> String {
    let parts: Vec<&str> = name.split(['-', '_', '.']).filter(|part| !part.is_empty()).collect();
    parts.join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As uv 0.13 writes it.
    const LOCK: &str = r#"
version = 1
[[package]]
name = "humanize"
version = "4.9.0"
[[package]]
name = "new-proj"
version = "1"
source = { virtual = "." }
[package.metadata]
requires-dist = [
    { name = "humanize", specifier = "==4.9.0" },
    { name = "python-dateutil", specifier = ">=2,<5" },
    { name = "requests", extras = ["socks"], marker = "python_full_version >= '3.1'" },
    { name = "pytest", marker = "extra == 'test'" },
]
"#;

    fn of(dependencies: &str) -> Option<String> {
        let project = format!("[project]\nname = \"New_Proj\"\ndependencies = {dependencies}\n");
        fault(&project.parse().unwrap(), &LOCK.parse().unwrap())
    }

    #[test]
    fn a_lock_of_the_same_dependencies_fits() {
        let same = r#"["humanize == 4.9.0", "Python.Dateutil<5, >=2", "requests[socks] ; python_version > '3'"]"#;
        assert_eq!(of(same), None);
        // Another spelling of a version is for uv to compare.
        assert_eq!(of(r#"["humanize==4.09.0"]"#), None);
    }

    #[test]
    fn one_of_others_says_what_differs() {
        assert_eq!(of(r#"["pandas"]"#).as_deref(), Some("it does not know the dependency \"pandas\""));
        let other = of(r#"["humanize==4.10.0"]"#).unwrap();
        assert_eq!(other, "it has \"humanize==4.9.0\" where the project asks for \"humanize==4.10.0\"");
        let project = "[project]\nname = \"other\"\n".parse().unwrap();
        assert!(fault(&project, &LOCK.parse().unwrap()).unwrap().contains("\"other\""));
    }
}
