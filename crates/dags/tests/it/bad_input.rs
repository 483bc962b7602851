//! DAG files that are wrong in every way that users find, in one folder with sound ones.

use std::{collections::BTreeMap, time::Duration};

use tradewind_dags::{IgnoreSyntax, LocalFolder, load_local};
use tradewind_types::ImportError;

use crate::support::{Dags, python_dag, yaml_dag};

fn dag_ids(folder: &LocalFolder) -> Vec<&str> {
    let mut ids: Vec<&str> =
        folder.files.iter().flat_map(|file| file.dags.iter().map(|(_, spec)| spec.dag_id.as_str())).collect();
    ids.sort_unstable();
    ids
}

fn errors(folder: &LocalFolder) -> BTreeMap<&str, &ImportError> {
    folder.files.iter().flat_map(|file| file.errors.iter().map(|error| (file.rel_path.as_str(), error))).collect()
}

#[tokio::test]
async fn bad_python_files_cost_an_import_error_each_and_nothing_else() {
    const HEAD: &str =
        "from airflow.sdk import DAG\nfrom airflow.providers.standard.operators.bash import BashOperator\n";
    let dags = Dags::new();
    dags.write("good.py", python_dag("good"));
    dags.write("good.yaml", yaml_dag("good_yaml"));
    let cases: &[(&str, &str, &str, Option<u32>)] = &[
        ("syntax.py", "with DAG('syntax':\n    pass\n", "SyntaxError", Some(3)),
        (
            "missing.py",
            "import no_such_package\n",
            "ModuleNotFoundError: No module named 'no_such_package' (hint: install",
            Some(3),
        ),
        ("raises.py", "1 / 0\n", "ZeroDivisionError", Some(3)),
        ("exits.py", "import sys\nsys.exit(3)\n", "the file called sys.exit(3)", None),
        ("hard_exit.py", "import os\nos._exit(7)\n", "exit code 7", None),
        ("endless.py", "while True:\n    pass\n", "still importing after", Some(3)),
        ("greedy.py", "x = bytearray(8 << 30)\n", "MemoryError", Some(3)),
        (
            "double.py",
            "with DAG('double'):\n    BashOperator(task_id='t', bash_command='a')\n    BashOperator(task_id='t', bash_command='b')\n",
            "Task id 't' has already been added to the Dag",
            Some(5),
        ),
        (
            "cycle.py",
            "with DAG('cycle'):\n    a = BashOperator(task_id='a', bash_command='a')\n    b = BashOperator(task_id='b', bash_command='b')\n    \
             a >> b >> a\n",
            "Cycle detected",
            None,
        ),
        (
            "cron.py",
            "with DAG('cron', schedule='61 * * * *'):\n    BashOperator(task_id='t', bash_command='a')\n",
            "61",
            None,
        ),
        (
            "mapped.py",
            "with DAG('mapped'):\n    BashOperator.partial(task_id='many').expand(bash_command='no list')\n",
            "expand() got an unexpected type 'str' for keyword argument bash_command",
            Some(4),
        ),
        (
            "limits.py",
            "with DAG('limits'):\n    BashOperator(task_id='t', bash_command='a', executor_config={'tradewind': {'limit': 1}})\n",
            "the task \"t\": executor_config[\"tradewind\"][\"limit\"] is unknown",
            None,
        ),
        (
            "rule.py",
            "with DAG('rule'):\n    BashOperator(task_id='t', bash_command='a', trigger_rule='all_don')\n",
            "all_don",
            Some(4),
        ),
    ];
    for (file, text, _, _) in cases {
        dags.write(file, format!("{HEAD}{text}"));
    }
    let mut settings = dags.settings();
    settings.parse_timeout = Duration::from_secs(4);
    settings.parse_memory_bytes = 512 << 20;
    let folder = load_local(settings, Some(dags.guest())).await.unwrap();
    assert_eq!(dag_ids(&folder), ["good", "good_yaml"]);
    let errors = errors(&folder);
    assert_eq!(errors.len(), cases.len(), "{errors:#?}");
    for (file, _, message, line) in cases {
        let error = errors[file];
        assert!(error.message.contains(message), "{file}: {error:#?}");
        if line.is_some() {
            assert_eq!(error.line, *line, "{file}: {error:#?}");
        }
    }
}

#[tokio::test]
async fn a_file_with_one_bad_dag_keeps_its_good_one() {
    let dags = Dags::new();
    dags.write(
        "two.py",
        python_dag("sound")
            + "with DAG(\"unsound\"):\n    BashOperator(task_id=\"t\", bash_command=\"a\", executor_config={\"tradewind\": 1})\n",
    );
    let folder = dags.load_python().await;
    assert_eq!(dag_ids(&folder), ["sound"]);
    assert!(errors(&folder)["two.py"].message.starts_with("DAG \"unsound\": "));
}

