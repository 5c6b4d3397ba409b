//! Flags of `sign`, `revoke` and `inspect`.

use clap::{ArgAction, Args, ValueEnum};

use super::verify::TrustArgs;

/// Sign images
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    trustctl sign registry.example/shop/cart@sha256:… --key cosign.key --tag 1.4\n  \
    trustctl sign registry.example/shop/cart@sha256:… --tag 1.4 --identity-token env:SIGSTORE_ID_TOKEN\n  \
    trustctl sign registry.example/shop/cart:1.4 --resolve-tag --scheme dct --scheme cosign --key cosign.key")]
pub struct SignArgs {
    /// The images, by digest; by tag only with --resolve-tag
    #[arg(value_name = "IMAGE@DIGEST", required = true)]
    pub images: Vec<String>,
    /// Resolve the tag once, print the digest, and sign that
    #[arg(long)]
    pub resolve_tag: bool,
    /// The tag to name in the signature; DCT signs a tag always
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// Sign the index and every platform image it names (Cosign)
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub recursive: bool,
    /// Sign this annotation too (repeatable; Cosign)
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub annotation: Vec<String>,
    /// Where Cosign signatures are stored
    #[arg(long, value_enum, default_value_t = StorageArg::Bundle, value_name = "FORM")]
    pub storage: StorageArg,
    /// Show what would be published, and publish nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What to do when a signing service is down: fail, or keep what is finished in a queue for trustctl complete, and end with 4
    #[arg(long, value_enum, default_value_t = IfLogDown::Fail, value_name = "WHAT")]
    pub if_log_down: IfLogDown,
    /// The folder of the queue; in the state folder when nothing is said
    #[arg(long, value_name = "DIR", env = "TRUSTCTL_QUEUE")]
    pub queue: Option<std::path::PathBuf>,
    /// Identities, and who vouches for signatures.
    #[command(flatten)]
    pub vouching: VouchingArgs,
    /// Keys and servers; last, because their headings hold for what follows.
    #[command(flatten)]
    pub signing: SigningArgs,
}

/// What to do when a signing service is down
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IfLogDown {
    /// Fail, and keep nothing
    Fail,
    /// Keep what is finished in the queue
    Queue,
}

/// Finish the signatures that wait in the queue
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    trustctl complete\n  \
    trustctl complete registry.example/shop/cart@sha256:… --queue pending")]
pub struct CompleteArgs {
    /// Finish only what is about these images alone; everything when none is given
    #[arg(value_name = "IMAGE@DIGEST")]
    pub images: Vec<String>,
    /// The folder of the queue; in the state folder when nothing is said
    #[arg(long, value_name = "DIR", env = "TRUSTCTL_QUEUE")]
    pub queue: Option<std::path::PathBuf>,
    /// The Cosign key, where one has to sign anew: a file, the name of a stored key, its fingerprint, or env:NAME
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Where the key's passphrase is: a file, env:NAME or keyring:NAME; else the usual variables, else a prompt
    #[arg(long, value_name = "SOURCE")]
    pub passphrase: Option<String>,
    /// Identities, and who vouches for signatures.
    #[command(flatten)]
    pub vouching: VouchingArgs,
}

/// Identities, and who vouches for signatures
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Identity and log")]
pub struct VouchingArgs {
    /// Sign as the identity in this token: a file, or env:NAME; else with a token of the CI system, else sign in
    #[arg(long, value_name = "SOURCE", conflicts_with = "key")]
    pub identity_token: Option<String>,
    /// Ask the services that this file names, instead of the public-good Sigstore's; with --key, have its log vouch for the signature
    #[arg(long, value_name = "FILE")]
    pub signing_config: Option<std::path::PathBuf>,
    /// Judge what those services answer with this trusted root, instead of the public-good Sigstore instance's
    #[arg(long, value_name = "FILE")]
    pub trusted_root: Option<std::path::PathBuf>,
    /// Ask the services of this pinned Sigstore instance, and judge what they answer with its trusted root; with --key, have its log vouch
    #[arg(long, value_name = "NAME", conflicts_with = "trusted_root")]
    pub sigstore: Option<String>,
    /// Sign in at this OpenID Connect issuer, and take tokens of no other
    #[arg(long, value_name = "URL", conflicts_with = "key")]
    pub oidc_issuer: Option<String>,
    /// The audience of tokens, and the client that signs in
    #[arg(long, value_name = "ID", default_value = "sigstore")]
    pub oidc_client_id: String,
    /// Sign in on another device: show a code instead of opening a browser
    #[arg(long, conflicts_with_all = ["key", "identity_token"])]
    pub device: bool,
}

