//! The Redis queue: a sorted set a queue, `tw:{env}:q:{queue}` with literal braces around the queue (its hash tag), and
//! the generation under `tw:{env}:gen`. Members are `task-instance:attempt`, scores rank them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind, Value,
    aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
};
use tradewind_ports::{Queue, QueueDepth, QueueError};
use tradewind_types::{AttemptKey, Hint, QueueName};
use uuid::Uuid;

/// How long a command may take that does not wait by design.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest pause between two attempts to connect.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// Hints in one command: large enough to cost nothing, small enough not to hold Redis up.
const BATCH: usize = 500;
/// Connections kept for pops that are not waiting now.
const MAX_IDLE: usize = 16;

/// Hints in Redis.
pub struct RedisQueue {
    client: Client,
    /// Host and port, for messages.
    place: String,
    prefix: String,
    /// For commands that answer at once.
    commands: ConnectionManager,
    /// For pops: a waiting command blocks its connection, so each pop has one of its own.
    idle: Mutex<Vec<MultiplexedConnection>>,
    pacing: Mutex<Pacing>,
}

/// Spaces attempts to connect, so that callers that repeat failed pops do not hammer.
#[derive(Debug, Default)]
struct Pacing {
    failures: u32,
    not_before: Option<Instant>,
}

