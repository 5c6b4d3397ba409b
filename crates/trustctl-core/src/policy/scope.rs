//! Which repositories a rule covers: patterns over full repository names, and which of two is more specific.

use std::fmt;

use crate::reference::{ReferenceError, Repository, check_address, one_host, split_port};

/// A pattern over full repository names, such as `registry.example/shop/**`.
///
/// `*` stands for any characters but `/`; `**` alone between slashes stands for one or more whole segments. The first segment is
/// the registry host, so that a pattern can't match the same path on another registry by accident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    segments: Vec<String>,
}

/// How specific a pattern is: more literal segments first, then more literal characters.
pub(super) type Specificity = (usize, usize);

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// The first segment is not a registry host.
    #[error("a pattern starts with the registry host; for Docker Hub write docker.io/library/NAME or docker.io/USER/NAME")]
    NoHost,
    /// The host is an address in another form than its usual one, which no image can be named by.
    #[error("{0}")]
    BadAddress(ReferenceError),
    /// A segment is empty, or has a character that names never have.
    #[error("a pattern has segments of a-z, 0-9, . _ - and * between single slashes, and no tag")]
    BadSegment,
    /// `**` stands beside other characters.
    #[error("** stands alone between slashes; inside a segment write *")]
    BadDoubleStar,
    /// The pattern is longer than a repository name can be.
    #[error("the pattern is longer than 255 characters")]
    TooLong,
}

