//! The Myelin homeserver: a command line, and the parts wired together.

mod cli;
mod embedded_postgres;
mod listeners;
mod pages;
mod serve;
mod telemetry;

/// Less memory and fewer stalls than the system's allocator under many small, short-lived values.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    cli::run(std::env::args_os().collect())
}
