//! What the words of errors and warnings say beyond their text: a rule, a DAG, a line, a mend.

/// An error's words, taken apart.
pub(super) struct Said {
    pub(super) rule: &'static str,
    pub(super) message: String,
    pub(super) mend: Option<String>,
}

/// Takes the words of an import error apart.
pub(super) fn error(message: &str) -> Said {
    let rule = if message.starts_with("this file needs Python") {
        "no-interpreter"
    } else if message.contains("is used in two files") || message.contains("DuplicatedIdException") {
        "duplicate-dag-id"
    } else {
        "import-error"
    };
    // The parser ends a message with what to do: "(hint: …)".
    if let Some((what, hint)) = message.trim_end().strip_suffix(')').and_then(|text| text.rsplit_once(" (hint: ")) {
        return Said { rule, message: what.to_owned(), mend: Some(hint.to_owned()) };
    }
    let two = match rule {
        "no-interpreter" => message.split_once(": name the interpreter").map(|(what, _)| {
            let at = what.len() + 2;
            (what, &message[at..])
        }),
        "duplicate-dag-id" => message.rsplit_once(": "),
        _ => None,
    };
    match two {
        Some((what, mend)) => Said { rule, message: what.to_owned(), mend: Some(mend.to_owned()) },
        None => Said { rule, message: message.to_owned(), mend: None },
    }
}

/// The DAG that Airflow's check for cycles names.
pub(super) fn cycle_of_airflow(line: &str) -> Option<&str> {
    let (_, rest) =
        line.split_once("Cycle detected in Dag: ").or_else(|| line.split_once("Cycle detected in DAG: "))?;
    let (dag_id, _) = rest.split_once(". Faulty task")?;
    Some(dag_id.trim_matches(['"', '\'']))
}

/// `DAG "id": message`, as the conversion writes its remarks.
pub(super) fn of_dag(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("DAG \"")?.split_once("\": ")
}

/// `file:line: message`, as Python writes its warnings.
pub(super) fn of_python(line: &str) -> Option<(&str, u32, &str)> {
    let (file, rest) = line.split_once(':')?;
    let (number, message) = rest.split_once(':')?;
    Some((file, number.trim().parse().ok()?, message.trim()))
}

/// Several lines in one.
pub(super) fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_mends() {
        let said = error("ModuleNotFoundError: No module named 'x' (hint: install the package that provides 'x')");
        assert_eq!(said.message, "ModuleNotFoundError: No module named 'x'");
        assert_eq!(said.mend.as_deref(), Some("install the package that provides 'x'"));
    }

    #[test]
    fn warnings_name_their_place() {
        assert_eq!(of_python("lib/a.py:12: UserWarning: old"), Some(("lib/a.py", 12, "UserWarning: old")));
        assert_eq!(of_python("no place: at all: here"), None);
        assert_eq!(of_dag("DAG \"d\": the task \"t\": late"), Some(("d", "the task \"t\": late")));
        assert_eq!(
            cycle_of_airflow("AirflowDagCycleException: Cycle detected in Dag: one. Faulty task: c"),
            Some("one")
        );
    }
}
