//! How a registry of the lab behaves where real ones differ.

/// Behaviours that can be changed while it runs. The default is a registry that does all of OCI distribution 1.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrySettings {
    /// The referrers API exists. Without it its path is 404, as with docker-registry 2.
    pub referrers: bool,
    /// `?artifactType=` filters the referrers; without, it is ignored and no filter is announced.
    pub referrers_filter: bool,
    /// A push of a manifest with a subject is answered with `OCI-Subject`. Some registries have the API without it.
    pub subject_header: bool,
    /// The most tags, referrers or repositories in one answer; the rest follows by `Link`.
    pub page_size: Option<usize>,
    /// A tag cannot be moved to another digest.
    pub immutable_tags: bool,
    /// Manifests and blobs can be deleted.
    pub deletion: bool,
    /// Tags can be deleted by name.
    pub tag_deletion: bool,
    /// A manifest is served only to clients whose `Accept` names its type: `*/*` does not count, as with docker-registry 2.
    pub strict_accept: bool,
    /// Content is refused under a digest that is not its own. Careless registries take it.
    pub checks_digests: bool,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            referrers: true,
            referrers_filter: true,
            subject_header: true,
            page_size: None,
            immutable_tags: false,
            deletion: true,
            tag_deletion: true,
            strict_accept: false,
            checks_digests: true,
        }
    }
}

impl RegistrySettings {
    /// A registry like docker-registry 2.8: no referrers API, no deletion of tags, `Accept` must name the type.
    #[must_use]
    pub fn like_docker_registry() -> Self {
        Self { referrers: false, subject_header: false, tag_deletion: false, strict_accept: true, ..Self::default() }
    }
}
