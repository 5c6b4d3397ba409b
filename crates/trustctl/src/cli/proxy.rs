//! Flags of `proxy`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What to do with the verifying proxy
#[derive(Debug, Subcommand)]
pub enum ProxyCommand {
    /// Serve images that the policy trusts, and nothing else, until Ctrl-C
    #[command(after_help = "Example:\n  trustctl proxy run --config proxy.toml")]
    Run(RunProxyArgs),
    /// Check configuration and policy, and tell what the proxy would answer for an image, and why
    #[command(after_help = "Examples:\n  trustctl proxy check --config proxy.toml\n  \
        trustctl proxy check --config proxy.toml docker.io/library/alpine:3\n  \
        trustctl proxy check --config proxy.toml 127.0.0.1:5000/docker.io/library/alpine:3")]
    Check(CheckProxyArgs),
    /// Check and read the audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Print the settings with which a client gets images from the proxy and from nowhere else
    #[command(after_help = "Examples:\n  trustctl proxy client-config containerd --proxy https://proxy.example:5000\n  \
        trustctl proxy client-config podman --proxy https://proxy.example:5000 --registry docker.io --registry quay.io \\\n    \
        --to /etc/containers/registries.conf.d")]
    ClientConfig(ClientConfigArgs),
    /// Find out whether a client is held to the proxy, by a pull of what it refuses
    #[command(
        after_help = "Examples:\n  trustctl proxy doctor docker.io/library/hello-world:latest --proxy https://proxy.example:5000\n  \
        trustctl proxy doctor docker.io/library/hello-world:latest --proxy https://proxy.example:5000 --client docker --client podman\n  \
        trustctl proxy doctor quay.io/acme/canary:1 --proxy http://127.0.0.1:5000 --client ctr --client-arg=--address=/run/k3s/containerd/containerd.sock"
    )]
    Doctor(DoctorArgs),
    /// Let one refused image pass for a short time, by a signed token with a reason
    #[command(
        after_help = "With --config, a token that this proxy would not take is refused: by another key, for its canary, for a registry that it\n\
        does not serve. What its policy denies by digest passes with no token.\n\n\
        Example:\n  trustctl proxy break-glass registry.example/shop/cart@sha256:0123… --config proxy.toml --key ops.key \\\n    \
        --reason \"signing service down, INC-7\" --for 4h --to state/break-glass/cart.json"
    )]
    BreakGlass(BreakGlassArgs),
    /// Open the store of a proxy that was killed, to see whether that ends this program
    #[command(hide = true)]
    TryStore(TryStoreArgs),
}

/// Try a store
#[derive(Args, Debug)]
pub struct TryStoreArgs {
    /// The store
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Run the proxy
#[derive(Args, Debug)]
pub struct RunProxyArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Check the proxy
#[derive(Args, Debug)]
pub struct CheckProxyArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// An image, by the name that the policy speaks of, or as a client asks the proxy for it
    #[arg(value_name = "IMAGE")]
    pub image: Option<String>,
}

/// Make the settings of a client
#[derive(Args, Debug)]
pub struct ClientConfigArgs {
    /// The client
    #[arg(value_enum, value_name = "CLIENT")]
    pub client: ClientArg,
    /// Where the client reaches the proxy
    #[arg(long, value_name = "URL")]
    pub proxy: String,
    /// A registry that the proxy serves, with the prefix of its upstream where that is another one (repeatable); all, where the client knows that, else docker.io
    #[arg(long, value_name = "REGISTRY[=PREFIX]")]
    pub registry: Vec<String>,
    /// The certificate of the authority that vouches for the proxy, by its absolute path on the client's host
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Write the files into this folder, in place of the one that the client reads; where one is there with other content, nothing is written
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Write also where a file that this command made has other content, and keep that one under its name with .bak at the end
    #[arg(long, requires = "to")]
    pub force: bool,
}

