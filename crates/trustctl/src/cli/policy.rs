//! Flags of `policy`.

use std::path::PathBuf;

use clap::Subcommand;

/// What to do with policies
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Write a commented policy to start from
    #[command(after_help = "Example:\n  trustctl policy init policy.toml")]
    Init {
        /// The file to write; it must not exist. Standard output when none or - is given
        file: Option<PathBuf>,
        /// Name this public key as a signer: a PEM file, a stored key's name or env:NAME
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// Name this Notary root key id as a signer
        #[arg(long, value_name = "KEYID")]
        dct_root: Option<String>,
        /// Cover these images
        #[arg(long, value_name = "PATTERN")]
        images: Option<String>,
    },
    /// Read a policy as a verification would, and say what is wrong
    #[command(after_help = "Example:\n  trustctl policy check policy.toml")]
    Check {
        /// The policy; the one in force when none is given
        file: Option<PathBuf>,
    },
    /// Say what a policy demands of an image
    #[command(after_help = "Example:\n  trustctl policy explain registry.example/shop/cart:1.4 --policy policy.toml")]
    Explain {
        /// The image
        image: String,
        /// The policy; the one in force when none is given
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// As of this time instead of now
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
    /// Judge saved evidence by a policy and compare with what each case expects
    #[command(after_help = "Example:\n  trustctl policy test cases/ --policy policy.toml")]
    Test {
        /// A folder of cases, each a folder with expect.toml and evidence.json
        dir: PathBuf,
        /// The policy, unless a case brings its own policy.toml
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
}
