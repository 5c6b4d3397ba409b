//! The flags of `lab`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Run a lab
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// Start all services on loopback, print what programs need to use them, and run until Ctrl-C; NOT FOR PRODUCTION
    Up(LabUpArgs),
}

/// Start a lab
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  trustctl lab up --dir lab\n  . lab/environment     # in another terminal")]
pub struct LabUpArgs {
    /// Write keys, configuration and the variables into this folder and leave it there; a temporary one else
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Take this loopback port for the registry and the six after it for the other services; free ones else
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..=65_528))]
    pub port: Option<u16>,
}
