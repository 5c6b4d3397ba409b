//! `trustctl blob`: sign a file with a key or an identity, attest something about it, and judge it by its bundle.

mod making;
mod trusted;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use trustctl_core::digest::Digest;
use trustctl_core::hashes::{Hasher, Hashes};
use trustctl_core::predicate;
use trustctl_core::public_key::Hash;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::report::ReasonReport;
use trustctl_sigstore::blob::{self, Demand, Signed, Who};
use trustctl_sigstore::keyless::{About, Fault};
use trustctl_sigstore::limits::MAX_BLOB;

use super::Session;
use crate::cli::{BlobAttestCommand, BlobCommand, BlobVerifyArgs, Log};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;
use crate::ui::Paint;
use trusted::{Trusted, Trustee};

/// Largest file whose bytes are held while it is judged. Only Ed25519 needs them; everything else is hashed in pieces.
const HELD: u64 = 16 * 1024 * 1024;
/// Bytes that are read and hashed at once.
const PIECE: usize = 256 * 1024;
/// What the name of a signature's bundle ends with, beside the file.
const SIGNATURE: &str = ".sigstore.json";
/// The same of an attestation's.
const ATTESTATION: &str = ".attestation.sigstore.json";

/// Carries out a `blob` command.
///
/// # Errors
/// A [`Failure`], by what stands in the way. That a file is not trusted is none.
pub(super) async fn run(session: &Session, command: &BlobCommand) -> Result<Exit, Failure> {
    match command {
        BlobCommand::Sign(args) => making::sign(session, args).await,
        BlobCommand::Verify(args) => verify(session, args, SIGNATURE),
        BlobCommand::Attest(args) => match &args.command {
            Some(BlobAttestCommand::Verify(args)) => verify(session, args, ATTESTATION),
            None => making::attest(session, args).await,
        },
    }
}

/// Where a file's bundle is when nothing is said: what `ends` is its name's ending.
fn beside(file: &Path, ends: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ends);
    PathBuf::from(name)
}

/// What is known of a file.
struct Content {
    hashes: Hashes,
    bytes: Option<Vec<u8>>,
}

impl Content {
    /// Reads a file once, in pieces; its bytes are kept when it is small.
    fn read(path: &Path, wanted: &[Hash]) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::file(path, &error);
        let mut file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let (mut hasher, mut held) = (Hasher::new(wanted), (size <= HELD).then(Vec::new));
        let mut piece = vec![0; PIECE];
        loop {
            let read = file.read(&mut piece).map_err(failed)?;
            let Some(read) = piece.get(..read).filter(|read| !read.is_empty()) else { break };
            hasher.update(read);
            // A file that grows while it is read is not held any longer.
            held = held.filter(|held| u64::try_from(held.len() + read.len()).is_ok_and(|length| length <= HELD));
            if let Some(held) = &mut held {
                held.extend_from_slice(read);
            }
        }
        Ok(Self { hashes: hasher.finish(), bytes: held })
    }

    fn about(&self) -> About<'_> {
        About::File { hashes: &self.hashes, bytes: self.bytes.as_deref() }
    }
}

fn verify(session: &Session, args: &BlobVerifyArgs, ends: &str) -> Result<Exit, Failure> {
    let trusted = Trusted::load(session, args)?;
    let wanted = match &trusted.who {
        Trustee::Key(key) => blob::hashes(key.kind()),
        _ => blob::HASHES.to_vec(),
    };
    let content = match args.file.strip_prefix("sha256:") {
        Some(_) => {
            let digest: Digest = args.file.parse().map_err(|error| Failure::bad_value("FILE", &args.file, error))?;
            Content { hashes: Hashes::of_digest(&digest), bytes: None }
        }
        None => Content::read(Path::new(&args.file), &wanted)?,
    };
    let kind = args.predicate_type.as_deref().map(|text| {
        let expected = "a predicate type is a URI, or a short name of the policy reference";
        predicate::type_of(text).ok_or_else(|| Failure::bad_value("--type", text, expected))
    });
    let kind = kind.transpose()?;
    let path = args.bundle.clone().unwrap_or_else(|| beside(Path::new(&args.file), ends));
    let log = args.log.map_or(trusted.log, |log| log == Log::Required);
    let demand = Demand { by: trusted.who(), log, predicate_type: kind.as_deref() };
    let now = session.now(args.at.as_deref())?;
    let judged = match read_bundle(&path)? {
        None => Err(Reason::new(Code::CosignUnsigned, format!("there is no bundle {}", path.display()))),
        Some(bytes) => {
            let judged = blob::as_bundle(&bytes).and_then(|bundle| blob::verify(&bundle, content.about(), demand, now));
            judged.map_err(|fault| reason(&fault, &path)).and_then(|signed| trusted.check_claims(signed, &path))
        }
    };
    let matters = !matches!(demand.by, Who::Key(..)) || demand.log;
    let old = if matters { session.age_of(&trusted.anchor, now)? } else { None };
    Ok(Answer { session, args, path: &path, digest: content.hashes.sha256(), kind: kind.as_deref(), old }.tell(judged))
}

