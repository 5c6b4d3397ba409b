//! The answers that are not an image: no, not now, and not so often.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::json;
use trustctl_core::digest::{Digest, DigestAlgorithm};
use trustctl_core::reason::{Code, Ending, Reason, clean};

use super::{Answer, ManifestAnswer, NO_STORE, error};

/// What the media types of the configuration in a denial manifest begin with; the reason code follows, then `.v1+json`.
pub const DENIED_MEDIA_TYPE: &str = "application/vnd.dev.trustctl.denied.";
/// The page on which every reason code has a section.
const REASONS: &str = "https://github.com/trustctl/trustctl/blob/main/docs/reference/reasons.md";
/// What the digests of the configurations in denial manifests begin with. Nobody knows bytes with such a digest, and finding some takes 2^128
/// tries, so that nobody can put anything under it.
pub const NOBODY_S: &str = "sha256:00000000000000000000000000000000";
/// Bytes of zeros in [`NOBODY_S`].
const ZEROS: usize = 16;
/// Shortest time after which a client is asked to come back: a header of 0 would be asked again at once.
const SHORTEST_WAIT: u64 = 1;

/// Why an image is not served.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// The image, as policies name it, where the reason does not name it.
    pub image: Option<&'a str>,
    /// The most telling reason.
    pub reason: &'a Reason,
    /// What was refused, where that is known.
    pub digest: Option<Digest>,
    /// The rule of the policy that decided, where one did.
    pub rule: Option<&'a str>,
    /// Where the reason is explained; see [`docs_link`].
    pub link: &'a str,
}

/// Where the documentation explains a reason code.
#[must_use]
pub fn docs_link(code: Code) -> String {
    let name: String = code.name().chars().filter(|c| *c != '.').collect();
    format!("{REASONS}#{}-{name}", code.id().to_ascii_lowercase())
}

impl Refusal<'_> {
    /// One line for people: what, why, by which rule, and what next. Engines show it, some of them nothing else.
    fn message(&self) -> String {
        let image = self.image.map(|image| format!("{}: ", clean(image))).unwrap_or_default();
        let rule = self.rule.map(|rule| format!(" (rule {})", clean(rule))).unwrap_or_default();
        let code = self.reason.code;
        format!("{}: {image}{}{rule}; next: {}; {}", code.id(), self.why(), self.next(), self.link)
    }

    /// What to do next. The steps of most reasons are for whoever publishes or runs the proxy; only where a registry does not answer, what
    /// can be done depends on which.
    fn next(&self) -> &str {
        let code = self.reason.code;
        let is_about_registry = matches!(code, Code::OutOfBudget | Code::Unavailable);
        self.reason.next.first().filter(|_| is_about_registry).map_or(code.advice(), |step| &step.text)
    }

    /// Why, for whoever pulls. Where nothing is there, what was looked at and where the policy asks for it tells operators alone.
    fn why(&self) -> &str {
        let code = self.reason.code;
        let is_nothing = code.ending() == Ending::Unsigned || code == Code::PolicyNoRule;
        if is_nothing { code.summary() } else { self.words() }
    }

    /// The words of the reason, but for those that name files of the proxy's host: these are for the audit log.
    fn words(&self) -> &str {
        let code = self.reason.code;
        let is_local =
            matches!(code, Code::CacheFailed | Code::ConfigUnusable | Code::LocalFile | Code::StoreFailed | Code::StoreUnusable);
        if is_local { code.summary() } else { &self.reason.message }
    }

    fn detail(&self) -> serde_json::Value {
        let reason = self.reason;
        let mut detail = json!({ "reason": reason.code, "name": reason.code.name(), "message": self.words(), "link": self.link });
        let expected_found = [("expected", reason.expected.as_deref()), ("found", reason.found.as_deref())];
        let digest = self.digest.map(|digest| digest.to_string());
        let more = [("image", self.image), ("digest", digest.as_deref()), ("rule", self.rule)].into_iter().chain(expected_found);
        for (name, text) in more {
            if let (Some(text), Some(fields)) = (text, detail.as_object_mut()) {
                fields.insert(name.to_owned(), clean(text).into());
            }
        }
        detail
    }
}

