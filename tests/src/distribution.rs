//! The pull part of the distribution specification as a table of checks, and what runs them against any registry.
//!
//! Source: OCI distribution specification 1.1.1, by the names of its sections; RFC 9110 where the specification refers to it. A check is a
//! request and what must be true of its answer. It is right when a registry that others wrote passes it as well, so each one runs against
//! such a registry too; where that one does not do what is written, the check names it with the reason, and fails when it does it after all.
//!
//! In reading order: [`Check`], the tables (`manifests`, `blobs`, `lists`, `rules`), [`material`] (what is pushed before), [`run`].

mod blobs;
mod lists;
mod manifests;
pub mod material;
mod rules;
pub mod run;

/// A registry that others wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Debian's docker-registry 2.8.2, which knows no referrers.
    DockerRegistry,
    /// ferro-oci-server 1.0.0, asked about tags and referrers alone.
    Ferro,
}

/// A request. In the path and in the values of headers, `{name}` stands for the digest of a piece of the material.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// The method.
    pub method: &'static str,
    /// The path with its query.
    pub path: &'static str,
    /// Header lines.
    pub headers: &'static [(&'static str, &'static str)],
}

/// What must be true of an answer.
#[derive(Clone, Copy, Debug)]
pub enum Expect {
    /// The body is this piece of the material.
    Body(&'static str),
    /// The body is JSON in the form of an error, with one of these codes; for the answer to HEAD there is none.
    Error(&'static [&'static str]),
    /// If the body is JSON, it has the form of an error and a code of the specification's list.
    ErrorForm,
    /// A header has this value, in which `{name}` is replaced.
    Header(&'static str, &'static str),
    /// The declared length is that of this piece.
    Length(&'static str),
    /// The headers that describe the content are those of the answer to the same GET.
    LikeGet,
    /// There is a link to a next page, or none.
    Next(bool),
    /// The pages that the links lead through have these tags together.
    Pages(&'static [&'static str]),
    /// The body is these bytes of a piece, from the first to before the last.
    Part(&'static str, usize, usize),
    /// A referrer is described by this artifact type, with its own media type and size.
    Referrer(&'static str, &'static str),
    /// The body is an index of these referrers, in any order.
    Referrers(&'static [&'static str]),
    /// A referrer is described with this annotation.
    ReferrerNote(&'static str, &'static str, &'static str),
    /// The status is one of these.
    Status(&'static [u16]),
    /// The body is a list of these tags of this repository, in this order.
    Tags(&'static str, &'static [&'static str]),
    /// A header is not there.
    Without(&'static str),
}

/// One check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// A letter for the chapter and a number; it stays what it is.
    pub id: &'static str,
    /// The section that demands it.
    pub section: &'static str,
    /// What is demanded, in words.
    pub fact: &'static str,
    /// The request.
    pub ask: Ask,
    /// What must be true of the answer.
    pub expect: &'static [Expect],
    /// The registries that do otherwise, and why that is.
    pub unlike: &'static [(Peer, &'static str)],
}

impl Ask {
    const fn with(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        Self { headers, ..self }
    }
}

impl Check {
    const fn unlike(self, unlike: &'static [(Peer, &'static str)]) -> Self {
        Self { unlike, ..self }
    }

    /// Why a registry is known not to pass it.
    #[must_use]
    pub fn deviation(&self, peer: Peer) -> Option<&'static str> {
        self.unlike.iter().find(|(known, _)| *known == peer).map(|(_, why)| *why)
    }

    /// Whether it is about tags or referrers, of which docker-registry knows little.
    #[must_use]
    pub fn is_about_lists(&self) -> bool {
        self.id.starts_with(['R', 'T'])
    }
}

/// All checks, in the order in which they run: what would write comes last.
pub fn checks() -> impl Iterator<Item = &'static Check> {
    let tables = [rules::SUPPORT, manifests::CHECKS, blobs::CHECKS, lists::TAGS, lists::REFERRERS, rules::ERRORS, rules::NAMES];
    tables.into_iter().flatten().chain(rules::WRITES)
}

const fn get(path: &'static str) -> Ask {
    Ask { method: "GET", path, headers: &[] }
}

const fn head(path: &'static str) -> Ask {
    Ask { method: "HEAD", path, headers: &[] }
}

const fn check(id: &'static str, section: &'static str, fact: &'static str, ask: Ask, expect: &'static [Expect]) -> Check {
    Check { id, section, fact, ask, expect, unlike: &[] }
}

/// The codes of section "Error Codes".
pub(crate) const CODES: [&str; 14] = [
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DENIED",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "TOOMANYREQUESTS",
    "UNAUTHORIZED",
    "UNSUPPORTED",
];
/// A repository that holds nothing but tags.
pub(crate) const MANY: &str = "conform/many";
/// The tags of that repository, in order.
pub(crate) const TAGS: [&str; 6] = ["V1.0_rc-1", "a", "b", "c", "c.1", "d"];

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_an_id_of_its_own() {
        let mut ids: Vec<&str> = checks().map(|check| check.id).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
        assert!(count >= 60, "{count} checks");
    }

    #[test]
    fn every_check_says_what_it_expects_and_where_that_is_written() {
        for check in checks() {
            assert!(!check.expect.is_empty() && !check.section.is_empty() && !check.fact.is_empty(), "{}", check.id);
            let known = check.unlike.iter().all(|(_, why)| !why.is_empty());
            assert!(known, "{}", check.id);
            assert!(check.id.chars().next().unwrap().is_ascii_uppercase());
        }
    }
}
