//! The table of reason codes. Adding a row is additive; changing the meaning of one is not allowed.

with_proxy_codes! {
    {
    // 01xx references, registry and images
    BadReference = 101 "reference.malformed" rank 50
        "the image reference is malformed";
        "The text is not an image reference by Docker's rules: host, lower-case path, optional tag, optional digest.";
        "write it like registry.example/team/app:1.0 or registry.example/team/app@sha256:<64 hex digits>"
    ImageNotFound = 102 "image.not-found" rank 50
        "the registry has no such image or tag";
        "The registry answered that the manifest does not exist. Some registries answer the same when you may not see it.";
        "check the spelling, and log in if the repository is private"
    BadManifest = 103 "image.bad-manifest" rank 60
        "the manifest cannot be read as an image or index";
        "The bytes are not JSON, are of an unsupported type, mix the fields of an image and an index, or contradict their media type. Such a document can look different to different programs.";
        "ask the publisher to push the image again with a current tool"
    WrongDigest = 104 "registry.wrong-digest" rank 85
        "the registry served bytes that do not have the digest they were asked by";
        "Content is addressed by its digest. Bytes with another digest were altered on the way or by the registry.";
        "pull through another network or mirror; report it to the operator of the registry"
    TagNotAllowed = 105 "reference.tag-where-digest-needed" rank 50
        "a tag was given where a digest is needed";
        "A tag can move between looking and signing. What is signed must be named by its digest.";
        "give the digest, or let this run resolve the tag once and print it: --resolve-tag"
    TagMovedMeanwhile = 106 "registry.tag-moved-meanwhile" rank 80
        "the tag was moved by somebody else during this run";
        "Between resolving the tag and finishing, the registry began to serve another digest under it.";
        "look at both images with trustctl inspect, then run the command again by digest"
    PublishConflict = 107 "registry.publish-conflict" rank 70
        "another publisher kept changing the same place";
        "Signatures of one image share a tag or list. Each try read it, merged and wrote; somebody else wrote in between every time.";
        "run the command again: it is safe to repeat"
    PublishNotVisible = 108 "registry.publish-not-visible" rank 75
        "what was published could not be read back";
        "After writing, everything is fetched again and verified. The registry did not serve what it had accepted.";
        "check that no mirror or cache stands between, then run the command again"
    ImmutableTag = 109 "registry.immutable-tag" rank 70
        "the registry refuses to change an existing tag";
        "Tags are immutable here. The legacy .sig layout and the referrers fallback tag need a tag that can be rewritten.";
        "use bundles on a registry with the referrers API, or exempt tags starting with sha256- from immutability"
    DeleteRefused = 110 "registry.delete-refused" rank 60
        "the registry does not delete";
        "Many registries switch deletion off. The signed revocation counts without it; deleting only tidies up.";
        "ask the operator to enable deletion, or leave the signatures: the revocation is enforced by verifiers that see it"

    // 02xx Docker Content Trust
    DctNoData = 201 "dct.no-trust-data" rank 20
        "the Notary server has no trust data for this repository";
        "Nobody has signed anything in this repository with Docker Content Trust, or the data was deleted.";
        "ask the publisher to sign with trustctl sign --scheme dct"
    DctTagNotSigned = 202 "dct.tag-not-signed" rank 30
        "the collection does not sign this tag";
        "The repository has trust data, but none of the roles that count names this tag.";
        "ask the publisher to sign the tag, or use one that is signed: trustctl inspect lists them"
    DctDigestNotSigned = 203 "dct.digest-not-signed" rank 30
        "the collection does not sign this digest under any tag";
        "The image was asked for by digest, and no tag in the roles that count has it.";
        "ask the publisher to sign it, or use a tag that is signed: trustctl inspect lists them"
    DctTagMoved = 204 "dct.tag-moved" rank 90
        "the tag has moved: the registry serves another digest than the one signed";
        "Docker Content Trust signs which digest a tag means. The registry now serves another one: pushed without signing, rolled back, or replaced by an attacker.";
        "use the signed digest; if you publish the image, sign the new one"
    DctExpired = 205 "dct.expired" rank 70
        "signed metadata has expired";
        "Each file of the collection has an end date, so that an attacker cannot replay old data for ever (freeze attack).";
        "if you publish, renew: sign again or ask the server's operator why the timestamp is not renewed"
    DctRollback = 206 "dct.rollback" rank 95
        "the server offers older metadata than was seen before";
        "A version is lower than one already verified, or a file that was seen is not named any more. Somebody restored old data or withholds some, to hide an update or a revocation.";
        "ask the publisher whether the repository was set up anew on purpose before starting trust afresh"
    DctHashMismatch = 207 "dct.hash-mismatch" rank 88
        "a file does not have the hash its signed parent names";
        "Timestamp, snapshot and targets chain by hashes. A break means mixed or altered files (mix-and-match).";
        "try again; if it stays, report it to the operator of the Notary server"
    DctBadSignature = 208 "dct.bad-signature" rank 88
        "valid signatures did not meet the threshold of the role";
        "The file was altered, or was signed by keys that the role does not name.";
        "do not use the data; ask the publisher to check the repository"
    DctRootNotPinned = 209 "dct.root-not-pinned" rank 92
        "the collection's root is not one that is pinned";
        "The root key decides everything below it. This one is neither pinned nor reached from a pinned one by signed rotations.";
        "compare the root key id with the publisher by another channel before pinning it"
    DctBadRotation = 210 "dct.bad-root-rotation" rank 93
        "the new root is not signed by the root trusted before";
        "Each root must be signed by its predecessor's keys. A root without that signature is another repository in disguise.";
        "ask the publisher whether the root was replaced, and compare its key id by another channel"
    DctRootCertificate = 211 "dct.root-certificate" rank 85
        "the root key's certificate is not acceptable";
        "Notary demands an X.509 certificate for this GUN, within its validity, not signed with SHA-1, leaf first.";
        "ask the publisher to rotate the root key"
    DctMalformed = 212 "dct.malformed" rank 60
        "a metadata file is malformed";
        "The JSON is not Notary's format: a field is missing, of the wrong type, duplicated, or beyond a limit.";
        "try again; if it stays, report it to the operator of the Notary server"
    DctKeyIdMismatch = 213 "dct.key-id-mismatch" rank 85
        "a key does not hash to the id it is listed under";
        "Key ids are hashes of keys. A wrong id is an attempt to pass one key off as another.";
        "do not use the data; ask the publisher to check the repository"
    DctWrongLength = 214 "dct.wrong-length" rank 84
        "a file does not have the declared length";
        "Signed metadata declares how long each file is, which also stops endless downloads.";
        "try again; if it stays, report it to the operator of the Notary server"
    DctRoleConflict = 215 "dct.role-conflict" rank 65
        "roles of the collection sign different digests for the tag";
        "notary lookup, docker pull and docker trust inspect would disagree about this tag. The role Docker's pull uses decides here.";
        "if you publish, sign the tag again, which writes every role, or revoke it where it is stale"
    DctMissingFile = 216 "dct.missing-file" rank 62
        "a file that signed metadata names is missing";
        "The server has no copy of a file that must exist.";
        "report it to the operator of the Notary server"
    DctRoleMissing = 217 "dct.role-missing" rank 64
        "the role the policy asks for does not exist in the collection";
        "The policy names a delegation that the collection does not have, or that is not reachable from targets.";
        "check the role in the policy with the publisher"
    DctFirstUse = 218 "dct.trust-on-first-use" rank 10
        "the root was believed because it was seen first";
        "Trust on first use protects only from the second time on. It is allowed by the policy and remembered.";
        "pin the root key id once you have compared it with the publisher"
    DctExpiresSoon = 219 "dct.expires-soon" rank 5
        "signed metadata expires soon";
        "Within the warning period. Nothing is wrong yet.";
        "if you publish, renew the role by signing again"
    DctCached = 220 "dct.judged-from-cache" rank 5
        "the Notary server was not reachable; judged from the verified copy kept here";
        "A copy that was verified before and has not expired is used. Changes since then are not seen.";
        "nothing to do unless it lasts: the copy ends with its timestamp"
    DctPublishRefused = 221 "dct.publish-refused" rank 70
        "the Notary server refused the update";
        "The server checks signatures, versions and hashes of every upload. Its words are quoted.";
        "read the server's words; if somebody else published meanwhile, run the command again"
    DctKeyNeeded = 222 "dct.key-needed" rank 72
        "a key that this change needs is not here";
        "A role can only be changed by a holder of its key.";
        "import the key with trustctl key import, or ask its holder to run the command"
    DctStillSigned = 223 "dct.still-signed" rank 90
        "the tag is still signed after revoking";
        "The collection was read again after publishing and some role still names the tag.";
        "import the key of the role that is named, or ask its holder to revoke there"
    DctSelfCheck = 225 "dct.self-check-failed" rank 80
        "what was about to be published does not verify";
        "Every upload is verified as a reader would before it is sent. Nothing was sent.";
        "check the keys and certificates that were given, and the clock of this machine"
    DctInitialised = 226 "dct.already-initialised" rank 70
        "the repository already has trust data under other keys";
        "A repository is initialised once. Doing it again with another root key would cut off everybody who knows the first one.";
        "use the existing root and targets keys, or ask their holder to add you as a signer"
    DctCannotKeep = 227 "dct.cannot-keep" rank 62
        "signing the file again would change or drop data that is in it";
        "The file holds fields or numbers that Notary's format cannot carry unchanged. They were signed by somebody, so nothing is changed silently.";
        "sign it again with the program that wrote it, or have its author take the field out"
    DctBadChange = 228 "dct.change-not-possible" rank 60
        "the change makes no sense for this collection";
        "Names, keys and paths of roles follow Notary's rules, and a change must fit what is there.";
        "look at the collection with trustctl inspect, then correct the command"

    // 03xx Cosign
    CosignUnsigned = 301 "cosign.no-signature" rank 20
        "no signature was found";
        "Both places were looked at: the .sig tag and the referrers.";
        "ask the publisher to sign the image, or see what exists with trustctl inspect"
    CosignWrongKey = 302 "cosign.wrong-key" rank 40
        "there are signatures, but none by a key that is trusted here";
        "Somebody signed the image, yet none of the signatures verifies with a key of the policy.";
        "ask the publisher which key signs, and compare its fingerprint by another channel"
    CosignDigestMismatch = 303 "cosign.digest-mismatch" rank 86
        "a valid signature is about another image";
        "The signed digest is not the digest of this image: the signature was copied from elsewhere.";
        "do not use the image under this signature"
    CosignRepositoryMismatch = 304 "cosign.repository-mismatch" rank 84
        "a valid signature names another repository";
        "The signed bytes name a repository, and it is not the one asked for.";
        "if this is a mirror, map it in the rule's signed-repository table"
    CosignTagMismatch = 305 "cosign.tag-mismatch" rank 84
        "a valid signature names another tag";
        "The rule demands that the signed tag is the one asked for.";
        "use the tag that is signed, or ask the publisher to sign this one"
    CosignAnnotationMismatch = 306 "cosign.annotation-mismatch" rank 60
        "a valid signature lacks an annotation that the policy demands";
        "One digest may be signed for development and not for production; the signed annotations say which.";
        "ask the publisher to sign with the annotation"
    CosignAttestationOnly = 307 "cosign.attestation-is-no-signature" rank 55
        "there is an attestation by the signer, but no signature";
        "An attestation says something about an image; it does not approve it.";
        "ask the publisher to sign the image as well"
    CosignMalformed = 308 "cosign.malformed" rank 35
        "a signature artifact is malformed";
        "A manifest, payload or bundle is not of its format, has duplicate fields, or is beyond a limit. It was left aside.";
        "look at it with trustctl inspect; remove it if it is yours"
    CosignRevoked = 309 "cosign.revoked" rank 100
        "the image has been revoked";
        "A signer whose word counts here has withdrawn the image in a signed statement.";
        "use another version; the signer's message says why"
    CosignLogUnjudged = 310 "cosign.log-not-judged" rank 45
        "the policy demands a transparency log entry, and nothing at hand can judge one";
        "A log entry is judged with the trusted root of the Sigstore instance it belongs to, and there is none, so nothing is decided.";
        "name the trusted root of the instance that the signer logs to"
    CosignBadSignature = 311 "cosign.bad-signature" rank 50
        "a signature does not verify with the key it names";
        "The artifact says which key or certificate made it, and the signature is not valid over its bytes with that.";
        "look at it with trustctl inspect; the bytes were altered, or what it names is false"
    CosignWrongIdentity = 312 "cosign.wrong-identity" rank 45
        "the signature is by another identity";
        "The certificate names an identity or issuer that the policy does not accept.";
        "compare expected and found with care; a look-alike name is how this attack looks"
    CosignRepositoryUnnamed = 313 "cosign.repository-not-named" rank 52
        "the signature names no repository, and the rule demands one";
        "Plain bundles of cosign 3 sign a bare digest. This program adds the repository as a signed annotation.";
        "ask the publisher to sign with a tool that names the repository"
    CosignKeylessUnjudged = 314 "cosign.identity-not-judged" rank 45
        "the signature is by a certificate, and nothing at hand can judge it";
        "A certificate is judged with the trusted root of a Sigstore instance, and no signer of the policy names an identity, or its instance has no trusted root here.";
        "name the identity and issuer that must have signed, and for a private instance its trusted root"
    CosignTooMany = 315 "cosign.too-many" rank 48
        "there are more signatures or referrers than are read";
        "A limit keeps an attacker from exhausting the verifier. What lies beyond was not looked at.";
        "remove superfluous artifacts from the image"
    CosignSelfCheck = 316 "cosign.self-check-failed" rank 80
        "the signature that was just made does not verify";
        "Every signature is verified with a fresh client before success is reported.";
        "check the key pair; nothing that failed the check counts as published"

    CosignCertificateUntrusted = 317 "cosign.certificate-untrusted" rank 58
        "the certificate is not by a trusted authority";
        "The certificate that signed does not lead to a certificate authority of the trusted root that counted at the signing time, or is not meant for signing code.";
        "compare the instance that signed with the trusted root; a private instance needs its own"
    CosignCertificateExpired = 318 "cosign.certificate-not-valid-then" rank 64
        "the certificate was not valid when it signed";
        "A proven time, by the log or by a timestamp, lies outside the validity of the certificate or of an authority above it. Every proven time must lie inside.";
        "do not use the image under this signature; ask the publisher to sign again"
    CosignCertificateUnlogged = 319 "cosign.certificate-not-logged" rank 62
        "the certificate carries no valid proof that it was logged";
        "A certificate for an identity must carry a signed certificate timestamp of a trusted certificate transparency log, so that a falsely issued one can be noticed.";
        "compare the instance that signed with the trusted root, and report it to the instance"
    CosignLogMissing = 320 "cosign.log-entry-missing" rank 56
        "a demanded transparency log entry, or its inclusion proof, is missing";
        "Without an entry nobody can notice that the key or identity was misused. From bundle version 0.2 on an entry needs an inclusion proof.";
        "ask the publisher to sign with a tool that logs the signature"
    CosignLogInvalid = 321 "cosign.log-entry-invalid" rank 66
        "a transparency log entry does not hold";
        "The log's promise, inclusion proof or checkpoint is not validly signed by the log, or does not lead to what it signed.";
        "do not use the image under this signature; the entry was altered or made up"
    CosignLogMismatch = 322 "cosign.log-entry-of-another" rank 68
        "the transparency log entry is about another signature";
        "The entry names another signature, key or digest than the artifact it came with. A genuine entry was attached to what was never logged.";
        "do not use the image under this signature"
    CosignLogUnknown = 323 "cosign.log-unknown" rank 57
        "the transparency log is not a trusted one";
        "The entry is by a log that the trusted root does not name, or did not name for that time.";
        "compare the instance that signed with the trusted root; a private instance needs its own"
    CosignTimestampInvalid = 324 "cosign.timestamp-invalid" rank 63
        "a signed timestamp does not hold";
        "The timestamp is not by a timestamp authority that the trusted root names for that time, or is over another signature. One that is there must be valid.";
        "do not use the image under this signature; ask the publisher to sign again"
    CosignTimeMissing = 325 "cosign.no-trusted-time" rank 59
        "nobody vouches for the time of the signature";
        "A certificate for an identity is valid for minutes, so a log or a timestamp authority must say when the signature was made. An inclusion proof alone says no time.";
        "ask the publisher to sign with a timestamp authority or a log that promises the time"
    CosignTimeInFuture = 326 "cosign.time-in-future" rank 61
        "a proven time lies in the future";
        "The log or the timestamp authority names a time after the one judged at.";
        "check the clock of this machine, or the time given with --at"
    CosignThreshold = 327 "cosign.too-few-authorities" rank 54
        "fewer distinct logs or timestamp authorities vouch for the signature than demanded";
        "Each operator counts once, however many entries or timestamps it made.";
        "ask the publisher to sign with as many logs and timestamp authorities as the policy demands"
    CosignCertificateClaim = 328 "cosign.certificate-claim-mismatch" rank 60
        "the certificate does not say what the policy demands";
        "Beside identity and issuer a certificate tells the repository, the ref, the environment and more of the build; the policy demands a value that is another here, or missing.";
        "compare expected and found with care; the right workflow may have run on the wrong branch or in the wrong environment"

    PredicateCondition = 340 "cosign.predicate-condition" rank 60
        "an attestation says something that the policy does not accept";
        "The rule names conditions over what the attestation says, such as the findings of a scan, the builder or a licence. One of them does not hold. Expected and found are shown, with the place in the document.";
        "act on what was found: build, scan or describe the image again, and have the new result attested"
    PredicateFieldMissing = 341 "cosign.predicate-field-missing" rank 59
        "an attestation lacks a field that a condition of the policy needs";
        "A missing field never satisfies a condition. The document may be of another version or tool than the condition was written for.";
        "look at the document with trustctl attest download; correct the path of the condition, or mark a field that may be missing with ?"
    PredicateWrongType = 342 "cosign.predicate-wrong-type" rank 59
        "a field of an attestation is of another type than the condition is about";
        "Text is not compared with numbers, and a list is not a value. The document may be of another version or tool than the condition was written for.";
        "look at the document with trustctl attest download, and correct the condition"
    PredicateUnreadable = 343 "cosign.predicate-unreadable" rank 59
        "what an attestation says cannot be read without doubt";
        "The predicate nests too deep, or names a field twice in one object, so that two programs may read two things in it.";
        "ask the publisher to attest a document that a current tool has written"
    PredicateTooComplex = 344 "cosign.predicate-too-complex" rank 59
        "checking the conditions on an attestation takes too many steps";
        "The work on one document is limited, so that none can hold the verifier up. Nothing is decided.";
        "write fewer or more specific conditions, or ask for a smaller document"
    PredicateForm = 345 "cosign.predicate-form" rank 60
        "the predicate is not of the form that its type has";
        "What is attested is looked at before it is signed: that it is JSON without doubt, and has the parts by which readers know its type. Nothing was signed.";
        "correct the file or the type: --type takes a short name or the URI of the predicate type"
    AttestationAmbiguous = 346 "cosign.attestation-ambiguous" rank 50
        "several attestations of the type are there, and nothing says which one is meant";
        "They say different things, and no proven time tells which one is the newest.";
        "name one by the digest that trustctl attest list shows: --digest"
    AttestationNotDemanded = 347 "cosign.attestation-not-demanded" rank 60
        "the policy does not say whose attestations of this type count";
        "A signer's word counts for what the rule names it for. The rule that covers the image demands no attestation of this type.";
        "add the type and its signers to the attestations of the rule"
    StatementSubjects = 348 "cosign.statement-subjects" rank 60
        "the statement speaks of something else than what is attested";
        "A statement that is given as a whole is signed as it is. It must name each thing that is attested, and nothing that was not named: whoever signs vouches for all of it.";
        "name every subject of the statement, or have its builder write one for these subjects alone"
    CosignPredicateType = 360 "cosign.predicate-type-mismatch" rank 57
        "the bundle does not attest what is asked for";
        "Who asks for an attestation of a type gets an answer about that type alone. A signature, or a statement of another type, is no answer, however validly it is signed.";
        "look at the predicate type that is expected and found; ask the publisher for the attestation"

    // 04xx network and limits
    Unavailable = 401 "net.unavailable" rank 75
        "a server could not be reached or answered with an error";
        "Nothing was learnt. An outage is never read as \"unsigned\".";
        "check the address and the network, then try again"
    AccessDenied = 402 "net.denied" rank 74
        "the server denied access";
        "401 or 403: the credentials are missing, expired or not sufficient.";
        "log in to the registry, then run the command again"
    BadAnswer = 403 "net.bad-answer" rank 73
        "a server's answer does not follow its protocol";
        "The answer could not be understood and was not used.";
        "check the address; a captive portal or a proxy often answers in place of the server"
    TooLarge = 404 "limit.too-large" rank 71
        "a file is larger than is read";
        "Limits keep an attacker from exhausting memory. What is larger is not read, and nothing is trusted for it.";
        "look at the artifact with trustctl inspect; remove it if it is yours"
    OutOfBudget = 405 "limit.out-of-budget" rank 71
        "the budget of one verification is used up";
        "Rounds, bytes and time of one verification are limited.";
        "remove superfluous artifacts from the image, or allow more time with --timeout"
    PlainHttp = 406 "net.plain-http" rank 72
        "plain HTTP is only used for loopback addresses or when it is named";
        "Without TLS anybody on the path can read credentials and change answers.";
        "use https, or name the registry as plain-http in the configuration"
    RealmRefused = 407 "net.realm-refused" rank 78
        "the registry points to a token server that it may not point to";
        "Credentials are only sent to the registry's own host or its registrable domain, over TLS.";
        "check the registry's address; if its token server really lives elsewhere, log in to that one"
    NotGathered = 408 "net.not-gathered" rank 71
        "a piece of evidence was never asked for";
        "The evidence is incomplete, for example because it was saved by a run with another policy.";
        "gather the evidence again with the policy it is to be judged by"
    Offline = 409 "net.offline" rank 71
        "the evidence is not here and the run is offline";
        "No request is made in an offline run.";
        "run without --offline, or give evidence saved earlier: --evidence"

    // 05xx keys and credentials
    KeyNotFound = 501 "key.not-found" rank 50
        "there is no such key";
        "No file, keyring entry or trust directory has it.";
        "list what is there with trustctl key list"
    KeyUnreadable = 502 "key.unreadable" rank 50
        "the file is not a key of a supported format";
        "Supported: Cosign's encrypted keys, Notary's PEM files of all generations, PKCS#8, SEC1, PKCS#1.";
        "check the file; convert it with the tool that made it"
    WrongPassphrase = 503 "key.wrong-passphrase" rank 52
        "the passphrase does not open the key";
        "The key is encrypted, and what was given does not decrypt it.";
        "check which passphrase belongs to this key: root, repository and signer keys often differ"
    PassphraseNeeded = 504 "key.passphrase-needed" rank 52
        "the key is encrypted and no passphrase was given";
        "Input is not a terminal, so nothing can be asked.";
        "set the variable for this key, or give --passphrase env:NAME or a file"
    KeyExists = 505 "key.exists" rank 50
        "there is a key under this name already";
        "Keys are never overwritten.";
        "choose another name, or delete the old key first"
    KeyUnsupported = 506 "key.unsupported" rank 50
        "the key's algorithm cannot be used for this";
        "Some keys can be verified with but not signed with, or not in this format.";
        "use an ECDSA P-256 key"
    ExampleKey = 507 "key.example" rank 95
        "the key is one of the published example keys";
        "Everybody has the private half of the keys in keys-example/.";
        "generate a key of your own with trustctl key generate"
    KeyringUnavailable = 508 "key.keyring-unavailable" rank 50
        "the operating system's keyring cannot be used";
        "No keyring service answers, or it is locked.";
        "unlock it, or keep the key in an encrypted file"
    NoCredentials = 509 "auth.no-credentials" rank 60
        "the registry wants credentials and there are none";
        "No entry for this registry in Docker's configuration or its credential helpers.";
        "log in with docker login or podman login"
    CredentialHelper = 510 "auth.helper-failed" rank 60
        "a credential helper failed";
        "Docker's configuration names a helper program for this registry, and it did not answer properly.";
        "run the helper by hand to see its error"
    KeyFileAccess = 511 "key.file-access" rank 50
        "a key's file or folder cannot be read or written";
        "The operating system refused: no permission, a full disk, or a folder where a file should be.";
        "check who owns the file and its folder, and the space left"
    KeyBadName = 512 "key.bad-name" rank 50
        "the name cannot be the name of a key";
        "A key's name becomes a file name: 1 to 100 letters, digits, dots, dashes and underscores, starting with a letter or digit. The GUN and role of a Notary key become lines in its file.";
        "choose a name such as release-2027"
    KeySigningFailed = 513 "key.signing-failed" rank 60
        "the holder of the key did not sign";
        "The file, keyring, token or plugin that keeps the private half refused or failed. Its words are quoted.";
        "read the words; unlock the token or keyring, then run the command again"
    KeyEmptyPassphrase = 514 "key.empty-passphrase" rank 12
        "the key is stored under an empty passphrase";
        "Cosign allows the empty passphrase, so that a key in a safe place can be used unattended. The file alone is then enough to sign.";
        "export it with key export --new-passphrase, unless nobody else can read the file"
    }
    {
    // 07xx policy and configuration
    PolicyUnusable = 701 "policy.unusable" rank 60
        "the policy cannot be used";
        "A policy is refused as a whole when any part of it is unknown or contradictory, so that a typing error cannot widen trust.";
        "fix the line, then run trustctl policy check"
    PolicyNoRule = 702 "policy.no-rule" rank 30
        "no rule of the policy covers the image, and the default is deny";
        "What no rule names is not trusted.";
        "add a rule for the repository that names who must sign it"
    PolicyDenied = 703 "policy.denied" rank 99
        "the policy denies this digest";
        "A deny entry beats every signature.";
        "use another version of the image"
    PolicyThreshold = 704 "policy.not-enough-signers" rank 25
        "fewer signers than the rule requires";
        "Some of the required signatures are there, but not all.";
        "ask the missing signers to sign"
    PolicyTooOld = 705 "policy.too-old" rank 66
        "the newest signature is older than the rule allows";
        "The rule limits the age of signatures.";
        "ask the publisher to sign again"
    PolicyNoTime = 706 "policy.no-trusted-time" rank 64
        "the rule limits the age, and the signature has no trusted time";
        "Only a third party's time counts: a log or a timestamp authority. A signer's own clock proves nothing.";
        "sign with a timestamp, or use a scheme that knows freshness"
    PolicyAttestationMissing = 707 "policy.attestation-missing" rank 58
        "an attestation that the rule demands is missing";
        "The rule asks for an attestation of a type, by given signers, and none that qualifies was found.";
        "ask the publisher to attach it"
    PolicyAllowed = 708 "policy.allowed-unsigned" rank 10
        "the image is allowed by an entry of the policy, not by a signature";
        "An allow entry pins a digest until a date, with a reason.";
        "plan its replacement before the entry ends"
    PolicyAllowExpired = 709 "policy.allow-expired" rank 61
        "the entry that allowed the image has ended";
        "Allow entries have an end date so that exceptions do not last by accident.";
        "review the image and renew the entry, or use a signed one"
    PolicyWarn = 710 "policy.warn-only" rank 12
        "the rule is in warn mode: the image would be refused";
        "Warn mode lets images through until its end date.";
        "have the image signed before the mode ends"
    PolicyDefaultAllow = 711 "policy.default-allow" rank 10
        "no rule covers the image, and the policy's default lets it through";
        "With default = \"allow\" nothing is checked for images outside the rules.";
        "set default = \"deny\" and write a rule"
    AnchorUnusable = 712 "config.anchor-unusable" rank 60
        "a key, root or certificate that is to be trusted cannot be used";
        "The file is missing or is not of the expected format.";
        "check the file that is named; a path in a policy is relative to the policy"
    ConfigUnusable = 713 "config.unusable" rank 60
        "a configuration file, variable or state file cannot be used";
        "It is not readable or not of its format.";
        "check the file or variable that is named"
    PolicyChildUntrusted = 714 "policy.child-untrusted" rank 67
        "a platform image of the index is not trusted by itself";
        "The rule asks that every platform image is signed, not only the index.";
        "sign with --recursive, which is the default"
    PolicyCaseFailed = 715 "policy.case-failed" rank 60
        "a policy test case did not give the expected verdict";
        "policy test judges saved evidence and compares.";
        "compare the expected and the found verdict, then fix the policy or the case"
    UsageAnchor = 716 "config.no-anchor" rank 60
        "nothing says whom to trust";
        "A verification needs a policy, a key, an identity or a pinned root; there is no default that trusts anybody.";
        "give --policy, --key, --identity with --issuer, or --dct-root"
    LocalFile = 717 "config.local-file" rank 60
        "a local file could not be read or written";
        "The operating system's words are quoted.";
        "check the path, its permissions and the free space"
    Danger = 718 "config.danger" rank 12
        "a flag that lowers safety was given";
        "Its name begins with --danger, and every report of the run says so.";
        "leave the flag out where nobody needs it"
    OtherTime = 719 "config.other-time" rank 12
        "the image was judged as of another time than now";
        "With --at, what has ended since counts and what was signed since does not: the verdict is one about that moment.";
        "leave --at out to judge as of now"
    PolicyNestedIndex = 720 "policy.index-in-index" rank 97
        "the index names another index, and only images are looked for in one";
        "Some clients follow an index into the next one, others refuse it. Who wraps an index could so bring back an image that was revoked or denied, so an index must name images only; what each is, its bytes say.";
        "use the inner index by its digest; if you publish it, make one index that names every image"
    PolicyRevocationUnproven = 721 "policy.revocation-unproven" rank 73
        "a statement says that a signer of the rule withdraws the image, and it cannot be proven";
        "The certificate names a signer whose revocation counts here, and a log entry, a time, the authority or the trusted root that would prove it is missing, or does not hold. It may be what the signer said.";
        "ask the signer; if it is theirs, use another image and mend the trusted root or the proof, and if it is not, have whoever runs the registry remove it"
    PolicyRevocationByOther = 722 "policy.revocation-by-others" rank 13
        "a statement says that the image is withdrawn, by nobody whose word counts here";
        "Whoever can push can put such a statement beside an image. It counts when a signer of the rule, or one of its revokers, made it.";
        "look at it with trustctl inspect; if its maker should be believed, name them in the rule's revokers"
    LayoutAmbiguous = 730 "config.layout-ambiguous" rank 69
        "programs may load different images of the layout under this name";
        "Programs choose an image of a layout by different annotations, and take the first or the last of several. Where they need not agree, the image that is judged may not be the one that runs.";
        "name the image by its digest, for the program that loads it too; or save the image again, alone, into a new layout"
    OldEvidence = 731 "config.old-evidence" rank 12
        "the evidence was gathered more than a day before the time judged at";
        "Saved evidence does not show what was revoked, moved or signed since it was gathered, and nobody vouches for the time in the file.";
        "gather it again where the registry can be reached: trustctl verify --save-evidence"

    // 08xx the command line
    BadCommandLine = 801 "usage.bad-command-line" rank 50
        "the command line does not fit the command";
        "A command, flag or value is missing, unknown, or contradicts another. Nothing was done.";
        "look at the flags with --help after the command"
    BadValue = 802 "usage.bad-value" rank 50
        "a flag or argument has a value that it cannot have";
        "The message names the flag or argument, and what is expected there. Nothing was done.";
        "correct the value"
    ConfirmationNeeded = 803 "usage.confirmation-needed" rank 50
        "the command asks before it changes anything, and nothing can be asked";
        "Input is not a terminal, or --no-input was given. What cannot be undone is only done after a yes.";
        "look once more at what is named, then give --yes"
    NoSigningKey = 804 "usage.no-signing-key" rank 50
        "nothing says what to sign with";
        "Cosign signs with the key that is named; Docker Content Trust signs with the keys of the trust directory.";
        "give --key with a key of trustctl key list, or make one with trustctl key generate; for Docker Content Trust give --scheme dct"
    PolicyNotUsed = 805 "usage.policy-not-used" rank 12
        "the policy that a variable names is not used: a flag says whom to trust";
        "What is typed counts more than a variable that was set some time before. What the policy denies is not denied in this run.";
        "leave the flag out to judge by the policy"

    // 083x the queue of signatures that wait for a service
    SignatureQueued = 830 "queue.signature-waits" rank 60
        "the signature is not finished: a signing service is down, and it waits in the queue";
        "With --if-log-down queue, what is finished of a signature is kept in a file when the log, the timestamp authority, the certificate authority or the source of tokens cannot be asked. Nothing was published for it, and nothing is verified yet: the run does not end well.";
        "run trustctl complete when the service answers again; let nothing be deployed before that ended with 0"
    QueueNotEmpty = 831 "queue.not-empty" rank 60
        "not every signature in the queue could be finished";
        "A service is still down, or another process is working on the same file. What could be finished is published and verified; the rest stays in the queue.";
        "run trustctl complete again later"
    QueueUnusable = 832 "queue.unusable" rank 60
        "the queue, or a file in it, cannot be used";
        "The folder cannot be written, or a file in it is not what trustctl sign wrote: it is cut off, altered, or of another version. Nothing was signed because of it.";
        "remove the file that is named, and run trustctl sign for its images again"
    SecondLogEntry = 833 "queue.second-log-entry" rank 20
        "the log has an entry of this signature that is lost, and gets a second one";
        "An earlier request was carried out and its answer lost, and a Rekor v2 does not hand out what it has. A new signature was made and logged. The first entry is about the same image by the same signer, and belongs to no signature that was published.";
        "nothing; whoever watches the log for this identity will see two entries"
    JournalUnwritten = 834 "queue.journal-unwritten" rank 12
        "what a log is asked for could not be written down before";
        "A log keeps what it is given, so that a run notes it in the state folder first. A run that is killed before it has published leaves the note, and the next one fetches the entry instead of making a second.";
        "let the state folder be writable, and keep it between runs of a pipeline, or use --if-log-down queue with a folder that is kept"

    // 095x services that sign, 096x identity tokens
    SigningConfigUnusable = 950 "sigstore.signing-config-unusable" rank 60
        "the signing config cannot be used";
        "A signing config says which services of a Sigstore instance are asked when signing. It must be of version 0.2, within the limits, and not contradict itself.";
        "check the file; a private instance's operator hands it out beside the trusted root"
    ServiceMissing = 951 "sigstore.service-missing" rank 60
        "the signing config names no service that this signature needs";
        "Signing by identity needs a certificate authority, and a log or a timestamp authority that says the time. A service counts while it is valid and speaks an API that is known here.";
        "give the signing config of an instance that offers the service, or a newer one"
    ServiceRefused = 952 "sigstore.service-refused" rank 70
        "a signing service refused the request";
        "The certificate authority, the log or the timestamp authority answered that it will not do it. Its words are quoted. Nothing was published.";
        "read the service's words; if they make no sense, report them to the operator of the instance"
    NotOurs = 953 "sigstore.answer-of-another" rank 80
        "a signing service answered something that is not about this signature";
        "The certificate is for another key, the timestamp over another signature, or the log entry that is said to be there already is not this one. Nothing was published.";
        "try again; if it stays, report it to the operator of the instance"
    LegacyNotPossible = 954 "sigstore.not-in-signature-tag" rank 55
        "the .sig tag cannot hold what vouches for the signature";
        "The legacy layout keeps a log entry as the promise of Rekor v1. An entry of Rekor v2 has none.";
        "store a bundle, or use a signing config that names a Rekor v1"
    TokenMissing = 960 "token.none" rank 60
        "there is no identity token";
        "Signing by identity needs an OpenID Connect token: of the CI system, from a file or variable, or by signing in on a terminal.";
        "in CI give the job the permission for a token; elsewhere give --identity-token, or sign with --key"
    TokenMalformed = 961 "token.malformed" rank 60
        "the identity token is malformed";
        "It must be a JSON Web Token: three base64url parts, signed, with issuer, subject, audience and expiry, within the limits. The token itself is never shown.";
        "check where the token comes from; an access token is no identity token"
    TokenExpired = 962 "token.expired" rank 60
        "the identity token is not valid now";
        "It has expired, or is not valid yet. Tokens live for minutes, and the certificate authority would refuse it.";
        "fetch a fresh token right before signing, and check the clock of this machine"
    TokenAudience = 963 "token.wrong-audience" rank 60
        "the identity token is meant for somebody else";
        "A token names its audience, so that whoever gets it cannot use it elsewhere. This one is not for the Sigstore instance.";
        "ask for a token with the audience that is expected"
    TokenIssuer = 964 "token.wrong-issuer" rank 60
        "the identity token is by another issuer";
        "The issuer that was named is not the one in the token.";
        "compare expected and found; give the issuer of the token, or another token"
    TokenPermission = 965 "token.permission-missing" rank 62
        "the job may not have an identity token";
        "The CI system runs this job without the permission to ask for a token of its own.";
        "give the job the permission: in GitHub Actions permissions: id-token: write; in GitLab id_tokens: with aud: sigstore"
    TokenRefused = 966 "token.refused" rank 62
        "the certificate authority refused the identity token";
        "The token's issuer is not one that the instance accepts, or the token's signature, audience or time does not suit it. Its words are quoted.";
        "check that the issuer belongs to the instance, and fetch a fresh token"
    TokenSource = 967 "token.source-failed" rank 60
        "the source of identity tokens did not give one";
        "A CI system's endpoint, a metadata server, an agent or a file was found, and what it gave is no token. Its words are quoted; the token is never shown.";
        "read the words; give --identity-token to use another source"
    SignInFailed = 968 "token.sign-in-failed" rank 60
        "signing in did not bring a token";
        "The sign-in was refused or ran out of time, or its answer belongs to another sign-in: state, nonce or code do not fit.";
        "sign in again; over a remote shell give --device"
    TokenUnverified = 969 "token.address-not-verified" rank 60
        "the issuer has not verified the address in the token";
        "A certificate would name an address that nobody has shown to be theirs.";
        "verify the address with the issuer, then sign again"

    // 098x and 099x what trust begins with
    AnchorRolledBack = 980 "anchor.rolled-back" rank 80
        "the repository offers older metadata than was seen before";
        "Versions of a TUF repository only grow. Older metadata can bring back keys and logs that were withdrawn since.";
        "ask who runs the repository; if it was set up anew, pin its new root: trustctl anchor forget, then trustctl anchor pin"
    AnchorExpired = 981 "anchor.expired" rank 76
        "the repository's metadata has expired";
        "Somebody may hold back newer metadata, or nobody has renewed it. What was fetched before stays as it is.";
        "check the clock of this machine; then ask who runs the repository"
    AnchorNotSigned = 982 "anchor.not-signed" rank 79
        "too few of the right keys signed the repository's metadata";
        "Each role has keys and a threshold, named by the root. Fewer valid signatures than that are none.";
        "ask who runs the repository; the file may have been altered"
    AnchorRotation = 983 "anchor.bad-rotation" rank 79
        "a root of the repository does not follow from the one before it";
        "A new root has the next version and is signed by the keys of the old root and by its own.";
        "ask who runs the repository; the file may have been altered"
    AnchorHashMismatch = 984 "anchor.hash-mismatch" rank 78
        "a file of the repository is not the one that its metadata names";
        "Length, hash or version differ from what was signed, or the name that was signed is no name.";
        "try again in some minutes: the repository may be publishing; then ask who runs it"
    AnchorMalformed = 985 "anchor.malformed" rank 77
        "a file of the repository cannot be read";
        "It is not metadata of The Update Framework, or names what this program cannot use.";
        "check the address; a captive portal or a proxy often answers in place of the server"
    AnchorFileMissing = 986 "anchor.file-missing" rank 74
        "the repository does not have a file that it needs";
        "The server answered 404 for a file that every repository has, or that its metadata names.";
        "check the address: it is the folder in which timestamp.json lies"
    AnchorForeign = 987 "anchor.foreign-root" rank 70
        "the pinned root does not belong to what was fetched from this address before";
        "The root that trust begins with is not among the roots that led to the newest one. Another repository lies there now, or the wrong file was named.";
        "compare the root with who runs the repository; to start afresh: trustctl anchor forget"
    AnchorUnknown = 988 "anchor.unknown" rank 60
        "there is no anchor of this name";
        "Neither the policy in force nor trustctl anchor pin has named it.";
        "look at trustctl anchor list"
    AnchorExists = 989 "anchor.exists" rank 60
        "another anchor is pinned under this name";
        "Pins are never replaced in passing.";
        "choose another name, or forget the old one first: trustctl anchor forget"
    AnchorNotFetched = 990 "anchor.not-fetched" rank 69
        "the trusted root of a Sigstore instance was never fetched";
        "A verification asks nobody but the registry. The repository that the policy names is asked by trustctl anchor update alone.";
        "run trustctl anchor update"
    AnchorOutdated = 991 "anchor.outdated" rank 69
        "the trusted root of a Sigstore instance was fetched too long ago to be used";
        "The repository said until when its metadata may be used without asking again, and that time is over.";
        "run trustctl anchor update"
    AnchorOld = 992 "anchor.old" rank 12
        "the trusted root of the public-good Sigstore instance is old";
        "Keys and logs that were added since are not known here, and those that were withdrawn since still count.";
        "run trustctl anchor update, or install a newer version of this program"
    }
}
