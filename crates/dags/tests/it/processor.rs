//! The DAG processor against a real gRPC leader.

use std::time::Duration;

use tradewind_dags::load_local;

use crate::support::{Dags, Leader, Running, python_dag, yaml_dag};

#[tokio::test]
async fn changes_of_yaml_files_arrive() {
    let dags = Dags::new();
    dags.write("a.yaml", yaml_dag("a"));
    let mut leader = Leader::start().await;
    let running = Running::start(dags.settings(), &leader, None);
    leader.wait_for("a is published", |seen| seen.dag_ids().contains("a")).await;
    assert!(leader.with(|seen| seen.dags["a.yaml"]["a"].2.is_none()), "a YAML DAG needs no bundle");

    dags.write("sub/b.yml", yaml_dag("b"));
    leader.wait_for("b is published", |seen| seen.dag_ids().len() == 2).await;

    let before = leader.with(|seen| seen.version("a"));
    dags.write("a.yaml", yaml_dag("a") + "    retries: 3\n");
    leader.wait_for("a has a new version", |seen| seen.version("a") != before).await;

    dags.write("a.yaml", "dag_id: a\ntasks:\n  - id: only\n    operator: emtpy\n");
    leader.wait_for("the error is known", |seen| seen.errors["a.yaml"].len() == 1).await;
    leader.with(|seen| {
        let error = &seen.errors["a.yaml"][0];
        assert_eq!((error.line, error.column), (Some(4), Some(15)));
        assert!(error.message.contains("did you mean \"empty\"?"), "{error:?}");
        assert!(seen.dag_ids().contains("a"), "the last good version stays");
    });

    dags.remove("sub/b.yml");
    leader.wait_for("b is gone", |seen| !seen.dag_ids().contains("b")).await;
    dags.write("a.yaml", yaml_dag("a"));
    leader.wait_for("the error is gone", |seen| seen.errors["a.yaml"].is_empty()).await;
    running.stop().await;
}

#[tokio::test]
async fn nothing_is_published_twice_unless_the_leader_was_away() {
    let dags = Dags::new();
    dags.write("a.yaml", yaml_dag("a"));
    dags.write("b.yaml", yaml_dag("b"));
    let mut leader = Leader::start().await;
    let running = Running::start(dags.settings(), &leader, None);
    leader.wait_for("both are published", |seen| seen.publications.len() == 2).await;
    leader.wait_for_scans(3).await;
    assert_eq!(leader.with(|seen| seen.publications.len()), 2);

    leader.stop().await;
    dags.write("c.yaml", yaml_dag("c"));
    leader.restart().await;
    leader.wait_for("c is published", |seen| seen.dag_ids().contains("c")).await;

    running.stop().await;
}

#[tokio::test]
async fn everything_is_published_again_after_the_leader_was_away() {
    let dags = Dags::new();
    dags.write("a.yaml", yaml_dag("a"));
    let mut leader = Leader::start().await;
    let mut settings = dags.settings();
    settings.scan_interval = Duration::from_millis(100);
    settings.patience = Duration::from_millis(50);
    let running = Running::start(settings, &leader, None);
    leader.wait_for("a is published", |seen| seen.dag_ids().contains("a")).await;
    leader.with(|seen| {
        seen.away = true;
        seen.dags.clear();
        seen.publications.clear();
    });
    // More calls than one round tries in its patience: the processor has given up at least once.
    leader.wait_for("a round was given up", |seen| seen.turned_away > 20).await;
    leader.with(|seen| seen.away = false);
    leader.wait_for("a is published again", |seen| seen.dag_ids().contains("a")).await;
    running.stop().await;
}

#[tokio::test]
async fn a_renamed_file_and_a_moved_dag_keep_their_ids() {
    let dags = Dags::new();
    dags.write("a.yaml", yaml_dag("a"));
    dags.write("z.yaml", format!("{}---\n{}", yaml_dag("z"), yaml_dag("moving")));
    let mut leader = Leader::start().await;
    let running = Running::start(dags.settings(), &leader, None);
    leader.wait_for("all are published", |seen| seen.dag_ids().len() == 3).await;
    std::fs::rename(dags.root().join("a.yaml"), dags.root().join("b.yaml")).unwrap();
    leader
        .wait_for("the new file has the DAG", |seen| seen.dags.get("b.yaml").is_some_and(|dags| dags.contains_key("a")))
        .await;
    // The file that takes the DAG comes before the one that gives it.
    dags.write("b.yaml", format!("{}---\n{}", yaml_dag("a"), yaml_dag("moving")));
    dags.write("z.yaml", yaml_dag("z"));
    leader.wait_for("the DAG moved", |seen| seen.dags["b.yaml"].contains_key("moving")).await;
    leader.wait_for("no errors stay", |seen| seen.errors.values().all(Vec::is_empty)).await;
    running.stop().await;
}

