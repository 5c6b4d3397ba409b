//! What holds for all: the version, errors, names, and that nothing is written.

use super::Expect::{Error, ErrorForm, Header, Status};
use super::{Ask, Check, Peer, check, get};

const CODES: &str = "Error Codes";
const NAME: &str = "Pulling manifests (<name>)";
/// Why docker-registry does not refuse to be written to.
const WRITABLE: &str = "it is a registry: it may be written to";
const UNSUPPORTED: &[super::Expect] = &[Status(&[400, 405]), Error(&["UNSUPPORTED"])];

const fn write(method: &'static str, path: &'static str) -> Ask {
    Ask { method, path, headers: &[] }
}

pub(super) const SUPPORT: &[Check] = &[
    check("S01", "Determining Support", "the specification is implemented", get("/v2/"), &[Status(&[200])]),
    check(
        "S02",
        "Legacy Docker support HTTP headers",
        "engines of Docker are told the version that they look for",
        get("/v2/"),
        &[Header("Docker-Distribution-API-Version", "registry/2.0")],
    ),
];

pub(super) const ERRORS: &[Check] = &[
    check(
        "E01",
        CODES,
        "an error of a manifest has the specified form, and is JSON",
        get("/v2/conform/app/manifests/none").with(&[("Accept", "*/*")]),
        &[Error(&["MANIFEST_UNKNOWN"])],
    ),
    check(
        "E02",
        CODES,
        "an error of a blob has the specified form, and is JSON",
        get("/v2/conform/app/blobs/{unknown}"),
        &[Error(&["BLOB_UNKNOWN"])],
    ),
    check(
        "E03",
        CODES,
        "a digest that is none has a code of its own",
        get("/v2/conform/app/blobs/sha256:12"),
        &[Status(&[400]), Error(&["DIGEST_INVALID"])],
    ),
    check("E04", CODES, "a path that is none", get("/v2/conform/app/nothing/here"), &[Status(&[404]), ErrorForm]),
];

pub(super) const NAMES: &[Check] = &[
    check("N01", NAME, "no upper case", get("/v2/Conform/app/tags/list"), &[Status(&[400, 404]), ErrorForm]),
    check("N02", NAME, "no empty part", get("/v2/conform//app/tags/list"), &[Status(&[301, 400, 404]), ErrorForm]),
    check("N03", NAME, "no separator at the beginning", get("/v2/-conform/app/tags/list"), &[Status(&[400, 404]), ErrorForm]),
    check("N04", NAME, "no two dots", get("/v2/conform..app/tags/list"), &[Status(&[400, 404]), ErrorForm]),
    check("N05", NAME, "no way up", get("/v2/conform/../app/tags/list"), &[Status(&[301, 400, 404]), ErrorForm]),
    check(
        "N06",
        NAME,
        "all separators that the grammar allows",
        get("/v2/conform/a__b--c.d-e/tags/list"),
        &[Status(&[404]), Error(&["NAME_UNKNOWN"])],
    ),
];

pub(super) const WRITES: &[Check] = &[
    check("W01", "Deleting tags", "a tag is not deleted", write("DELETE", "/v2/conform/many/manifests/none"), UNSUPPORTED)
        .unlike(&[(Peer::DockerRegistry, "it takes digests alone: a tag is refused by another code")]),
    check(
        "W02",
        "Endpoints, end-9",
        "a manifest is not deleted",
        write("DELETE", "/v2/conform/many/manifests/{unknown}"),
        UNSUPPORTED,
    )
    .unlike(&[(Peer::DockerRegistry, WRITABLE)]),
    check("W03", "Endpoints, end-10", "a blob is not deleted", write("DELETE", "/v2/conform/many/blobs/{unknown}"), UNSUPPORTED)
        .unlike(&[(Peer::DockerRegistry, WRITABLE)]),
    check("W04", "Endpoints, end-4a", "no upload begins", write("POST", "/v2/conform/many/blobs/uploads/"), UNSUPPORTED)
        .unlike(&[(Peer::DockerRegistry, WRITABLE)]),
    check("W05", "Endpoints, end-7", "no manifest is taken", write("PUT", "/v2/conform/many/manifests/new"), UNSUPPORTED)
        .unlike(&[(Peer::DockerRegistry, WRITABLE)]),
    check(
        "W06",
        "RFC 9110, 15.5.6",
        "405 names the methods that there are",
        write("PUT", "/v2/conform/many/manifests/new"),
        &[Status(&[405]), Header("Allow", "GET, HEAD")],
    )
    .unlike(&[(Peer::DockerRegistry, WRITABLE)]),
];
