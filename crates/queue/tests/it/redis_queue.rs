//! The Redis queue.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tradewind_ports::{Queue, QueueError};
use tradewind_queue::{RedisQueue, open};
use tradewind_types::{AttemptKey, Hint, QueueName, TiId};
use uuid::Uuid;

fn url() -> String {
    std::env::var("TRADEWIND_TEST_REDIS_URL").unwrap_or_else(|_| {
        panic!("TRADEWIND_TEST_REDIS_URL is not set; run `make test`, or scripts/test-services.sh by hand")
    })
}

/// A prefix that nobody else uses.
fn env() -> String {
    format!("test-{}", Uuid::new_v4().simple())
}

async fn queue() -> (Arc<RedisQueue>, ()) {
    (Arc::new(RedisQueue::connect(&url(), &env()).await.unwrap()), ())
}

tradewind_ports::queue_conformance!(queue);

async fn raw() -> redis::aio::MultiplexedConnection {
    redis::Client::open(url()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

fn hint(n: u128) -> Hint {
    Hint { queue: "q".into(), key: AttemptKey { ti: TiId(Uuid::from_u128(n)), attempt: 1 }, score: 0 }
}

fn q() -> [QueueName; 1] {
    ["q".into()]
}

/// What other programs (KEDA, redis-cli) see.
#[tokio::test]
async fn keys_and_members_are_as_documented() {
    let env = env();
    let queue = RedisQueue::connect(&url(), &env).await.unwrap();
    queue.push(&[hint(1)]).await.unwrap();
    queue.set_generation(Uuid::from_u128(5)).await.unwrap();
    let mut redis = raw().await;
    let members: Vec<(String, f64)> = redis::cmd("ZRANGE")
        .arg(format!("tw:{env}:q:{{q}}"))
        .arg(0)
        .arg(-1)
        .arg("WITHSCORES")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(members, [(hint(1).key.to_string(), 0.0)]);
    let generation: String = redis::cmd("GET").arg(format!("tw:{env}:gen")).query_async(&mut redis).await.unwrap();
    assert_eq!(generation, Uuid::from_u128(5).to_string());
}

/// Two installations on one Redis do not see each other.
#[tokio::test]
async fn installations_are_apart() {
    let (one, ()) = queue().await;
    let (two, ()) = queue().await;
    one.push(&[hint(1)]).await.unwrap();
    assert_eq!(two.pop(&q(), 1, Duration::ZERO).await.unwrap(), []);
    assert_eq!(one.pop(&q(), 1, Duration::ZERO).await.unwrap().len(), 1);
}

/// What is no hint is dropped; what is one comes.
#[tokio::test]
async fn forged_members_are_dropped() {
    let env = env();
    let queue = RedisQueue::connect(&url(), &env).await.unwrap();
    queue.push(&[hint(1)]).await.unwrap();
    let mut redis = raw().await;
    let () = redis::cmd("ZADD")
        .arg(format!("tw:{env}:q:{{q}}"))
        .arg(-1)
        .arg("$(reboot)")
        .query_async(&mut redis)
        .await
        .unwrap();
    let popped = queue.pop(&q(), 9, Duration::ZERO).await.unwrap();
    assert_eq!(popped, [(q()[0].clone(), hint(1).key)]);
}

/// A key of another kind is told apart from an outage.
#[tokio::test]
async fn a_key_of_another_kind_is_a_defect() {
    let env = env();
    let queue = RedisQueue::connect(&url(), &env).await.unwrap();
    let () = redis::cmd("SET").arg(format!("tw:{env}:q:{{q}}")).arg("x").query_async(&mut raw().await).await.unwrap();
    for result in [
        queue.push(&[hint(1)]).await,
        queue.pop(&q(), 1, Duration::ZERO).await.map(drop),
        queue.pop(&q(), 1, Duration::from_secs(1)).await.map(drop),
    ] {
        assert!(matches!(result, Err(QueueError::Broken(_))), "{result:?}");
    }
}

/// Messages name the place and never the password.
#[tokio::test]
async fn what_is_wrong_with_a_url_is_said() {
    let password = url().split(['@', ':']).nth(2).map(str::to_owned).unwrap_or_default();
    let place = url().split('@').nth(1).unwrap().split('/').next().unwrap().to_owned();
    let wrong = url().replace(&password, "wrong-secret");
    let error = open(&wrong, "x").await.err().unwrap();
    assert!(matches!(error, QueueError::Config(_)), "{error:?}");
    assert!(error.to_string().contains(&place), "{error}");
    assert!(!error.to_string().contains("wrong-secret"), "{error}");

    // Port 9 (discard) is closed everywhere that tests run.
    let error = open("redis://:secret@127.0.0.1:9/0", "x").await.err().unwrap();
    assert!(matches!(error, QueueError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1:9"), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");

    for bad in ["amqp://h", "", "redis://[", "redis://h:notaport"] {
        let error = open(bad, "x").await.err().unwrap();
        assert!(matches!(error, QueueError::Config(_)), "{bad}: {error:?}");
        assert!(error.to_string().contains("redis://"), "{error}");
    }
}

/// A server that answers every command with `answer`.
async fn fake_redis(answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/0", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = socket.read(&mut buffer).await {
                    let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                    // Each command is an array; a read may hold several.
                    for command in text.split('*').skip(1) {
                        if let Some(answer) = answer(command)
                            && socket.write_all(answer.as_bytes()).await.is_err()
                        {
                            return;
                        }
                    }
                }
            });
        }
    });
    url
}

