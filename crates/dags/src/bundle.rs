//! Bundles (the files that a worker needs to run a DAG file's tasks) and versions of DAGs, both by content.

use std::collections::BTreeSet;

use serde_json::Value;
use tradewind_types::{Bundle, BundleFile, DagSpec, Environment, VersionHash, sha256_hex};

use crate::scan::Scan;

/// The bundle of a DAG file: the file itself, the `shared` files (all below the folder that define neither DAGs nor
/// environments: modules, SQL, data), the DAG files that it imports, and those that declare its `environment`. Other DAG files
/// stay out, so that editing one leaves the others' bundles alone.
pub(crate) fn bundle_of<'a>(
    scan: &'a Scan,
    dag_file: &'a str,
    imported: &'a BTreeSet<String>,
    environment: Option<&'a Environment>,
    shared: &[&'a str],
) -> Bundle {
    let declared = environment.into_iter().flat_map(|environment| &environment.files);
    let names: BTreeSet<&str> =
        shared.iter().copied().chain([dag_file]).chain(imported.iter().chain(declared).map(String::as_str)).collect();
    let files = names
        .into_iter()
        .filter_map(|rel| Some((rel, scan.files.get(rel)?)))
        .map(|(rel, file)| BundleFile {
            path: rel.to_owned(),
            blob: file.blob.clone(),
            size: file.size,
            executable: file.executable,
        })
        .collect();
    Bundle::new(files)
}

/// The version of a DAG: SHA-256 over what it says and, for a Python DAG, over the bundle that its tasks run from. A YAML
/// DAG runs from its spec alone, so a changed comment makes no new version.
pub fn version_hash(spec: &DagSpec, bundle: Option<&Bundle>) -> VersionHash {
    // A spec holds nothing that JSON cannot say.
    let spec = serde_json::to_value(spec).unwrap_or_default();
    let mut text = canonical_json(&spec);
    if let Some(bundle) = bundle {
        text.push('\n');
        text.push_str(bundle.hash.as_str());
    }
    VersionHash::from(sha256_hex(text.as_bytes()))
}

/// JSON with sorted keys and no blanks: the same value always gives the same text.
pub(crate) fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    canonical(value, &mut text);
    text
}

fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_unstable();
            out.push('{');
            for (index, name) in names.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                canonical(&fields[name], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        value => out.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_text_sorts_keys_at_every_depth() {
        let value: Value = serde_json::from_str(r#"{"b": [{"z": 1, "a": "x\n"}], "a": null}"#).unwrap();
        assert_eq!(canonical_json(&value), r#"{"a":null,"b":[{"a":"x\n","z":1}]}"#);
    }
}
