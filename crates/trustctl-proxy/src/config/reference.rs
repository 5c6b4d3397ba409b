//! The configuration as data: `docs/reference/proxy-config.md` is generated from it, and a test holds it against the reader.

use trustctl_core::policy::reference::{FieldReference, TableReference, field};

const LISTEN: &[FieldReference] = &[
    field("address", "address and port", "", "where it listens, such as `127.0.0.1:5000`, `0.0.0.0:5000` or `[::]:5000`"),
    field("certificate", "path", "none", "the certificate chain, PEM, the own certificate first; turns TLS on"),
    field("key", "path", "none", "the private key of the certificate, PEM; certificate and key are read again when they change"),
    field("client-ca", "path", "none", "authorities whose client certificates are let in, PEM"),
    field(
        "client-certificates",
        "`required` or `optional`",
        "`required`",
        "whether a client without a certificate is turned away; goes with `client-ca`",
    ),
    field("plain", "true or false", "`false`", "serve without TLS on an address that other machines reach; warned about"),
];

/// Every table of the file.
pub const TABLES: &[TableReference] = &[
    TableReference {
        header: "(top level)",
        meaning: "Paths are relative to the folder of this file. Durations are a whole number and `s`, `m`, `h` or `d`.",
        fields: &[
            field("version", "`1`", "", "the version of this format"),
            field("policy", "path", "", "the [policy](policy.md) that decides what is served; read again when it changes"),
            field("state", "path", "", "the folder for evidence, verdicts, memory and the cache; only one proxy may use it"),
            field(
                "help",
                "address of a page",
                "the page of the reason",
                "where those who are refused find help; shown in every refusal",
            ),
        ],
    },
    TableReference { header: "[[listen]]", meaning: "An address where clients are served. At least one.", fields: LISTEN },
    TableReference {
        header: "[admin]",
        meaning: "The address of the [status page, metrics and health](metrics.md). Whoever reaches it sees which images were asked for.",
        fields: LISTEN,
    },
    TableReference {
        header: "[cache]",
        meaning: "The cache of blobs and manifests, below `state`.",
        fields: &[field(
            "max-size",
            "a number and `MiB`, `GiB` or `TiB`",
            "`20GiB`",
            "what was used least lately goes first when more than this would be there",
        )],
    },
    TableReference {
        header: "[times]",
        meaning: "How long what is known is good for.",
        fields: &[
            field("tag-ttl", "0s to 1d", "`30s`", "the answer for a tag; `0s` asks the upstream each time"),
            field(
                "revocation",
                "1s to 1d",
                "`60s`",
                "a revocation counts after this time at the latest, while the registry answers where it could be; else `max-stale`",
            ),
            field("refusal", "0s to 1h", "`10s`", "a refusal is repeated for so long without looking again"),
            field("max-stale", "0s to 365d", "`24h`", "what was verified is served for so long while the upstream is down"),
            field(
                "verify",
                "1s to 60s",
                "`8s`",
                "the time for all that is asked before one request is decided; what takes longer is answered with 503 or as stale",
            ),
        ],
    },
    TableReference {
        header: "[limits]",
        meaning: "What clients may take.",
        fields: &[
            field(
                "connections",
                "1 to 65536",
                "`4096`",
                "open connections of all listeners together; more wait until one closes",
            ),
            field("header", "1s to 5m", "`10s`", "a client has to have sent the headers of a request after this time"),
            field(
                "idle",
                "1s to 1h",
                "`30s`",
                "a connection without a request, or one that takes nothing of its answer, is closed after this time",
            ),
            field("shutdown", "0s to 1h", "`30s`", "answers that run when the proxy is told to stop may take so long to end"),
        ],
    },
    TableReference {
        header: "[audit]",
        meaning: "The log of decisions.",
        fields: &[field("file", "path", "`audit.log` in `state`", "one JSON object a line, each chained to the one before it")],
    },
    TableReference {
        header: "[break-glass]",
        meaning: "Emergency access to one image for a limited time.",
        fields: &[field(
            "keys",
            "list of paths",
            "none",
            "public keys, PEM, of those who may sign break-glass tokens; without keys there is no such access",
        )],
    },
    TableReference {
        header: "[[upstreams]]",
        meaning: "A registry that is served. A request means the registry that `?ns=` names, else the one of the host name, else the one whose prefix the name begins with, else the default one. At least one; each registry once.",
        fields: &[
            field(
                "registry",
                "host, with a port where it has one",
                "",
                "the registry's name, as images and policies are written: `docker.io`, `registry.example:5000`",
            ),
            field(
                "endpoint",
                "`https://` or `http://`, host and port",
                "where its name leads",
                "where it is really served; plain HTTP only on loopback, unless `plain = true`",
            ),
            field(
                "plain",
                "true or false",
                "`false`",
                "the endpoint is asked without TLS although it is another machine; warned about",
            ),
            field(
                "notary",
                "`https://` or `http://`, host and port",
                "by Docker's rule",
                "the Notary server of its collections, for policies with `scheme = \"dct\"`; plain HTTP only on loopback",
            ),
            field(
                "prefix",
                "path",
                "the registry's name, where it has no port",
                "what stands before its repositories: `PROXY/<prefix>/library/alpine`",
            ),
            field(
                "hosts",
                "list of host names",
                "none",
                "host names of the proxy that lead to this registry; without a port for all ports",
            ),
            field(
                "namespace",
                "true or false",
                "`false`",
                "whether `?ns=` with its name leads here, as containerd and BuildKit ask mirrors",
            ),
            field(
                "default",
                "true or false",
                "`false`",
                "whether names that lead nowhere else lead here; for one upstream at most",
            ),
            field("mirror", "true or false", "`false`", "clients use it as a mirror: it never asks them for credentials"),
            field(
                "deny-mode",
                "`status` or `sticky`",
                "`status`",
                "how an image is refused: by 403 (and by 503 where it could not be decided), or for mirrors in both cases by a manifest that no client can run, which keeps clients from asking the next mirror",
            ),
            field(
                "credentials",
                "`docker`, `none` or `pass-through`",
                "`docker`",
                "as whom the registry is asked: as Docker would, as nobody, or as the caller",
            ),
            field("user", "text", "none", "the user as whom the registry is asked; goes with `password`"),
            field("password", "path or `env:NAME`", "none", "the file or variable with the user's password or token"),
            field(
                "canary",
                "path of a repository",
                "none",
                "a repository that is refused to everybody, such as `library/hello-world`: whoever gets it has gone round the proxy, which `trustctl proxy doctor` finds out",
            ),
        ],
    },
];
