//! sigstore-python's command, and sigstore-js's libraries behind the script `client.cjs`.

use trustctl_lab::sigstore::LogVersion;
use trustctl_tests::peers::{Peer, Program};
use trustctl_tests::process::Ran;

use super::stage::{STRANGER, Stage, accepts, denies, json};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop_sigstore/client.cjs");

/// A client of another Sigstore implementation.
pub(crate) enum Client {
    Js(Program),
    Python(Program),
}

impl Client {
    /// Those that are here; the others are named loudly.
    pub(crate) fn all() -> Vec<Self> {
        let js = Peer::SigstoreJs.or_skip().map(Self::Js);
        let python = Peer::SigstorePython.or_skip().map(Self::Python);
        js.into_iter().chain(python).collect()
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Js(_) => "js",
            Self::Python(_) => "python",
        }
    }

    /// Signs `release` into `bundle`.
    pub(crate) fn sign(&self, stage: &Stage, log: LogVersion, bundle: &str) -> Ran {
        let token = stage.token(&Stage::claims());
        match self {
            Self::Js(_) => self.sign_js(stage, "message", &stage.config(log), &["release", bundle]),
            Self::Python(program) => {
                let token = std::fs::read_to_string(token).unwrap();
                let trust = stage.trust_config(&stage.shared("trusted_root.json"), &stage.config(log));
                let words = ["--trust-config", &trust, "sign", "--identity-token", &token, "--bundle", bundle, "release"];
                stage.run(program, &words, &[])
            }
        }
    }

    /// Signs a message or an in-toto statement; `files` are what is signed and the bundle.
    pub(crate) fn sign_js(&self, stage: &Stage, kind: &str, config: &str, files: &[&str; 2]) -> Ran {
        let Self::Js(program) = self else { unreachable!("only sigstore-js signs through the script") };
        let token = stage.token(&Stage::claims());
        stage.run(program, &[&[SCRIPT, "sign", kind, config, &token], &files[..]].concat(), &[])
    }

    /// Verifies that `identity` signed a file, or a digest that a statement names.
    pub(crate) fn verify(
        &self,
        stage: &Stage,
        root: &str,
        (file, bundle): (&str, &str),
        (identity, issuer): (&str, &str),
    ) -> Ran {
        match self {
            Self::Js(program) => stage.run(program, &[SCRIPT, "verify", root, identity, issuer, file, bundle], &[]),
            Self::Python(program) => {
                let trust = stage.trust_config(root, &stage.config(LogVersion::V1));
                let words = ["--trust-config", &trust, "verify", "identity", "--offline", "--bundle", bundle];
                let whom = ["--cert-identity", identity, "--cert-oidc-issuer", issuer, file];
                stage.run(program, &[&words[..], &whom].concat(), &[])
            }
        }
    }

    /// It refuses another signer, issuer and artifact, each for that reason, and then accepts.
    #[track_caller]
    pub(crate) fn judges(&self, stage: &Stage, signed: (&str, &str), another: &str) {
        self.judges_by(stage, &stage.shared("trusted_root.json"), signed, another);
    }

    /// The same by another trusted root than the lab's.
    #[track_caller]
    pub(crate) fn judges_by(&self, stage: &Stage, root: &str, (file, bundle): (&str, &str), another: &str) {
        let (identity, issuer) = (Stage::claims().identity(), stage.issuer());
        let about_digests = json(stage.path(bundle)).get("dsseEnvelope").is_some();
        let [signer, vouching, artifact] = self.refusals(about_digests);
        let verify = |file: &str, identity: &str, issuer: &str| self.verify(stage, root, (file, bundle), (identity, issuer));
        denies(&verify(file, STRANGER, &issuer), signer);
        denies(&verify(file, &identity, "https://another.example"), vouching);
        denies(&verify(another, &identity, &issuer), artifact);
        accepts(verify(file, &identity, &issuer));
    }

    /// What it says of another signer, issuer and artifact, where the bundle holds a statement about digests or a signature of a file.
    fn refusals(&self, statement: bool) -> [&'static str; 3] {
        let (signer, vouching) = match self {
            Self::Js(_) => ("certificate identity error", "invalid certificate extension"),
            Self::Python(_) => ("SANs do not match", "OIDCIssuer does not match"),
        };
        let artifact = match (self, statement) {
            (Self::Js(_), false) => "signature verification failed",
            (Self::Js(_), true) => "the statement is about something else",
            (Self::Python(_), false) => "Bundle message digest mismatch",
            (Self::Python(_), true) => "in-toto statement has no subject for digest",
        };
        [signer, vouching, artifact]
    }
}
