//! The enroute binary: arguments, clock, wiring, signals, shutdown,
//! and the terminal view. What the commands do is in `args`; start reading at
//! [`run`].
//!
//! Not here: anything about patients, frames or alerts; the other crates own that.

mod access;
mod alerts;
mod args;
mod audit;
mod backup;
mod bench;
mod broker;
mod certs;
mod client;
mod clock;
mod demo;
mod export;
mod fleet;
mod gateway;
mod glass;
mod healthz;
mod identities;
mod identity;
mod import;
mod intake;
mod keys;
mod latency;
mod log;
mod login;
mod metrics;
mod oidc;
mod out;
mod protection;
mod recordings;
mod reevaluate;
mod replay;
mod report;
mod restore;
mod rules;
mod serve;
mod server;
mod simulate;
mod stop;
mod transfer;
mod utc;
mod watch;

use args::{Cli, Command};
use clap::Parser;
use enroute_config::ConfigError;
use std::process::ExitCode;

/// The system's makes a frame cost a third more. A build that is not optimized counts
/// allocations (`bench check`), with an allocator of its own.
#[cfg(not(debug_assertions))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Something failed; the last line said what.
const FAILED: u8 = 1;
/// Wrong arguments or configuration.
const WRONG: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("failed to start threads")),
    };
    let ended = runtime.block_on(run(cli));
    // What still runs was told to stop; it is not waited for.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(error) if out::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let log = cli.log.as_deref();
    match cli.command {
        Command::Demo(args) => demo::run(args, log).await,
        Command::Serve(args) => serve::run(args, log).await,
        Command::Bench(args) => bench::run(args, log).await,
        Command::Backup(args) => backup::run(args, log).await,
        Command::Restore(args) => restore::run(args, log).await,
        Command::Reevaluate(args) => reevaluate::run(args, log).await,
        Command::Alerts(args) => report::run(args, log).await,
        Command::Replay(args) => replay::run(args, log).await,
        Command::Recordings(args) => recordings::run(args, log).await,
        Command::Export(args) => export::run(args, log).await,
        Command::Import(args) => import::run(args, log).await,
        Command::Gateway(args) => gateway::run(args, log).await,
        Command::Simulate(args) => simulate::run(args, log).await,
        Command::Transfer(args) => transfer::run(args, log).await,
        Command::Certs(args) => certs::run(&args),
        Command::Token(args) => access::run(args),
        Command::Keys(args) => keys::run(&args),
        Command::Identity(args) => identity::run(args, log).await,
        Command::Glass(args) => glass::run(args, log).await,
        Command::Audit(args) => audit::run(&args),
        Command::Rules(args) => rules::run(args, log),
        Command::Watch(args) => watch::run(args, log).await,
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the last word of a command that failed"
)]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("enroute: {}", chain(error));
    let wrong = error.downcast_ref::<ConfigError>().is_some()
        || error.downcast_ref::<rules::Refused>().is_some()
        || error.downcast_ref::<broker::Wrong>().is_some();
    ExitCode::from(if wrong { WRONG } else { FAILED })
}

/// What failed and why, each cause once: some errors of libraries and of ours say their
/// cause themselves.
fn chain(error: &anyhow::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    let told = causes.reduce(|told, cause| {
        if told.ends_with(&cause) {
            told
        } else {
            format!("{told}: {cause}")
        }
    });
    told.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::chain;

    #[test]
    fn a_cause_is_said_once() {
        let says_it = anyhow::anyhow!("no room").context("failed to open it: no room");
        let error = says_it.context("cannot start");
        assert_eq!(chain(&error), "cannot start: failed to open it: no room");
    }
}
