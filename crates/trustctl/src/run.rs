//! The commands: each module carries out one, by wiring schemes, keys and network together.

mod dct;
mod demo;
mod docs;
mod explain;
mod inspect;
mod key;
mod keychain;
mod network;
mod policy;
mod policy_cases;
mod revoke;
mod sign;
mod sigstore;
mod trust;
mod verify;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use serde_json::json;
use trustctl_core::policy::Policy;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::reference::{Reference, Repository};
use trustctl_core::report::ReasonReport;
use trustctl_core::scheme::Scheme;
use trustctl_core::time::{Timestamp, parse_age};
use trustctl_dct::scheme::Dct;
use trustctl_remote::limits::Deadline;
use trustctl_remote::state::Store;
use trustctl_sigstore::scheme::Cosign;

use crate::cli::{Cli, Command, Global};
use crate::config::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;
use crate::ui::{self, Ui};

/// One run of the program: how it talks, and what the machine says.
pub struct Session {
    /// How it talks.
    pub ui: Ui,
    /// Where things are.
    pub environment: Environment,
    /// The flags every command takes.
    pub global: Global,
}

/// The schemes this program has.
pub struct Schemes {
    cosign: Cosign,
    dct: Dct,
}

impl Schemes {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> [&dyn Scheme; 2] {
        [&self.dct, &self.cosign]
    }

    /// Cosign's.
    #[must_use]
    pub fn cosign(&self) -> &Cosign {
        &self.cosign
    }
}

/// The schemes as `policy` needs them, with Cosign's artifacts in `signature_repository` where one is named.
#[must_use]
pub fn schemes(policy: &Policy, signature_repository: Option<Repository>) -> Schemes {
    let read_attestations = policy.rules.iter().any(|rule| !rule.attestations.is_empty());
    Schemes { cosign: Cosign { signature_repository, read_attestations }, dct: Dct }
}

/// Runs the program with the arguments of this process; the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let environment = Environment::read();
    let session = Session { ui: Ui::new(&cli.global, &environment), environment, global: cli.global };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let exit = match runtime {
        Ok(runtime) => runtime.block_on(run_or_stop(&session, &cli.command)),
        Err(error) => Err(Failure::new(Reason::new(Code::ConfigUnusable, format!("no runtime: {error}")))),
    };
    let exit = exit.unwrap_or_else(|failure| report(&session.ui, &cli.command, &failure));
    ExitCode::from(said(&session.ui, exit).code())
}

/// Runs the command, or stops when the user interrupts it.
async fn run_or_stop(session: &Session, command: &Command) -> Result<Exit, Failure> {
    tokio::select! {
        // First, since whatever the command was doing fails by the same interruption.
        biased;
        Ok(()) = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        done = carry_out(session, command) => done,
    }
}

async fn carry_out(session: &Session, command: &Command) -> Result<Exit, Failure> {
    // A verification has these among its own remarks.
    if !matches!(command, Command::Verify(_)) {
        session.dangers().iter().for_each(|danger| render::warning(&session.ui, danger));
    }
    match command {
        Command::Verify(args) => verify::run(session, args).await,
        Command::Sign(args) => sign::run(session, args).await,
        Command::Revoke(args) => revoke::run(session, args).await,
        Command::Inspect(args) => inspect::run(session, args).await,
        Command::Demo(args) => demo::run(session, args).await,
        Command::Key(command) => key::run(session, command),
        Command::Policy(command) => policy::run(session, command),
        Command::Explain(args) => explain::explain(&session.ui, args),
        Command::Completions(args) => Ok(docs::completions(&session.ui, args)),
        Command::Man(args) => docs::man(&session.ui, args),
    }
}

