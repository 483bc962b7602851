//! The `tradewind` binary: every role and the command line.

/// Small allocations from many threads are what a scheduler does all day.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tradewind_cli::main()
}
