//! Flags of `containerd-verifier`: those that containerd passes.

use clap::Args;

/// Judge an image for containerd
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    ln -s /usr/local/bin/trustctl /opt/containerd/image-verifier/bin/trustctl-containerd-verifier\n\n\
    containerd passes the flags with one dash, as in -name, and a descriptor on standard input.\n\
    Exit code 0 lets the image in; every other one blocks it. The reason is one line on standard output.")]
pub struct ContainerdVerifierArgs {
    /// The image as it was asked for
    #[arg(long, value_name = "IMAGE")]
    pub name: String,
    /// The digest that will be pulled
    #[arg(long, value_name = "DIGEST")]
    pub digest: String,
    /// What is on standard input: a descriptor, or containerd's document around one
    #[arg(long, value_name = "TYPE")]
    pub stdin_media_type: String,
    /// What containerd is about to do: pull or run
    #[arg(long, value_name = "OPERATION")]
    pub operation: Option<String>,
}
