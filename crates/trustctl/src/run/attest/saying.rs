//! What is attested: a predicate of a type, or a whole statement, looked at before it is signed.

use std::io::Read as _;
use std::path::Path;

use trustctl_core::digest::Digest;
use trustctl_core::reason::{Code, Reason};
use trustctl_sigstore::make::given::Given;
use trustctl_sigstore::make::predicate::{Checked, MAX_PREDICATE};

use super::super::clock;
use super::verify::kind;
use crate::cli::SayingArgs;
use crate::failure::Failure;

/// What is attested.
#[derive(Clone, Debug)]
pub(in crate::run) struct Said {
    /// What is said, of the form that its type has.
    pub(in crate::run) predicate: Checked,
    /// The whole statement, where one was given.
    pub(in crate::run) given: Option<Given>,
}

impl Said {
    /// Reads what the flags name.
    ///
    /// # Errors
    /// A usage [`Failure`]; [`Code::LocalFile`] for a file that cannot be read, [`Code::PredicateForm`] for what has not the form of its
    /// type.
    pub(in crate::run) fn read(args: &SayingArgs) -> Result<Self, Failure> {
        let in_file = |path: &Path, reason: Reason| {
            Failure::new(Reason { message: format!("{}: {}", path.display(), reason.message), ..reason })
        };
        if let Some(path) = &args.statement {
            let bytes = read(path).map_err(|error| Failure::file(path, &error))?;
            let given = Given::parse(&bytes, clock()).map_err(|error| in_file(path, error.reason()))?;
            return Ok(Self { predicate: given.predicate.clone(), given: Some(given) });
        }
        let (Some(named), Some(path)) = (&args.kind, &args.predicate) else {
            return Err(Failure::usage(Code::BadCommandLine, "give --type and --predicate, or --statement"));
        };
        kind(named)?;
        let bytes = read(path).map_err(|error| Failure::file(path, &error))?;
        let predicate = Checked::new(named, &bytes, clock()).map_err(|error| in_file(path, error.reason()))?;
        Ok(Self { predicate, given: None })
    }

    /// The same text for the same saying, whenever it was read.
    pub(in crate::run) fn identity(&self) -> String {
        format!("{} {}", self.predicate.predicate_type, self.predicate.timeless())
    }

    /// Whether `statement` says this about `digest`.
    pub(in crate::run) fn is_in(&self, statement: &[u8], digest: &Digest) -> bool {
        match &self.given {
            Some(given) => given.statement == statement,
            None => self.predicate.is_in(statement, digest),
        }
    }

    /// That a whole statement speaks of these, and of nothing else.
    ///
    /// # Errors
    /// [`Code::StatementSubjects`].
    pub(in crate::run) fn check(&self, digests: &[Digest]) -> Result<(), Failure> {
        let checked = self.given.as_ref().map_or(Ok(()), |given| given.check_subjects(digests));
        checked.map_err(|error| Failure::new(error.reason()))
    }
}

/// The bytes of a file, or of standard input; more than can be attested are not read to their end.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let limit = u64::try_from(MAX_PREDICATE).unwrap_or(u64::MAX).saturating_mul(2);
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().take(limit).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