/// Try a client
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// An image that the proxy refuses, as the client would write it: one of the repository that its configuration names as canary of the upstream, or one that its policy refuses
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Where the client reaches the proxy
    #[arg(long, value_name = "URL")]
    pub proxy: String,
    /// The prefix of the image's upstream at the proxy, where it is not the registry's name
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// A client to try (repeatable); only the proxy itself is asked when none is given
    #[arg(long, value_enum, value_name = "CLIENT")]
    pub client: Vec<EngineArg>,
    /// An argument for the clients, put before their command (repeatable)
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub client_arg: Vec<String>,
    /// The folder of hosts that ctr is told with each pull
    #[arg(long, value_name = "DIR", default_value = trustctl_proxy::doctor::HOSTS)]
    pub hosts_dir: PathBuf,
}

/// A program that has images pulled
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineArg {
    /// Buildah
    Buildah,
    /// The client of container runtimes for Kubernetes
    Crictl,
    /// containerd's own client
    Ctr,
    /// The Docker engine
    Docker,
    /// containerd's client for people
    Nerdctl,
    /// Podman
    Podman,
    /// Skopeo
    Skopeo,
}

/// A client of the proxy
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClientArg {
    /// BuildKit, which no setting holds to the proxy
    Buildkit,
    /// containerd: Kubernetes, nerdctl, ctr
    Containerd,
    /// CRI-O
    Crio,
    /// The Docker engine, which no setting holds to the proxy
    Docker,
    /// k3s and RKE2
    K3s,
    /// Podman, Buildah, Skopeo
    Podman,
}

/// What to do with the audit log
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no line was changed, removed or added
    #[command(
        after_help = "Exit status: 0 when every line follows from the one before it, from the first that was written; 1 when a line does not, or\n  \
        older lines are not here (TC0646); 4 when half a line stands at the end, which is being written or was when the proxy was\n  \
        killed (TC0647); 7 when there is no line to check (TC0645).\n\n\
        Examples:\n  trustctl proxy audit verify --config proxy.toml\n  trustctl proxy audit verify copy/audit.log\n  \
        trustctl proxy audit verify --config proxy.toml --from 5b1f…   # where older files were put away"
    )]
    Verify(AuditVerifyArgs),
    /// Print the last decisions
    #[command(after_help = "Examples:\n  trustctl proxy audit tail --config proxy.toml --lines 20\n  \
        trustctl proxy audit tail state/audit.log --follow --output json")]
    Tail(AuditTailArgs),
}

/// The audit log
#[derive(Args, Debug)]
pub struct AuditFileArgs {
    /// The log, or a copy of it
    #[arg(value_name = "FILE", required_unless_present = "config", conflicts_with = "config")]
    pub file: Option<PathBuf>,
    /// The configuration of the proxy whose log it is, in place of the file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The audit log, and where it begins
#[derive(Args, Debug)]
pub struct AuditVerifyArgs {
    /// Which log it is.
    #[command(flatten)]
    pub log: AuditFileArgs,
    /// Where older files were put away: the hash of their last line, as this command printed it for them
    #[arg(long, value_name = "HASH")]
    pub from: Option<String>,
}

/// The end of the audit log
#[derive(Args, Debug)]
pub struct AuditTailArgs {
    /// Which log it is.
    #[command(flatten)]
    pub log: AuditFileArgs,
    /// How many of the last lines are printed
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub lines: usize,
    /// Go on printing what is added; in JSON each entry is then a line of its own, as it stands in the log
    #[arg(long)]
    pub follow: bool,
}

/// Make a break-glass token
#[derive(Args, Debug)]
pub struct BreakGlassArgs {
    /// The image, by digest
    #[arg(value_name = "IMAGE@DIGEST")]
    pub image: String,
    /// Why; it is in every line of the audit log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// How long the token counts, at most 24h
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    pub span: String,
    /// The key that signs it, one of those that the configuration names
    #[arg(long, value_name = "FILE|NAME")]
    pub key: String,
    /// Where the passphrase of the key comes from
    #[arg(long, value_name = "FILE|env:NAME")]
    pub passphrase: Option<String>,
    /// The file to write, in the break-glass folder of the proxy's state
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// The configuration of the proxy, to find out beforehand whether it takes the token
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
