//! The one table of images and of what has to become of them.

use trustctl_tests::clients::{Image, Site};

/// What a client asks for, and what has to happen.
#[derive(Debug)]
pub(crate) struct Case {
    /// What is special.
    pub(crate) what: &'static str,
    /// The image.
    pub(crate) image: Image,
    /// How it is named: `shop/cart:1` or `shop/cart@DIGEST`.
    pub(crate) asked: String,
    /// The reason code in the audit log; `None` where the bytes fail and not the policy.
    pub(crate) code: Option<&'static str>,
}

impl Case {
    fn by_tag(what: &'static str, image: &Image, code: Option<&'static str>) -> Self {
        Self { what, image: image.clone(), asked: image.name.clone(), code }
    }

    fn by_digest(what: &'static str, image: &Image, digest: &str, code: Option<&'static str>) -> Self {
        let (repository, _) = image.name.split_once(':').unwrap();
        Self { what, image: image.clone(), asked: format!("{repository}@{digest}"), code }
    }

    /// Whether it is asked for by digest.
    pub(crate) fn is_by_digest(&self) -> bool {
        self.asked.contains('@')
    }
}

/// Everything that must never arrive.
pub(crate) fn bad(site: &Site) -> Vec<Case> {
    let unsigned = site.push("shop/new:1", "nobody signed this");
    let foreign = site.push("shop/foreign:1", "a stranger signed this");
    site.sign("shop/foreign:1", "stranger");
    let revoked = site.push("shop/old:1", "this was withdrawn");
    site.sign("shop/old:1", "release");
    site.revoke("shop/old:1");
    let moved = site.push("shop/moved:1", "the tag was on this");
    site.sign("shop/moved:1", "release");
    let moved = Image { name: moved.name, ..site.push("shop/moved:2", "the tag was put on this") };
    site.world.registry().point_tag("shop/moved", "1", moved.digest.parse().unwrap());
    let elsewhere = site.push("shop/elsewhere:1", "this is signed elsewhere");
    site.sign("shop/elsewhere:1", "release");
    let elsewhere = Image { name: "shop/copy:1".to_owned(), ..elsewhere };
    let _ = site.push("shop/copy:1", &elsewhere.text);
    let mixed = site.push_mixed("shop/mixed:1", "only a part of this is signed");
    vec![
        Case::by_tag("unsigned", &unsigned, Some("TC0301")),
        Case::by_digest("unsigned, by digest", &unsigned, &unsigned.digest, Some("TC0301")),
        Case::by_digest("a child of an unsigned index, by digest", &unsigned, &unsigned.child, Some("TC0301")),
        Case::by_tag("signed by another key", &foreign, Some("TC0302")),
        Case::by_tag("revoked", &revoked, Some("TC0309")),
        Case::by_digest("revoked, by digest", &revoked, &revoked.digest, Some("TC0309")),
        Case::by_digest("a child of a revoked index, by digest", &revoked, &revoked.child, Some("TC0309")),
        Case::by_tag("a tag that was moved", &moved, Some("TC0301")),
        Case::by_tag("signed in another repository", &elsewhere, Some("TC0301")),
        Case::by_tag("an unsigned index over a signed image", &mixed, Some("TC0714")),
    ]
}

/// Signed, and then altered where they are kept.
pub(crate) fn tampered(site: &Site) -> Vec<Case> {
    let layer = site.push("shop/layer:1", "the layer of this is altered");
    let [_, digest] = &layer.parts;
    site.sign("shop/layer:1", "release");
    site.tamper(&format!("/v2/shop/layer/blobs/{digest}"));
    let child = site.push("shop/child:1", "the manifest of this is altered");
    site.sign("shop/child:1", "release");
    site.tamper(&format!("/v2/shop/child/manifests/{}", child.child));
    let config = site.push("shop/config:1", "the configuration of this is altered");
    let [digest, _] = &config.parts;
    site.sign("shop/config:1", "release");
    site.tamper(&format!("/v2/shop/config/blobs/{digest}"));
    vec![
        Case::by_tag("an altered layer", &layer, None),
        Case::by_tag("an altered manifest of a child", &child, None),
        // Its layer is as it was signed, and may come.
        Case::by_tag("an altered configuration", &Image { text: String::new(), ..config }, None),
    ]
}

/// What has to arrive.
pub(crate) fn good(site: &Site) -> Vec<Case> {
    let image = &site.good;
    vec![
        Case::by_tag("trusted", image, None),
        Case::by_digest("trusted, by digest", image, &image.digest, None),
        Case::by_digest("a child of a trusted index, by digest", image, &image.child, None),
    ]
}
