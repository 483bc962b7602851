//! A check as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"), for forges and editors.

use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::{Value, json};
use tradewind_dags::review::{Finding, RULES};

/// The schema that the log keeps to.
const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The log of one run.
pub(super) fn log(findings: &[Finding]) -> Value {
    let used: BTreeSet<&str> = findings.iter().map(|finding| finding.rule.id).collect();
    let rules: Vec<_> = RULES.iter().filter(|rule| used.contains(rule.id)).collect();
    let index = |id: &str| rules.iter().position(|rule| rule.id == id);
    let described: Vec<Value> = rules
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": {"text": rule.summary},
                "defaultConfiguration": {"level": rule.level.as_str()},
            })
        })
        .collect();
    let results: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let mut result = json!({
                "ruleId": finding.rule.id,
                "level": finding.level.as_str(),
                "message": {"text": text(finding)},
                "locations": [location(finding)],
            });
            if let Some(index) = index(finding.rule.id) {
                result["ruleIndex"] = index.into();
            }
            result
        })
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "tradewind dags check",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": described,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn text(finding: &Finding) -> String {
    let mut text = finding.message.clone();
    if let Some(drawing) = &finding.drawing {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{drawing}");
    }
    if let Some(mend) = &finding.mend {
        let _ = write!(text, "\nMend: {mend}");
    }
    text
}

fn location(finding: &Finding) -> Value {
    let mut artifact = json!({"uri": uri(&finding.file)});
    if !finding.file.starts_with('/') {
        artifact["uriBaseId"] = "%SRCROOT%".into();
    }
    let mut physical = json!({"artifactLocation": artifact});
    if let Some(line) = finding.line.filter(|line| *line > 0) {
        let mut region = json!({"startLine": line});
        if let Some(column) = finding.column.filter(|column| *column > 0) {
            region["startColumn"] = column.into();
        }
        physical["region"] = region;
    }
    let mut location = json!({"physicalLocation": physical});
    if let Some(dag_id) = &finding.dag_id {
        let name = finding.task_id.as_ref().map_or_else(|| dag_id.clone(), |task_id| format!("{dag_id}.{task_id}"));
        location["logicalLocations"] = json!([{"fullyQualifiedName": name}]);
    }
    location
}

/// A path as a reference of RFC 3986.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_are_encoded() {
        assert_eq!(uri("dags/a b.py"), "dags/a%20b.py");
        assert_eq!(uri("/x/é.py"), "file:///x/%C3%A9.py");
    }
}
