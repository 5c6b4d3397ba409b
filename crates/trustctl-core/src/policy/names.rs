//! Patterns for the names of signers and issuers: a text with stars, or a regular expression. Both always match the whole name.

use std::fmt;

use regex::{Regex, RegexBuilder};

use super::Glob;

/// Longest regular expression that is read, in bytes: the identities of workflows have about 150.
const MAX_REGEX: usize = 1024;
/// Most bytes that a compiled expression may take. `[a-z]{1000}{1000}` would take hundreds of megabytes.
const MAX_COMPILED: usize = 256 * 1024;
/// How deep groups may nest.
const MAX_NESTING: u32 = 32;
/// Names that no two patterns for somebody have in common: what matches them all matches everybody.
const STRANGERS: [&str; 3] = ["\u{1}", "nobody@stranger.invalid", "https://stranger.invalid/~\u{e4}/x@y?z"];

/// Which names count.
#[derive(Clone, Debug)]
pub struct NamePattern(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Any,
    Glob(Glob),
    Regex { written: String, whole: Regex },
}

/// Why a text is not a pattern for names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamePatternError {
    /// It would let everybody count.
    #[error("a pattern that matches everybody names nobody")]
    Everybody,
    /// It is no regular expression, or one that is too large once compiled.
    #[error("the regular expression cannot be used: {0}")]
    Malformed(String),
    /// It is longer than is read.
    #[error("the regular expression is longer than {MAX_REGEX} bytes")]
    TooLong,
}

impl NamePattern {
    /// Every name, also none: for an issuer that nobody names. No policy file can say so of an identity.
    #[must_use]
    pub fn any() -> Self {
        Self(Kind::Any)
    }

    /// The names that a text with `*` for any characters stands for.
    ///
    /// # Errors
    /// [`NamePatternError::Everybody`] for a text of stars alone.
    pub fn glob(text: &str) -> Result<Self, NamePatternError> {
        if text.trim_matches('*').is_empty() {
            return Err(NamePatternError::Everybody);
        }
        Ok(Self(Kind::Glob(Glob::new(text))))
    }

    /// The names that a regular expression matches from their first to their last character, whether it is written with `^` and `$` or
    /// not. Source of the syntax: the documentation of the crate `regex`; matching is linear in the name.
    ///
    /// # Errors
    /// [`NamePatternError`], by what is wrong.
    pub fn regex(text: &str) -> Result<Self, NamePatternError> {
        if text.len() > MAX_REGEX {
            return Err(NamePatternError::TooLong);
        }
        // By itself first: in `a)|(?:b` the brackets around it would close another group, and neither half would be held to the end.
        compiled(text)?;
        let whole = compiled(&format!("^(?:{text})$"))?;
        if whole.is_match("") || STRANGERS.iter().all(|stranger| whole.is_match(stranger)) {
            return Err(NamePatternError::Everybody);
        }
        Ok(Self(Kind::Regex { written: text.to_owned(), whole }))
    }

    /// Whether the whole of `name` matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.0 {
            Kind::Any => true,
            Kind::Glob(glob) => glob.matches(name),
            Kind::Regex { whole, .. } => whole.is_match(name),
        }
    }
}

impl From<Glob> for NamePattern {
    fn from(glob: Glob) -> Self {
        Self(Kind::Glob(glob))
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Any => f.write_str("any"),
            Kind::Glob(glob) => glob.fmt(f),
            Kind::Regex { written, .. } => write!(f, "^(?:{written})$"),
        }
    }
}

