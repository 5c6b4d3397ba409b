//! Where things are on this machine: the one module that reads environment variables.

use std::path::{Path, PathBuf};

/// The variables this program honours, read once.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `DOCKER_CONFIG`, else `~/.docker`.
    pub docker_config: Option<PathBuf>,
    /// `XDG_CONFIG_HOME/trustctl`, else `~/.config/trustctl`.
    pub config: Option<PathBuf>,
    /// `XDG_STATE_HOME/trustctl`, else `~/.local/state/trustctl`.
    pub state: Option<PathBuf>,
    /// `XDG_DATA_HOME/trustctl/keys`, else `~/.local/share/trustctl/keys`.
    pub keys: Option<PathBuf>,
    /// `TRUSTCTL_POLICY`, unless it is empty.
    pub policy: Option<PathBuf>,
    /// Whether `NO_COLOR` is set and not empty.
    pub no_color: bool,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn read() -> Self {
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // A relative folder would depend on where the program was started: a checkout must not bring a policy of its own. The
        // specification of these variables asks to ignore one (XDG Base Directory, "Basics").
        let home = path("HOME").filter(|path| path.is_absolute());
        let in_home = |fallback: &str| home.as_ref().map(|home| home.join(fallback));
        let under = |name: &str, fallback: &str| path(name).filter(|path| path.is_absolute()).or_else(|| in_home(fallback));
        Self {
            docker_config: path("DOCKER_CONFIG").or_else(|| in_home(".docker")),
            config: under("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("trustctl")),
            state: under("XDG_STATE_HOME", ".local/state").map(|dir| dir.join("trustctl")),
            keys: under("XDG_DATA_HOME", ".local/share").map(|dir| dir.join("trustctl/keys")),
            policy: path("TRUSTCTL_POLICY"),
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            home,
        }
    }

    /// The variable `name`, when it is set and is text.
    #[must_use]
    pub fn variable(name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    /// The policy in force: the one that the variable names, else the user's, else the system's. Never one found in the working
    /// directory.
    #[must_use]
    pub fn default_policy(&self) -> Option<PathBuf> {
        let user = self.config.as_ref().map(|dir| dir.join("policy.toml"));
        let system = Path::new("/etc/trustctl/policy.toml").to_owned();
        self.policy.clone().or_else(|| user.into_iter().chain([system]).find(|path| path.is_file()))
    }

    /// Docker's trust directory.
    #[must_use]
    pub fn trust_dir(&self) -> Option<PathBuf> {
        self.docker_config.as_ref().map(|dir| dir.join("trust"))
    }
}