#[tokio::test]
async fn without_python_only_python_files_fail_and_say_what_to_set() {
    let dags = Dags::new();
    dags.write("a.py", python_dag("a"));
    dags.write("module.py", "X = 1\n");
    dags.write("b.yaml", yaml_dag("b"));
    let folder = dags.load().await;
    assert_eq!(dag_ids(&folder), ["b"]);
    let found = errors(&folder);
    assert_eq!(found.len(), 1);
    assert!(found["a.py"].message.contains("python.interpreter"), "{found:#?}");

    let mut guest = dags.guest();
    guest.python = "/nowhere/bin/python".into();
    let folder = load_local(dags.settings(), Some(guest)).await.unwrap();
    assert_eq!(dag_ids(&folder), ["b"]);
    let found = errors(&folder);
    assert!(
        found["a.py"].message.contains("/nowhere/bin/python") && found["a.py"].message.contains("python.interpreter"),
        "{found:#?}"
    );
}

#[tokio::test]
async fn a_dag_id_in_two_files_counts_once() {
    let dags = Dags::new();
    dags.write("a.yaml", yaml_dag("same"));
    dags.write("b.yaml", format!("{}---\n{}", yaml_dag("same"), yaml_dag("own")));
    let folder = dags.load().await;
    assert_eq!(dag_ids(&folder), ["own", "same"]);
    let found = errors(&folder);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found["b.yaml"].message,
        "the DAG id \"same\" is used in two files, a.yaml and b.yaml; the one in a.yaml counts: give this one another id"
    );
}

#[tokio::test]
async fn odd_files_are_skipped_and_named() {
    let dags = Dags::new();
    dags.write("a.py", python_dag("a"));
    dags.write("latin.yaml", b"dag_id: d\n# caf\xe9\ntasks: {t: {operator: empty}}\n");
    dags.write("huge.bin", vec![0u8; 2 << 20]);
    dags.write("huge_dag.py", format!("{}#{}\n", python_dag("huge"), "x".repeat(2 << 20)));
    dags.write("__pycache__/a.cpython-311.pyc", "x");
    dags.write("b.pyc", "x");
    dags.write(".git/config", "x");
    dags.write("tests/t.py", python_dag("ignored"));
    dags.write(".airflowignore", "tests/\n*.md\n");
    dags.write("README.md", "dag_id: x");
    dags.write("run.sh", "echo");
    std::fs::write(dags.beside("secret"), "outside").unwrap();
    std::os::unix::fs::symlink(dags.beside("secret"), dags.root().join("leak.txt")).unwrap();
    std::os::unix::fs::symlink("/etc", dags.root().join("etc")).unwrap();
    std::os::unix::fs::symlink(dags.root().join("run.sh"), dags.root().join("inside.sh")).unwrap();
    std::os::unix::fs::symlink(dags.root(), dags.root().join("loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", dags.root().join("dangling")).unwrap();
    std::os::unix::fs::symlink("itself", dags.root().join("itself")).unwrap();
    std::os::unix::net::UnixListener::bind(dags.root().join("socket")).unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dags.root().join("run.sh"), permissions).unwrap();

    let mut settings = dags.settings();
    settings.bundle_file_max_bytes = 1 << 20;
    let folder = load_local(settings, Some(dags.guest())).await.unwrap();
    assert_eq!(dag_ids(&folder), ["a"]);
    let file = folder.files.iter().find(|file| file.rel_path == "a.py").unwrap();
    let bundle = file.bundle.as_ref().unwrap();
    let paths: Vec<&str> = bundle.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["a.py", "inside.sh", "run.sh"]);
    assert!(bundle.files[2].executable && !bundle.files[0].executable);
    let found = errors(&folder);
    assert_eq!(found["latin.yaml"].line, Some(2));
    assert!(found["latin.yaml"].message.contains("not UTF-8"), "{found:#?}");
    assert!(found["huge_dag.py"].message.contains("over the limit of 1 MiB (dags.bundle_file_max_mib)"), "{found:#?}");
    assert_eq!(found.len(), 2);
    let warnings = folder.warnings.join("\n");
    for named in ["leak.txt", "etc", "huge.bin", "dangling", "itself"] {
        assert!(warnings.contains(&format!("{named}: ")), "{named}: {warnings}");
    }
}

#[tokio::test]
async fn ignore_files_may_be_regular_expressions() {
    let dags = Dags::new();
    dags.write("keep.yaml", yaml_dag("keep"));
    dags.write("team_1/x.yaml", yaml_dag("x"));
    dags.write(".airflowignore", "team_\\d # not yet\n");
    let mut settings = dags.settings();
    settings.ignore_syntax = IgnoreSyntax::Regexp;
    let folder = load_local(settings, None).await.unwrap();
    assert_eq!(dag_ids(&folder), ["keep"]);
}

#[tokio::test]
async fn files_that_mention_airflow_but_define_nothing_are_modules() {
    let dags = Dags::new();
    dags.write("a.py", format!("import shared\n{}", python_dag("a")));
    dags.write("b.py", python_dag("b"));
    dags.write("shared.py", "# helpers for our airflow dags\nX = 1\n");
    let folder = dags.load_python().await;
    assert_eq!(dag_ids(&folder), ["a", "b"]);
    assert!(errors(&folder).is_empty());
    for file in &folder.files {
        let paths: Vec<&str> = file.bundle.as_ref().unwrap().files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, [file.rel_path.as_str(), "shared.py"]);
    }
}
