use serde_json::{Value, json};
use tradewind_operators::{Finished, Renderer};
use tradewind_types::Connection;

use crate::support::{Attempt, Worker};

fn worker() -> Worker {
    Worker::new().with(|state| {
        state.variables.insert("bucket".to_owned(), "s3://b".to_owned());
        state.variables.insert("settings".to_owned(), r#"{"deep": {"n": 3}}"#.to_owned());
        let xcom = |state: &mut crate::support::State, task: &str, key: &str, values: Vec<(i32, Value)>| {
            state.xcoms.insert((task.to_owned(), key.to_owned()), values);
        };
        xcom(state, "extract", "return_value", vec![(-1, json!({"rows": 5, "ok": true}))]);
        xcom(state, "extract", "path", vec![(-1, json!("/tmp/x"))]);
        xcom(state, "mapped", "return_value", vec![(0, json!("a")), (1, json!("b"))]);
        let connection = Connection {
            conn_id: "db".to_owned(),
            host: Some("h".to_owned()),
            port: Some(5432),
            password: Some("s3cret".to_owned()),
            extra: Some(r#"{"mode": "fast"}"#.to_owned()),
            ..Connection::default()
        };
        state.connections.insert("db".to_owned(), connection);
    })
}

async fn render(template: &str) -> Result<String, String> {
    let (worker, attempt) = (worker(), Attempt::new());
    let mut renderer = Renderer::new(&attempt.ctx, &worker);
    renderer.text("command", template).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn airflows_context_is_there() {
    for (template, expected) in [
        ("{{ ds }} {{ ds_nodash }}", "2026-03-04 20260304"),
        ("{{ ts }}", "2026-03-04T00:00:00+00:00"),
        ("{{ ts_nodash }} {{ ts_nodash_with_tz }}", "20260304T000000 20260304T000000+0000"),
        ("{{ logical_date }}", "2026-03-04 00:00:00+00:00"),
        ("{{ data_interval_end | ds }} {{ data_interval_start | ts_nodash }}", "2026-03-05 20260304T000000"),
        ("{{ logical_date.strftime('%d.%m.%Y %H:%M:%S.%f') }}", "04.03.2026 00:00:00.000000"),
        ("{{ logical_date.add(days=1).isoformat() }}", "2026-03-05T00:00:00+00:00"),
        ("{{ logical_date.subtract(months=1).to_date_string() }}", "2026-02-04"),
        ("{{ logical_date.in_timezone('America/New_York') }}", "2026-03-03 19:00:00-05:00"),
        ("{{ logical_date.start_of('month') | ds }} {{ logical_date.year }}", "2026-03-01 2026"),
        ("{{ data_interval_end > data_interval_start }}", "True"),
        ("{{ prev_data_interval_end_success | ds }}", "2026-03-03"),
        ("{{ run_id }}", "scheduled__2026-03-04T00:00:00+00:00"),
        ("{{ dag.dag_id }} {{ task.task_id }} {{ task.owner }} {{ ti.try_number }}", "sales load data-team 2"),
        ("{{ task_instance_key_str }}", "sales__load__20260304"),
        ("{{ dag_run.conf.region }} {{ dag_run.conf['region'] }} {{ dag_run.run_type }}", "north north scheduled"),
        ("{{ dag_run.conf.get('nothing', 'x') }}", "x"),
        ("{{ params.limit + 1 }}", "11"),
        ("{{ macros.ds_add(ds, -3) }}", "2026-03-01"),
        ("{{ macros.ds_format(ds, '%Y-%m-%d', '%d/%m/%y') }}", "04/03/26"),
        ("{{ macros.json.loads('[1, 2]')[1] }} {{ macros.json.dumps(params) }}", "2 {\"limit\":10}"),
    ] {
        assert_eq!(render(template).await.as_deref(), Ok(expected), "{template}");
    }
}

#[tokio::test]
async fn lookups_are_made() {
    for (template, expected) in [
        ("{{ var.value.bucket }}/{{ var.value.get('none', 'd') }}", "s3://b/d"),
        ("{{ var.json.settings.deep.n }}", "3"),
        ("{{ var.json.get('none', {'a': 1}).a }}", "1"),
        ("{{ conn.db.host }}:{{ conn.db.port }} {{ conn.db.extra_dejson.mode }}", "h:5432 fast"),
        ("{{ conn.get('none', 'd') }}", "d"),
        ("{{ ti.xcom_pull('extract')['rows'] }}", "5"),
        ("{{ ti.xcom_pull(task_ids='extract', key='path') }}", "/tmp/x"),
        ("{{ task_instance.xcom_pull('extract', key='path').split('/')[-1] }}", "x"),
        ("{{ ti.xcom_pull('mapped') }}", "['a', 'b']"),
        ("{{ ti.xcom_pull('mapped', map_indexes=1) }}", "b"),
        ("{{ ti.xcom_pull('mapped', map_indexes=[1, 5], default='d') }}", "['b', 'd']"),
        ("{{ ti.xcom_pull(['extract', 'none'], key='path') }}", "['/tmp/x', None]"),
        ("{{ ti.xcom_pull('none', default='ignored') }}", "None"),
        (
            "{% for t in ['extract', 'mapped'] %}{{ ti.xcom_pull(t) }};{% endfor %}",
            "{'ok': True, 'rows': 5};['a', 'b'];",
        ),
        ("{% if var.value.bucket.startswith('s3') %}cloud{% else %}disk{% endif %}", "cloud"),
    ] {
        assert_eq!(render(template).await.as_deref(), Ok(expected), "{template}");
    }
}

#[tokio::test]
async fn each_thing_is_asked_for_once() {
    let (worker, attempt) = (worker(), Attempt::new());
    let mut renderer = Renderer::new(&attempt.ctx, &worker);
    for _ in 0..3 {
        let text = "{{ var.value.bucket }}{{ var.value.bucket }}{{ ti.xcom_pull('mapped') }}";
        renderer.text("command", text).await.unwrap();
    }
    assert_eq!(worker.state.lock().unwrap().asked, ["variable bucket", "xcom mapped.return_value"]);
}

#[tokio::test]
async fn errors_name_field_line_and_expression() {
    for (template, parts) in [
        ("a\n{{ nothing.here }}", &["command, line 2", "undefined", "nothing"][..]),
        ("{{ params.limitt }}", &["command, line 1", "limitt"]),
        ("{{ var.value.none }}", &["the variable \"none\" does not exist"]),
        ("{{ conn.none.host }}", &["the connection \"none\" does not exist"]),
        ("{{ var.json.bucket }}", &["does not hold JSON"]),
        ("x\ny\n{{ ds", &["command, line 3", "syntax"]),
        ("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", &["runs too long"]),
        ("{{ macros.random() }}", &["macros.random needs Python"]),
        ("{{ ti.xcom_push('k', 1) }}", &["cannot push"]),
        ("{{ execution_date }}", &["undefined", "execution_date"]),
    ] {
        let error = render(template).await.unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{template}: {error}");
        }
    }
}

#[tokio::test]
async fn a_run_without_a_logical_date_has_no_dates() {
    let worker = worker();
    let attempt = Attempt::new().with(|ctx| {
        std::sync::Arc::make_mut(&mut ctx.run).logical_date = None;
    });
    let mut renderer = Renderer::new(&attempt.ctx, &worker);
    assert!(renderer.text("command", "{{ ds }}").await.is_err());
    let key = renderer.text("command", "{{ task_instance_key_str }}").await.unwrap();
    assert_eq!(key, "sales__load__scheduled__2026-03-04T00:00:00+00:00");
}

#[tokio::test]
async fn rendered_fields_are_reported_when_rendering_changed_something() {
    let (worker, attempt) = (worker(), Attempt::new());
    worker.run(json!({"kind": "noop", "value": "plain"}), &attempt).await.unwrap();
    assert!(worker.state.lock().unwrap().rendered.is_empty());
    let value = json!({"kind": "noop", "value": {"day": ["{{ ds }}", 1]}});
    let ended = worker.run(value, &attempt).await;
    assert_eq!(ended, Ok(Finished::Success(Some(json!({"day": ["2026-03-04", 1]})))));
    let rendered = worker.state.lock().unwrap().rendered.clone();
    assert_eq!(rendered.len(), 1);
    assert_eq!(rendered[0]["value"], json!({"day": ["2026-03-04", 1]}));
}
