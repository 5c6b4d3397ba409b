//! Flags of `attest`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::sign::VouchingArgs;
use super::verify::SignersArgs;

/// Attest something about images, or judge, list and download what is attested
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  \
    trustctl attest registry.example/shop/cart@sha256:… --type spdxjson --predicate sbom.json --key cosign.key\n  \
    trustctl attest registry.example/shop/cart@sha256:… --statement provenance.intoto.json --key cosign.key\n  \
    trustctl attest verify registry.example/shop/cart:1.4 --type spdxjson --key cosign.pub\n  \
    trustctl attest list registry.example/shop/cart:1.4"
)]
pub struct AttestArgs {
    /// Judging, listing and downloading.
    #[command(subcommand)]
    pub command: Option<AttestCommand>,
    /// The images, by digest; by tag only with --resolve-tag
    #[arg(value_name = "IMAGE@DIGEST", required = true)]
    pub images: Vec<String>,
    /// What is attested.
    #[command(flatten)]
    pub saying: SayingArgs,
    /// Resolve the tag once, print the digest, and attest that
    #[arg(long)]
    pub resolve_tag: bool,
    /// Attest the same about every platform image that an index names
    #[arg(long, short)]
    pub recursive: bool,
    /// Where the attestation is stored
    #[arg(long, value_enum, default_value_t = AttestStorage::Bundle, value_name = "FORM")]
    pub storage: AttestStorage,
    /// Show what would be published, and publish nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Identities, and who vouches for what is attested.
    #[command(flatten)]
    pub vouching: VouchingArgs,
    /// The Cosign key: a file, the name of a stored key, its fingerprint, or env:NAME
    #[arg(long, value_name = "KEY", help_heading = "Keys and servers")]
    pub key: Option<String>,
    /// Where the key's passphrase is: a file, env:NAME or keyring:NAME; else the usual variables, else a prompt
    #[arg(long, value_name = "SOURCE", help_heading = "Keys and servers")]
    pub passphrase: Option<String>,
    /// Put the attestation into this repository instead of the image's
    #[arg(long, env = "COSIGN_REPOSITORY", value_name = "REPOSITORY", help_heading = "Keys and servers")]
    pub signature_repository: Option<String>,
}

/// What is attested
#[derive(Args, Clone, Debug, Default)]
pub struct SayingArgs {
    /// The type of the predicate: slsaprovenance, slsaprovenance02, slsaprovenance1, link, spdx, spdxjson, cyclonedx, vuln, openvex, custom, or its URI
    #[arg(long = "type", value_name = "TYPE", required_unless_present = "statement")]
    pub kind: Option<String>,
    /// What is attested: a file, or - for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "statement")]
    pub predicate: Option<PathBuf>,
    /// A complete in-toto statement to sign as it is, about all that is named and nothing else: a file, or - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kind", "predicate"])]
    pub statement: Option<PathBuf>,
}

/// Where attestations are stored
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AttestStorage {
    /// A bundle v0.3 as a referrer of the image (cosign 3)
    Bundle,
    /// A layer under the tag sha256-….att (cosign 1 and 2)
    Legacy,
    /// Both
    Both,
}

/// What to do with attestations that are there
#[derive(Debug, Subcommand)]
pub enum AttestCommand {
    /// Judge whether what is attested about images does
    Verify(AttestVerifyArgs),
    /// List what is attested about an image, marked proven, claimed or broken
    List(AttestListArgs),
    /// Hand out what is attested about an image, once it is verified
    Download(AttestDownloadArgs),
}

/// Judge attestations
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    trustctl attest verify registry.example/shop/cart:1.4 --type vuln --policy policy.toml\n  \
    trustctl attest verify registry.example/shop/cart:1.4 --type slsaprovenance1 --key cosign.pub")]
pub struct AttestVerifyArgs {
    /// The images, by tag or digest
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
    /// The type of the predicate: a short name or a URI
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: String,
    /// Judge as of this time instead of now, as in 2026-12-01T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Whose word counts.
    #[command(flatten)]
    pub trust: SignersArgs,
}

/// List attestations
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  trustctl attest list registry.example/shop/cart:1.4 --key cosign.pub")]
pub struct AttestListArgs {
    /// The image, by tag or digest
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Only those of this type: a short name or a URI
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Whose word counts; without, only what the public-good Sigstore instance vouches for is proven.
    #[command(flatten)]
    pub trust: SignersArgs,
}

/// Download an attestation
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  trustctl attest download registry.example/shop/cart:1.4 --type spdxjson --key cosign.pub -o sbom.json"
)]
pub struct AttestDownloadArgs {
    /// The image, by tag or digest
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// The type of the predicate: a short name or a URI
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: String,
    /// Write it to this file instead of standard output
    #[arg(long, short = 'o', value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// What is handed out
    #[arg(long, value_enum, default_value_t = AttestPart::Predicate, value_name = "PART")]
    pub part: AttestPart,
    /// The one whose statement has this digest, as attest list shows it
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<String>,
    /// Hand out what nobody vouches for
    #[arg(long, conflicts_with_all = ["policy", "key", "identity_given"])]
    pub danger_unverified: bool,
    /// Whose word counts.
    #[command(flatten)]
    pub trust: SignersArgs,
}

/// What is handed out of an attestation
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AttestPart {
    /// What is said
    Predicate,
    /// What is said, and about which digests: the in-toto statement
    Statement,
    /// The statement with its signature: the DSSE envelope
    Envelope,
}
