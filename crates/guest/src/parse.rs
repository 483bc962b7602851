//! Parses DAG files in children of a zygote of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::api::{Deprecation, FileNotes, GuestEnv, GuestError, ImportError, ParseRequest, ParsedFile};
use crate::channels::job_channels;
use crate::control::{Control, Job, JobEvent, os_error};
use crate::parse_asks::answer_until_result;
use crate::wire;

/// Largest result of one file.
const MAX_RESULT_BYTES: u64 = 256 << 20;
/// How much of what a file prints is kept, for the case that it crashes.
const KEPT_OUTPUT_BYTES: usize = 16 << 10;
/// How long the channels of an ended child are read on, when something that it started holds them open.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);
/// The exit code of a child that has an answer and no way to hand it in (`parse_host.py`).
const NO_CHANNEL: i32 = 124;
/// CPU time beyond the wall-clock limit, after which the kernel ends a child that nothing else has ended.
const CPU_MARGIN_SECS: u64 = 5;

/// Parses DAG files, each in a process of its own that is forked from a warm interpreter. Clones share the
/// interpreter; it starts on first use and again when it has died. Calls may overlap: the caller bounds how many.
#[derive(Debug, Clone)]
pub struct Parser {
    env: Arc<GuestEnv>,
    zygote: Arc<Mutex<Option<Arc<Control>>>>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    dags: Vec<Value>,
    errors: Vec<AnswerError>,
    warnings: Vec<String>,
    #[serde(default)]
    deprecations: Vec<Deprecation>,
    imported_files: Vec<std::path::PathBuf>,
    notes: Option<FileNotes>,
    skipped: bool,
}

#[derive(Debug, Deserialize)]
struct AnswerError {
    message: String,
    line: Option<u32>,
    traceback: Option<String>,
}

impl Parser {
    /// A parser for this environment. Nothing is started yet.
    pub fn new(env: GuestEnv) -> Self {
        Self { env: Arc::new(env), zygote: Arc::default() }
    }

    /// Parses one file. Whatever the file does is a [`ParsedFile`]; an error means that no parse took place.
    pub async fn parse(&self, request: ParseRequest) -> Result<ParsedFile, GuestError> {
        let file = request.dags_root.join(&request.file);
        let (request, file) = (&request, &file);
        self.with_zygote(|zygote| async move { parse_in(&zygote, request, file).await }).await
    }

    /// Does something with the interpreter. One that dies meanwhile is replaced once: it may have died of old age, not of
    /// the file.
    pub(crate) async fn with_zygote<T, F>(&self, work: impl Fn(Arc<Control>) -> F) -> Result<T, GuestError>
    where
        F: Future<Output = Result<T, GuestError>> + Send,
    {
        for last in [false, true] {
            let zygote = self.zygote().await?;
            match work(zygote).await {
                Err(GuestError::ZygoteLost(reason)) if !last => {
                    tracing::warn!(reason, "parse zygote was lost, starting another one");
                }
                done => return done,
            }
        }
        Err(GuestError::ZygoteLost("it died twice".to_owned()))
    }

    /// Ends the interpreter. A later parse starts another one.
    pub async fn shutdown(&self) {
        let zygote = self.zygote.lock().await.take();
        if let Some(zygote) = zygote {
            zygote.stop().await;
        }
    }

    async fn zygote(&self) -> Result<Arc<Control>, GuestError> {
        let mut zygote = self.zygote.lock().await;
        if let Some(running) = zygote.as_ref().filter(|zygote| zygote.is_alive()) {
            return Ok(Arc::clone(running));
        }
        let started = Arc::new(Control::start(&self.env).await?);
        *zygote = Some(Arc::clone(&started));
        Ok(started)
    }
}

/// Parses one file with an interpreter that is started for it: for commands that need a single parse.
pub async fn parse_file(env: &GuestEnv, request: ParseRequest) -> Result<ParsedFile, GuestError> {
    let parser = Parser::new(env.clone());
    let parsed = parser.parse(request).await;
    parser.shutdown().await;
    parsed
}

/// How a child that was to answer ended.
pub(crate) struct ChildEnd {
    /// What it wrote, if that is a whole frame and it was in time.
    pub(crate) answer: Option<Vec<u8>>,
    end: (Option<i32>, Option<i32>),
    timed_out: bool,
    timeout: Duration,
    output: Vec<u8>,
}

impl ChildEnd {
    /// Why there is no answer; `doing` says what the child did, e.g. `parsed the file`.
    pub(crate) fn why(&self, file: &Path, doing: &str) -> ImportError {
        ended_early(self, file, doing)
    }
}

async fn parse_in(zygote: &Control, request: &ParseRequest, file: &Path) -> Result<ParsedFile, GuestError> {
    let started = Instant::now();
    let end = run_child(zygote, "parse", &prelude(request, file), request).await?;
    let answer = end.answer.as_deref().and_then(|answer| serde_json::from_slice(answer).ok());
    let mut parsed = match answer {
        Some(answer) => parsed_file(answer),
        None => ParsedFile { import_error: Some(end.why(file, "parsed the file")), ..ParsedFile::default() },
    };
    parsed.duration = started.elapsed();
    Ok(parsed)
}

