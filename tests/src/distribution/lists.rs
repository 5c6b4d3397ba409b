//! Lists: tags, whole and in pages, and referrers.

use super::Expect::{Body, Error, ErrorForm, Header, Next, Pages, Referrer, ReferrerNote, Referrers, Status, Tags as List};
use super::{Check, MANY, Peer, TAGS as ALL, check, get};

const LIST: &str = "Listing Tags";
const REFER: &str = "Listing Referrers";
/// Why docker-registry does not list referrers.
const NONE: &str = "it has no referrers API; clients use the fallback tag";
/// Why docker-registry gives all tags.
const NO_PAGES: &str = "this version knows neither n nor last for tags";

/// What is wrong with the tags of docker-registry.
const NO_ORDER: &str = "it gives tags in the order in which the file system has them";

pub(super) const TAGS: &[Check] = &[
    check("T01", LIST, "all tags, in order", get("/v2/conform/many/tags/list"), &[Status(&[200]), List(MANY, &ALL)])
        .unlike(&[(Peer::DockerRegistry, NO_ORDER)]),
    check(
        "T02",
        LIST,
        "the first two",
        get("/v2/conform/many/tags/list?n=2"),
        &[Status(&[200]), List(MANY, &["V1.0_rc-1", "a"])],
    )
    .unlike(&[(Peer::DockerRegistry, NO_PAGES)]),
    check("T03", LIST, "the links lead through all tags", get("/v2/conform/many/tags/list?n=2"), &[Pages(&ALL)])
        .unlike(&[(Peer::DockerRegistry, NO_ORDER)]),
    check(
        "T04",
        LIST,
        "n=0 is an empty list and no link",
        get("/v2/conform/many/tags/list?n=0"),
        &[Status(&[200]), List(MANY, &[]), Next(false)],
    )
    .unlike(&[(Peer::DockerRegistry, NO_PAGES)]),
    check(
        "T05",
        LIST,
        "n above the number of tags is all of them, without a link",
        get("/v2/conform/many/tags/list?n=100"),
        &[Status(&[200]), List(MANY, &ALL), Next(false)],
    )
    .unlike(&[(Peer::DockerRegistry, NO_ORDER)]),
    check(
        "T06",
        LIST,
        "n as the number of tags is all of them, without a link",
        get("/v2/conform/many/tags/list?n=6"),
        &[Status(&[200]), List(MANY, &ALL), Next(false)],
    )
    .unlike(&[(Peer::Ferro, "it links to a page on which there is nothing"), (Peer::DockerRegistry, NO_ORDER)]),
    check(
        "T07",
        LIST,
        "two after a tag, which is not among them",
        get("/v2/conform/many/tags/list?n=2&last=a"),
        &[Status(&[200]), List(MANY, &["b", "c"])],
    )
    .unlike(&[(Peer::DockerRegistry, NO_PAGES)]),
    check(
        "T08",
        LIST,
        "n is optional with last",
        get("/v2/conform/many/tags/list?last=b"),
        &[Status(&[200]), List(MANY, &["c", "c.1", "d"])],
    )
    .unlike(&[(Peer::DockerRegistry, NO_PAGES)]),
    check(
        "T09",
        LIST,
        "after the last there is none",
        get("/v2/conform/many/tags/list?n=2&last=d"),
        &[Status(&[200]), List(MANY, &[]), Next(false)],
    )
    .unlike(&[(Peer::DockerRegistry, NO_PAGES)]),
    check(
        "T10",
        LIST,
        "last need not be a tag that is there",
        get("/v2/conform/many/tags/list?last=bb"),
        &[Status(&[200]), List(MANY, &["c", "c.1", "d"])],
    )
    .unlike(&[(Peer::DockerRegistry, NO_PAGES)]),
    check(
        "T11",
        LIST,
        "the tags of a repository that is not there",
        get("/v2/conform/none/tags/list"),
        &[Status(&[404]), Error(&["NAME_UNKNOWN"])],
    )
    .unlike(&[(Peer::Ferro, "it has every repository, and an empty list for it")]),
];

pub(super) const REFERRERS: &[Check] = &[
    check(
        "R01",
        REFER,
        "all that refers to a manifest",
        get("/v2/conform/app/referrers/{image}"),
        &[Status(&[200]), Referrers(&["sbom", "signature"])],
    )
    .unlike(&[(Peer::DockerRegistry, NONE)]),
    check(
        "R02",
        REFER,
        "the list is an index, and says so",
        get("/v2/conform/app/referrers/{image}"),
        &[Header("Content-Type", "application/vnd.oci.image.index.v1+json")],
    )
    .unlike(&[(Peer::DockerRegistry, NONE)]),
    check(
        "R03",
        REFER,
        "an artifact's type is told",
        get("/v2/conform/app/referrers/{image}"),
        &[Referrer("sbom", "application/vnd.example.sbom+json")],
    )
    .unlike(&[(Peer::DockerRegistry, NONE)]),
    check(
        "R04",
        REFER,
        "without one, the type of its configuration is",
        get("/v2/conform/app/referrers/{image}"),
        &[Referrer("signature", "application/vnd.example.signature")],
    )
    .unlike(&[(Peer::DockerRegistry, NONE)]),
    check(
        "R05",
        REFER,
        "an artifact's annotations are told",
        get("/v2/conform/app/referrers/{image}"),
        &[ReferrerNote("sbom", "org.example.format", "json")],
    )
    .unlike(&[(Peer::DockerRegistry, NONE)]),
    check(
        "R06",
        REFER,
        "a filter leaves those of the type, and is told",
        get("/v2/conform/app/referrers/{image}?artifactType=application/vnd.example.signature"),
        &[Status(&[200]), Referrers(&["signature"]), Header("OCI-Filters-Applied", "artifactType")],
    )
    .unlike(&[(Peer::DockerRegistry, NONE)]),
    check(
        "R07",
        REFER,
        "the type of a filter may be encoded",
        get("/v2/conform/app/referrers/{image}?artifactType=application%2Fvnd.example.sbom%2Bjson"),
        &[Status(&[200]), Referrers(&["sbom"])],
    )
    .unlike(&[(Peer::DockerRegistry, NONE)]),
    check(
        "R08",
        REFER,
        "a filter may leave nothing",
        get("/v2/conform/app/referrers/{image}?artifactType=application/vnd.example.none"),
        &[Status(&[200]), Referrers(&[])],
    )
    .unlike(&[(Peer::DockerRegistry, NONE)]),
    check(
        "R09",
        REFER,
        "nothing refers to this image",
        get("/v2/conform/app/referrers/{docker}"),
        &[Status(&[200]), Referrers(&[])],
    )
    .unlike(&[(Peer::DockerRegistry, NONE)]),
    check(
        "R10",
        REFER,
        "nothing refers to what is not there, and that is no 404",
        get("/v2/conform/app/referrers/{unknown}"),
        &[Status(&[200]), Referrers(&[])],
    )
    .unlike(&[(Peer::DockerRegistry, NONE)]),
    check("R11", REFER, "a digest that is none", get("/v2/conform/app/referrers/sha256:12"), &[Status(&[400]), ErrorForm])
        .unlike(&[(Peer::DockerRegistry, NONE)]),
    check(
        "R12",
        REFER,
        "what refers can be pulled",
        get("/v2/conform/app/manifests/{sbom}").with(&[("Accept", "application/vnd.oci.image.manifest.v1+json")]),
        &[Status(&[200]), Body("sbom")],
    ),
];
