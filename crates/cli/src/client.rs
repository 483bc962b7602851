//! Calls the admin service: finds the leader, waits out a failover, and says clearly when nobody answers.

use std::{cell::RefCell, path::PathBuf, time::Duration};

use tonic::{Response, Status};
use tradewind_proto::{AuthChannel, ClientOptions, LeaderClient, admin_client, v1};
use tradewind_types::{ApiError, ErrorCode};

use crate::errors::{CliError, Exit};

/// How long a command waits for a leader while some scheduler answers: longer than a failover takes.
const FAILOVER_PATIENCE: Duration = Duration::from_secs(10);

/// A client of the admin service.
pub type Admin = v1::admin_service_client::AdminServiceClient<AuthChannel>;

/// What a call answers.
type Answer<T> = Result<Response<T>, Status>;

/// The schedulers, as commands see them.
#[derive(Clone)]
pub struct Client {
    leader: LeaderClient,
    addresses: Vec<String>,
    patience: Duration,
    /// The home folder in which no token was found.
    without_token: Option<PathBuf>,
    verbose: bool,
}

/// What a failed call says of what happened to it.
struct Failure {
    error: ApiError,
    /// No connection: the call was never sent.
    unreachable: bool,
    /// The answer came from a scheduler and not from the network.
    answered: bool,
}

impl Client {
    /// A client; nothing is connected before the first call.
    ///
    /// # Errors
    /// An address is not usable.
    pub fn new(options: ClientOptions, without_token: Option<PathBuf>, verbose: bool) -> Result<Self, CliError> {
        let addresses = options.addresses.clone();
        Ok(Self { leader: LeaderClient::new(options)?, addresses, patience: FAILOVER_PATIENCE, without_token, verbose })
    }

    /// A call that changes nothing: repeated while it may help.
    ///
    /// # Errors
    /// What the scheduler answered, or that none does.
    pub async fn read<T>(&self, call: impl AsyncFn(Admin) -> Answer<T>) -> Result<T, CliError> {
        self.repeat(true, call).await
    }

    /// A call that changes something: repeated only while it certainly was not carried out.
    ///
    /// # Errors
    /// What the scheduler answered, or that none does.
    pub async fn write<T>(&self, call: impl AsyncFn(Admin) -> Answer<T>) -> Result<T, CliError> {
        self.repeat(false, call).await
    }

    async fn repeat<T>(&self, idempotent: bool, call: impl AsyncFn(Admin) -> Answer<T>) -> Result<T, CliError> {
        let deadline = tokio::time::Instant::now() + self.patience;
        let mut pause = Duration::from_millis(10);
        let mut unreachable_in_a_row = 0;
        loop {
            let address = self.leader.address();
            let failure = match self.once(&call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if self.verbose {
                crate::output::note(&format!("{address}: {} ({})", failure.error.message, failure.error.code.as_str()));
            }
            unreachable_in_a_row = if failure.unreachable { unreachable_in_a_row + 1 } else { 0 };
            let may_repeat = failure.error.code == ErrorCode::NotLeader
                || failure.unreachable
                || (idempotent && failure.error.code == ErrorCode::Unavailable);
            // Each address had its turn and none answered: nothing is running, so waiting does not help. A scheduler
            // that answers makes it worth waiting for the next leader.
            let nobody = unreachable_in_a_row >= self.addresses.len();
            if !may_repeat || nobody || tokio::time::Instant::now() + pause > deadline {
                return Err(self.explain(failure, &address));
            }
            if unreachable_in_a_row == 0 {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(250));
            }
        }
    }

