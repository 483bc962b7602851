use std::{fs, net::TcpListener};

use crate::support::{said, say, tradewind};

/// An address at which nothing listens: bound for a moment to learn a free port.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn no_scheduler_is_said_with_address_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let address = nobody();
    let said = say(dir.path(), &["dags", "list", "--scheduler", &address]);
    assert_eq!(said.code, 4);
    assert!(said.err.contains(&address), "{}", said.err);
    assert!(said.err.contains("connection refused"), "{}", said.err);
    assert!(said.err.contains("tradewind standalone"), "{}", said.err);
    assert!(said.out.is_empty(), "nothing but data goes to standard output");
}

#[test]
fn each_of_several_addresses_is_tried_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (nobody(), nobody());
    let said = say(dir.path(), &["scheduler", "status", "--scheduler", &format!("{first},{second}")]);
    assert_eq!(said.code, 4);
    assert!(said.err.contains(&first) && said.err.contains(&second), "{}", said.err);
}

#[test]
fn what_answers_but_is_no_scheduler_is_not_taken_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        // Answers each connection with something that is not gRPC, until the command gives up.
        for stream in listener.incoming().take(64).flatten() {
            use std::io::Write;
            let mut stream = stream;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let said = say(dir.path(), &["pools", "set", "p", "1", "--scheduler", &address]);
    assert_eq!(said.code, 4, "{}", said.err);
    assert!(said.err.contains(&address), "{}", said.err);
    drop(server);
}

#[test]
fn an_address_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let said = say(dir.path(), &["dags", "list", "--scheduler", "127.0.0.1:7070"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("http://HOST:PORT"), "{}", said.err);
}

#[test]
fn the_address_of_the_local_system_is_found_in_its_home() {
    let dir = tempfile::tempdir().unwrap();
    let address = nobody();
    fs::create_dir(dir.path().join("h")).unwrap();
    fs::write(dir.path().join("h/address"), format!("{address}\n")).unwrap();
    let found = say(dir.path(), &["dags", "list", "--home", "h"]);
    assert!(found.err.contains(&address), "{}", found.err);
    // What is configured wins.
    let other = nobody();
    let said = said(
        tradewind(dir.path())
            .args(["dags", "list", "--home", "h"])
            .env("TRADEWIND__CLIENT__SCHEDULERS", &other)
            .assert(),
    );
    assert!(said.err.contains(&other) && !said.err.contains(&address), "{}", said.err);
}
