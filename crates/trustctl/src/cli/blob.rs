//! Flags of `blob`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::attest::SayingArgs;
use super::sign::VouchingArgs;
use super::verify::InstanceArgs;

/// What to do with files
#[derive(Debug, Subcommand)]
pub enum BlobCommand {
    /// Sign a file, and verify the bundle that was made
    Sign(BlobSignArgs),
    /// Judge a file by its bundle
    Verify(BlobVerifyArgs),
    /// Attest something about a file, or judge what is attested
    Attest(Box<BlobAttestArgs>),
}

/// Attest something about a file
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  \
    trustctl blob attest release.tar.gz --type slsaprovenance1 --predicate provenance.json --key release\n  \
    trustctl blob attest verify release.tar.gz --type slsaprovenance1 --key release.pub"
)]
pub struct BlobAttestArgs {
    /// Judging.
    #[command(subcommand)]
    pub command: Option<BlobAttestCommand>,
    /// The file
    #[arg(value_name = "FILE", required = true)]
    pub file: Option<PathBuf>,
    /// What is attested.
    #[command(flatten)]
    pub saying: SayingArgs,
    /// Write the bundle here; FILE.attestation.sigstore.json when nothing is said
    #[arg(long, value_name = "BUNDLE")]
    pub bundle: Option<PathBuf>,
    /// The key: a file, the name of a stored key, its fingerprint, or env:NAME
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Where the key's passphrase is: a file, env:NAME or keyring:NAME; else the usual variables, else a prompt
    #[arg(long, value_name = "SOURCE")]
    pub passphrase: Option<String>,
    /// Identities and services; last, because their heading holds for what follows.
    #[command(flatten)]
    pub vouching: VouchingArgs,
}

/// What to do with an attestation that is there
#[derive(Debug, Subcommand)]
pub enum BlobAttestCommand {
    /// Judge what is attested about a file
    #[command(
        mut_arg("predicate_type", |arg| arg.required(true).help("The predicate type: a URI or a short name such as slsaprovenance1")),
        mut_arg("bundle", |arg| arg.help("The bundle; FILE.attestation.sigstore.json when nothing is said")),
        after_help = "Example:\n  trustctl blob attest verify release.tar.gz --type slsaprovenance1 --key release.pub"
    )]
    Verify(BlobVerifyArgs),
}

/// Sign a file
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  trustctl blob sign release.tar.gz --key release\n  trustctl blob sign release.tar.gz --identity-token env:TOKEN"
)]
pub struct BlobSignArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write the bundle here; FILE.sigstore.json when nothing is said
    #[arg(long, value_name = "BUNDLE")]
    pub bundle: Option<PathBuf>,
    /// The key: a file, the name of a stored key, its fingerprint, or env:NAME
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Where the key's passphrase is: a file, env:NAME or keyring:NAME; else the usual variables, else a prompt
    #[arg(long, value_name = "SOURCE")]
    pub passphrase: Option<String>,
    /// Identities and services; last, because their heading holds for what follows.
    #[command(flatten)]
    pub vouching: VouchingArgs,
}

/// Whether a log entry is demanded
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Log {
    /// No
    Optional,
    /// Yes
    Required,
}

/// Judge a file
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    trustctl blob verify release.tar.gz --key release.pub\n  \
    trustctl blob verify release.tar.gz --identity dev@example.com --issuer https://accounts.example\n  \
    trustctl blob verify sha256:… --bundle release.sigstore.json --key release.pub")]
pub struct BlobVerifyArgs {
    /// The file, or its digest
    #[arg(value_name = "FILE|sha256:HEX")]
    pub file: String,
    /// The bundle; FILE.sigstore.json when nothing is said
    #[arg(long, value_name = "BUNDLE")]
    pub bundle: Option<PathBuf>,
    /// Demand an attestation of this predicate type instead of a signature: a URI or a short name such as slsaprovenance1
    #[arg(long = "type", value_name = "TYPE")]
    pub predicate_type: Option<String>,
    /// Whether a proven log entry is demanded; required for identities of Sigstore, optional for keys and with --ca, as the policy says for its signers
    #[arg(long, value_enum, value_name = "WHETHER")]
    pub log: Option<Log>,
    /// Judge as of this time instead of now, as in 2026-12-01T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Trust this signer of the policy, with all that the policy demands of it but rules, which are about images
    #[arg(long, value_name = "NAME", help_heading = "Whom to trust", conflicts_with_all = ["key", "identity_given", "issuer_given", "trusted_root", "sigstore"])]
    pub signer: Option<String>,
    /// The policy that names the signer; else the one of TRUSTCTL_POLICY, the user or the machine
    #[arg(long, value_name = "FILE", help_heading = "Whom to trust", requires = "signer")]
    pub policy: Option<PathBuf>,
    /// Trust signatures by this public key: a PEM file, a stored key's name or env:NAME
    #[arg(long, value_name = "KEY", help_heading = "Whom to trust", conflicts_with_all = ["identity_given", "ca"])]
    pub key: Option<String>,
    /// Trust signatures by this identity, * for any characters
    #[arg(long, value_name = "IDENTITY", help_heading = "Whom to trust", group = "identity_given")]
    pub identity: Option<String>,
    /// Trust signatures by the identities that this regular expression matches whole
    #[arg(long, value_name = "REGEX", help_heading = "Whom to trust", group = "identity_given")]
    pub identity_regex: Option<String>,
    /// The OIDC issuer that vouches for the identity, * for any characters
    #[arg(long, value_name = "URL", help_heading = "Whom to trust", requires = "identity_given", group = "issuer_given")]
    pub issuer: Option<String>,
    /// The OIDC issuers that this regular expression matches whole
    #[arg(long, value_name = "REGEX", help_heading = "Whom to trust", requires = "identity_given", group = "issuer_given")]
    pub issuer_regex: Option<String>,
    /// Trust certificates of these authorities (PEM) in place of a Sigstore instance's
    #[arg(long, value_name = "FILE", help_heading = "Whom to trust", requires = "identity_given")]
    pub ca: Option<PathBuf>,
    /// Certificates between --ca and the one that signed (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Whom to trust", requires = "ca")]
    pub ca_intermediates: Option<PathBuf>,
    /// The instance that judges.
    #[command(flatten)]
    pub instance: InstanceArgs,
}