    async fn once<T>(&self, call: &impl AsyncFn(Admin) -> Answer<T>) -> Result<T, Failure> {
        // `LeaderClient` hands on an `ApiError`, which does not say where it came from: look at the status on its way.
        let seen = RefCell::new(Seen::default());
        let result =
            self.leader
                .once(|channel| {
                    let seen = &seen;
                    async move {
                        call(admin_client(channel)).await.inspect_err(|status| *seen.borrow_mut() = Seen::of(status))
                    }
                })
                .await;
        let Seen { no_connection, answered } = seen.into_inner();
        result.map_err(|mut error| {
            let unreachable = no_connection.is_some();
            if let Some(cause) = no_connection {
                error.message = cause;
            }
            Failure { error, unreachable, answered }
        })
    }

    fn explain(&self, failure: Failure, address: &str) -> CliError {
        let Failure { error, unreachable, answered } = failure;
        if unreachable {
            let (tried, are) = match self.addresses.as_slice() {
                [one] => (one.clone(), "at"),
                several => (several.join(", "), "at any of"),
            };
            return CliError::new(Exit::Unavailable, format!("no scheduler answers {are} {tried}: {}", error.message))
                .with_hint(
                    "start one with `tradewind standalone`, or name another with --scheduler ADDR or client.schedulers",
                );
        }
        let code = error.code;
        let mut shown = CliError::from(error);
        match (code, &self.without_token) {
            (ErrorCode::Unauthenticated, Some(home)) => shown.with_hint(format!(
                "there is no token in {}; set security.admin_token, --token, or --home to the folder of the standalone \
                 process",
                home.display()
            )),
            (ErrorCode::Unauthenticated, None) => {
                shown.with_hint("check security.admin_token, --token, and the admin.token file in the home folder")
            }
            (ErrorCode::NotLeader, _) => {
                shown.message = format!("no scheduler leads at the moment (asked {address}): {}", shown.message);
                shown.with_hint("see `tradewind scheduler status`; a standby takes over within seconds")
            }
            (ErrorCode::Unavailable | ErrorCode::Internal, _) if !answered => {
                shown.exit = Exit::Unavailable;
                shown.message = format!("the call to {address} failed: {}", shown.message);
                shown.with_hint("is it a Tradewind scheduler of this version? See its log")
            }
            _ => shown,
        }
    }
}

/// Where a status came from.
#[derive(Default)]
struct Seen {
    /// Why there is no connection.
    no_connection: Option<String>,
    /// A scheduler made it.
    answered: bool,
}

impl Seen {
    fn of(status: &Status) -> Self {
        let causes = || std::iter::successors(std::error::Error::source(status), |error| error.source());
        let no_connection = causes().any(|error| error.is::<tonic::ConnectError>()).then(|| {
            let root = causes().last().map_or_else(|| status.message().to_owned(), ToString::to_string);
            root.split(" (os error").next().unwrap_or_default().to_lowercase()
        });
        Self { no_connection, answered: !status.details().is_empty() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    /// A server that takes each call and breaks the connection without an answer; counts them.
    async fn breaking() -> (Client, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = vec![format!("http://{}", listener.local_addr().unwrap())];
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut buffer = [0; 1024];
                let _ = stream.read(&mut buffer).await;
            }
        });
        let options = ClientOptions { addresses, ..ClientOptions::default() };
        let client = Client { patience: Duration::from_millis(500), ..Client::new(options, None, false).unwrap() };
        (client, calls)
    }

    #[tokio::test]
    async fn a_write_that_may_have_been_carried_out_is_not_repeated() {
        let (client, calls) = breaking().await;
        let request = v1::TriggerRunRequest { dag_id: "d".to_owned(), ..Default::default() };
        let error = client.write(async |mut admin| admin.trigger_run(request.clone()).await).await.unwrap_err();
        assert_eq!(error.exit, Exit::Unavailable, "{error}");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_read_is_repeated_until_patience_ends() {
        let (client, calls) = breaking().await;
        let error = client.read(async |mut admin| admin.list_pools(v1::Empty {}).await).await.unwrap_err();
        assert_eq!(error.exit, Exit::Unavailable, "{error}");
        assert!(calls.load(Ordering::SeqCst) > 1);
    }
}
