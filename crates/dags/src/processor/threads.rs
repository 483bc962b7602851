//! Calls of the parser from tasks that may move between threads.

use std::future::Future;

use tradewind_guest::Parser;

/// Does something with the parser on a thread that waits for it: its futures take asynchronous closures, which the compiler
/// cannot tell to be `Send`. The caller bounds how many are at it at once.
pub(crate) async fn on_thread<T, F>(parser: &Parser, work: impl FnOnce(Parser) -> F + Send + 'static) -> T
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let (parser, runtime) = (parser.clone(), tokio::runtime::Handle::current());
    match tokio::task::spawn_blocking(move || runtime.block_on(work(parser))).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}
