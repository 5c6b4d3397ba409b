//! The policy language as data: `docs/reference/policy.md` is generated from it, and a test holds it against the reader.

/// A table of the policy file.
#[derive(Clone, Copy, Debug)]
pub struct TableReference {
    /// How the table is written, such as `[signers.NAME]`.
    pub header: &'static str,
    /// What it is.
    pub meaning: &'static str,
    /// Its fields.
    pub fields: &'static [FieldReference],
}

/// A field of a table.
#[derive(Clone, Copy, Debug)]
pub struct FieldReference {
    /// Its name.
    pub name: &'static str,
    /// What may stand there.
    pub values: &'static str,
    /// What holds when it is left out; empty when it must be there.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// A field's documentation.
#[must_use]
pub const fn field(name: &'static str, values: &'static str, default: &'static str, meaning: &'static str) -> FieldReference {
    FieldReference { name, values, default, meaning }
}

const CONDITION: &[FieldReference] = &[
    field("path", "a path without [*] and ?", "one of the five", "the one field that is meant; it must be there"),
    field("all", "a path with [*] or ?", "one of the five", "every value must pass the test; where there is none, that is so"),
    field("any", "a path with [*] or ?", "one of the five", "one value at least must pass the test"),
    field("none", "a path with [*] or ?", "one of the five", "no value may pass the test"),
    field(
        "count",
        "a path with [*] or ?",
        "one of the five",
        "at-least and at-most say how many values there are, or how many pass where",
    ),
    field("equals", "a text, number, time, true or false", "one test", "the value is this"),
    field("not-equals", "a text, number, time, true or false", "one test", "the value is there and is another"),
    field("in", "list of texts, numbers or times", "one test", "the value is one of these"),
    field("not-in", "list of texts, numbers or times", "one test", "the value is there and is none of these"),
    field("like", "text with * for any characters, or a list of such", "one test", "the whole text matches one of these"),
    field(
        "not-like",
        "text with * for any characters, or a list of such",
        "one test",
        "the text is there and matches none of these",
    ),
    field("at-least", "a number or a time", "one test", "the value is this or more; goes together with at-most"),
    field("at-most", "a number or a time", "one test", "the value is this or less"),
    field(
        "max-age",
        "a number and s, m, h, d or w",
        "one test",
        "the value is a time, not older than this and not in the future; the signer's own word",
    ),
    field("exists", "true or false", "one test", "whether the field of path is there"),
    field(
        "where",
        "list of conditions",
        "one test",
        "all of these hold of the element itself; goes with all, any, none and count",
    ),
    field("show", "list of one to four paths", "none", "fields of the element that a refusal shows; goes with where"),
];

/// Every table and field there is.
pub const TABLES: &[TableReference] = &[
    TableReference {
        header: "top level",
        meaning: "Holds for the whole policy.",
        fields: &[
            field("version", "1", "", "the version of this language"),
            field(
                "default",
                "\"deny\" or \"allow\"",
                "\"deny\"",
                "what happens to images that no rule covers; \"allow\" is warned about in every report",
            ),
            field("signers", "tables", "none", "who signs, by name"),
            field("sigstores", "tables", "none", "private Sigstore instances, by name"),
            field("rules", "array of tables", "none", "which images need which signers"),
            field("deny", "array of tables", "none", "digests that are rejected whatever is signed"),
            field("allow", "array of tables", "none", "pinned digests that pass without a signature until a date"),
        ],
    },
    TableReference {
        header: "[signers.NAME]",
        meaning: "A signer: a Cosign key (`key`), a Cosign identity (`identity` and `issuer`), a name in certificates of an authority of your own (`ca` and `identity`), or a role of Docker Content Trust (`roots`, `ca` or `tofu`).",
        fields: &[
            field("scheme", "\"cosign\" or \"dct\"", "", "how the signer signs"),
            field("key", "a path relative to the policy, or PEM text", "none", "the public key (SPKI PEM)"),
            field(
                "identity",
                "text with * for any characters",
                "none",
                "the subject of the certificate; the whole value must match",
            ),
            field(
                "identity-regex",
                "a regular expression",
                "none",
                "in place of `identity`; always matches the whole value, with or without ^ and $",
            ),
            field(
                "issuer",
                "text with * for any characters",
                "none",
                "the OIDC issuer of the certificate; the whole value must match",
            ),
            field("issuer-regex", "a regular expression", "none", "in place of `issuer`; always matches the whole value"),
            field(
                "log",
                "\"required\" or \"optional\"",
                "\"required\" for identities, \"optional\" for keys and with `ca`",
                "whether a transparency log entry is demanded",
            ),
            field("annotations", "table of texts", "none", "signed values that must be there"),
            field(
                "sigstore",
                "a name of [sigstores]",
                "the public instance",
                "which Sigstore instance vouches for the identity; with `ca`, whose logs and timestamp authorities count",
            ),
            field(
                "claims",
                "table of texts with * for any characters",
                "none",
                "what the certificate must say beside identity and issuer: issuer, build-signer-uri, build-signer-digest, runner-environment, source-repository-uri, source-repository-digest, source-repository-ref, source-repository-identifier, source-repository-owner-uri, source-repository-owner-identifier, build-config-uri, build-config-digest, build-trigger, run-invocation-uri, source-repository-visibility-at-signing, deployment-environment, token-subject, or of old certificates issuer-v1, github-workflow-trigger, github-workflow-sha, github-workflow-name, github-workflow-repository, github-workflow-ref",
            ),
            field(
                "roots",
                "list of 64 hexadecimal digits",
                "none",
                "pinned TUF root key ids, the \"Root Key\" of `docker trust inspect`",
            ),
            field(
                "ca",
                "a path relative to the policy",
                "none",
                "PEM certificates of root authorities: for Cosign those that issue the signer's certificates, for Docker Content Trust those that the root key's certificate may chain to",
            ),
            field(
                "ca-intermediates",
                "a path relative to the policy",
                "none",
                "PEM certificates between `ca` and the signer's certificates, which signatures then need not bring along",
            ),
            field("tofu", "true or false", "false", "believe the first root that is seen, remember it, and say so"),
            field(
                "role",
                "\"targets\" or a delegation",
                "Docker's rule",
                "the role that must sign; Docker's rule is targets/releases, then targets",
            ),
        ],
    },
    TableReference {
        header: "[sigstores.NAME]",
        meaning: "A private Sigstore instance.",
        fields: &[
            field("trusted-root", "a path relative to the policy", "none", "its trusted root file; or `tuf` and `root`"),
            field(
                "tuf",
                "an address",
                "none",
                "the TUF repository that its trusted root is fetched from, by `trustctl anchor update` alone",
            ),
            field("root", "a path relative to the policy", "none", "the root metadata of that repository that trust begins with"),
            field("logs", "0 to 32", "0", "how many operators must have logged a signature, whatever its signer's `log` says"),
            field(
                "times",
                "1 to 32",
                "1",
                "how many operators of logs and timestamp authorities must say when a certificate signed",
            ),
            field("certificate-logs", "0 to 32", "1", "how many operators must have logged the certificate"),
            field(
                "inclusion-proof",
                "\"required\" or \"optional\"",
                "\"optional\"",
                "whether a log's promise alone never counts, also in .sig tags and bundles 0.1",
            ),
        ],
    },
    TableReference {
        header: "[[rules]]",
        meaning: "A rule. The one with the most specific pattern decides alone: more literal segments first, then more literal characters. Equally specific rules are an error.",
        fields: &[
            field("name", "text", "", "its name in reports, unique"),
            field(
                "images",
                "list of patterns",
                "",
                "full repository names; * within a segment, ** for one or more whole segments",
            ),
            field(
                "require",
                "{ any = [...] }, { all = [...] } or { at-least = N, of = [...] }",
                "",
                "which signers must have signed",
            ),
            field(
                "platforms",
                "\"index\", \"children\" or \"either\"",
                "\"either\"",
                "which manifests of a multi-platform image must be signed; a trusted index covers the children it names, unless one of them is revoked or denied; an index in an index is refused",
            ),
            field(
                "signed-repository",
                "\"same\", \"required\" or { remap = { \"mirror/path\" = \"signed/path\" }, required = true }",
                "\"same\"",
                "a repository named in a signature must be this one; \"required\": one must be named",
            ),
            field("signed-tag", "\"any\" or \"same\"", "\"any\"", "asked for by tag, whether the signature must name that tag"),
            field("max-age", "a number and s, m, h, d or w", "no limit", "the greatest age of the signature's trusted time"),
            field(
                "attestations",
                "list of { type, signers, max-age, where, which }",
                "none",
                "attestations that must be there; also written as [[rules.attestations]]",
            ),
            field(
                "mode",
                "\"enforce\", \"warn\" or \"audit\"",
                "\"enforce\"",
                "whether a failing image is rejected or only reported; with \"audit\" the proxy reports it to its operators alone; what is revoked or denied, or has a platform image that is, is always rejected",
            ),
            field(
                "until",
                "a date",
                "none",
                "when a mode that lets images pass ends; the day still counts, in UTC; it is enforced after that",
            ),
            field("revokers", "list of signers", "none", "whose revocation counts beside that of the required signers"),
        ],
    },
    TableReference {
        header: "attestations = [{ … }]",
        meaning: "An attestation that must be there, and what it must say. An attestation never counts as a signature.",
        fields: &[
            field(
                "type",
                "a URI or a short name",
                "",
                "the predicate type: slsaprovenance, slsaprovenance1, spdx, cyclonedx, vuln, openvex, link, custom, or the URI",
            ),
            field(
                "signers",
                "list of signers",
                "",
                "whose attestation counts; a signer's `log` is demanded of it, its `annotations` are not: attestations carry none",
            ),
            field("max-age", "a number and s, m, h, d or w", "no limit", "the greatest age of its trusted time"),
            field("where", "list of conditions", "none", "what its predicate must say; all of them"),
            field(
                "which",
                "\"newest\" or \"any\"",
                "\"newest\"",
                "of which attestations of the type by these signers the conditions must hold: of the newest by trusted time and of each without one, or of any; goes with where",
            ),
        ],
    },
    TableReference {
        header: "where = [{ … }]",
        meaning: "A condition over the predicate: one of path, all, any, none and count says which values are meant, and one test what must hold of them. A path is names with dots between them; [*] is every element of a list, [0] the first; a name with other characters stands between quotes; a name that may be missing is followed by ?. A missing field, and one of another type, never satisfies a condition. null counts as missing. Letters are compared as they are, also their case. At most 64 conditions, 4 deep.",
        fields: CONDITION,
    },
    TableReference {
        header: "[[deny]]",
        meaning: "A digest that is rejected whatever is signed. Beats everything. An index that names it, by whatever digest, is rejected too, and so is an index in an index, which could hide it; of a multi-platform image deny each platform image, since the same images can be put into another index.",
        fields: &[
            field("digest", "sha256:…", "", "the SHA-256 of the manifest"),
            field("reason", "text", "", "shown to those who are refused"),
        ],
    },
    TableReference {
        header: "[[allow]]",
        meaning: "A pinned image that passes without a signature. Shown in every report.",
        fields: &[
            field("images", "list of patterns", "", "full repository names"),
            field("digest", "sha256:…", "", "the SHA-256 of the manifest"),
            field("reason", "text", "", "shown in every report"),
            field("until", "a date", "", "the last day it counts, in UTC"),
        ],
    },
];
