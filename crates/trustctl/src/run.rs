//! The commands: each module carries out one, by wiring schemes, keys and network together.

mod anchor;
mod attest;
mod blob;
mod complete;
mod containerd;
mod dct;
mod demo;
mod docs;
mod explain;
mod inspect;
mod key;
mod keychain;
mod lab;
mod manifests;
mod network;
mod policy;
mod policy_cases;
mod proxy;
mod queue;
mod revoke;
mod sign;
mod signer;
mod sigstore;
mod trust;
mod turn;
mod verify;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory as _;
use clap::error::ErrorKind;
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

use crate::cli::{Cli, Command, Global, Output, ProxyCommand};
use crate::config::Environment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;
use crate::ui::{self, Ui};

/// One run of the program: how it talks, and what the machine says.
#[derive(Clone)]
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

    /// All of them, owned.
    #[must_use]
    pub fn boxed(self) -> Vec<Box<dyn Scheme + Send + Sync>> {
        vec![Box::new(self.dct), Box::new(self.cosign)]
    }

    /// The same, asking for payloads also where their digests say what they are.
    #[must_use]
    pub fn fetching_payloads(mut self) -> Self {
        self.cosign.fetch_payloads = true;
        self
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
    let demanded = policy.rules.iter().flat_map(|rule| &rule.attestations).map(|demand| demand.predicate_type.clone());
    let attestation_types: BTreeSet<String> = demanded.collect();
    let read_attestations = !attestation_types.is_empty();
    Schemes { cosign: Cosign { signature_repository, read_attestations, attestation_types, ..Cosign::default() }, dct: Dct }
}

/// Runs the program with the arguments of this process; the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::read(&command_line()) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let environment = Environment::read();
    let ui = Ui::new(&cli.global, &environment);
    let session = Session { ui: ui.clone(), environment, global: cli.global };
    let verifies = matches!(cli.command, Command::Verify(_));
    let exit = runtime(&cli.command).and_then(|runtime| {
        let exit = runtime.block_on(run_or_stop(&session, &cli.command));
        if matches!(cli.command, Command::ContainerdVerifier(_)) {
            // It has an answer, and containerd does not wait for a name that is still looked up.
            runtime.shutdown_background();
        }
        exit
    });
    let exit = exit.unwrap_or_else(|failure| report(&ui, verifies, &failure));
    ExitCode::from(said(&ui, exit).code())
}

/// The words of this process. Those of `help` end at the first flag: it knows commands only, and prints text whatever is asked for.
fn command_line() -> Vec<OsString> {
    let words = containerd::words(std::env::args_os());
    if words.get(1).is_none_or(|word| word != "help") {
        return words;
    }
    words.into_iter().take_while(|word| !word.to_string_lossy().starts_with('-')).collect()
}

/// One thread does for whatever ends soon; a server takes all processors.
fn runtime(command: &Command) -> Result<tokio::runtime::Runtime, Failure> {
    /// After so long without work, a thread that waits for the disk ends. They take turns, so more than are needed would never end, and
    /// the heap of each would grow to what the largest job takes (measured); the next thread takes the heap of the last that ended.
    const IDLE: Duration = Duration::from_millis(100);
    let built = match command {
        Command::Proxy(ProxyCommand::Run(_)) => {
            tokio::runtime::Builder::new_multi_thread().thread_keep_alive(IDLE).enable_all().build()
        }
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    built.map_err(|error| Failure::new(Reason::new(Code::ConfigUnusable, format!("no runtime: {error}"))))
}

/// Runs the command, or stops when the user interrupts it.
async fn run_or_stop(session: &Session, command: &Command) -> Result<Exit, Failure> {
    if let Command::Proxy(ProxyCommand::Run(_)) = command {
        // It finishes its answers before it stops.
        return carry_out(session, command).await;
    }
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
        Command::Complete(args) => complete::run(session, args).await,
        Command::Revoke(args) => revoke::run(session, args).await,
        Command::Inspect(args) => inspect::run(session, args).await,
        Command::Attest(args) => attest::run(session, args).await,
        Command::Demo(args) => demo::run(session, args).await,
        Command::Lab(command) => lab::run(session, command).await,
        Command::Blob(command) => blob::run(session, command).await,
        Command::Key(command) => key::run(session, command),
        Command::Policy(command) => policy::run(session, command),
        Command::Anchor(command) => anchor::run(session, command).await,
        Command::Proxy(command) => proxy::run(session, command).await,
        Command::ContainerdVerifier(args) => containerd::run(session, args).await,
        Command::Explain(args) => explain::explain(&session.ui, args),
        Command::Completions(args) => Ok(docs::completions(&session.ui, args)),
        Command::Man(args) => docs::man(&session.ui, args),
    }
}

