//! The DAG processor against a real gRPC leader.

use std::time::Duration;

use tradewind_dags::load_local;
use tradewind_proto::v1;
use tradewind_types::{Timestamp, Timetable};

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
async fn a_file_reads_a_variable_of_the_store_as_soon_as_there_is_one() {
    let dags = Dags::new();
    dags.write(
        "py.py",
        format!("from airflow.sdk import Variable\n{}", python_dag("py")).replace("\"true\"", "Variable.get('x')"),
    );
    let mut leader = Leader::start().await;
    let running = Running::start(dags.settings(), &leader, Some(dags.guest()));
    leader.wait_for("the error arrives", |seen| seen.errors.values().flatten().count() == 1).await;
    leader.with(|seen| {
        assert!(seen.errors["py.py"][0].message.contains("VARIABLE_NOT_FOUND"));
        seen.variables.insert("x".to_owned(), "echo x".to_owned());
    });
    // No file has changed.
    leader.wait_for("the DAG arrives", |seen| seen.dag_ids().contains("py")).await;
    running.stop().await;
}

#[tokio::test]
async fn a_file_that_depends_on_more_than_the_folder_is_loaded_again_in_its_time() {
    let dags = Dags::new();
    let (names, loads) = (dags.beside("names"), dags.beside("loads"));
    std::fs::write(&names, "first").unwrap();
    let dag = |file: &str| {
        format!("open({loads:?}, 'a').write('{file}')\n{}", python_dag("py"))
            .replace("\"py\"", &format!("'{file}_' + open({names:?}).read()"))
    };
    dags.write("a.py", dag("a"));
    dags.write("b.py", dag("b"));
    let mut leader = Leader::start().await;
    let running = Running::start(dags.settings(), &leader, Some(dags.guest()));
    leader.wait_for("both arrive", |seen| seen.dag_ids().len() == 2).await;
    std::fs::write(&names, "second").unwrap();
    leader.wait_for_scans(5).await;
    assert_eq!(std::fs::read_to_string(&loads).unwrap().len(), 2, "nothing in the folder has changed");
    // Declared while the processor runs; the other file has no such line.
    dags.write("tradewind.toml", "[reload]\n\"a.py\" = \"1s\"\n");
    leader.wait_for("it is loaded again", |seen| seen.dag_ids().contains("a_second")).await;
    leader.with(|seen| {
        assert!(seen.dag_ids().contains("b_first"));
        assert!(!seen.dag_ids().contains("a_first"), "the file does not give it any more");
    });
    assert!(!std::fs::read_to_string(&loads).unwrap()[2..].contains('b'));
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

const TIMETABLES: &str = r#"
import datetime
import time

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable


class Sevens(Timetable):
    periodic = False

    def infer_manual_data_interval(self, *, run_after):
        return DataInterval.exact(run_after)

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        start = restriction.earliest if last_automated_data_interval is None else last_automated_data_interval.end
        if restriction.latest is not None and start > restriction.latest:
            return None
        return DagRunInfo.interval(start, start + datetime.timedelta(hours=7))


class Raising(Sevens):
    def next_dagrun_info(self, **kwargs):
        raise ValueError("no calendar today")


class Hanging(Sevens):
    def next_dagrun_info(self, **kwargs):
        time.sleep(600)


for name, timetable in {"sevens": Sevens(), "raising": Raising(), "hanging": Hanging()}.items():
    with DAG(name, schedule=timetable, start_date=datetime.datetime(2026, 1, 1)):
        BashOperator(task_id="only", bash_command="true")
"#;

fn question(dag_id: &str, number: u64) -> v1::TimetableQuestion {
    let micros = |text: &str| text.parse::<Timestamp>().unwrap().as_microsecond();
    v1::TimetableQuestion {
        dag_id: dag_id.to_owned(),
        question: number,
        rel_path: "timetables.py".to_owned(),
        now: micros("2026-01-05T00:00:00Z"),
        earliest: Some(micros("2026-01-01T00:00:00Z")),
        latest: Some(micros("2026-01-02T00:00:00Z")),
        ..v1::TimetableQuestion::default()
    }
}

#[tokio::test]
async fn custom_timetables_are_asked() {
    let dags = Dags::new();
    dags.write("plain.yaml", yaml_dag("plain"));
    let mut leader = Leader::start().await;
    let mut settings = dags.settings();
    settings.parse_timeout = Duration::from_secs(8);
    let running = Running::start(settings, &leader, Some(dags.guest()));
    leader.wait_for_scans(5).await;
    assert_eq!(leader.with(|seen| seen.fetched), 0, "nobody asks while there is no custom timetable");

    dags.write("timetables.py", TIMETABLES);
    leader.wait_for("the DAGs are published", |seen| seen.dag_ids().len() == 4).await;
    leader.with(|seen| {
        assert!(seen.errors["timetables.py"].is_empty(), "{:?}", seen.errors);
        let Timetable::Custom { class, periodic, .. } = &seen.dags["timetables.py"]["sevens"].1.timetable else {
            panic!("{:?}", seen.dags["timetables.py"]["sevens"].1.timetable)
        };
        assert!(class.ends_with("Sevens") && !periodic, "{class}");
        let after = "2026-01-01T21:00:00Z".parse::<Timestamp>().unwrap().as_microsecond();
        let mut second = question("sevens", 2);
        (second.last_start, second.last_end) = (Some(after - 1), Some(after));
        seen.questions = vec![question("hanging", 1), question("sevens", 1), question("raising", 9), second];
    });
    let times = |run: &v1::TimetableRun| {
        [Some(run.data_interval_start), Some(run.data_interval_end), Some(run.run_after), run.logical_date]
            .map(|micros| Timestamp::from_microsecond(micros.unwrap()).unwrap().to_string())
    };
    let answer = |seen: &crate::support::Seen, dag_id: &str, number: u64| {
        seen.answers.iter().find(|answer| answer.dag_id == dag_id && answer.question == number).cloned()
    };
    // The one that hangs keeps the others waiting no longer than it takes to ask them.
    leader.wait_for("the others are answered", |seen| seen.answers.len() >= 3).await;
    leader.with(|seen| {
        assert_eq!(answer(seen, "hanging", 1), None);
        let first = answer(seen, "sevens", 1).unwrap();
        let [start, end] = ["2026-01-01T00:00:00Z", "2026-01-01T07:00:00Z"];
        assert_eq!(times(&first.next.unwrap()), [start, end, end, start]);
        let second = answer(seen, "sevens", 2).unwrap();
        let [start, end] = ["2026-01-01T21:00:00Z", "2026-01-02T04:00:00Z"];
        assert_eq!(times(&second.next.unwrap()), [start, end, end, start]);
        let raised = answer(seen, "raising", 9).unwrap();
        assert_eq!(raised.next, None);
        assert!(raised.error.unwrap().contains("no calendar today"), "the error says what was raised");
        let mut last = question("sevens", 3);
        let after = "2026-01-02T04:00:00Z".parse::<Timestamp>().unwrap().as_microsecond();
        (last.last_start, last.last_end) = (Some(after - 1), Some(after));
        seen.questions.push(last);
    });
    leader.wait_for("no further run", |seen| answer(seen, "sevens", 3).is_some()).await;
    let last = leader.with(|seen| answer(seen, "sevens", 3)).unwrap();
    assert_eq!((last.next, last.error), (None, None));
    for number in 100..110 {
        leader.with(|seen| seen.questions.push(question("sevens", number)));
        leader.wait_for("a follow-up", |seen| answer(seen, "sevens", number).is_some()).await;
    }
    leader.with(|seen| {
        let times =
            |number| seen.answers.iter().filter(move |answer| answer.question == number && answer.dag_id == "sevens");
        assert_eq!((100..110).map(|number| times(number).count()).max(), Some(1), "each is answered once");
    });
    leader.wait_for("the one that hangs was stopped", |seen| answer(seen, "hanging", 1).is_some()).await;
    let hung = leader.with(|seen| answer(seen, "hanging", 1)).unwrap();
    assert!(hung.error.unwrap().contains("stopped"), "the error says that it took too long");
    running.stop().await;
}

#[tokio::test]
async fn remarks_are_published() {
    let dags = Dags::new();
    let text = python_dag("remarks").replace("(\"remarks\")", "(\"remarks\", allowed_run_types=[\"manual\"])");
    dags.write("remarks.py", text);
    let mut leader = Leader::start().await;
    let running = Running::start(dags.settings(), &leader, Some(dags.guest()));
    leader.wait_for("it is published", |seen| seen.dag_ids().contains("remarks")).await;
    let warnings = leader.with(|seen| seen.warnings["remarks.py"].clone());
    assert_eq!(warnings, ["DAG \"remarks\": its allowed_run_types are not supported: runs of every type are allowed"]);
    running.stop().await;
}
