//! Flags of `anchor`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to do with what trust begins with
#[derive(Debug, Subcommand)]
pub enum AnchorCommand {
    /// List what trust begins with: Sigstore instances, pins, and the keys of the policy in force
    #[command(after_help = "Example:\n  trustctl anchor list --policy policy.toml")]
    List(ListAnchorsArgs),
    /// Fetch the newest trusted root of the public-good Sigstore instance, or of another one
    #[command(
        after_help = "Examples:\n  trustctl anchor update\n  trustctl anchor update --all\n  trustctl anchor update corp --policy policy.toml"
    )]
    Update(UpdateAnchorArgs),
    /// Remember a private Sigstore instance, or the root key of a Notary collection
    #[command(after_help = "Examples:\n  \
        trustctl anchor pin --name corp --url https://tuf.corp.example --root root.json\n  \
        trustctl anchor pin --name corp --trusted-root trusted_root.json\n  \
        trustctl anchor pin --repository docker.io/me/app --dct-root 77d38dd19065ba20dbd1f5bbd01fac526ab3eddfeb88f58f38954bb4c368a732")]
    Pin(PinAnchorArgs),
    /// Write a trusted root, and the signing config where there is one, for use without a network
    #[command(after_help = "Example:\n  trustctl anchor export --to anchors")]
    Export(ExportAnchorArgs),
    /// Forget a pin, and what was seen of its repository
    #[command(after_help = "Example:\n  trustctl anchor forget corp --yes")]
    Forget(ForgetAnchorArgs),
}

/// List anchors
#[derive(Args, Debug)]
pub struct ListAnchorsArgs {
    /// The policy; the one in force when none is given
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
}

/// Fetch trusted roots
#[derive(Args, Debug)]
pub struct UpdateAnchorArgs {
    /// The instance, as pinned or as the policy names it; public-good when none is given
    #[arg(value_name = "NAME", default_value = "public-good")]
    pub name: String,
    /// Every instance: the public-good one, those of the policy, and those that are pinned
    #[arg(long, conflicts_with_all = ["name", "mirror"])]
    pub all: bool,
    /// The policy that names it; the one in force when none is given
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Fetch from this address instead, such as a mirror: what is fetched proves itself
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
}

/// Pin an anchor
#[derive(Args, Debug)]
pub struct PinAnchorArgs {
    /// The name of a Sigstore instance, for verify --sigstore
    #[arg(long, value_name = "NAME", required_unless_present = "repository", conflicts_with = "repository")]
    pub name: Option<String>,
    /// The address of the instance's TUF repository
    #[arg(long, value_name = "URL", requires_all = ["name", "root"])]
    pub url: Option<String>,
    /// The root metadata that trust in that repository begins with
    #[arg(long, value_name = "FILE", requires = "url")]
    pub root: Option<PathBuf>,
    /// The instance's trusted root, where it has no repository
    #[arg(long, value_name = "FILE", requires = "name", conflicts_with_all = ["url", "root"])]
    pub trusted_root: Option<PathBuf>,
    /// The repository of a Notary collection
    #[arg(long, value_name = "REPOSITORY", requires = "dct_root")]
    pub repository: Option<String>,
    /// The collection's root key id (repeatable; any one suffices)
    #[arg(long, value_name = "KEYID", requires = "repository")]
    pub dct_root: Vec<String>,
}

/// Write anchors
#[derive(Args, Debug)]
pub struct ExportAnchorArgs {
    /// The instance, as pinned or as the policy names it; public-good when none is given
    #[arg(value_name = "NAME", default_value = "public-good")]
    pub name: String,
    /// The policy that names it; the one in force when none is given
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The folder to write to; files of the same names are replaced
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
}

/// Forget anchors
#[derive(Args, Debug)]
pub struct ForgetAnchorArgs {
    /// The name of an instance, or the repository of a Notary collection
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}