/// Says what is wrong with the command line, or prints the help that was asked for.
fn usage(error: &clap::Error) -> ExitCode {
    let words: Vec<String> = command_line().iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let wants_json = words.iter().any(|word| word == "--output=json")
        || words.windows(2).any(|pair| matches!(pair, [flag, form] if flag == "--output" && form == "json"));
    if !error.use_stderr() || (error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !wants_json) {
        let unwritten = ui::unwritten(error.print().and_then(|()| std::io::stdout().flush()));
        let exit = match unwritten {
            _ if error.use_stderr() => Exit::Usage,
            Some(reason) => Exit::of_code(reason.code),
            None => Exit::Done,
        };
        return ExitCode::from(exit.code());
    }
    let output = if wants_json { Output::Json } else { Output::Text };
    let ui = Ui::new(&Global { output, ..Global::default() }, &Environment::read());
    let path = command_path(&words);
    let verifies = path.first().is_some_and(|name| name == "verify");
    let failure = bad_command_line(error, &path);
    if path.first().is_some_and(|name| name == containerd::COMMAND) {
        containerd::say_blocked(&ui, &failure.reason);
    }
    ExitCode::from(report(&ui, verifies, &failure).code())
}

/// The exit code of a run whose answer may not have been written: then nobody may take it for done.
fn said(ui: &Ui, exit: Exit) -> Exit {
    let Some(reason) = ui.unwritten() else { return exit };
    render::failure(ui, &Failure::new(reason.clone()));
    if exit == Exit::Done { Exit::of_code(reason.code) } else { exit }
}

/// Clap's error as a reason: its words without its marks, and its tips as steps.
fn bad_command_line(error: &clap::Error, path: &[String]) -> Failure {
    let code = match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => Code::BadValue,
        _ => Code::BadCommandLine,
    };
    let (mut message, mut steps) = (Vec::new(), Vec::new());
    let told = error.to_string();
    let ends = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more information");
    for line in told.lines().map(str::trim).take_while(ends).filter(|line| !line.is_empty()) {
        match line.strip_prefix("tip: ") {
            Some(tip) => steps.push(Step::words(tip)),
            None => message.push(line.strip_prefix("error: ").unwrap_or(line)),
        }
    }
    if matches!(error.kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand) {
        message = vec!["a command is missing"];
    }
    let help = ["trustctl"].into_iter().chain(path.iter().map(String::as_str)).chain(["--help"]);
    steps.push(Step::command("see what it takes", help));
    steps.into_iter().fold(Failure::usage(code, message.join(" ")), Failure::step)
}

/// The commands that the words name, such as `key generate`.
fn command_path(words: &[String]) -> Vec<String> {
    let mut command = Cli::command();
    let mut path = Vec::new();
    for word in words {
        if let Some(sub) = command.find_subcommand(word).cloned() {
            path.push(sub.get_name().to_owned());
            command = sub;
        } else if !path.is_empty() && !word.starts_with('-') {
            break;
        }
    }
    path
}

/// Says why a run failed; its exit code. A verification has a report of its own.
fn report(ui: &Ui, verifies: bool, failure: &Failure) -> Exit {
    if ui.json() {
        let report = if verifies {
            serde_json::to_string(&verify::failed(failure))
        } else {
            let error = ReasonReport::new(&failure.reason);
            serde_json::to_string(&json!({ "schema": "trustctl/error/v1", "exit": failure.exit.code(), "error": error }))
        };
        ui.say(report.unwrap_or_default());
    }
    match failure.exit {
        Exit::Interrupted => ui.note("stopped"),
        _ => render::failure(ui, failure),
    }
    failure.exit
}

impl Session {
    /// The end of the time that one image may take, from now on.
    ///
    /// # Errors
    /// A usage [`Failure`] when `--timeout` is not a duration.
    pub fn deadline(&self) -> Result<Deadline, Failure> {
        let text = &self.global.timeout;
        let expected = "not a duration: write a whole number and s, m, h, d or w, like 60s or 5m";
        let span = parse_age(text).map_err(|_| Failure::bad_value("--timeout", text, expected))?;
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
            Some(text) => text.parse().map_err(|error| Failure::bad_value("--at", text, error)),
            None => Ok(clock()),
        }
    }
}

/// The time of this machine's clock, in whole seconds.
#[must_use]
pub fn clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(since.as_secs()))
}

/// The image that a text names.
///
/// # Errors
/// A usage [`Failure`] with the text and what is wrong with it.
pub fn parse_image(text: &str) -> Result<Reference, Failure> {
    text.parse().map_err(|error| Failure::usage(Code::BadReference, format!("\"{text}\": {error}")))
}
