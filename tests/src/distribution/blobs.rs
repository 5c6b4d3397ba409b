//! Blobs: whole, in part and by condition, with GET and HEAD. The layer has 200,000 bytes.

use super::Expect::{Body, Error, ErrorForm, Header, Length, LikeGet, Part, Status, Without};
use super::{Ask, Check, Peer, check, get, head};

const PULL: &str = "Pulling blobs";
const EXISTS: &str = "Checking if content exists in the registry";
const RANGES: &str = "Pulling blobs; RFC 9110, 14";
const LAYER: Ask = get("/v2/conform/app/blobs/{layer}");

/// What is wrong with the refusals of docker-registry.
const CUT: &str = "its error declares the length of the blob, and ends before";

pub(super) const CHECKS: &[Check] = &[
    check("B01", PULL, "a layer comes whole", LAYER, &[Status(&[200]), Body("layer"), Without("Content-Range")]),
    check("B02", PULL, "the digest is told with a blob", LAYER, &[Header("Docker-Content-Digest", "{layer}")]),
    check("B03", PULL, "a configuration comes whole", get("/v2/conform/app/blobs/{config}"), &[Status(&[200]), Body("config")]),
    check(
        "B04",
        PULL,
        "a blob that is not there",
        get("/v2/conform/app/blobs/{unknown}"),
        &[Status(&[404]), Error(&["BLOB_UNKNOWN"])],
    ),
    check(
        "B05",
        PULL,
        "a blob in a repository that is not there",
        get("/v2/conform/none/blobs/{layer}"),
        &[Status(&[404]), Error(&["BLOB_UNKNOWN", "NAME_UNKNOWN"])],
    ),
    check("B06", PULL, "a digest that is none", get("/v2/conform/app/blobs/sha256:12"), &[Status(&[400, 404]), ErrorForm]),
    check(
        "B07",
        PULL,
        "a digest of an algorithm that nobody knows",
        get("/v2/conform/app/blobs/md5:d41d8cd98f00b204e9800998ecf8427e"),
        &[Status(&[400, 404]), ErrorForm],
    ),
    check(
        "B08",
        "RFC 9110, 14.3",
        "that ranges are understood is told",
        head("/v2/conform/app/blobs/{layer}"),
        &[Header("Accept-Ranges", "bytes")],
    ),
    check(
        "B09",
        RANGES,
        "the first ten bytes",
        LAYER.with(&[("Range", "bytes=0-9")]),
        &[Status(&[206]), Header("Content-Range", "bytes 0-9/200000"), Part("layer", 0, 10)],
    ),
    check(
        "B10",
        RANGES,
        "one byte",
        LAYER.with(&[("Range", "bytes=70000-70000")]),
        &[Status(&[206]), Header("Content-Range", "bytes 70000-70000/200000"), Part("layer", 70_000, 70_001)],
    ),
    check(
        "B11",
        RANGES,
        "from a place to the end",
        LAYER.with(&[("Range", "bytes=100000-")]),
        &[Status(&[206]), Header("Content-Range", "bytes 100000-199999/200000"), Part("layer", 100_000, 200_000)],
    ),
    check(
        "B12",
        RANGES,
        "the last five bytes",
        LAYER.with(&[("Range", "bytes=-5")]),
        &[Status(&[206]), Header("Content-Range", "bytes 199995-199999/200000"), Part("layer", 199_995, 200_000)],
    ),
    check(
        "B13",
        RANGES,
        "what begins within and ends after the blob ends with it",
        LAYER.with(&[("Range", "bytes=199990-900000")]),
        &[Status(&[206]), Header("Content-Range", "bytes 199990-199999/200000"), Part("layer", 199_990, 200_000)],
    ),
    check(
        "B14",
        RANGES,
        "a suffix longer than the blob is the blob",
        LAYER.with(&[("Range", "bytes=-900000")]),
        &[Status(&[206]), Header("Content-Range", "bytes 0-199999/200000"), Body("layer")],
    ),
    check(
        "B15",
        RANGES,
        "all of it as a range",
        LAYER.with(&[("Range", "bytes=0-")]),
        &[Status(&[206]), Header("Content-Range", "bytes 0-199999/200000"), Body("layer")],
    ),
    check(
        "B16",
        RANGES,
        "what begins after the end cannot be given",
        LAYER.with(&[("Range", "bytes=200000-")]),
        &[Status(&[416]), Header("Content-Range", "bytes */200000"), ErrorForm],
    )
    .unlike(&[(Peer::DockerRegistry, CUT)]),
    check(
        "B17",
        RANGES,
        "a suffix of nothing cannot be given",
        LAYER.with(&[("Range", "bytes=-0")]),
        &[Status(&[416]), ErrorForm],
    )
    .unlike(&[(Peer::DockerRegistry, "Go's file server answers with 206 and no bytes")]),
    check(
        "B18",
        RANGES,
        "a range that ends before it begins is ignored or refused",
        LAYER.with(&[("Range", "bytes=5-3")]),
        &[Status(&[200, 400, 416]), ErrorForm],
    )
    .unlike(&[(Peer::DockerRegistry, CUT)]),
    check(
        "B19",
        RANGES,
        "another unit than bytes is ignored",
        LAYER.with(&[("Range", "lines=0-9")]),
        &[Status(&[200]), Body("layer")],
    )
    .unlike(&[(Peer::DockerRegistry, "Go's file server answers 416 to a unit that it does not know")]),
    check(
        "B20",
        RANGES,
        "several ranges give several parts or the whole",
        LAYER.with(&[("Range", "bytes=0-1,5-6")]),
        &[Status(&[200, 206])],
    ),
    check(
        "B21",
        RANGES,
        "If-Range with the tag of the content: the part",
        LAYER.with(&[("Range", "bytes=0-9"), ("If-Range", "\"{layer}\"")]),
        &[Status(&[206]), Part("layer", 0, 10)],
    ),
    check(
        "B22",
        RANGES,
        "If-Range with another tag: the whole",
        LAYER.with(&[("Range", "bytes=0-9"), ("If-Range", "\"{config}\"")]),
        &[Status(&[200]), Body("layer")],
    ),
    check(
        "B23",
        RANGES,
        "If-Range with a weak tag: the whole",
        LAYER.with(&[("Range", "bytes=0-9"), ("If-Range", "W/\"{layer}\"")]),
        &[Status(&[200]), Body("layer")],
    ),
    check(
        "B24",
        "RFC 9110, 13.1.2",
        "who has the blob is not sent it again",
        LAYER.with(&[("If-None-Match", "\"{layer}\"")]),
        &[Status(&[304])],
    ),
    check(
        "B25",
        "RFC 9110, 13.1.2",
        "who has any blob of this name is not sent it again",
        LAYER.with(&[("If-None-Match", "*")]),
        &[Status(&[304])],
    ),
    check(
        "B26",
        "RFC 9110, 13.2.2",
        "If-None-Match counts before Range",
        LAYER.with(&[("If-None-Match", "\"{layer}\""), ("Range", "bytes=0-9")]),
        &[Status(&[304])],
    ),
    check(
        "H07",
        EXISTS,
        "HEAD of a blob tells digest and size",
        head("/v2/conform/app/blobs/{layer}"),
        &[Status(&[200]), Header("Docker-Content-Digest", "{layer}"), Length("layer")],
    ),
    check("H08", EXISTS, "HEAD of a blob says what GET says", head("/v2/conform/app/blobs/{config}"), &[Status(&[200]), LikeGet]),
    check("H09", EXISTS, "HEAD of a blob that is not there", head("/v2/conform/app/blobs/{unknown}"), &[Status(&[404])]),
    check(
        "H10",
        "RFC 9110, 14.2",
        "Range counts for GET alone",
        head("/v2/conform/app/blobs/{layer}").with(&[("Range", "bytes=0-9")]),
        &[Status(&[200]), Length("layer")],
    )
    .unlike(&[(Peer::DockerRegistry, "Go's file server answers 206 to HEAD as well")]),
    check("H11", EXISTS, "HEAD of a digest that is none", head("/v2/conform/app/blobs/sha256:12"), &[Status(&[400, 404])]),
];
