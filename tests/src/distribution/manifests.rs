//! Manifests: by tag and by digest, with GET and HEAD.

use super::Expect::{Body, Error, ErrorForm, Header, Length, LikeGet, Status, Without};
use super::{Check, Peer, check, get, head};

const PULL: &str = "Pulling manifests";
const EXISTS: &str = "Checking if content exists in the registry";
const CONDITIONS: &str = "RFC 9110, 13.1.2";
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
const ALL: &[(&str, &str)] = &[("Accept", INDEX), ("Accept", OCI), ("Accept", DOCKER)];
/// Why docker-registry does not give an OCI manifest to those who do not name its type.
const NAMED: &str = "it gives an OCI manifest only to who names its type in Accept, and 404 to everybody else";

/// What docker-registry makes of a digest that is none.
const AS_TAG: &str = "it takes it for a tag, finds no such file, and answers 500";

pub(super) const CHECKS: &[Check] = &[
    check(
        "M01",
        PULL,
        "a manifest comes by its tag",
        get("/v2/conform/app/manifests/oci").with(ALL),
        &[Status(&[200]), Body("image")],
    ),
    check(
        "M02",
        PULL,
        "a manifest comes by its digest",
        get("/v2/conform/app/manifests/{image}").with(ALL),
        &[Status(&[200]), Body("image")],
    ),
    check(
        "M03",
        PULL,
        "the type of an OCI manifest, without parameters",
        get("/v2/conform/app/manifests/oci").with(ALL),
        &[Header("Content-Type", OCI)],
    ),
    check(
        "M04",
        PULL,
        "the type of a Docker manifest",
        get("/v2/conform/app/manifests/docker").with(ALL),
        &[Header("Content-Type", DOCKER), Body("docker")],
    ),
    check(
        "M05",
        PULL,
        "the type of an index",
        get("/v2/conform/app/manifests/multi").with(ALL),
        &[Header("Content-Type", INDEX), Body("index")],
    ),
    check(
        "M06",
        PULL,
        "the digest is told with a manifest by tag",
        get("/v2/conform/app/manifests/oci").with(ALL),
        &[Header("Docker-Content-Digest", "{image}")],
    ),
    check(
        "M07",
        PULL,
        "the digest is told with a manifest by digest",
        get("/v2/conform/app/manifests/{index}").with(ALL),
        &[Header("Docker-Content-Digest", "{index}")],
    ),
    check(
        "M08",
        PULL,
        "what an index names comes by its digest",
        get("/v2/conform/app/manifests/{child}").with(ALL),
        &[Status(&[200]), Body("child")],
    ),
    check(
        "M09",
        PULL,
        "a manifest without a mediaType of its own comes with the type it was pushed with",
        get("/v2/conform/app/manifests/bare").with(ALL),
        &[Status(&[200]), Body("bare"), Header("Content-Type", OCI)],
    ),
    check(
        "M10",
        PULL,
        "types may be listed in one Accept header",
        get("/v2/conform/app/manifests/multi")
            .with(&[("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json;q=0.9")]),
        &[Status(&[200]), Body("index")],
    ),
    check(
        "M11",
        PULL,
        "Accept is advice: any type is accepted",
        get("/v2/conform/app/manifests/oci").with(&[("Accept", "*/*")]),
        &[Status(&[200]), Body("image")],
    )
    .unlike(&[(Peer::DockerRegistry, NAMED)]),
    check(
        "M12",
        PULL,
        "Accept is advice: it may be missing",
        get("/v2/conform/app/manifests/oci"),
        &[Status(&[200]), Body("image"), Header("Content-Type", OCI)],
    )
    .unlike(&[(Peer::DockerRegistry, NAMED)]),
    check(
        "M13",
        PULL,
        "a type that is not accepted is given all the same, as what it is",
        get("/v2/conform/app/manifests/{image}").with(&[("Accept", DOCKER)]),
        &[Status(&[200]), Body("image"), Header("Content-Type", OCI)],
    )
    .unlike(&[(Peer::DockerRegistry, NAMED)]),
    check(
        "M14",
        PULL,
        "a tag may have every sign that its grammar allows",
        get("/v2/conform/many/manifests/V1.0_rc-1").with(ALL),
        &[Status(&[200]), Body("image")],
    ),
    check(
        "M15",
        PULL,
        "a tag that is not there",
        get("/v2/conform/app/manifests/none").with(ALL),
        &[Status(&[404]), Error(&["MANIFEST_UNKNOWN"])],
    ),
    check(
        "M16",
        PULL,
        "a digest that is not there",
        get("/v2/conform/app/manifests/{unknown}").with(ALL),
        &[Status(&[404]), Error(&["MANIFEST_UNKNOWN"])],
    ),
    check(
        "M17",
        PULL,
        "a repository that is not there",
        get("/v2/conform/none/manifests/oci").with(ALL),
        &[Status(&[404]), Error(&["NAME_UNKNOWN", "MANIFEST_UNKNOWN"])],
    ),
    check(
        "M18",
        PULL,
        "a tag may have 128 characters",
        get("/v2/conform/app/manifests/{tag128}").with(ALL),
        &[Status(&[404]), Error(&["MANIFEST_UNKNOWN"])],
    ),
    check(
        "M19",
        PULL,
        "a tag of 129 characters is none",
        get("/v2/conform/app/manifests/{tag128}x").with(ALL),
        &[Status(&[400, 404]), ErrorForm],
    ),
    check(
        "M20",
        PULL,
        "a tag does not begin with a dot",
        get("/v2/conform/app/manifests/.oci").with(ALL),
        &[Status(&[400, 404]), ErrorForm],
    ),
    check(
        "M21",
        PULL,
        "a digest that is too short is none",
        get("/v2/conform/app/manifests/sha256:12").with(ALL),
        &[Status(&[400, 404]), ErrorForm],
    )
    .unlike(&[(Peer::DockerRegistry, AS_TAG)]),
    check(
        "M22",
        PULL,
        "a digest in upper case is none",
        get("/v2/conform/app/manifests/{IMAGE}").with(ALL),
        &[Status(&[400, 404]), ErrorForm],
    )
    .unlike(&[(Peer::DockerRegistry, AS_TAG)]),
    check(
        "M23",
        PULL,
        "a manifest of another repository is not there",
        get("/v2/conform/many/manifests/{docker}").with(ALL),
        &[Status(&[404]), Error(&["MANIFEST_UNKNOWN"])],
    ),
    check(
        "M24",
        CONDITIONS,
        "who has the manifest is not sent it again",
        get("/v2/conform/app/manifests/{image}").with(&[("Accept", OCI), ("If-None-Match", "\"{image}\"")]),
        &[Status(&[304])],
    ),
    check(
        "M25",
        CONDITIONS,
        "who has another manifest is sent this one",
        get("/v2/conform/app/manifests/oci").with(&[("Accept", OCI), ("If-None-Match", "\"{index}\"")]),
        &[Status(&[200]), Body("image")],
    ),
    check(
        "M26",
        CONDITIONS,
        "one of several tags may be the one, and be weak",
        get("/v2/conform/app/manifests/oci").with(&[("Accept", OCI), ("If-None-Match", "\"{index}\", W/\"{image}\"")]),
        &[Status(&[304]), Header("Etag", "\"{image}\"")],
    )
    .unlike(&[(Peer::DockerRegistry, "it compares the whole header with the one tag")]),
    check(
        "H01",
        EXISTS,
        "HEAD of a manifest by tag says what GET says",
        head("/v2/conform/app/manifests/oci").with(ALL),
        &[Status(&[200]), LikeGet],
    ),
    check(
        "H02",
        EXISTS,
        "HEAD of a manifest by digest says what GET says",
        head("/v2/conform/app/manifests/{index}").with(ALL),
        &[Status(&[200]), LikeGet],
    ),
    check(
        "H03",
        EXISTS,
        "HEAD of a manifest tells digest and size",
        head("/v2/conform/app/manifests/docker").with(ALL),
        &[Status(&[200]), Header("Docker-Content-Digest", "{docker}"), Length("docker")],
    ),
    check(
        "H04",
        EXISTS,
        "HEAD of a tag that is not there",
        head("/v2/conform/app/manifests/none").with(ALL),
        &[Status(&[404]), Without("Docker-Content-Digest")],
    ),
    check(
        "H05",
        EXISTS,
        "HEAD of a digest that is not there",
        head("/v2/conform/app/manifests/{unknown}").with(ALL),
        &[Status(&[404]), Without("Docker-Content-Digest")],
    ),
    check(
        "H06",
        EXISTS,
        "HEAD of a repository that is not there",
        head("/v2/conform/none/manifests/oci").with(ALL),
        &[Status(&[404])],
    ),
];
