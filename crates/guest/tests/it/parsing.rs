//! DAG files, sound and broken.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tradewind_guest::*;

use crate::support::*;

const DAG: &str = "import datetime\nfrom airflow.sdk import DAG\nfrom airflow.providers.standard.operators.empty import EmptyOperator\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(name: &str, text: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write(name, text);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    async fn parse(&self, name: &str) -> ParsedFile {
        self.parse_with(name, |_| {}).await
    }

    async fn parse_with(&self, name: &str, change: impl FnOnce(&mut ParseRequest)) -> ParsedFile {
        let mut request = ParseRequest::new(self.path(), name);
        change(&mut request);
        PARSER.parse(request).await.expect("the parser works")
    }
}

/// Parses a file that must not load; returns why.
async fn broken(text: &str) -> ImportError {
    let parsed = Folder::with("broken.py", text).parse("broken.py").await;
    assert!(parsed.dags.is_empty(), "{parsed:?}");
    parsed.import_error.unwrap_or_else(|| panic!("no error"))
}

fn ids(parsed: &ParsedFile) -> Vec<&str> {
    parsed.dags.iter().filter_map(|dag| dag["dag"]["dag_id"].as_str()).collect()
}

#[test]
fn a_file_gives_its_dags_in_airflows_serialization() {
    on_runtime(async {
        let parsed = PARSER.parse(ParseRequest::new(dags(), "basics.py")).await.expect("the parser works");
        assert_eq!(parsed.import_error, None);
        assert_eq!(ids(&parsed), ["basics"]);
        assert_eq!(parsed.imported_files, [dags().join("helpers/__init__.py"), dags().join("helpers/greeting.py")]);
        let dag = &parsed.dags[0];
        assert_eq!(dag["__version"], 3);
        assert_eq!(dag["dag"]["timetable"]["__var"]["expression"], "0 0 * * *");
        let task = |id: &str| {
            dag["dag"]["tasks"]
                .as_array()
                .and_then(|tasks| tasks.iter().map(|task| &task["__var"]).find(|task| task["task_id"] == id))
                .cloned()
                .unwrap_or(Value::Null)
        };
        assert_eq!(task("bash")["task_type"], "BashOperator");
        assert!(task("bash")["template_fields"].as_array().is_some_and(|fields| !fields.is_empty()));
        assert_eq!(task("branch")["downstream_task_ids"], serde_json::json!(["left", "right"]));
    });
}

#[test]
fn a_warm_parse_takes_milliseconds() {
    on_runtime(async {
        let folder = Folder::with("quick.py", &format!("{DAG}with DAG('quick'):\n    EmptyOperator(task_id='t')\n"));
        folder.parse("quick.py").await;
        let mut times = Vec::new();
        for _ in 0..15 {
            times.push(folder.parse("quick.py").await.duration);
        }
        times.sort();
        println!("median parse: {:?}", times[7]);
        // Far above the usual time: this is to catch a parser that is not warm, on a machine that is busy.
        assert!(times[7] < Duration::from_millis(500), "{times:?}");
    });
}

#[test]
fn several_dags_come_sorted_and_a_file_without_any_is_skipped() {
    on_runtime(async {
        let folder = Folder::with("two.py", &format!("{DAG}b = DAG('b')\na = DAG('a')\n"));
        folder.write("none.py", "print('nothing to see')\n");
        folder.write("empty.py", "import airflow  # a dag may come later\n");
        assert_eq!(ids(&folder.parse("two.py").await), ["a", "b"]);
        let none = folder.parse("none.py").await;
        assert!(none.skipped && none.import_error.is_none(), "{none:?}");
        let empty = folder.parse("empty.py").await;
        assert!(!empty.skipped && empty.import_error.is_none() && empty.dags.is_empty(), "{empty:?}");
    });
}

#[test]
fn a_quick_edit_is_seen() {
    on_runtime(async {
        let folder = Folder::with("edit.py", &format!("{DAG}DAG('one')\nx = DAG('aaa')\n"));
        assert_eq!(ids(&folder.parse("edit.py").await), ["aaa"]);
        // Same size, same second: bytecode would hide it.
        folder.write("edit.py", &format!("{DAG}DAG('one')\nx = DAG('bbb')\n"));
        assert_eq!(ids(&folder.parse("edit.py").await), ["bbb"]);
        assert!(!folder.path().join("__pycache__").exists());
    });
}

