//! `WWW-Authenticate` (RFC 9110, section 11.6.1).

/// Longest header value that is read; real ones have a few hundred bytes.
const MAX_LENGTH: usize = 8 * 1024;

/// A challenge that this program can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password, sent directly.
    Basic,
    /// A token, to be fetched from `realm`.
    Bearer {
        /// The token server's address, as written.
        realm: String,
        /// What the token server knows the registry as.
        service: Option<String>,
        /// What the token must allow.
        scope: Option<String>,
    },
}

/// The first Bearer challenge in `values`, else a Basic one.
pub(super) fn choose<'a>(values: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let challenges: Vec<Challenge> = values.flat_map(parse).collect();
    let bearer = challenges.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    bearer.or(challenges.first()).cloned()
}

/// The challenges of one header value; unknown schemes are left out, and what follows a malformed place is.
fn parse(value: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = if value.len() > MAX_LENGTH { "" } else { value.trim() };
    while !rest.is_empty() {
        let (word, after) = split_token(rest);
        if word.is_empty() {
            break;
        }
        match after.trim_start().strip_prefix('=') {
            Some(after) => {
                let Some((text, after)) = split_value(after.trim_start()) else { break };
                let Some((_, parameters)) = found.last_mut() else { break };
                parameters.push((word.to_ascii_lowercase(), text));
                rest = after;
            }
            None => {
                found.push((word.to_ascii_lowercase(), Vec::new()));
                rest = after;
            }
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    found.into_iter().filter_map(|(scheme, parameters)| understand(&scheme, parameters)).collect()
}

fn understand(scheme: &str, parameters: Vec<(String, String)>) -> Option<Challenge> {
    let value = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer { realm: value("realm")?, service: value("service"), scope: value("scope") }),
        _ => None,
    }
}

fn split_token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/:".contains(c);
    text.split_at(text.find(|c| !is_token(c)).unwrap_or(text.len()))
}

/// A quoted string or a token, and what follows it.
fn split_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, after) = split_token(text);
        return Some((word.to_owned(), after));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let (service, scope) = (service.map(str::to_owned), scope.map(str::to_owned));
        Some(Challenge::Bearer { realm: realm.to_owned(), service, scope })
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let expected = bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:a/b:pull,push"));
        assert_eq!(choose([hub].into_iter()), expected);
        assert_eq!(choose([r#"Basic realm="Registry Realm""#].into_iter()), Some(Challenge::Basic));
        let both = r#"Basic realm="x, y", Bearer realm="https://a.example/t?x=1" , service = s"#;
        assert_eq!(choose([both].into_iter()), bearer("https://a.example/t?x=1", Some("s"), None));
        assert_eq!(choose([r#"Basic realm="x""#, r#"BEARER Realm="https://t""#].into_iter()), bearer("https://t", None, None));
        assert_eq!(choose([r#"Bearer realm="a\"b""#].into_iter()), bearer("a\"b", None, None));
    }

    #[test]
    fn what_is_not_a_challenge_is_none() {
        let long = format!("Bearer realm=\"{}\"", "a".repeat(MAX_LENGTH));
        for text in ["", "Digest realm=\"x\"", "Bearer", "Bearer realm=\"open", "=\"x\"", ",,,", "Bearer service=\"x\"", &long] {
            assert_eq!(choose([text].into_iter()), None, "{text}");
        }
    }
}