impl Pattern {
    /// The pattern that covers every repository of every registry.
    #[must_use]
    pub fn everything() -> Self {
        Self { text: "**".to_owned(), segments: vec!["**".to_owned()] }
    }

    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`], by what is wrong.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > 255 {
            return Err(PatternError::TooLong);
        }
        let mut segments: Vec<String> = text.split('/').map(str::to_owned).collect();
        for (position, segment) in segments.iter().enumerate() {
            if segment != "**" && segment.contains("**") {
                return Err(PatternError::BadDoubleStar);
            }
            let host = position == 0;
            let allowed = |c: char| {
                c.is_ascii_lowercase()
                    || c.is_ascii_digit()
                    || matches!(c, '.' | '_' | '-' | '*')
                    || (host && (c.is_ascii_uppercase() || matches!(c, ':' | '[' | ']')))
            };
            if segment.is_empty() || !segment.chars().all(allowed) {
                return Err(PatternError::BadSegment);
            }
        }
        let host_like = |first: &String| first == "localhost" || first.contains(['.', ':', '*']);
        match segments.as_slice() {
            [only] if only == "**" => {}
            [first, _, ..] if host_like(first) => {}
            _ => return Err(PatternError::NoHost),
        }
        if let Some(host) = segments.first_mut() {
            if !host.contains('*') {
                split_port(host).and_then(|(name, _)| check_address(name)).map_err(PatternError::BadAddress)?;
            }
            *host = one_host(host);
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    /// Whether `repository` is covered.
    #[must_use]
    pub fn matches(&self, repository: &Repository) -> bool {
        let host = one_host(repository.registry());
        let parts: Vec<&str> = std::iter::once(host.as_str()).chain(repository.path().split('/')).collect();
        segments_match(&self.segments, &parts)
    }

    pub(super) fn specificity(&self) -> Specificity {
        let literal_segments = self.segments.iter().filter(|segment| !segment.contains('*')).count();
        let literal_characters = self.segments.iter().flat_map(|segment| segment.chars()).filter(|c| *c != '*').count();
        (literal_segments, literal_characters)
    }

    /// Whether some repository could be covered by both. May say yes where only a very odd name fits both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        overlap(&self.segments, &other.segments)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether the pattern covers the name. After each segment of the pattern: at which parts of the name it can have arrived; so the work
/// is the product of both lengths whatever the pattern is.
fn segments_match(pattern: &[String], parts: &[&str]) -> bool {
    let start: Vec<bool> = (0..=parts.len()).map(|at| at == 0).collect();
    let arrived = pattern.iter().fold(start, |before, segment| {
        let mut within = false;
        let after = before.iter().zip(parts).map(|(here, part)| {
            within = *here || (within && segment == "**");
            within && (segment == "**" || wildcard_match(segment, part, '/'))
        });
        std::iter::once(false).chain(after).collect()
    });
    arrived.last() == Some(&true)
}

/// Whether some name fits both. `below` holds the answers for the rest of `one` and every rest of `two`, the longest first.
fn overlap(one: &[String], two: &[String]) -> bool {
    let ends: Vec<bool> = (0..=two.len()).map(|at| at == two.len()).collect();
    let answers = one.iter().rev().fold(ends, |below, first| {
        let mut row = vec![false];
        let mut right = false;
        for (other, (down, diagonal)) in two.iter().zip(below.iter().zip(below.iter().skip(1))).rev() {
            let here = first == "**" || other == "**" || segment_overlap(first, other);
            right = here && (*diagonal || (first == "**" && right) || (other == "**" && *down));
            row.push(right);
        }
        row.reverse();
        row
    });
    answers.first() == Some(&true)
}

/// Two segments with stars: compatible when the literal starts and ends before the stars agree.
fn segment_overlap(one: &str, two: &str) -> bool {
    match (one.split_once('*'), two.split_once('*')) {
        (None, None) => one == two,
        (None, Some(_)) => wildcard_match(two, one, '/'),
        (Some(_), None) => wildcard_match(one, two, '/'),
        (Some((head, _)), Some((other, _))) => {
            let tail = |text: &str| text.rsplit('*').next().unwrap_or_default().to_owned();
            let (end, other_end) = (tail(one), tail(two));
            (head.starts_with(other) || other.starts_with(head)) && (end.ends_with(&other_end) || other_end.ends_with(&end))
        }
    }
}

/// Whether `text` matches `pattern`, where `*` stands for any characters but `barrier`. Linear in `text` for each star.
fn wildcard_match(pattern: &str, text: &str, barrier: char) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|head| text.strip_prefix(head)) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(found) = rest.find(piece) else { return false };
        let Some((skipped, after)) = rest.split_at_checked(found) else { return false };
        if skipped.contains(barrier) {
            return false;
        }
        rest = after.get(piece.len()..).unwrap_or_default();
    }
    rest.strip_suffix(last).is_some_and(|skipped| !skipped.contains(barrier))
}

/// A text with `*` for any characters, always matched against the whole value: for identities and issuers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// The glob `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether the whole of `value` matches.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        wildcard_match(&self.0, value, '\0')
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(&name.parse().unwrap())
    }

    #[test]
    fn stars_stay_within_their_segment() {
        assert!(matches("r.example/shop/**", "r.example/shop/cart"));
        assert!(matches("r.example/shop/**", "r.example/shop/a/b"));
        assert!(!matches("r.example/shop/**", "r.example/shop"));
        assert!(!matches("r.example/shop/**", "r.example/shopping/cart"));
        assert!(matches("r.example/*/cart", "r.example/shop/cart"));
        assert!(!matches("r.example/*/cart", "r.example/a/b/cart"));
        assert!(matches("r.example/shop/ca*t", "r.example/shop/cart"));
        assert!(!matches("*.example/app", "a.example/evil.example/app"));
        assert!(matches("**", "docker.io/library/alpine"));
        assert!(matches("r.example/**/cart", "r.example/a/b/cart"));
    }

    #[test]
    fn patterns_without_host_or_with_odd_characters_are_refused() {
        assert_eq!(Pattern::parse("alpine"), Err(PatternError::NoHost));
        assert_eq!(Pattern::parse("shop/cart"), Err(PatternError::NoHost));
        assert_eq!(Pattern::parse("r.example/a//b"), Err(PatternError::BadSegment));
        assert_eq!(Pattern::parse("r.example/app:1.0"), Err(PatternError::BadSegment));
        assert_eq!(Pattern::parse("r.example/a**"), Err(PatternError::BadDoubleStar));
    }

    #[test]
    fn an_address_that_no_image_can_be_named_by_is_refused() {
        for odd in ["127.1:5000/**", "0x7f.1/app", "127.0.0.01/**", "[::0001]:5000/**", "[::ffff:127.0.0.1]/**", "[::1/**"] {
            assert!(matches!(Pattern::parse(odd), Err(PatternError::BadAddress(_))), "{odd}");
        }
        for usual in ["127.0.0.1:5000/**", "[::1]:5000/**", "127.*/app", "*/app"] {
            assert!(Pattern::parse(usual).is_ok(), "{usual}");
        }
    }

    #[test]
    fn more_literal_segments_are_more_specific() {
        let specificity = |text: &str| Pattern::parse(text).unwrap().specificity();
        assert!(specificity("r.example/shop/cart") > specificity("r.example/shop/**"));
        assert!(specificity("r.example/shop/ca*") > specificity("r.example/shop/c*"));
        assert!(specificity("r.example/**") > specificity("**"));
    }

    #[test]
    fn overlapping_patterns_are_noticed() {
        let overlap = |one: &str, two: &str| Pattern::parse(one).unwrap().overlaps(&Pattern::parse(two).unwrap());
        assert!(overlap("r.example/a/*", "r.example/*/b"));
        assert!(!overlap("r.example/a/*", "r.example/b/*"));
        assert!(overlap("r.example/**", "r.example/x/y/z"));
        assert!(!overlap("r.example/a*", "r.example/b*"));
    }

    #[test]
    fn a_host_is_the_same_however_it_is_written() {
        for name in ["REGISTRY.example/prod/app", "registry.example:443/prod/app", "Registry.Example:0443/prod/app"] {
            assert!(matches("registry.example/prod/**", name), "{name}");
            assert!(matches("Registry.example:443/prod/**", name), "{name}");
        }
        for name in ["registry.example:5000/prod/app", "registry.example:4430/prod/app"] {
            assert!(!matches("registry.example/prod/**", name), "{name}");
        }
        assert!(matches("registry.example:5000/**", "registry.example:05000/app"));
        assert!(matches("docker.io/library/*", "registry-1.docker.io/library/alpine"));
        assert!(matches("[::1]:5000/**", "[::1]:5000/app"));
        assert!(matches("[::1]/**", "[::1]:443/app"));
        assert!(!matches("[::1]/**", "[::1]:5000/app"));
    }

    #[test]
    fn double_stars_stand_for_one_or_more_segments_each() {
        assert!(matches("r.example/**/**", "r.example/a/b"));
        assert!(matches("r.example/**/**/c", "r.example/a/b/b/c"));
        assert!(!matches("r.example/**/**", "r.example/a"));
        assert!(!matches("r.example/**/x/**", "r.example/a/b/c/x"));
    }

    /// With a try for every division of the name among the stars, this would take longer than the universe has.
    #[test]
    fn a_pattern_of_many_double_stars_costs_no_more_than_its_length() {
        let stars = format!("r.example/{}x", "**/".repeat(60));
        let name = format!("r.example/{}y", "a/".repeat(100));
        assert!(!matches(&stars, &name));
        assert!(matches(&stars, &name.replace('y', "x")));
        let other = format!("r.example/{}y", "**/".repeat(60));
        assert!(!Pattern::parse(&stars).unwrap().overlaps(&Pattern::parse(&other).unwrap()));
        assert!(Pattern::parse(&stars).unwrap().overlaps(&Pattern::parse(&stars).unwrap()));
    }

    #[test]
    fn globs_are_anchored() {
        let glob = Glob::new("https://git.example/shop/*@refs/tags/*");
        assert!(glob.matches("https://git.example/shop/release@refs/tags/1"));
        assert!(!glob.matches("xhttps://git.example/shop/release@refs/tags/1"));
        assert!(!Glob::new("a@b.example").matches("a@b.example.evil"));
    }
}