/// Clap's own message; with `--output json` an object on stdout as for every other failure.
fn usage(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args().any(|word| word == "--output=json")
        || std::env::args().zip(std::env::args().skip(1)).any(|(one, two)| one == "--output" && two == "json");
    if error.use_stderr() && wants_json {
        let words = error.to_string();
        let lines = words.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:")).filter(|line| !line.is_empty());
        let message = lines.collect::<Vec<_>>().join(" ");
        let report = json!({ "schema": "trustctl/error/v1", "exit": Exit::Usage.code(), "error": { "message": message } });
        drop(ui::write_line(&report.to_string()));
    }
    let unwritten = ui::unwritten(error.print().and_then(|()| std::io::stdout().flush()));
    let exit = match unwritten {
        _ if error.use_stderr() => Exit::Usage,
        Some(reason) => Exit::of_code(reason.code),
        None => Exit::Done,
    };
    ExitCode::from(exit.code())
}

/// The exit code of a run whose answer may not have been written: then nobody may take it for done.
fn said(ui: &Ui, exit: Exit) -> Exit {
    let Some(reason) = ui.unwritten() else { return exit };
    render::failure(ui, reason);
    if exit == Exit::Done { Exit::of_code(reason.code) } else { exit }
}

/// Says why a run failed; its exit code.
fn report(ui: &Ui, command: &Command, failure: &Failure) -> Exit {
    if ui.json() {
        let report = match command {
            Command::Verify(_) => serde_json::to_string(&verify::failed(failure)),
            _ => {
                let error = ReasonReport::new(&failure.reason);
                serde_json::to_string(&json!({ "schema": "trustctl/error/v1", "exit": failure.exit.code(), "error": error }))
            }
        };
        ui.say(report.unwrap_or_default());
    }
    match failure.exit {
        Exit::Interrupted => ui.note("stopped"),
        _ => render::failure(ui, &failure.reason),
    }
    failure.exit
}

impl Session {
    /// The end of the time that one image may take, from now on.
    ///
    /// # Errors
    /// A usage [`Failure`] when `--timeout` is not an age.
    pub fn deadline(&self) -> Result<Deadline, Failure> {
        let text = &self.global.timeout;
        let span = parse_age(text).map_err(|error| Failure::usage(Code::BadReference, format!("--timeout {text}: {error}")))?;
        Ok(Deadline::after(span))
    }

    /// What was seen before.
    ///
    /// # Errors
    /// [`Code::ConfigUnusable`] where there is no place for it: without memory there is no protection against rollback, and going without
    /// it is for the user to say.
    pub fn store(&self) -> Result<Store, Failure> {
        let Some(state) = &self.environment.state else {
            let words = "there is no folder for what was seen before: neither XDG_STATE_HOME nor HOME is set to an absolute path";
            let step = Step::words("set HOME; to verify without protection against rollback, give --danger-no-memory");
            return Err(Failure::new(Reason::new(Code::ConfigUnusable, words).step(step)));
        };
        Ok(Store::new(state))
    }

    /// A remark for each flag that lowers the safety of every command.
    #[must_use]
    pub fn dangers(&self) -> Vec<Reason> {
        let words =
            "--danger-example-keys: the private halves of the example keys are published, so that anybody can sign with them";
        if self.global.danger_example_keys { vec![Reason::new(Code::Danger, words)] } else { Vec::new() }
    }

    /// The time a judgement is made as of: the given one, or now.
    ///
    /// # Errors
    /// A usage [`Failure`] when the text is not a time.
    pub fn now(&self, at: Option<&str>) -> Result<Timestamp, Failure> {
        match at {
            Some(text) => text.parse().map_err(|error| Failure::usage(Code::BadReference, format!("--at {text}: {error}"))),
            None => Ok(clock()),
        }
    }
}

/// The time of this machine's clock, in whole seconds.
#[must_use]
pub fn clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::UNIX_EPOCH.saturating_add(std::time::Duration::from_secs(since.as_secs()))
}

/// The image that a text names.
///
/// # Errors
/// A usage [`Failure`] with the text and what is wrong with it.
pub fn parse_image(text: &str) -> Result<Reference, Failure> {
    text.parse().map_err(|error| Failure::usage(Code::BadReference, format!("\"{text}\": {error}")))
}