fn compiled(text: &str) -> Result<Regex, NamePatternError> {
    let built = RegexBuilder::new(text).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).nest_limit(MAX_NESTING).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => NamePatternError::Malformed("it is too large once compiled".to_owned()),
        // The parser draws the place on several lines; its last line says what is wrong.
        other => {
            let told = other.to_string();
            let last = told.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            NamePatternError::Malformed(last.trim_start_matches("error: ").to_owned())
        }
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, name: &str) -> bool {
        NamePattern::regex(pattern).unwrap().matches(name)
    }

    /// GHSA-59jp-pj84-45mr, and cosign's `--certificate-identity-regexp`, which finds its pattern anywhere.
    #[test]
    fn a_regular_expression_matches_the_whole_name_or_nothing() {
        let pattern = r"https://forge\.example/acme/[a-z]+@refs/tags/v[0-9.]+";
        assert!(matches(pattern, "https://forge.example/acme/shop@refs/tags/v1.2"));
        for evil in [
            "https://evil.example/?https://forge.example/acme/shop@refs/tags/v1.2",
            "https://forge.example/acme/shop@refs/tags/v1.2/../../heads/evil",
            "https://forge.example/acme/shop@refs/tags/v1.2\n",
            "\nhttps://forge.example/acme/shop@refs/tags/v1.2",
            "evil\nhttps://forge.example/acme/shop@refs/tags/v1.2\nevil",
        ] {
            assert!(!matches(pattern, evil), "{evil:?}");
            assert!(!matches(&format!("(?m)^{pattern}$"), evil), "{evil:?}");
        }
        assert!(matches(&format!("^{pattern}$"), "https://forge.example/acme/shop@refs/tags/v1.2"), "anchors may be written");
    }

    #[test]
    fn both_sides_of_an_alternative_are_held_to_the_whole_name() {
        assert!(matches("a@x|b@x", "b@x") && matches("a@x|b@x", "a@x"));
        assert!(!matches("a@x|b@x", "a@x.evil") && !matches("a@x|b@x", "evil.b@x"));
        for breaking in ["a)|(?:b", "a)|(b", "a)$|^(?:b", "(?x) a # b"] {
            let outcome = NamePattern::regex(breaking).map(|pattern| pattern.matches("a.evil") || pattern.matches("evil.b"));
            assert!(!matches!(outcome, Ok(true)), "{breaking}");
        }
        assert!(matches!(NamePattern::regex("a)|(?:b"), Err(NamePatternError::Malformed(_))));
    }

    #[test]
    fn patterns_for_everybody_are_refused() {
        for everybody in ["", ".*", ".+", "(?s).*", "a*", "[^x]*", "(?s:.)+", "^.+$"] {
            assert_eq!(NamePattern::regex(everybody).err(), Some(NamePatternError::Everybody), "{everybody}");
        }
        for everybody in ["", "*", "**"] {
            assert_eq!(NamePattern::glob(everybody).err(), Some(NamePatternError::Everybody), "{everybody}");
        }
        assert!(NamePattern::regex(".+@example\\.com").is_ok() && NamePattern::glob("*@example.com").is_ok());
    }

    #[test]
    fn expressions_that_would_cost_much_are_refused() {
        assert_eq!(NamePattern::regex(&"a".repeat(MAX_REGEX + 1)).err(), Some(NamePatternError::TooLong));
        for costly in ["[a-z]{1000}{1000}".to_owned(), "(".repeat(500) + "a" + &")".repeat(500), "(a{999}){999}".to_owned()] {
            assert!(matches!(NamePattern::regex(&costly), Err(NamePatternError::Malformed(_))), "{costly}");
        }
        let quadratic = NamePattern::regex("(a+)+b").unwrap();
        assert!(!quadratic.matches(&"a".repeat(100_000)));
    }

    proptest! {
        #[test]
        fn no_expression_panics_and_none_that_is_taken_matches_nothing_at_all(text in "\\PC{0,40}", name in "\\PC{0,20}") {
            if let Ok(pattern) = NamePattern::regex(&text) {
                prop_assert!(!pattern.matches(""));
                let _ = pattern.matches(&name);
            }
        }

        #[test]
        fn an_escaped_name_matches_itself_alone(name in "[ -~]{1,30}", more in "[ -~]{1,5}") {
            let pattern = NamePattern::regex(&regex::escape(&name)).unwrap();
            prop_assert!(pattern.matches(&name));
            let (before, after) = (format!("{more}{name}"), format!("{name}{more}"));
            prop_assert!(!pattern.matches(&before) && !pattern.matches(&after));
        }
    }
}