#[test]
fn a_syntax_error_names_its_line() {
    on_runtime(async {
        let error = broken("from airflow.sdk import DAG\n\ndef f(:\n    pass\n").await;
        assert!(error.message.starts_with("SyntaxError: "), "{error:?}");
        assert_eq!(error.line, Some(3));
    });
}

#[test]
fn a_missing_module_comes_with_a_hint() {
    on_runtime(async {
        let error = broken("from airflow.sdk import DAG\nimport numppy\n").await;
        assert!(error.message.contains("No module named 'numppy'"), "{error:?}");
        assert!(error.message.contains("hint: install the package"), "{error:?}");
        assert_eq!(error.line, Some(2));
        let error =
            broken("from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator  # for a dag\n")
                .await;
        assert!(error.message.contains("apache-airflow-providers-cncf"), "{error:?}");
    });
}

#[test]
fn an_error_in_a_helper_names_the_line_of_its_import() {
    on_runtime(async {
        let folder = Folder::with("uses.py", "from airflow.sdk import DAG\nimport my_helper\n");
        folder.write("my_helper.py", "1 / 0\n");
        let error = folder.parse("uses.py").await.import_error.expect("an error");
        assert!(error.message.contains("ZeroDivisionError"), "{error:?}");
        assert_eq!(error.line, Some(2));
        assert!(error.traceback.is_some_and(|text| text.contains("my_helper.py")));
    });
}

#[test]
fn duplicate_task_ids_are_an_error() {
    on_runtime(async {
        let task = "    EmptyOperator(task_id='same')\n";
        let error = broken(&format!("{DAG}with DAG('d'):\n{task}{task}")).await;
        assert!(error.message.contains("same") && error.message.contains("Duplicate"), "{error:?}");
        assert_eq!(error.line, Some(6));
    });
}

#[test]
fn a_cycle_is_an_error() {
    on_runtime(async {
        let text =
            "with DAG('d'):\n    a = EmptyOperator(task_id='a')\n    b = EmptyOperator(task_id='b')\n    a >> b >> a\n";
        let error = broken(&format!("{DAG}{text}")).await;
        assert!(error.message.contains("ycle"), "{error:?}");
    });
}

#[test]
fn a_bad_cron_expression_is_an_error() {
    on_runtime(async {
        let error = broken(&format!("{DAG}d = DAG('d', schedule='61 * * * *')\n")).await;
        assert!(error.message.contains("61 * * * *"), "{error:?}");
    });
}

#[test]
fn the_sound_dags_of_a_file_survive_a_broken_one() {
    on_runtime(async {
        let text = format!("{DAG}good = DAG('good')\nbad = DAG('bad', schedule='61 * * * *')\n");
        let parsed = Folder::with("mixed.py", &text).parse("mixed.py").await;
        assert_eq!(ids(&parsed), ["good"]);
        assert!(parsed.import_error.is_some());
    });
}

#[test]
fn an_endless_loop_is_stopped_and_its_line_named() {
    on_runtime(async {
        let folder = Folder::with("loop.py", "from airflow.sdk import DAG\nwhile True:\n    pass\n");
        let parsed = folder.parse_with("loop.py", |request| request.timeout = Duration::from_secs(1)).await;
        let error = parsed.import_error.expect("an error");
        assert!(error.message.contains("still importing after 0.9 s"), "{error:?}");
        assert!(matches!(error.line, Some(2 | 3)), "{error:?}");
    });
}

#[test]
fn an_endless_loop_that_swallows_exceptions_is_stopped_too() {
    on_runtime(async {
        let text = "from airflow.sdk import DAG\nimport time\nwhile True:\n    try:\n        while True: time.sleep(0.01)\n    except BaseException: pass\n";
        let folder = Folder::with("loop.py", text);
        let parsed = folder.parse_with("loop.py", |request| request.timeout = Duration::from_secs(1)).await;
        let error = parsed.import_error.expect("an error");
        assert!(error.message.contains("was stopped"), "{error:?}");
        assert!(parsed.duration < Duration::from_secs(10));
    });
}

#[test]
fn a_memory_bomb_is_an_error() {
    on_runtime(async {
        let error = broken("from airflow.sdk import DAG\nx = ['a' * 2**20]\nwhile True: x.append('b' * 2**28)\n").await;
        assert!(error.message.contains("more memory than a DAG file may use (1024 MiB)"), "{error:?}");
        assert_eq!(error.line, Some(3));
    });
}

