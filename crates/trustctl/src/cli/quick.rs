//! Reading the command line of the commands that are started once for each image, without building the tree of all others.
//!
//! Building it is a fifth of the instructions of a verification. A tree of one command takes nothing that the whole one refuses, and means
//! the same by it; whatever it does not take is for the whole tree, which also has the help and the messages.

use std::ffi::OsString;

use clap::{Args, FromArgMatches as _, Parser as _};

use super::{Cli, Command, Global};

impl Cli {
    /// What the words of a process say, its own name first.
    ///
    /// # Errors
    /// What clap has to say: also help and version.
    pub fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        let quickly = match words.get(1).and_then(|word| word.to_str()) {
            Some("verify") => one("verify", words, Command::Verify),
            Some("containerd-verifier") => one("containerd-verifier", words, Command::ContainerdVerifier),
            _ => None,
        };
        quickly.map_or_else(|| Self::try_parse_from(words), Ok)
    }
}

/// The words as those of the one command `name`; `None` when they are not just that.
fn one<A: Args>(name: &'static str, words: &[OsString], command: fn(A) -> Command) -> Option<Cli> {
    let tree = Global::augment_args(clap::Command::new("trustctl"));
    let tree = tree.subcommand(A::augment_args(clap::Command::new(name))).disable_help_subcommand(true);
    let mut matches = tree.try_get_matches_from(words).ok()?;
    let (_, mut of_command) = matches.remove_subcommand()?;
    let command = command(A::from_arg_matches_mut(&mut of_command).ok()?);
    Some(Cli { command, global: Global::from_arg_matches_mut(&mut matches).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of command lines, sensible and not.
    const PIECES: [&str; 42] = [
        "a/b:1",
        "verify",
        "sign",
        "--policy",
        "p.toml",
        "--policy=p.toml",
        "--key",
        "k.pub",
        "--key=k.pub",
        "--output",
        "json",
        "--output=json",
        "--output=xml",
        "-q",
        "-v",
        "-qv",
        "--quiet",
        "--",
        "--help",
        "-h",
        "--version",
        "-V",
        "--timeout",
        "5s",
        "--timeout=5m",
        "--at",
        "2026-12-01T12:00:00Z",
        "--offline",
        "--evidence",
        "--save-evidence",
        "e.json",
        "--oci-layout",
        "--dct-root",
        "--identity",
        "--issuer",
        "-a",
        "x=y",
        "--plain-http",
        "--danger-no-memory",
        "--no-such",
        "-name",
        "",
    ];

    fn whole(words: &[OsString]) -> String {
        format!("{:?}", Cli::try_parse_from(words).map_err(|error| error.to_string()))
    }

    fn read(words: &[OsString]) -> String {
        format!("{:?}", Cli::read(words).map_err(|error| error.to_string()))
    }

    fn words(line: &[&str]) -> Vec<OsString> {
        ["trustctl"].iter().chain(line).map(OsString::from).collect()
    }

    #[test]
    fn the_commands_of_each_image_are_read_without_the_whole_tree() {
        let line = words(&["verify", "a/b:1", "--policy", "p.toml", "--output=json", "--timeout", "5s"]);
        assert!(one("verify", &line, Command::Verify).is_some());
        assert_eq!(read(&line), whole(&line));
        let line = words(&["containerd-verifier", "--name", "a/b:1", "--digest", "x", "--stdin-media-type", "y", "-q"]);
        assert!(one("containerd-verifier", &line, Command::ContainerdVerifier).is_some());
        assert_eq!(read(&line), whole(&line));
    }

    proptest::proptest! {
        #[test]
        fn both_trees_say_the_same(command in 0..2_usize, picks in proptest::collection::vec(0..PIECES.len(), 0..7)) {
            let command = ["verify", "containerd-verifier"].get(command);
            let line: Vec<&str> = command.into_iter().chain(picks.iter().filter_map(|&pick| PIECES.get(pick))).copied().collect();
            proptest::prop_assert_eq!(read(&words(&line)), whole(&words(&line)));
        }
    }
}