/// The reason for a fault; a signature by a key that is not the trusted one is called that.
fn reason(fault: &Fault, path: &Path) -> Reason {
    fault.reason(&path.display().to_string())
}

/// The bytes of a bundle; `None` when there is none.
fn read_bundle(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| Failure::file(path, &error))?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_BLOB + 1).read_to_end(&mut bytes).map_err(|error| Failure::file(path, &error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BLOB) {
        return Err(Failure::new(Reason::new(Code::TooLarge, format!("{} is larger than 8 MiB", path.display()))));
    }
    Ok(Some(bytes))
}

/// One file that was judged.
struct Answer<'a> {
    session: &'a Session,
    args: &'a BlobVerifyArgs,
    path: &'a Path,
    digest: Option<Digest>,
    kind: Option<&'a str>,
    /// What is to be said about the age of what trust begins with.
    old: Option<Reason>,
}

impl Answer<'_> {
    /// Prints what came out; the exit code.
    fn tell(&self, judged: Result<Signed, Reason>) -> Exit {
        let exit = judged.as_ref().map_or_else(|reason| Exit::of_code(reason.code), |_| Exit::Done);
        let warnings = self.warnings(judged.as_ref().ok());
        let word = match exit {
            Exit::Done => "trusted",
            Exit::Rejected => "rejected",
            Exit::Unsigned => "unsigned",
            _ => "undecided",
        };
        if self.session.ui.json() {
            self.session.ui.say(self.report(&judged, (exit, word), &warnings).to_string());
            return exit;
        }
        warnings.iter().for_each(|warning| render::warning(&self.session.ui, warning));
        let paint = if exit == Exit::Done { Paint::Green } else { Paint::Red };
        self.session.ui.say(format!("{}: {}", self.session.ui.paint(paint, word), self.args.file));
        match judged {
            Ok(signed) => self.session.ui.note(format!("  by:   {}", describe(&signed))),
            Err(reason) => render::failure(&self.session.ui, &Failure::new(reason)),
        }
        exit
    }

    fn warnings(&self, signed: Option<&Signed>) -> Vec<Reason> {
        let mut warnings = self.session.dangers();
        if let Some(at) = &self.args.at {
            warnings.push(Reason::new(Code::OtherTime, format!("judged as of {at}, which is not now")));
        }
        warnings.extend(self.old.clone());
        warnings.extend(signed.and_then(|signed| signed.unproven.as_ref()).map(|fault| reason(fault, self.path)));
        warnings
    }

    fn report(&self, judged: &Result<Signed, Reason>, (exit, word): (Exit, &str), warnings: &[Reason]) -> Value {
        let warnings: Vec<ReasonReport> = warnings.iter().map(ReasonReport::new).collect();
        let reasons: Vec<ReasonReport> = judged.as_ref().err().into_iter().map(ReasonReport::new).collect();
        let mut report = json!({
            "schema": "trustctl/blob-verify/v1", "exit": exit.code(), "file": self.args.file, "digest": self.digest,
            "bundle": self.path.display().to_string(), "verdict": word, "predicateType": self.kind, "reasons": reasons,
            "warnings": warnings,
        });
        if let (Ok(signed), Some(members)) = (judged, report.as_object_mut()) {
            let claims = signed.proof.certificate.as_ref().map(|certificate| &certificate.claims);
            let signed = json!({
                "principal": signed.principal, "signedAt": signed.proof.times.first(), "times": signed.proof.times,
                "provenLogEntries": signed.proof.entries, "certificate": claims,
            });
            members.insert("signed".to_owned(), signed);
        }
        report
    }
}

fn describe(signed: &Signed) -> String {
    let mut text = signed.principal.to_string();
    if let Some(time) = signed.proof.times.first() {
        text.push_str(&format!(", signed by {time}"));
    }
    if let Some(entry) = signed.proof.entries.first() {
        text.push_str(&format!(", log entry {}", entry.index));
    }
    trustctl_core::reason::clean(&text)
}
