use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tradewind_operators::{Finished, OperatorError};

use crate::support::{Attempt, Worker, at};

#[tokio::test(start_paused = true)]
async fn instants_are_waited_for_without_polling() {
    let (worker, attempt) = (Worker::new(), Attempt::new());
    let cases = [
        json!({"kind": "time_sensor", "target_time": "10:30"}),
        json!({"kind": "time_sensor", "target_time": "12:00:00", "timezone": "Europe/Paris"}),
        json!({"kind": "time_delta_sensor", "seconds": 43_200}),
        json!({"kind": "date_time_sensor", "target_time": "{{ data_interval_end.add(hours=13) }}"}),
    ];
    let times = ["10:30:00", "11:00:00", "12:00:00", "13:00:00"];
    for (case, time) in cases.into_iter().zip(times) {
        assert_eq!(worker.run(case, &attempt).await, Ok(Finished::Success(None)));
        use tradewind_operators::OperatorIo;
        let now = worker.now();
        let target = at(&format!("2026-03-05T{time}Z"));
        let late = now.duration_since(target);
        assert!(!late.is_negative() && late.as_millis() < 10, "{now} for {target}");
    }
}

fn file(path: &std::path::Path, sensor: Value) -> Value {
    json!({"kind": "file_sensor", "path": path.display().to_string(), "sensor": sensor})
}

#[tokio::test(start_paused = true)]
async fn a_timeout_fails_for_good_or_skips() {
    let (worker, attempt) = (Worker::new(), Attempt::new());
    let path = attempt.scratch.path().join("never");
    let hard = file(&path, json!({"poke_interval": 10, "timeout": 60}));
    let error = worker.run(hard, &attempt).await.unwrap_err();
    assert!(matches!(error, OperatorError::Fatal(_)), "{error:?}");
    let soft = file(&path, json!({"poke_interval": 10, "timeout": 60, "soft_fail": true}));
    assert!(matches!(worker.run(soft, &attempt).await, Err(OperatorError::Skipped(_))));
    let instant = json!({"kind": "time_delta_sensor", "seconds": 1e9, "sensor": {"timeout": 60}});
    assert!(matches!(worker.run(instant, &attempt).await, Err(OperatorError::Fatal(_))));
}

#[tokio::test(start_paused = true)]
async fn reschedule_counts_the_timeout_from_the_first_poke() {
    let worker = Worker::new();
    let path = std::path::Path::new("/does/not/exist");
    let sensor = file(path, json!({"mode": "reschedule", "poke_interval": 30, "timeout": 60}));
    let attempt = Attempt::new();
    let Ok(Finished::Reschedule(next)) = worker.run(sensor.clone(), &attempt).await else {
        panic!("no reschedule");
    };
    assert_eq!(next.as_second(), at("2026-03-05T10:00:30Z").as_second());
    let first = |text: &str| {
        let first = at(text);
        Attempt::new().with(|ctx| Arc::make_mut(&mut ctx.ti).first_poke_at = Some(first))
    };
    let again = worker.run(sensor.clone(), &first("2026-03-05T09:59:10Z")).await;
    assert!(matches!(again, Ok(Finished::Reschedule(_))), "{again:?}");
    let over = worker.run(sensor, &first("2026-03-05T09:58:50Z")).await;
    assert!(matches!(over, Err(OperatorError::Fatal(_))), "{over:?}");
}

#[tokio::test(start_paused = true)]
async fn a_time_sensor_that_is_rescheduled_keeps_its_day() {
    let worker = Worker::new();
    let attempt = Attempt::new().with(|ctx| {
        Arc::make_mut(&mut ctx.ti).first_poke_at = Some(at("2026-03-04T23:00:00Z"));
    });
    // It is the next day now, and 23:30 of the day of the first poke is over.
    let sensor = json!({"kind": "time_sensor", "target_time": "23:30", "sensor": {"mode": "reschedule"}});
    assert_eq!(worker.run(sensor, &attempt).await, Ok(Finished::Success(None)));
}

#[tokio::test]
async fn a_file_that_appears_ends_the_wait() {
    let (worker, attempt) = (Worker::new(), Attempt::new());
    let folder = attempt.scratch.path().join("in");
    std::fs::create_dir(&folder).unwrap();
    let sensor = json!({"kind": "file_sensor", "path": format!("{}/part-*-{{{{ ds }}}}.csv", folder.display()),
        "sensor": {"poke_interval": 0.01}});
    let write = async {
        // After some pokes that find nothing.
        tokio::time::sleep(Duration::from_millis(30)).await;
        std::fs::write(folder.join("part-1-2026-03-04.csv"), "x").unwrap();
    };
    let (ended, ()) = tokio::join!(worker.run(sensor, &attempt), write);
    assert_eq!(ended, Ok(Finished::Success(None)));
    assert!(worker.lines("tradewind.sensor")[0].ends_with("part-1-2026-03-04.csv"));
    let rendered = worker.state.lock().unwrap().rendered[0]["path"].clone();
    assert!(rendered.as_str().unwrap().ends_with("part-*-2026-03-04.csv"));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait() {
    let (worker, attempt) = (Worker::new(), Attempt::new());
    let sensor = json!({"kind": "time_delta_sensor", "seconds": 1e6, "sensor": {"timeout": 1e7}});
    let stop = async { attempt.stopper.stop(Duration::ZERO) };
    let (ended, ()) = tokio::join!(worker.run(sensor, &attempt), stop);
    assert_eq!(ended, Err(OperatorError::Stopped));
}

#[tokio::test]
async fn wrong_options_are_named() {
    let (worker, attempt) = (Worker::new(), Attempt::new());
    for (sensor, part) in [
        (json!({"kind": "file_sensor", "path": "a.csv"}), "absolute path"),
        (json!({"kind": "time_sensor", "target_time": "25:00"}), "target_time"),
        (json!({"kind": "time_sensor", "target_time": "10:00", "timezone": "Mars/Base"}), "Mars/Base"),
        (json!({"kind": "date_time_sensor", "target_time": "soon"}), "soon"),
        (json!({"kind": "time_delta_sensor", "seconds": -1}), "negative"),
        (json!({"kind": "file_sensor", "path": "/x", "sensor": {"poke_interval": -1}}), "poke_interval"),
    ] {
        let error = worker.run(sensor, &attempt).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}
