//! The command line as data: every command, flag and help text. It depends on nothing but the table of reason codes, so that help, man pages, completions
//! and the reference are made from the same tree.
//!
//! Rules: OBJECT VERB except the everyday verbs; a flag means the same everywhere; imperative mood; secrets never as arguments;
//! danger is spelled `--danger-…`.

mod anchor;
mod attest;
mod blob;
mod containerd;
mod key;
mod lab;
mod policy;
mod proxy;
mod quick;
mod sign;
mod verify;

use std::ffi::OsStr;
use std::sync::LazyLock;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Args, Parser, Subcommand, ValueEnum};
use trustctl_core::reason::Code;

pub use anchor::{AnchorCommand, ExportAnchorArgs, ForgetAnchorArgs, ListAnchorsArgs, PinAnchorArgs, UpdateAnchorArgs};
pub use attest::{
    AttestArgs, AttestCommand, AttestDownloadArgs, AttestListArgs, AttestPart, AttestStorage, AttestVerifyArgs, SayingArgs,
};
pub use blob::{BlobAttestArgs, BlobAttestCommand, BlobCommand, BlobSignArgs, BlobVerifyArgs, Log};
pub use containerd::ContainerdVerifierArgs;
pub use key::{KeyCommand, KeyFormat, KeyKindArg};
pub use lab::{LabCommand, LabUpArgs};
pub use policy::PolicyCommand;
pub use proxy::{
    AuditCommand, AuditFileArgs, AuditTailArgs, AuditVerifyArgs, BreakGlassArgs, CheckProxyArgs, ClientArg, ClientConfigArgs,
    DoctorArgs, EngineArg, ProxyCommand, RunProxyArgs,
};
pub use sign::{
    CompleteArgs, DctArgs, IfLogDown, InspectArgs, RevokeArgs, RevokeReason, SchemeArg, SignArgs, SigningArgs, StorageArg,
    VouchingArgs,
};
pub use verify::{InstanceArgs, SignersArgs, TrustArgs, VerifyArgs};

/// Decide which container images may run, and prove why
#[derive(Debug, Parser)]
#[command(name = "trustctl", version, max_term_width = 100, arg_required_else_help = true, after_help = EXITS)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
}

const EXITS: &str = "Exit codes: 0 done or trusted, 1 rejected, 2 usage, 3 unsigned, 4 undecided, 5 credentials,\n\
6 not found, 7 policy or configuration, 8 conflict. Every reason has a code: trustctl explain CODE";

/// How long one image may take when nothing is said.
const TIMEOUT: &str = "60s";

/// Flags that every command takes
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Print text for people, or one JSON object
    #[arg(long, global = true, value_enum, default_value_t = Output::Text, value_name = "FORM")]
    pub output: Output,
    /// Colour the text
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    /// Print nothing but the answer
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Print what is done, with counts
    #[arg(long, short, global = true)]
    pub verbose: bool,
    /// Never ask; fail and name the flag that was missing
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Spend at most this long on judging or showing an image, and on each step of a publication, as in 60s or 5m
    #[arg(long, global = true, default_value = TIMEOUT, value_name = "DURATION")]
    pub timeout: String,
    /// Speak plain HTTP to this registry or server (repeatable); loopback needs no flag
    #[arg(long, global = true, value_name = "HOST[:PORT]")]
    pub plain_http: Vec<String>,
    /// Use the published example keys of the documentation
    #[arg(long, global = true)]
    pub danger_example_keys: bool,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            output: Output::Text,
            color: Color::Auto,
            quiet: false,
            verbose: false,
            no_input: false,
            timeout: TIMEOUT.to_owned(),
            plain_http: Vec::new(),
            danger_example_keys: false,
        }
    }
}

/// The form of the answer
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people
    Text,
    /// One JSON object on stdout, also on failure
    Json,
}

/// When to colour
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge images by a policy, keys or pinned roots
    Verify(VerifyArgs),
    /// Sign an image, named by its digest, and verify what was published
    Sign(SignArgs),
    /// Finish the signatures that wait in the queue because a signing service was down
    Complete(CompleteArgs),
    /// Withdraw an image, and prove that it is withdrawn
    Revoke(RevokeArgs),
    /// Show every piece of evidence about an image, marked proven, claimed or broken
    Inspect(InspectArgs),
    /// Attest something about images, or judge, list and download what is attested
    Attest(Box<AttestArgs>),
    /// Sign and verify files
    #[command(subcommand)]
    Blob(BlobCommand),
    /// Generate, list, show, import, export and delete signing keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Write, check, explain and test policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Show, fetch, pin and export what trust begins with
    #[command(subcommand)]
    Anchor(AnchorCommand),
    /// Serve trusted images to every client, and refuse all others
    #[command(subcommand)]
    Proxy(ProxyCommand),
    /// Judge an image for containerd, which calls this from its folder of verifiers
    ContainerdVerifier(ContainerdVerifierArgs),
    /// Explain a reason code such as TC0204
    Explain(ExplainArgs),
    /// Watch an image being refused, signed, accepted, attacked and revoked, on this machine alone
    Demo(DemoArgs),
    /// Run a throw-away registry, Notary server and Sigstore on this machine, to rehearse with
    #[command(subcommand)]
    Lab(LabCommand),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all pages to a folder
    Man(ManArgs),
}

/// Explain a reason code
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  trustctl explain TC0204")]
pub struct ExplainArgs {
    /// A code such as TC0204, or its name; all codes when none is given
    #[arg(value_name = "CODE", value_parser = Codes, hide_possible_values = true)]
    pub code: Option<String>,
}

/// Takes any text, and offers the reason codes to shells that complete it.
#[derive(Clone, Copy, Debug)]
struct Codes;

impl TypedValueParser for Codes {
    type Value = String;

    fn parse_ref(&self, command: &clap::Command, argument: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        static IDS: LazyLock<Vec<(String, &str)>> =
            LazyLock::new(|| Code::ALL.iter().map(|code| (code.id(), code.summary())).collect());
        Some(Box::new(IDS.iter().map(|(id, summary)| PossibleValue::new(id.as_str()).help(*summary))))
    }
}

/// Run the demo
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  trustctl demo")]
pub struct DemoArgs {
    /// Leave the throw-away registry and Notary server running, and print commands to play with
    #[arg(long)]
    pub keep: bool,
}

/// Print completions
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  trustctl completions bash")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Print the manual
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  trustctl man")]
pub struct ManArgs {
    /// Write one page a command into this folder
    #[arg(long, value_name = "DIR")]
    pub to: Option<std::path::PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_tree_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn help_texts_are_imperative_lines_without_a_full_stop() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty() && !help.ends_with('.'), "{} {}: {help:?}", command.get_name(), argument.get_id());
            }
            for sub in command.get_subcommands() {
                let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
                assert!(!about.is_empty() && !about.ends_with('.'), "{}: {about:?}", sub.get_name());
                // What the program starts itself is for nobody to type.
                let examples = sub.get_after_help().is_some() || sub.has_subcommands() || sub.is_hide_set();
                assert!(examples || sub.get_name() == "help", "{} has no example", sub.get_name());
                check(sub);
            }
        }
        check(&super::Cli::command());
    }
}
