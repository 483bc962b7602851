use std::path::Path;

use super::{Claim, Layout};
use crate::{
    IgnoreSyntax, Problem,
    scan::{Scan, Scanner},
};

const DAG: &str = "from airflow.sdk import DAG";

fn scan(files: &[(&str, &str)]) -> (tempfile::TempDir, Scan) {
    let dir = tempfile::tempdir().unwrap();
    for (rel, text) in files {
        let path = dir.path().join(rel);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let scan = Scanner::new(dir.path().to_owned(), 1 << 20, IgnoreSyntax::Glob).scan().unwrap();
    (dir, scan)
}

fn layout(files: &[(&str, &str)]) -> Layout {
    let (_dir, scan) = scan(files);
    Layout::of(&scan)
}

fn name(layout: &Layout, file: &str) -> Option<String> {
    match layout.of_file(file)? {
        Claim::Uses(environment) => Some(environment.name.clone()),
        Claim::Wrong(problem) => panic!("{file}: {}", problem.message),
    }
}

fn wrong(layout: &Layout, file: &str) -> String {
    match layout.of_file(file) {
        Some(Claim::Wrong(problem)) => problem.message.clone(),
        other => panic!("{file}: {other:?}"),
    }
}

/// The only problem of a `tradewind.toml` beside `a.py`, as `line: message`, and what `a.py` is told.
fn of_toml(text: &str) -> (String, String) {
    let layout = layout(&[
        ("tradewind.toml", text),
        ("a.py", DAG),
        ("r.txt", ""),
        ("bad.txt", "x\n-e ./lib\n"),
        ("stale/pyproject.toml", "[project]\nname = \"s\"\ndependencies = [\"humanize\"]\n"),
        ("stale/uv.lock", "version = 1\n[[package]]\nname = \"s\"\n"),
    ]);
    let problems: Vec<&Problem> = layout.problems.values().flatten().collect();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let problem = problems[0];
    (format!("{}: {}", problem.line.expect("a line"), problem.message), wrong(&layout, "a.py"))
}

#[test]
fn patterns_folders_and_files_are_mapped_and_the_nearest_file_counts() {
    let layout = layout(&[
        (
            "tradewind.toml",
            r#"
[environments.forecast]
requirements = "forecast/requirements.txt"
files = ["forecast", "weekly.py", "x/*_old.py"]

[environments.rest]
project = "."
python = "3.12"
files = ["team/**"]
"#,
        ),
        ("forecast/requirements.txt", "-r ../common.txt\n./wheels/a-1-py3-none-any.whl\nhumanize==3.14.0\n"),
        ("common.txt", "# nothing"),
        ("forecast/wheels/a-1-py3-none-any.whl", "zip"),
        ("pyproject.toml", "[project]\nname = \"dags\"\n"),
        ("uv.lock", "version = 1\n[[package]]\nname = \"dags\"\nversion = \"1\"\n"),
        ("forecast/deep/a.py", DAG),
        ("weekly.py", DAG),
        ("x/a_old.py", DAG),
        ("x/y/a_old.py", DAG),
        ("team/a.py", DAG),
        ("team/own/tradewind.toml", "[environments.own]\nrequirements = \"r.txt\"\n"),
        ("team/own/r.txt", ""),
        ("team/own/a.py", DAG),
        ("plain.py", DAG),
    ]);
    assert!(layout.problems.is_empty() && layout.warnings.is_empty(), "{layout:?}");
    assert_eq!(name(&layout, "forecast/deep/a.py").as_deref(), Some("forecast"));
    assert_eq!(name(&layout, "weekly.py").as_deref(), Some("forecast"));
    assert_eq!(name(&layout, "x/a_old.py").as_deref(), Some("forecast"));
    assert_eq!(name(&layout, "x/y/a_old.py"), None, "a star stays in its folder");
    assert_eq!(name(&layout, "team/a.py").as_deref(), Some("rest"));
    assert_eq!(name(&layout, "team/own/a.py").as_deref(), Some("own"));
    assert_eq!(name(&layout, "plain.py"), None);

    let Some(Claim::Uses(forecast)) = layout.of_file("weekly.py") else { panic!() };
    assert_eq!(forecast.files, ["common.txt", "forecast/requirements.txt", "forecast/wheels/a-1-py3-none-any.whl"]);
    let Some(Claim::Uses(rest)) = layout.of_file("team/a.py") else { panic!() };
    assert_eq!(
        (rest.files.as_slice(), rest.python.as_deref()),
        (["pyproject.toml".to_owned(), "uv.lock".to_owned()].as_slice(), Some("3.12"))
    );
    for special in ["tradewind.toml", "common.txt", "uv.lock", "team/own/r.txt"] {
        assert!(layout.is_special(special), "{special}");
    }
    assert!(!layout.is_special("weekly.py"));
}

#[test]
fn the_nearest_file_says_how_long_what_a_dag_file_gave_holds() {
    let layout = layout(&[
        (
            "tradewind.toml",
            "[environments.a]\nrequirements = \"r.txt\"\nfiles = [\"team/x.py\"]\n\
             [reload]\n\"team\" = \"1h\"\n\"team/*_api.py\" = \"5m\"\n\"old.py\" = \"1d\"\n",
        ),
        ("r.txt", ""),
        ("team/tradewind.toml", "[reload]\n\"x.py\" = \"90s\"\n"),
        ("team/x.py", DAG),
        ("team/y.py", DAG),
        ("team/z_api.py", DAG),
        ("plain.py", DAG),
    ]);
    let seconds = |file: &str| layout.reload_every(file).map(|every| every.as_secs());
    assert_eq!(seconds("team/x.py"), Some(90), "the nearest file");
    assert_eq!(name(&layout, "team/x.py").as_deref(), Some("a"), "which says nothing of environments");
    assert_eq!(seconds("team/y.py"), Some(3600));
    assert_eq!(seconds("team/z_api.py"), Some(300), "the shortest of one file");
    assert_eq!(seconds("plain.py"), None);
    assert_eq!(layout.warnings, ["tradewind.toml:7: reload: \"old.py\" matches no DAG file"]);
}

#[test]
fn slips_in_reload_harm_no_dag() {
    for (text, line, parts) in [
        ("[reload]\n\"a.py\" = 5", 2, &["reload.\"a.py\"", "\"5m\""][..]),
        ("[reload]\n\"a.py\" = \"5 parsecs\"", 2, &["5 parsecs", "is not a duration"]),
        ("[reload]\n\"a.py\" = \"100ms\"", 2, &["more often than each second"]),
        ("[reload]\n\"../a.py\" = \"5m\"", 2, &["below the folder"]),
        ("reload = \"5m\"", 1, &["[reload]"]),
    ] {
        let layout = layout(&[("tradewind.toml", text), ("a.py", DAG)]);
        let problems: Vec<&Problem> = layout.problems.values().flatten().collect();
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert_eq!(problems[0].line, Some(line), "{text}");
        assert!(parts.iter().all(|part| problems[0].message.contains(part)), "{text}: {}", problems[0].message);
        assert!(layout.of_file("a.py").is_none(), "{text}");
    }
}

#[test]
fn a_definition_counts_by_its_content() {
    let hash = |requirements: &str, unrelated: &str| {
        let layout = layout(&[
            ("tradewind.toml", "[environments.a]\nrequirements = \"r.txt\"\n"),
            ("r.txt", requirements),
            ("other.txt", unrelated),
            ("a.py", DAG),
        ]);
        let Some(Claim::Uses(environment)) = layout.of_file("a.py") else { panic!() };
        environment.hash.clone()
    };
    assert_eq!(hash("x==1", "1"), hash("x==1", "2"));
    assert_ne!(hash("x==1", "1"), hash("x==2", "1"));
}

#[test]
fn slips_are_named_with_line_field_and_mend() {
    for (text, line, parts) in [
        (
            "[environments.a]\nrequirments = \"r.txt\"",
            2,
            &["environments.a.requirments", "did you mean \"requirements\""][..],
        ),
        ("[environments.a]\nrequirements = \"no.txt\"", 2, &["environments.a.requirements", "no file no.txt"]),
        ("[environments.a]\nrequirements = 3", 2, &["environments.a.requirements", "\"requirements.txt\""]),
        ("[environments.a]\n\nproject = \"p\"", 3, &["environments.a.project", "p/pyproject.toml"]),
        ("[environments.a]\nrequirements = \"../r.txt\"", 2, &["does not lie in the DAG folder"]),
        ("[environments.a]\nrequirements = \"bad.txt\"", 2, &["bad.txt:2", "remove this line"]),
        ("[environments.a]\nrequirements = \"r.txt\"\nproject = \".\"", 3, &["keep one"]),
        ("\n[environments.a]\nfiles = [\"a.py\"]", 2, &["environments.a", "requirements ="]),
        ("[environments.a]\nrequirements = \"r.txt\"\npython = 3.12", 3, &["environments.a.python", "\"3.12\""]),
        ("[environments.a]\nrequirements = \"r.txt\"\npython = \"3.9\"", 3, &["3.10 and newer"]),
        ("[environments.a]\nrequirements = \"r.txt\"\nfiles = []", 3, &["environments.a.files", "empty"]),
        ("[environments.a]\nrequirements = \"r.txt\"\nfiles = [\"../x\"]", 3, &["environments.a.files", "../x"]),
        ("[environments.a]\nrequirements = \"r.txt\"\nfiles = [\"[\"]", 3, &["environments.a.files", "no pattern"]),
        (
            "[environments.a]\nrequirements = \"r.txt\"\n[environments.b]\nrequirements = \"r.txt\"",
            3,
            &["a.py", "\"a\" (line 1)"],
        ),
        ("[environments.a]\nproject = \"stale\"", 2, &["stale/uv.lock does not fit", "\"humanize\"", "uv lock"]),
        ("[scheduler]\nparallelism = 3", 1, &["[scheduler]", "--config"]),
        ("[enviroments.a]\nrequirements = \"r.txt\"", 1, &["did you mean \"environments\""]),
        ("[environments.a", 1, &["not TOML"]),
    ] {
        let (problem, told) = of_toml(text);
        assert!(problem.starts_with(&format!("{line}: ")), "{text}: {problem}");
        for part in parts {
            assert!(problem.contains(part), "{text}: {problem}");
            assert!(told.contains(part), "{text}: {told}");
        }
        assert!(told.contains(&format!("tradewind.toml:{line}: ")), "{text}: {told}");
    }
}

#[test]
fn a_slip_in_one_environment_leaves_the_others_alone() {
    let layout = layout(&[
        (
            "tradewind.toml",
            "[environments.a]\nrequirements = \"gone.txt\"\nfiles = [\"a.py\"]\n\
             [environments.b]\nrequirements = \"r.txt\"\nfiles = [\"b.py\", \"ghost.py\"]\n",
        ),
        ("r.txt", ""),
        ("a.py", DAG),
        ("b.py", DAG),
        ("c.py", DAG),
    ]);
    assert!(wrong(&layout, "a.py").contains("gone.txt"));
    assert_eq!(name(&layout, "b.py").as_deref(), Some("b"));
    assert_eq!(name(&layout, "c.py"), None);
    assert_eq!(layout.warnings.len(), 1);
    assert!(layout.warnings[0].contains("tradewind.toml:6") && layout.warnings[0].contains("ghost.py"));
}
