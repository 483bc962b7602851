use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tradewind_operators::{Finished, OperatorError};
use tradewind_types::Connection;

use crate::support::{Attempt, Worker, until};

/// A server that answers by path and keeps what it was sent.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

async fn serve() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut request = Vec::new();
                loop {
                    let text = String::from_utf8_lossy(&request).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let length = head
                            .lines()
                            .find_map(|line| {
                                line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
                            })
                            .map_or(0, |length| length.trim().parse().unwrap());
                        if body.len() >= length {
                            break;
                        }
                    }
                    if socket.read_buf(&mut request).await.unwrap() == 0 {
                        return;
                    }
                }
                let text = String::from_utf8(request).unwrap();
                let path = text.split(' ').nth(1).unwrap().to_owned();
                kept.lock().unwrap().push(text);
                let (status, kind, body) = match path.as_str() {
                    "/json" => ("200 OK", "application/json; charset=utf-8", r#"{"a": [1, 2]}"#.to_owned()),
                    "/text" => ("200 OK", "text/plain", "hello".to_owned()),
                    "/big" => ("200 OK", "text/plain", "x".repeat(5_000)),
                    "/lie" => ("200 OK", "application/json", "not json".to_owned()),
                    "/endless" => {
                        let mut sent = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                        while sent.is_ok() {
                            sent = socket.write_all(&[b'x'; 1_000]).await;
                        }
                        return;
                    }
                    "/slow" => {
                        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe").await.unwrap();
                        // Until the client goes away.
                        let _ = socket.read(&mut [0; 1]).await;
                        return;
                    }
                    _ => ("404 Not Found", "text/plain", "no such thing".to_owned()),
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    Server { address, requests }
}

fn get(server: &Server, path: &str) -> Value {
    json!({"kind": "http", "url": format!("http://{}{path}", server.address)})
}

#[tokio::test]
async fn the_answer_is_the_value() {
    let (server, worker, attempt) = (serve().await, Worker::new(), Attempt::new());
    let ended = worker.run(get(&server, "/json"), &attempt).await;
    assert_eq!(ended, Ok(Finished::Success(Some(json!({"a": [1, 2]})))));
    let ended = worker.run(get(&server, "/text"), &attempt).await;
    assert_eq!(ended, Ok(Finished::Success(Some(json!("hello")))));
    let error = worker.run(get(&server, "/lie"), &attempt).await.unwrap_err();
    assert!(error.to_string().contains("says that it is JSON"), "{error}");
}

#[tokio::test]
async fn unexpected_answers_fail_with_their_body() {
    let (server, worker, attempt) = (serve().await, Worker::new(), Attempt::new());
    let error = worker.run(get(&server, "/missing?key=secret"), &attempt).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, OperatorError::Failed(_)));
    assert!(text.contains("404 Not Found: no such thing") && !text.contains("secret"), "{text}");
    let mut expected = get(&server, "/missing");
    expected["expect"] = json!([200, 404]);
    assert_eq!(worker.run(expected, &attempt).await, Ok(Finished::Success(Some(json!("no such thing")))));
}

#[tokio::test]
async fn a_connection_gives_host_login_and_headers() {
    let server = serve().await;
    let (host, port) = server.address.split_once(':').unwrap();
    let connection = Connection {
        conn_id: "api".to_owned(),
        conn_type: "http".to_owned(),
        host: Some(host.to_owned()),
        port: Some(port.parse().unwrap()),
        login: Some("user".to_owned()),
        password: Some("pass".to_owned()),
        extra: Some(r#"{"X-Team": "data", "timeout": 5, "headers": {"X-More": "m"}}"#.to_owned()),
        ..Connection::default()
    };
    let worker = Worker::new().with(|state| {
        state.connections.insert("api".to_owned(), connection);
    });
    let attempt = Attempt::new();
    let request = json!({"kind": "http", "connection": "api", "url": "json", "method": "post",
        "headers": {"X-Day": "{{ ds }}"}, "json": {"day": "{{ ds_nodash }}", "n": 1}});
    let ended = worker.run(request, &attempt).await;
    assert_eq!(ended, Ok(Finished::Success(Some(json!({"a": [1, 2]})))));
    let sent = server.requests.lock().unwrap()[0].to_ascii_lowercase();
    for part in [
        "post /json http/1.1",
        "x-team: data",
        "x-more: m",
        "x-day: 2026-03-04",
        "authorization: basic dxnlcjpwyxnz",
        "content-type: application/json",
        r#"{"day":"20260304","n":1}"#,
    ] {
        assert!(sent.contains(part), "{part} is missing in {sent}");
    }
    assert!(!sent.contains("timeout:"), "{sent}");
    let rendered = worker.state.lock().unwrap().rendered[0].clone();
    assert_eq!(rendered["json"], json!({"day": "20260304", "n": 1}));
    assert_eq!(rendered["headers.X-Day"], json!("2026-03-04"));
}

#[tokio::test]
async fn limits_hold() {
    let (server, worker) = (serve().await, Worker::new());
    let attempt = Attempt::new().with(|ctx| ctx.xcom_max_bytes = 1_000);
    let error = worker.run(get(&server, "/big"), &attempt).await.unwrap_err();
    assert!(error.to_string().contains("xcom.inline_max_bytes"), "{error}");
    // The limit ends the reading, not the timeout.
    let error = worker.run(get(&server, "/endless"), &attempt).await.unwrap_err();
    assert!(error.to_string().contains("xcom.inline_max_bytes"), "{error}");
    let mut slow = get(&server, "/slow");
    slow["timeout"] = json!(0.2);
    let error = worker.run(slow, &attempt).await.unwrap_err();
    assert!(error.to_string().contains("timeout"), "{error}");
    let error = worker.run(json!({"kind": "http", "url": "ftp://x/y"}), &attempt).await.unwrap_err();
    assert!(error.to_string().contains("not http or https"), "{error}");
}

#[tokio::test]
async fn a_stop_ends_the_request() {
    let (server, worker, attempt) = (serve().await, Worker::new(), Attempt::new());
    let stop = async {
        until("the request is there", || !server.requests.lock().unwrap().is_empty()).await;
        attempt.stopper.stop(std::time::Duration::from_secs(60));
    };
    let (ended, ()) = tokio::join!(worker.run(get(&server, "/slow"), &attempt), stop);
    assert_eq!(ended, Err(OperatorError::Stopped));
}

#[tokio::test]
async fn nobody_at_home_is_said_plainly() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (worker, attempt) = (Worker::new(), Attempt::new());
    let request = json!({"kind": "http", "url": format!("http://{address}/x?token=abc")});
    let error = worker.run(request, &attempt).await.unwrap_err().to_string();
    assert!(error.contains("refused") && !error.contains("abc"), "{error}");
}