impl std::fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisQueue").field("place", &self.place).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl RedisQueue {
    /// Connects to the Redis at `url` and checks that it is new enough.
    ///
    /// # Errors
    /// See [`crate::open`].
    pub async fn connect(url: &str, env: &str) -> Result<Self, QueueError> {
        let bad = |error: &RedisError| {
            QueueError::Config(format!(
                "the queue URL is not a Redis URL ({}); write redis://user:password@host:port/db",
                error.category()
            ))
        };
        let info = url.into_connection_info().map_err(|error| bad(&error))?;
        let place = info.addr().to_string();
        let client = Client::open(info).map_err(|error| bad(&error))?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(COMMAND_TIMEOUT))
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(50))
            .set_max_delay(MAX_PAUSE);
        // The manager tries again where that may help; a wrong password never does, so a plain connection comes first.
        let mut first = connect(&client, Some(COMMAND_TIMEOUT)).await.map_err(|error| failed(&place, &error))?;
        check_version(&place, &mut first).await?;
        let commands =
            client.get_connection_manager_with_config(config).await.map_err(|error| failed(&place, &error))?;
        Ok(Self {
            client,
            place,
            prefix: format!("tw:{env}:"),
            commands,
            idle: Mutex::default(),
            pacing: Mutex::default(),
        })
    }

    fn key(&self, queue: &QueueName) -> String {
        format!("{}q:{{{queue}}}", self.prefix)
    }

    fn generation_key(&self) -> String {
        format!("{}gen", self.prefix)
    }

    fn failed(&self, error: &RedisError) -> QueueError {
        failed(&self.place, error)
    }

    async fn run<T: redis::FromRedisValue>(&self, command: redis::Cmd) -> Result<T, QueueError> {
        command.query_async(&mut self.commands.clone()).await.map_err(|error| self.failed(&error))
    }

    async fn run_all<T: redis::FromRedisValue>(&self, pipeline: redis::Pipeline) -> Result<T, QueueError> {
        pipeline.query_async(&mut self.commands.clone()).await.map_err(|error| self.failed(&error))
    }

    /// A connection for one waiting command, and whether it was used before.
    async fn waiting_connection(&self, wait: Duration) -> Result<(MultiplexedConnection, bool), QueueError> {
        if let Some(connection) = lock(&self.idle).pop() {
            return Ok((connection, true));
        }
        let pause =
            lock(&self.pacing).not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()));
        if !pause.is_zero() {
            tokio::time::sleep(pause.min(wait)).await;
        }
        let connected = connect(&self.client, None).await;
        let mut pacing = lock(&self.pacing);
        match connected {
            Ok(connection) => {
                *pacing = Pacing::default();
                Ok((connection, false))
            }
            Err(error) => {
                pacing.failures = pacing.failures.saturating_add(1);
                let pause = Duration::from_millis(25 << pacing.failures.min(6)).min(MAX_PAUSE);
                pacing.not_before = Some(Instant::now() + pause);
                Err(self.failed(&error))
            }
        }
    }

    /// Reads the answer of (B)ZMPOP: nothing, or a key with its popped members and scores.
    fn popped(
        &self,
        queues: &[QueueName],
        keys: &[String],
        answer: Value,
    ) -> Result<Vec<(QueueName, AttemptKey)>, QueueError> {
        let answer: Option<(String, Vec<(String, f64)>)> = redis::from_redis_value(answer)
            .map_err(|error| QueueError::Broken(format!("Redis at {} answers a pop with {error}", self.place)))?;
        let Some((key, members)) = answer else {
            return Ok(Vec::new());
        };
        let queue = keys
            .iter()
            .position(|known| *known == key)
            .and_then(|place| queues.get(place))
            .ok_or_else(|| QueueError::Broken(format!("Redis at {} popped from \"{key}\"", self.place)))?;
        let parse = |(member, _): &(String, f64)| match member.parse() {
            Ok(key) => Some((queue.clone(), key)),
            Err(error) => {
                // Somebody else wrote it; a hint is never trusted, so it is dropped.
                tracing::warn!(%queue, error, "dropped what is not a hint");
                None
            }
        };
        Ok(members.iter().filter_map(parse).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connect(client: &Client, response_timeout: Option<Duration>) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(response_timeout);
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// What a failed command means. Errors of Redis never repeat the password.
fn failed(place: &str, error: &RedisError) -> QueueError {
    let text = format!("Redis at {place}: {error}");
    match error.kind() {
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => return QueueError::Config(text),
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType | ErrorKind::Client => return QueueError::Broken(text),
        _ => {}
    }
    // A pipeline fails with the errors of its commands.
    let answers = error.clone().into_server_errors();
    match answers.as_deref().and_then(<[_]>::first).map(|(_, answer)| answer.code()) {
        Some("NOAUTH" | "WRONGPASS" | "NOPERM") => QueueError::Config(text),
        Some("ERR" | "WRONGTYPE" | "CROSSSLOT") => QueueError::Broken(text),
        _ => QueueError::Unavailable(text),
    }
}

/// BZMPOP came with Redis 7.
async fn check_version(place: &str, connection: &mut MultiplexedConnection) -> Result<(), QueueError> {
    let too_old = |version: &str| {
        QueueError::Config(format!(
            "Redis at {place} is version {version}; Tradewind needs 7.0 or newer (it uses BZMPOP)"
        ))
    };
    let hello: Result<HashMap<String, Value>, RedisError> = redis::cmd("HELLO").query_async(connection).await;
    match hello {
        Ok(facts) => {
            let version = facts
                .get("version")
                .and_then(|version| redis::from_redis_value::<String>(version.clone()).ok())
                .unwrap_or_default();
            let major = version.split('.').next().and_then(|major| major.parse().ok());
            if major.is_some_and(|major: u32| major >= 7) { Ok(()) } else { Err(too_old(&version)) }
        }
        // HELLO itself came with Redis 6.
        Err(error) if matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError)) => {
            Err(too_old("5 or older"))
        }
        Err(error) => Err(failed(place, &error)),
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn push(&self, hints: &[Hint]) -> Result<(), QueueError> {
        if hints.is_empty() {
            return Ok(());
        }
        let mut by_queue: HashMap<&QueueName, Vec<&Hint>> = HashMap::new();
        for hint in hints {
            by_queue.entry(&hint.queue).or_default().push(hint);
        }
        let mut pipeline = redis::pipe();
        for (queue, hints) in by_queue {
            let key = self.key(queue);
            for batch in hints.chunks(BATCH) {
                let command = pipeline.cmd("ZADD").arg(&key).arg("NX");
                for hint in batch {
                    command.arg(hint.score).arg(hint.key.to_string());
                }
                command.ignore();
            }
        }
        self.run_all(pipeline).await
    }

    async fn remove(&self, keys: &[(QueueName, AttemptKey)]) -> Result<(), QueueError> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut by_queue: HashMap<&QueueName, Vec<&AttemptKey>> = HashMap::new();
        for (queue, key) in keys {
            by_queue.entry(queue).or_default().push(key);
        }
        let mut pipeline = redis::pipe();
        for (queue, keys) in by_queue {
            let name = self.key(queue);
            for batch in keys.chunks(BATCH) {
                let command = pipeline.cmd("ZREM").arg(&name);
                for key in batch {
                    command.arg(key.to_string());
                }
                command.ignore();
            }
        }
        self.run_all(pipeline).await
    }

    async fn pop(
        &self,
        queues: &[QueueName],
        max: usize,
        wait: Duration,
    ) -> Result<Vec<(QueueName, AttemptKey)>, QueueError> {
        if max == 0 || queues.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = queues.iter().map(|queue| self.key(queue)).collect();
        let ask = |mut command: redis::Cmd| {
            command.arg(keys.len());
            for key in &keys {
                command.arg(key);
            }
            command.arg("MIN").arg("COUNT").arg(max);
            command
        };
        if wait.is_zero() {
            let answer = self.run(ask(redis::cmd("ZMPOP"))).await?;
            return self.popped(queues, &keys, answer);
        }
        let deadline = Instant::now() + wait;
        let (connection, answer) = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (mut connection, was_idle) = self.waiting_connection(left).await?;
            let mut command = redis::cmd("BZMPOP");
            // Zero would wait for ever.
            command.arg(left.as_secs_f64().max(0.001));
            let command = ask(command);
            let call = command.query_async(&mut connection);
            match tokio::time::timeout(left + COMMAND_TIMEOUT, call).await {
                Ok(Ok(answer)) => break (connection, answer),
                // A connection that was idle may have died long ago; so may have the others.
                Ok(Err(error)) if was_idle && error.is_io_error() => lock(&self.idle).clear(),
                // The connection is dropped with what may still come over it.
                Ok(Err(error)) => return Err(self.failed(&error)),
                Err(_) => {
                    return Err(QueueError::Unavailable(format!("Redis at {} did not end a pop in time", self.place)));
                }
            }
        };
        {
            let mut idle = lock(&self.idle);
            if idle.len() < MAX_IDLE {
                idle.push(connection);
            }
        }
        self.popped(queues, &keys, answer)
    }

    async fn contains(&self, queue: &QueueName, keys: &[AttemptKey]) -> Result<Vec<bool>, QueueError> {
        let name = self.key(queue);
        let mut found = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH) {
            let mut command = redis::cmd("ZMSCORE");
            command.arg(&name);
            for key in batch {
                command.arg(key.to_string());
            }
            let scores: Vec<Option<f64>> = self.run(command).await?;
            found.extend(scores.iter().map(Option::is_some));
        }
        Ok(found)
    }

    async fn depths(&self, queues: &[QueueName]) -> Result<Vec<QueueDepth>, QueueError> {
        if queues.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for queue in queues {
            pipeline.cmd("ZCARD").arg(self.key(queue));
        }
        let counts: Vec<u64> = self.run_all(pipeline).await?;
        Ok(queues.iter().zip(counts).map(|(queue, hints)| QueueDepth { queue: queue.clone(), hints }).collect())
    }

    async fn generation(&self) -> Result<Option<Uuid>, QueueError> {
        let mut command = redis::cmd("GET");
        command.arg(self.generation_key());
        let text: Option<String> = self.run(command).await?;
        text.map(|text| {
            Uuid::parse_str(&text)
                .map_err(|error| QueueError::Broken(format!("the generation \"{text}\" in Redis: {error}")))
        })
        .transpose()
    }

    async fn set_generation(&self, generation: Uuid) -> Result<(), QueueError> {
        let mut command = redis::cmd("SET");
        command.arg(self.generation_key()).arg(generation.to_string());
        self.run(command).await
    }

    async fn ping(&self) -> Result<Duration, QueueError> {
        let before = Instant::now();
        let () = self.run(redis::cmd("PING")).await?;
        Ok(before.elapsed())
    }
}
