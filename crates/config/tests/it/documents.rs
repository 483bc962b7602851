//! `docs/configuration.md` names every option with its default and no other.

use std::{collections::BTreeMap, path::PathBuf};

use tradewind_config::{Config, all_keys, render_toml};

fn document() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    std::fs::read_to_string(path).unwrap()
}

/// The rows of the tables: key and default, by section.
fn documented() -> BTreeMap<String, String> {
    let mut section = String::new();
    let mut found = BTreeMap::new();
    for line in document().lines() {
        if let Some(name) = line.strip_prefix("## `[").and_then(|rest| rest.strip_suffix("]`")) {
            section = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("| `") {
            let (key, rest) = rest.split_once("` | ").unwrap();
            let (default, _) = rest.split_once(" | ").unwrap();
            let before = found.insert(format!("{section}.{key}"), default.trim_matches('`').to_owned());
            assert!(before.is_none(), "{section}.{key} is documented twice");
        }
    }
    found
}

#[test]
fn the_document_names_every_option_with_its_default() {
    let documented = documented();
    let defaults: BTreeMap<String, String> = {
        let mut section = String::new();
        render_toml(&Config::default(), &BTreeMap::new())
            .lines()
            .filter_map(|line| {
                if let Some(name) = line.strip_prefix('[') {
                    section = name.trim_end_matches(']').to_owned();
                    return None;
                }
                let (key, value) = line.trim_start_matches("# ").split_once(" =")?;
                Some((format!("{section}.{key}"), value.trim().to_owned()))
            })
            .collect()
    };
    assert_eq!(defaults.keys().cloned().collect::<Vec<_>>(), all_keys());
    for (key, default) in &defaults {
        let shown =
            documented.get(key).unwrap_or_else(|| panic!("docs/configuration.md lacks {key} (default {default})"));
        let shown = if shown == "not set" { "" } else { shown };
        assert_eq!(shown, default, "the default of {key} in docs/configuration.md");
    }
    for key in documented.keys() {
        assert!(defaults.contains_key(key), "docs/configuration.md has {key}, which is no option");
    }
}
