//! Flags of `verify`, and the flags that say whom to trust.

use std::path::PathBuf;

use clap::Args;

/// Judge images
#[derive(Args, Debug, Default)]
#[command(after_help = "Examples:\n  \
    trustctl verify registry.example/shop/cart:1.4 --policy policy.toml\n  \
    trustctl verify registry.example/shop/cart:1.4 --key cosign.pub\n  \
    trustctl verify registry.example/shop/cart:1.4 --identity dev@example.com --issuer https://accounts.example\n  \
    trustctl verify docker.io/me/app:1.0 --dct-root 77d38dd19065ba20dbd1f5bbd01fac526ab3eddfeb88f58f38954bb4c368a732")]
pub struct VerifyArgs {
    /// The images, by tag or digest
    #[arg(value_name = "IMAGE", required_unless_present_any = ["oci_layout", "evidence"])]
    pub images: Vec<String>,
    /// Judge as of this time instead of now, as in 2026-12-01T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Make no request: judge by evidence, layout or what is cached
    #[arg(long)]
    pub offline: bool,
    /// Save everything that was fetched about the image to this file; for one image
    #[arg(long, value_name = "FILE", conflicts_with = "evidence")]
    pub save_evidence: Option<PathBuf>,
    /// Judge evidence that was saved earlier; implies --offline
    #[arg(long, value_name = "FILE", conflicts_with = "images")]
    pub evidence: Option<PathBuf>,
    /// Judge an image in an OCI image layout folder; IMAGE then names the repository it stands for
    #[arg(long, value_name = "DIR", conflicts_with = "evidence")]
    pub oci_layout: Option<PathBuf>,
    /// Neither read nor store what was seen before (rollback state)
    #[arg(long)]
    pub danger_no_memory: bool,
    /// Whom to trust; last, because its heading holds for what follows.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// Whom to trust
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Whom to trust")]
pub struct TrustArgs {
    /// Policy, keys and identities.
    #[command(flatten)]
    pub signers: SignersArgs,
    /// Demand this signed annotation (repeatable)
    #[arg(long, short, value_name = "NAME=VALUE", requires = "key")]
    pub annotation: Vec<String>,
    /// Trust the Notary collection with this root key id (repeatable; any one suffices)
    #[arg(long, value_name = "KEYID", conflicts_with = "policy")]
    pub dct_root: Vec<String>,
    /// Trust Notary collections by whatever root is seen first
    #[arg(long, conflicts_with = "policy")]
    pub danger_trust_on_first_use: bool,
    /// The Notary server of every registry
    #[arg(long, env = "DOCKER_CONTENT_TRUST_SERVER", value_name = "URL")]
    pub dct_server: Option<String>,
}

/// Whose signatures and attestations count
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Whom to trust")]
pub struct SignersArgs {
    /// Judge by this policy file; else by TRUSTCTL_POLICY, else by the policy of the user or the machine
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "identity_given"])]
    pub policy: Option<PathBuf>,
    /// Trust what this public key signed: a PEM file, a stored key's name or env:NAME (repeatable; any one suffices)
    #[arg(long, value_name = "KEY")]
    pub key: Vec<String>,
    /// Trust what this identity signed, * for any characters
    #[arg(long, value_name = "IDENTITY", requires = "issuer_given", group = "identity_given")]
    pub identity: Option<String>,
    /// Trust what the identities signed that this regular expression matches whole
    #[arg(long, value_name = "REGEX", requires = "issuer_given", group = "identity_given")]
    pub identity_regex: Option<String>,
    /// The OIDC issuer that vouches for the identity, * for any characters
    #[arg(long, value_name = "URL", requires = "identity_given", group = "issuer_given")]
    pub issuer: Option<String>,
    /// The OIDC issuers that this regular expression matches whole
    #[arg(long, value_name = "REGEX", requires = "identity_given", group = "issuer_given")]
    pub issuer_regex: Option<String>,
    /// The instance that judges.
    #[command(flatten)]
    pub instance: InstanceArgs,
    /// Look for Cosign's artifacts in this repository instead of the image's
    #[arg(long, env = "COSIGN_REPOSITORY", value_name = "REPOSITORY")]
    pub signature_repository: Option<String>,
}

/// Which Sigstore instance judges certificates, log entries and timestamps
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Whom to trust")]
pub struct InstanceArgs {
    /// Judge certificates, log entries and timestamps with this trusted root, instead of the public-good Sigstore instance's
    #[arg(long, value_name = "FILE")]
    pub trusted_root: Option<PathBuf>,
    /// Judge certificates, log entries and timestamps with this pinned Sigstore instance, instead of the public-good one
    #[arg(long, value_name = "NAME", conflicts_with = "trusted_root")]
    pub sigstore: Option<String>,
}

impl From<&SignersArgs> for TrustArgs {
    /// The same without Docker Content Trust, which attests nothing.
    fn from(signers: &SignersArgs) -> Self {
        Self { signers: signers.clone(), ..Self::default() }
    }
}