fn hello(version: &str) -> String {
    format!("*2\r\n$7\r\nversion\r\n${}\r\n{version}\r\n", version.len())
}

/// Redis 6 has no BZMPOP, Redis 5 no HELLO.
#[tokio::test]
async fn an_old_redis_is_refused_by_version() {
    let six =
        fake_redis(|command| Some(if command.contains("HELLO") { hello("6.2.14") } else { "+OK\r\n".to_owned() }))
            .await;
    let five = fake_redis(|command| {
        Some(if command.contains("HELLO") {
            "-ERR unknown command `HELLO`\r\n".to_owned()
        } else {
            "+OK\r\n".to_owned()
        })
    })
    .await;
    for (url, version) in [(six, "6.2.14"), (five, "5 or older")] {
        let error = open(&url, "x").await.err().unwrap();
        assert!(matches!(error, QueueError::Config(_)), "{error:?}");
        assert!(error.to_string().contains(version), "{error}");
        assert!(error.to_string().contains("7.0"), "{error}");
    }
}

/// A Redis that accepts and then says nothing holds nobody: neither commands nor pops.
#[tokio::test]
async fn a_silent_redis_is_given_up() {
    let url = fake_redis(|command| {
        if command.contains("HELLO") {
            Some(hello("7.2.0"))
        } else if command.contains("CLIENT") || command.contains("PING") {
            Some("+OK\r\n".to_owned())
        } else {
            None
        }
    })
    .await;
    let queue = open(&url, "x").await.unwrap();
    let before = Instant::now();
    let push = [hint(1)];
    let (pushed, popped) =
        tokio::join!(queue.push(&push), async { queue.pop(&q(), 1, Duration::from_millis(100)).await },);
    assert!(matches!(pushed, Err(QueueError::Unavailable(_))), "{pushed:?}");
    assert!(matches!(popped, Err(QueueError::Unavailable(_))), "{popped:?}");
    assert!(before.elapsed() < Duration::from_secs(15));
}

/// Connections that are cut are made anew; at most the calls under way fail.
#[tokio::test]
async fn it_reconnects_after_its_connections_were_cut() {
    let (queue, ()) = queue().await;
    queue.push(&[hint(1)]).await.unwrap();
    let name = format!("cut-{}", Uuid::new_v4().simple());
    // A user of its own, so that only this queue's connections are cut.
    let mut redis = raw().await;
    let () =
        redis::cmd("ACL").arg(&["SETUSER", &name, "on", ">pw", "~*", "+@all"]).query_async(&mut redis).await.unwrap();
    let place = url().split('@').nth(1).unwrap().to_owned();
    let queue = RedisQueue::connect(&format!("redis://{name}:pw@{place}"), &env()).await.unwrap();
    queue.push(&[hint(1)]).await.unwrap();
    let popped = queue.pop(&q(), 1, Duration::from_secs(5)).await.unwrap();
    assert_eq!(popped.len(), 1);
    let cut = async |redis: &mut redis::aio::MultiplexedConnection| {
        let cut: i64 = redis::cmd("CLIENT").arg(&["KILL", "USER", &name]).query_async(redis).await.unwrap();
        assert!(cut > 0);
    };
    cut(&mut redis).await;
    let before = Instant::now();
    while queue.push(&[hint(2)]).await.is_err() {
        assert!(before.elapsed() < Duration::from_secs(20));
        tokio::task::yield_now().await;
    }
    // The idle connection died, too, and that alone fails no pop.
    let popped = queue.pop(&q(), 1, Duration::from_secs(5)).await.unwrap();
    assert_eq!(popped.len(), 1);
    let names: [QueueName; 1] = ["other".into()];
    let cutting = async {
        loop {
            let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut redis).await.unwrap();
            let waits = |client: &str| client.contains(&format!("user={name}")) && client.contains("cmd=bzmpop");
            if clients.lines().any(waits) {
                break;
            }
        }
        cut(&mut redis).await;
    };
    let other = [Hint { queue: "other".into(), ..hint(3) }];
    let push_at_last = async || {
        while queue.push(&other).await.is_err() {
            assert!(before.elapsed() < Duration::from_secs(20));
        }
    };
    let cutting = async {
        cutting.await;
        push_at_last().await;
    };
    // It goes on over a new connection, or says so and the next one works.
    let (mut waited, ()) = tokio::join!(queue.pop(&names, 1, Duration::from_secs(20)), cutting);
    if waited.is_err() {
        assert!(matches!(waited, Err(QueueError::Unavailable(_))), "{waited:?}");
        waited = queue.pop(&names, 1, Duration::from_secs(5)).await;
    }
    assert_eq!(waited.unwrap().len(), 1);
    assert!(before.elapsed() < Duration::from_secs(20));
    let () = redis::cmd("ACL").arg(&["DELUSER", &name]).query_async(&mut redis).await.unwrap();
}
