//! What is left out of answers: where this machine keeps its files. Operators find it in the audit log.

use std::path::Path;

use trustctl_core::reason::{Reason, clean};

/// What stands in an answer for the path of a file.
const FILE: &str = "a file of the proxy";
/// What a word that is a path begins with.
const BEGINNINGS: [&str; 4] = ["/", "./", "../", "~/"];
/// How the paths of registries' interfaces begin, which anybody may know.
const OF_SERVERS: &str = "/v2/";

/// What stands in front of `//` in an address that is no path.
const SCHEMES: [&str; 2] = ["http:", "https:"];

/// The paths that this machine's own files are named by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    policy: String,
    /// Folders with the slash that ends them, the longest first.
    folders: Vec<String>,
}

impl Places {
    /// The places of a policy, and folders with more of this machine's files. That of the policy is one of them.
    #[must_use]
    pub fn new<'a>(policy: &'a Path, folders: impl IntoIterator<Item = &'a Path>) -> Self {
        let text = |path: &Path| clean(&path.display().to_string());
        let folders =
            folders.into_iter().chain(policy.parent()).map(text).filter(|folder| !folder.trim_end_matches('/').is_empty());
        let mut folders: Vec<String> = folders.map(|folder| format!("{}/", folder.trim_end_matches('/'))).collect();
        folders.sort_by_key(|folder| std::cmp::Reverse(folder.len()));
        Self { policy: text(policy), folders }
    }

    /// A reason as clients are told it.
    #[must_use]
    pub fn told(&self, reason: &Reason) -> Reason {
        let mut told = reason.clone();
        told.message = self.without(&reason.message);
        told.expected = reason.expected.as_deref().map(|text| self.without(text));
        told.found = reason.found.as_deref().map(|text| self.without(text));
        told.next.iter_mut().for_each(|step| step.text = self.without(&step.text));
        told
    }

    /// A text without paths: the policy's file is "the policy", and everything else in the known folders, or that is written as a path
    /// is, a file of the proxy.
    #[must_use]
    pub fn without(&self, text: &str) -> String {
        let (mut told, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(next) = rest.chars().next() {
            if !is_inside_word(&told)
                && let Some((words, after)) = self.replaced(&told, rest)
            {
                told.push_str(&words);
                rest = after;
            } else {
                told.push(next);
                rest = rest.get(next.len_utf8()..).unwrap_or_default();
            }
        }
        told
    }

    /// What stands for the path that `rest` begins with, and what follows the path.
    fn replaced<'a>(&self, before: &str, rest: &'a str) -> Option<(String, &'a str)> {
        let policy = rest.strip_prefix(self.policy.as_str()).filter(|_| !self.policy.is_empty());
        if let Some(after) = policy.filter(|after| !begins_with_more(after)) {
            let line = after.strip_prefix(':').filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
            return Some(line.map_or(("the policy".to_owned(), after), |line| ("the policy, line ".to_owned(), line)));
        }
        let below = self.folders.iter().find_map(|folder| rest.strip_prefix(folder.as_str()));
        let path = below.or_else(|| {
            let is_address = rest.starts_with("//") && SCHEMES.iter().any(|scheme| before.ends_with(scheme));
            let is_server_s = is_address || rest.starts_with(OF_SERVERS);
            let after = BEGINNINGS.iter().find_map(|beginning| rest.strip_prefix(beginning)).filter(|_| !is_server_s)?;
            Some(after).filter(|after| !after.is_empty() && !after.starts_with(ends_path))
        })?;
        let end = path.find(ends_path).unwrap_or(path.len());
        // What ends a sentence is none of the path.
        let name = path.get(..end)?.trim_end_matches(['.', ':']);
        Some((FILE.to_owned(), path.get(name.len()..)?))
    }
}

/// Whether what comes next goes on in a word, so that no path begins there.
fn is_inside_word(before: &str) -> bool {
    before.chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric() || "/._-@%~".contains(c))
}

/// Whether the name before this goes on.
fn begins_with_more(after: &str) -> bool {
    let mut next = after.chars();
    match next.next() {
        Some('.') => next.next().is_some_and(char::is_alphanumeric),
        Some(c) => c.is_alphanumeric() || "/_-".contains(c),
        None => false,
    }
}

fn ends_path(c: char) -> bool {
    c.is_whitespace() || "\"'`()[]{}<>,;".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trustctl_core::reason::Code;

    fn places() -> Places {
        Places::new(Path::new("/srv/trust of us/policy.toml"), [Path::new("state"), Path::new("/var/lib/proxy/")])
    }

    #[test]
    fn no_path_is_told() {
        for (text, told) in [
            ("rule \"shop\" (/srv/trust of us/policy.toml:4) asks", "rule \"shop\" (the policy, line 4) asks"),
            ("no rule of /srv/trust of us/policy.toml covers it", "no rule of the policy covers it"),
            ("/srv/trust of us/keys/a.pub: no key", "a file of the proxy: no key"),
            ("cannot read state/memory/x.", "cannot read a file of the proxy."),
            ("in /var/lib/proxy/records", "in a file of the proxy"),
            ("the file '/etc/ssl/ca.pem', and ~/.docker/config.json", "the file 'a file of the proxy', and a file of the proxy"),
            ("../keys/a.pub and file:///etc/key", "a file of the proxy and file:a file of the proxy"),
            ("unix:///var/run/docker.sock x:///srv/secret", "unix:a file of the proxy x:a file of the proxy"),
            ("é/etc/passwd", "éa file of the proxy"),
            ("cut in the middle of /srv/trust of u…", "cut in the middle of a file of the proxy of u…"),
        ] {
            assert_eq!(places().without(text), told, "{text}");
        }
    }

    #[test]
    fn what_is_no_path_stays() {
        for text in [
            "registry.example/shop/app:1 is not signed, and/or / has 1/2",
            "https://registry.example/v2/ and http://127.0.0.1:5000/v2/shop/app answered",
            "GET /v2/shop/app/manifests/1",
            "state of the policy.toml",
            "application/vnd.oci.image.index.v1+json",
            "identity https://github.com/o/r/.github/workflows/x.yml@refs/heads/main",
        ] {
            assert_eq!(places().without(text), text);
        }
        let root = Places::new(Path::new("/policy.toml"), []);
        assert_eq!(root.without("https://registry.example"), "https://registry.example");
        let relative = Places::new(Path::new("policy.toml"), []);
        assert_eq!(
            relative.without("my-policy.toml, policy.toml.old and policy.toml."),
            "my-policy.toml, policy.toml.old and the policy."
        );
    }

    #[test]
    fn every_part_of_a_reason_is_told_so() {
        let reason = Reason::new(Code::AnchorUnusable, "/etc/a").expected_found("/etc/b", "/etc/c");
        let told = Places::default().told(&reason);
        assert_eq!((told.message.as_str(), told.expected.as_deref(), told.found.as_deref()), (FILE, Some(FILE), Some(FILE)));
        assert_eq!(told.code, Code::AnchorUnusable);
    }
}