#[test]
fn ending_the_process_is_an_error() {
    on_runtime(async {
        let error = broken("from airflow.sdk import DAG\nimport os\nos._exit(0)\n").await;
        assert!(error.message.contains("exit code 0") && error.message.contains("os._exit"), "{error:?}");
        let error = broken("from airflow.sdk import DAG\nimport sys\nsys.exit(2)\n").await;
        assert!(error.message.contains("called sys.exit(2)"), "{error:?}");
        assert_eq!(error.line, Some(3));
    });
}

#[test]
fn a_segmentation_fault_is_an_error_that_names_its_line() {
    on_runtime(async {
        let error = broken("from airflow.sdk import DAG\nimport ctypes\nctypes.string_at(0)\n").await;
        assert!(error.message.contains("segmentation fault"), "{error:?}");
        assert_eq!(error.line, Some(3), "{error:?}");
    });
}

#[test]
fn top_level_code_can_read_variables_and_connections() {
    on_runtime(async {
        let text = "from airflow.sdk import Variable, Connection\n\
                    d = DAG(Variable.get('id') + Connection.get('c').host + Variable.get('no', default='_'))\n\
                    Variable.get('no')\n";
        let folder = Folder::with("asks.py", &format!("{DAG}{text}"));
        let parsed = folder
            .parse_with("asks.py", |request| {
                request.variables.insert("id".to_owned(), "from_".to_owned());
                let host = Some("host".to_owned());
                let conn = ConnectionInfo { conn_id: "c".into(), conn_type: "http".into(), host, ..Default::default() };
                request.connections.insert("c".to_owned(), conn);
            })
            .await;
        let error = parsed.import_error.expect("the last line asks for what there is not");
        assert!(error.message.contains("VARIABLE_NOT_FOUND") || error.message.contains("no"), "{error:?}");
        assert_eq!(error.line, Some(6), "{error:?}");
    });
}

#[test]
fn a_callback_is_noted_and_warnings_are_listed() {
    on_runtime(async {
        let text =
            "import warnings\nwarnings.warn('look out')\nd = DAG('d', on_failure_callback=lambda context: None)\n";
        let parsed = Folder::with("warns.py", &format!("{DAG}{text}")).parse("warns.py").await;
        assert_eq!(ids(&parsed), ["d"], "{parsed:?}");
        assert!(parsed.warnings.iter().any(|line| line.contains("look out")), "{parsed:?}");
        assert_eq!(parsed.dags[0]["dag"]["has_on_failure_callback"], true);
    });
}

#[test]
fn many_files_at_once_do_not_disturb_each_other() {
    on_runtime(async {
        let folder = Folder::with("crash.py", "import os  # airflow dag\nos.kill(os.getpid(), 9)\n");
        for number in 0..10 {
            folder.write(&format!("f{number}.py"), &format!("{DAG}d = DAG('d{number}')\n"));
        }
        let names: Vec<String> = (0..10).map(|number| format!("f{number}.py")).chain(["crash.py".to_owned()]).collect();
        let all = names.iter().map(|name| folder.parse(name));
        let parsed: Vec<ParsedFile> = futures_join(all).await;
        assert_eq!(parsed.iter().filter(|file| file.import_error.is_none()).count(), 10);
        assert!(parsed[10].import_error.as_ref().is_some_and(|error| error.message.contains("killed")));
    });
}

async fn futures_join<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, slot) in pending.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[test]
fn the_parser_survives_the_death_of_its_interpreter() {
    on_runtime(async {
        let parser = Parser::new(guest_env("mortal"));
        let killer = "import os  # airflow dag\nos.kill(os.getppid(), 9)\nimport time\ntime.sleep(30)\n";
        let folder = Folder::with("killer.py", killer);
        folder.write("good.py", &format!("{DAG}d = DAG('d')\n"));
        let file = PathBuf::from("killer.py");
        let error = parser.parse(ParseRequest::new(folder.path(), file)).await.expect_err("it dies twice").to_string();
        assert!(error.contains("zygote is gone"), "{error}");
        let parsed = parser.parse(ParseRequest::new(folder.path(), "good.py")).await.expect("a new one is started");
        assert_eq!(ids(&parsed), ["d"]);
        parser.shutdown().await;
    });
}