/// Has a child do something that is answered in one frame, and ends it when that takes too long.
pub(crate) async fn run_child(
    zygote: &Control,
    kind: &str,
    prelude: &Value,
    request: &ParseRequest,
) -> Result<ChildEnd, GuestError> {
    let (started, timeout) = (Instant::now(), request.timeout);
    let prelude = wire::json_frame(prelude).map_err(os_error("encode a request to a parser"))?;
    let (mut channels, ends) = job_channels().map_err(os_error("make the parser's channels"))?;
    let mut job = zygote.fork(kind, ends).await?;
    let killer = job.killer();

    let (mut answer, mut stdout, mut stderr) = (None, Vec::new(), Vec::new());
    let mut timed_out = false;
    let end = {
        let talk = async {
            wire::write_all(&mut channels.requests, &prelude).await?;
            let host = request.host.as_deref();
            answer = Some(answer_until_result(&mut channels.requests, host, MAX_RESULT_BYTES).await?);
            Ok::<_, std::io::Error>(())
        };
        let io = async { tokio::join!(talk, tail(channels.stdout, &mut stdout), tail(channels.stderr, &mut stderr)) };
        let (mut io, mut ended) = (std::pin::pin!(io), std::pin::pin!(end_of(&mut job)));
        let mut io_done = false;
        let end = loop {
            tokio::select! {
                end = &mut ended => break end,
                _ = &mut io, if !io_done => io_done = true,
                () = tokio::time::sleep_until(started + timeout), if !timed_out => {
                    timed_out = true;
                    killer.kill().await;
                }
            }
        };
        // What the file forked may hold the channels open for as long as it likes; all that the child said is in them.
        if !io_done {
            let _ = tokio::time::timeout(DRAIN_TIMEOUT, io).await;
        }
        end
    };
    let answer = answer.filter(|_| !timed_out);
    Ok(ChildEnd { answer, end: end?, timed_out, timeout, output: [stdout, stderr].concat() })
}

pub(crate) fn prelude(request: &ParseRequest, file: &Path) -> Value {
    json!({
        "dags_root": request.dags_root,
        "file": file,
        "bundle_name": request.bundle_name,
        "memory_limit_bytes": request.memory_limit_bytes,
        "cpu_limit_secs": request.timeout.as_secs() + CPU_MARGIN_SECS,
        "import_timeout_secs": request.timeout.mul_f64(0.9).as_secs_f64(),
        "variables": request.variables,
        "connections": request.connections,
        "asks": request.host.is_some(),
        "author": request.with_notes,
    })
}

fn parsed_file(answer: Answer) -> ParsedFile {
    let line = answer.errors.iter().find_map(|error| error.line);
    let joined = |texts: Vec<&str>, separator| (!texts.is_empty()).then(|| texts.join(separator));
    let message = joined(answer.errors.iter().map(|error| error.message.as_str()).collect(), "\n");
    let traceback = joined(answer.errors.iter().filter_map(|error| error.traceback.as_deref()).collect(), "\n\n");
    ParsedFile {
        dags: answer.dags,
        import_error: message.map(|message| ImportError { message, line, traceback }),
        warnings: answer.warnings,
        deprecations: answer.deprecations,
        imported_files: answer.imported_files,
        notes: answer.notes,
        skipped: answer.skipped,
        duration: Duration::ZERO,
    }
}

async fn end_of(job: &mut Job) -> Result<(Option<i32>, Option<i32>), GuestError> {
    loop {
        match job.event().await {
            Some(JobEvent::Forked { .. }) => {}
            Some(JobEvent::Exited { code, signal, .. }) => return Ok((code, signal)),
            Some(JobEvent::ForkFailed { error }) => {
                return Err(GuestError::Os { action: "fork a parser", source: std::io::Error::other(error) });
            }
            None => return Err(GuestError::ZygoteLost("it ended during a parse".to_owned())),
        }
    }
}

fn ended_early(child: &ChildEnd, file: &Path, doing: &str) -> ImportError {
    let message = match child.end {
        _ if child.timed_out => {
            let limit = child.timeout.as_secs_f64();
            format!("the process that {doing} was not done after {limit} s and was stopped (limit: parse timeout)")
        }
        (_, Some(9 | 24)) => {
            format!("the process that {doing} was killed: it used up its CPU time, or the machine's memory")
        }
        (_, Some(11)) => "the file crashed the interpreter (segmentation fault in native code)".to_owned(),
        (_, Some(signal)) => format!("the process that {doing} was ended by signal {signal}"),
        (Some(NO_CHANNEL), None) => {
            "the file closed the channel over which its result goes: it closes file descriptors \
             that it did not open (os.closerange, os.close?)"
                .to_owned()
        }
        (Some(125 | 126), None) => "the parser failed before it came to the file; its output says why".to_owned(),
        (code, None) => format!(
            "the file ended the process that {doing} with exit code {} (does it call os._exit?)",
            code.unwrap_or(-1)
        ),
    };
    let text = String::from_utf8_lossy(&child.output).trim().to_owned();
    ImportError { message, line: line_of(&text, file), traceback: (!text.is_empty()).then_some(text) }
}

/// The line at which Python's fault handler saw the file.
fn line_of(text: &str, file: &Path) -> Option<u32> {
    let place = format!("File \"{}\", line ", file.display());
    let (_, rest) = text.split_once(&place)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Reads to the end and keeps the last part.
async fn tail(mut from: impl AsyncRead + Unpin, kept: &mut Vec<u8>) {
    let mut chunk = [0; 8 << 10];
    while let Ok(read) = from.read(&mut chunk).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(&chunk[..read]);
        if kept.len() > 2 * KEPT_OUTPUT_BYTES {
            kept.drain(..kept.len() - KEPT_OUTPUT_BYTES);
        }
    }
}
