//! What the author of a DAG is told when an environment cannot be built.

use tradewind_types::Environment;

use crate::base::Base;

/// Lines of `uv` that a message quotes.
const QUOTED_LINES: usize = 20;

/// The message for a step of `uv` that failed.
pub(crate) fn failed(environment: &Environment, base: &Base, stderr: &str) -> String {
    let words = useful(stderr);
    let file = environment.packages.file();
    let mend = if words.contains("No solution found") && base.is_in(&words) {
        format!(
            "every environment holds {}, which run the tasks: ask in {file} for versions that go with them",
            base.pins_in_words()
        )
    } else if words.contains("No solution found") || words.contains("parse") || words.contains("requirement") {
        format!("correct {file}")
    } else if is_network(&words) {
        "it will be tried again; the package index must be reachable from here (UV_INDEX_URL, HTTPS_PROXY, SSL_CERT_FILE)"
            .to_owned()
    } else {
        format!("correct {file}, or what the message names")
    };
    whole(environment, &format!("{words}\n{mend}"))
}

/// A message with its environment.
pub(crate) fn whole(environment: &Environment, why: &str) -> String {
    format!(
        "the Python environment \"{}\" ({}) cannot be built from {}: {why}",
        environment.name,
        environment.declared_in,
        environment.packages.file()
    )
}

fn is_network(words: &str) -> bool {
    ["Failed to fetch", "error sending request", "dns error", "Failed to download", "timed out", "Connect"]
        .iter()
        .any(|sign| words.contains(sign))
}

/// The last lines that say something: from the last `error:` on, without hints about flags of `uv`.
fn useful(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let from = lines
        .iter()
        .position(|line| line.starts_with("error") || line.trim_start().starts_with('×'))
        .unwrap_or(lines.len().saturating_sub(QUOTED_LINES));
    let mut useful: Vec<&str> = lines[from..].to_vec();
    if useful.len() > QUOTED_LINES {
        useful.drain(1..=useful.len() - QUOTED_LINES);
    }
    let text = useful.join("\n");
    let text = text.trim_start_matches("error: ").trim();
    if text.is_empty() { "uv failed and said nothing".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_at_the_error_and_stay_short() {
        let stderr = "Resolved 3 packages\n\nerror: No solution found\n  cause: Because you require humanize==99\n";
        assert_eq!(useful(stderr), "No solution found\n  cause: Because you require humanize==99");
        let long = format!("error: build failed\n{}", "line\n".repeat(100));
        assert_eq!(useful(&long).lines().count(), QUOTED_LINES);
        assert!(useful(&long).starts_with("build failed"));
        assert_eq!(useful("\n"), "uv failed and said nothing");
    }
}