/// The policy says no: 403, which engines show as "denied". Never 404, which would look like a misspelt name.
#[must_use]
pub fn denied(refusal: &Refusal<'_>) -> Answer {
    error(StatusCode::FORBIDDEN, "DENIED", &refusal.message(), Some(refusal.detail()))
}

/// It could not be decided: 503, and when to come back.
#[must_use]
pub fn undecided(refusal: &Refusal<'_>, retry_after: Duration) -> Answer {
    let answer = error(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", &refusal.message(), Some(refusal.detail()));
    with_retry(answer, retry_after)
}

/// The client asks too often: 429, and when to come back.
#[must_use]
pub fn throttled(message: &str, retry_after: Duration) -> Answer {
    with_retry(error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", &clean(message), None), retry_after)
}

fn with_retry(mut answer: Answer, after: Duration) -> Answer {
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(SHORTEST_WAIT)));
    answer
}

/// The denial manifest: a well-formed image manifest that no client can run, under its own digest.
///
/// A client that asks several mirrors in turn takes any error of one as a cause to ask the next. It stops at a manifest whose
/// configuration is of a media type that it does not know, and shows that type: so the type names the reason.
///
/// Some ask for the configuration before they look at its type, and what they are answered then is all that they show: so each denial names
/// a configuration of its own, which does not exist, and whoever asks for it is told the reason.
#[derive(Clone, Debug)]
pub struct Denial {
    digest: Digest,
    bytes: Bytes,
    configuration: Digest,
    message: String,
    detail: serde_json::Value,
}

impl Denial {
    /// The manifest for a refusal. The same refusal gives the same bytes.
    #[must_use]
    pub fn new(refusal: &Refusal<'_>) -> Self {
        let code = refusal.reason.code;
        let (message, detail) = (refusal.message(), refusal.detail());
        let configuration = nobody_s(&format!("{message} {detail}"));
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": format!("{DENIED_MEDIA_TYPE}{}.{}.v1+json", code.id().to_ascii_lowercase(), code.name()),
                "digest": configuration,
                "size": 2,
            },
            "layers": [],
            "annotations": {
                "dev.trustctl.denied.reason": code.id(),
                "dev.trustctl.denied.message": message,
                "dev.trustctl.denied.link": refusal.link,
            },
        });
        if let (Some(found), Some(annotations)) = (&refusal.reason.found, manifest.get_mut("annotations")) {
            annotations["dev.trustctl.denied.found"] = found.as_str().into();
        }
        if let (Some(digest), Some(annotations)) = (refusal.digest, manifest.get_mut("annotations")) {
            annotations["dev.trustctl.denied.digest"] = digest.to_string().into();
        }
        let bytes = Bytes::from(manifest.to_string());
        Self { digest: Digest::sha256_of(&bytes), bytes, configuration, message, detail }
    }

    /// The digest of the manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The digest of the configuration that the manifest names.
    #[must_use]
    pub fn configuration(&self) -> Digest {
        self.configuration
    }

    /// The answer to whoever asks for the configuration: the refusal in plain words. Also where nothing could be decided it is 403, since
    /// there will never be a configuration: after 503 BuildKit asks for seconds, and Skopeo shows the status alone.
    #[must_use]
    pub fn words(&self) -> Answer {
        error(StatusCode::FORBIDDEN, "DENIED", &self.message, Some(self.detail.clone()))
    }

    /// The answer with the manifest.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let mut answer =
            ManifestAnswer::new(&self.digest, "application/vnd.oci.image.manifest.v1+json", self.bytes.clone()).answer();
        answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
        // Whoever says that it has whatever there is must be told no all the same.
        answer.headers_mut().remove(ETAG);
        answer
    }
}

/// A digest that begins as [`NOBODY_S`] does, and ends by what is said.
fn nobody_s(message: &str) -> Digest {
    let said = Digest::sha256_of(message.as_bytes());
    let bytes: Vec<u8> = std::iter::repeat_n(0, ZEROS).chain(said.as_bytes().iter().copied().skip(ZEROS)).collect();
    Digest::from_slice(DigestAlgorithm::Sha256, &bytes).unwrap_or(said)
}