#[tokio::test]
async fn python_files_arrive_with_their_bundles() {
    let dags = Dags::new();
    let seen_log = dags.beside("imports");
    let dag = |body: &str| {
        format!(
            "open({seen_log:?}, 'a').write('x')\nimport helper\n{}{body}",
            python_dag("py").replace("\"true\"", "helper.COMMAND")
        )
    };
    let imports = || std::fs::read(&seen_log).map_or(0, |log| log.len());
    dags.write("py.py", dag(""));
    dags.write("helper.py", "COMMAND = 'echo 1'\n");
    dags.write("unused.py", "X = 1\n");
    dags.write("sql/q.sql", "select 1");
    dags.write("big.bin", vec![7u8; 2_500_000]);
    dags.write("other.py", python_dag("other"));
    dags.write("y.yaml", yaml_dag("y"));
    dags.write(".hidden/x.py", python_dag("hidden"));
    let mut leader = Leader::start().await;
    let running = Running::start(dags.settings(), &leader, Some(dags.guest()));
    leader.wait_for("all are published", |seen| seen.dag_ids().len() == 3).await;
    let first = leader.with(|seen| {
        let (version, spec, bundle) = seen.dags["py.py"]["py"].clone();
        assert_eq!(spec.tasks[0].operator.name(), "BashOperator");
        let paths: Vec<String> = bundle.unwrap().files.iter().map(|file| file.path.clone()).collect();
        assert_eq!(paths, ["big.bin", "helper.py", "py.py", "sql/q.sql", "unused.py"], "other DAG files stay out");
        assert!(seen.largest_chunk <= 1024 * 1024 && seen.blobs.values().any(|blob| blob.len() == 2_500_000));
        version
    });
    assert_eq!(imports(), 1);

    // The same content again, with other times: nothing happens.
    leader.wait_for_scans(1).await;
    let publications = leader.with(|seen| seen.publications.len());
    dags.write("py.py", dag(""));
    dags.write("helper.py", "COMMAND = 'echo 1'\n");
    leader.wait_for_scans(2).await;
    assert_eq!(leader.with(|seen| seen.publications.len()), publications);
    assert_eq!(imports(), 1, "content counts, not times");

    // An imported module: parsed again, and only that file.
    dags.write("helper.py", "COMMAND = 'echo 2'\n");
    leader.wait_for("a new version", |seen| seen.version("py") != first).await;
    assert_eq!(imports(), 2);
    let second = leader.with(|seen| seen.version("py"));

    // A module that is not imported while loading may be imported by the task: a new version without a parse.
    dags.write("unused.py", "X = 2\n");
    leader.wait_for("a new version", |seen| seen.version("py") != second).await;
    assert_eq!(imports(), 2);

    // Another DAG file leaves this one alone.
    leader.wait_for_scans(1).await;
    let third = leader.with(|seen| seen.version("py"));
    dags.write("other.py", python_dag("other") + "    BashOperator(task_id=\"more\", bash_command=\"true\")\n");
    leader.wait_for("other has two tasks", |seen| seen.dags["other.py"]["other"].1.tasks.len() == 2).await;
    assert_eq!(leader.with(|seen| seen.version("py")), third);
    assert_eq!(imports(), 2);

    // A broken module breaks its importer, whose last version stays; mending it mends both.
    dags.write("helper.py", "COMMAND = 'echo 2\n");
    leader.wait_for("the error is known", |seen| !seen.errors["py.py"].is_empty()).await;
    assert!(leader.with(|seen| seen.dag_ids().contains("py")));
    dags.write("helper.py", "COMMAND = 'echo 1'\n");
    dags.write("unused.py", "X = 1\n");
    leader.wait_for("as in the beginning", |seen| seen.errors["py.py"].is_empty() && seen.version("py") == first).await;
    running.stop().await;
}

#[tokio::test]
async fn what_could_not_be_read_is_not_taken_for_gone() {
    let dags = Dags::new();
    dags.write("a.yaml", yaml_dag("a"));
    dags.write("b.yaml", yaml_dag("b"));
    let mut leader = Leader::start().await;
    let running = Running::start(dags.settings(), &leader, None);
    leader.wait_for("both are published", |seen| seen.dag_ids().len() == 2).await;
    // An ignore file that cannot be read: what it would hide or show is not known.
    std::fs::create_dir_all(dags.root().join("sub/.airflowignore")).unwrap();
    dags.remove("a.yaml");
    dags.write("c.yaml", yaml_dag("c"));
    leader.wait_for("c is published all the same", |seen| seen.dag_ids().contains("c")).await;
    assert!(leader.with(|seen| seen.dag_ids().contains("a")));
    std::fs::remove_dir(dags.root().join("sub/.airflowignore")).unwrap();
    leader.wait_for("a is gone", |seen| !seen.dag_ids().contains("a")).await;
    running.stop().await;
}

#[tokio::test]
async fn a_missing_folder_makes_nothing_stale() {
    let dags = Dags::new();
    dags.write("a.yaml", yaml_dag("a"));
    let mut leader = Leader::start().await;
    let running = Running::start(dags.settings(), &leader, None);
    leader.wait_for("a is published", |seen| seen.dag_ids().contains("a")).await;
    let away = dags.beside("elsewhere");
    std::fs::rename(dags.root(), &away).unwrap();
    assert!(load_local(dags.settings(), None).await.is_err());
    // Gives the processor time to go wrong; a slow machine makes the test weaker, never red.
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    std::fs::rename(&away, dags.root()).unwrap();
    dags.write("b.yaml", yaml_dag("b"));
    leader.wait_for("b is published", |seen| seen.dag_ids().len() == 2).await;
    assert_eq!(leader.with(|seen| seen.stale.len()), 0);
    running.stop().await;
}