/// Where Cosign signatures are stored
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StorageArg {
    /// A bundle v0.3 as a referrer of the image (cosign 3)
    Bundle,
    /// A layer under the tag sha256-….sig (cosign 1 and 2, skopeo)
    Legacy,
    /// Both
    Both,
}

/// Which scheme
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemeArg {
    /// Cosign
    Cosign,
    /// Docker Content Trust
    Dct,
}

/// Keys and servers
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Keys and servers")]
pub struct SigningArgs {
    /// Use this scheme (repeatable); cosign when a key is given and nothing is said
    #[arg(long, value_enum, value_name = "SCHEME")]
    pub scheme: Vec<SchemeArg>,
    /// The Cosign key: a file, the name of a stored key, its fingerprint, or env:NAME
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Where the key's passphrase is: a file, env:NAME or keyring:NAME; else the usual variables, else a prompt
    #[arg(long, value_name = "SOURCE")]
    pub passphrase: Option<String>,
    /// Put Cosign's artifacts into this repository instead of the image's
    #[arg(long, env = "COSIGN_REPOSITORY", value_name = "REPOSITORY")]
    pub signature_repository: Option<String>,
    /// Flags of Docker Content Trust.
    #[command(flatten)]
    pub dct: DctArgs,
}

/// Flags of Docker Content Trust
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Docker Content Trust")]
pub struct DctArgs {
    /// The Notary server of every registry
    #[arg(long, env = "DOCKER_CONTENT_TRUST_SERVER", value_name = "URL")]
    pub dct_server: Option<String>,
    /// The trust directory with keys; ~/.docker/trust when nothing is said
    #[arg(long, value_name = "DIR")]
    pub trust_dir: Option<std::path::PathBuf>,
    /// The pinned root key id of the collection (repeatable; any one suffices)
    #[arg(long, value_name = "KEYID")]
    pub dct_root: Vec<String>,
    /// Sign as this signer: the delegation targets/NAME
    #[arg(long, value_name = "NAME")]
    pub signer: Option<String>,
    /// Make the signer one of the collection's, where it has others already
    #[arg(long, requires = "signer")]
    pub add_signer: bool,
    /// Change just this role (repeatable); Docker's rule picks when nothing is said
    #[arg(long, value_name = "ROLE")]
    pub role: Vec<String>,
}

/// Withdraw an image
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    trustctl revoke registry.example/shop/cart@sha256:… --key cosign.key --reason compromised --message 'CVE-2026-1234'\n  \
    trustctl revoke registry.example/shop/cart:1.4 --scheme dct --reason superseded --message 'use 1.5'")]
pub struct RevokeArgs {
    /// The image: by digest for Cosign, by tag for DCT
    #[arg(value_name = "IMAGE[@DIGEST]")]
    pub image: String,
    /// Why it is withdrawn
    #[arg(long, value_enum, value_name = "REASON")]
    pub reason: RevokeReason,
    /// Words for those who are refused
    #[arg(long, value_name = "TEXT")]
    pub message: String,
    /// Resolve the tag once, print the digest, and revoke that
    #[arg(long)]
    pub resolve_tag: bool,
    /// Revoke the platform images of an index too (Cosign)
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub recursive: bool,
    /// Leave this signer's own signatures in place, and only add the revocation (Cosign)
    #[arg(long)]
    pub keep_signatures: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Show what would be changed, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Keys and servers; last, because their headings hold for what follows.
    #[command(flatten)]
    pub signing: SigningArgs,
}

/// Why an image is withdrawn
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RevokeReason {
    /// Its content or its signing key is in the wrong hands
    Compromised,
    /// It was signed by mistake
    Mistake,
    /// Something newer replaces it
    Superseded,
}

impl RevokeReason {
    /// The word in the signed statement.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Compromised => "compromised",
            Self::Mistake => "mistake",
            Self::Superseded => "superseded",
        }
    }
}

/// Show the evidence about an image
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  trustctl inspect registry.example/shop/cart:1.4\n  trustctl inspect --docker-json docker.io/me/app"
)]
pub struct InspectArgs {
    /// The image, or for --docker-json a repository
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Print what docker trust inspect prints
    #[arg(long)]
    pub docker_json: bool,
    /// Read an OCI image layout folder instead of a registry
    #[arg(long, value_name = "DIR")]
    pub oci_layout: Option<std::path::PathBuf>,
    /// Whom to trust; without, nothing is marked proven but what DCT pins prove.
    #[command(flatten)]
    pub trust: TrustArgs,
}
