//! A complete in-toto statement that somebody else wrote, such as a builder: it is signed byte for byte, and only about what was named.

use trustctl_core::digest::Digest;
use trustctl_core::json;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::time::Timestamp;

use super::predicate::{Checked, MAX_PREDICATE, PredicateError};
use crate::statement::Statement;

/// A statement to be signed as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What it says, of the form that its type has.
    pub predicate: Checked,
    /// The bytes that are signed.
    pub statement: Vec<u8>,
}

/// Why a statement is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GivenError {
    /// It is no statement that everybody reads alike.
    #[error("the statement cannot be read without doubt: {0}")]
    Form(String),
    /// What is to be attested is not among its subjects.
    #[error("the statement does not speak of {digest}")]
    Missing {
        /// What is to be attested.
        digest: Digest,
    },
    /// What it says has not the form of its type.
    #[error(transparent)]
    Predicate(#[from] PredicateError),
    /// One of its subjects was not named: whoever signs would vouch for it too.
    #[error("the statement also speaks of {subject}, which is not what is attested")]
    Stranger {
        /// The subject.
        subject: String,
    },
}

impl GivenError {
    /// The reason to report.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let code = match self {
            Self::Form(_) => Code::PredicateForm,
            Self::Predicate(error) => return error.reason(),
            Self::Missing { .. } | Self::Stranger { .. } => Code::StatementSubjects,
        };
        Reason::new(code, self.to_string())
    }
}

impl Given {
    /// Reads a statement, version 0.1 or 1. Its predicate must have the parts by which readers know its type.
    ///
    /// # Errors
    /// [`GivenError::Form`], [`GivenError::Predicate`].
    pub fn parse(bytes: &[u8], now: Timestamp) -> Result<Self, GivenError> {
        if bytes.len() > MAX_PREDICATE {
            return Err(PredicateError::TooLarge { size: bytes.len() }.into());
        }
        json::read(bytes).map_err(|error| GivenError::Form(error.to_string()))?;
        let statement = Statement::parse(bytes).map_err(|error| GivenError::Form(error.to_string()))?;
        let predicate = statement.predicate_json().ok_or_else(|| GivenError::Form("it has no predicate".to_owned()))?;
        let predicate = Checked::new(&statement.predicate_type, predicate.as_bytes(), now)?;
        if predicate.predicate_type != statement.predicate_type {
            return Err(GivenError::Form(format!("its predicate type {} is no URI", statement.predicate_type)));
        }
        Ok(Self { predicate, statement: bytes.to_vec() })
    }

    /// That it speaks of each of these, and of nothing else.
    ///
    /// # Errors
    /// [`GivenError::Missing`], [`GivenError::Stranger`]; [`GivenError::Form`] when it names one of them twice.
    pub fn check_subjects(&self, digests: &[Digest]) -> Result<(), GivenError> {
        let form = |error: crate::format::FormatError| GivenError::Form(error.to_string());
        let statement = Statement::parse(&self.statement).map_err(form)?;
        for digest in digests {
            statement.about(digest).map_err(form)?.ok_or(GivenError::Missing { digest: *digest })?;
        }
        match statement.subjects.iter().find(|subject| !digests.iter().any(|digest| subject.is(digest))) {
            Some(stranger) => Err(GivenError::Stranger { subject: stranger.describe() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    const ONE: &str = "d66345975bb6613cbbdadcfd5029e915ce5ba8c450ccbe0d4a84158add676eea";

    fn digest(byte: u8) -> Digest {
        Digest::sha256_of(&[byte])
    }

    fn given(subjects: &[&str], rest: &str) -> Result<Given, GivenError> {
        let subjects = subjects.join(",");
        let text = format!(r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{subjects}],{rest}}}"#);
        Given::parse(text.as_bytes(), Timestamp::UNIX_EPOCH)
    }

    fn subject(digest: &Digest) -> String {
        format!(r#"{{"name":"x","digest":{{"sha256":"{}"}}}}"#, digest.hex())
    }

    const SAID: &str = r#""predicateType":"https://example.test/v1","predicate":{"a":1}"#;

    #[test]
    fn it_speaks_of_what_is_named_and_of_nothing_else() {
        let (one, two) = (digest(1), digest(2));
        let both = given(&[&subject(&one), &subject(&two)], SAID).unwrap();
        both.check_subjects(&[two, one]).unwrap();
        assert_eq!(both.check_subjects(&[one]), Err(GivenError::Stranger { subject: format!("x (sha256:{})", two.hex()) }));
        let alone = given(&[&subject(&one)], SAID).unwrap();
        assert_eq!(alone.check_subjects(&[one, two]), Err(GivenError::Missing { digest: two }));
        assert_eq!(alone.check_subjects(&[two]).unwrap_err().reason().code, Code::StatementSubjects);
        let twice = given(&[&subject(&one), &subject(&one)], SAID).unwrap();
        assert!(matches!(twice.check_subjects(&[one]), Err(GivenError::Form(_))));
        // The same digits under another algorithm are another thing.
        let commit = format!(r#"{{"digest":{{"gitCommit":"{ONE}"}}}}"#);
        let more = given(&[&subject(&one), &commit], SAID).unwrap();
        assert!(matches!(more.check_subjects(&[one]), Err(GivenError::Stranger { .. })));
    }

    #[test]
    fn what_readers_could_read_in_two_ways_or_not_at_all_is_not_signed() {
        let one = subject(&digest(1));
        let subjects = [one.as_str()];
        for rest in [
            r#""predicateType":"https://example.test/v1""#,
            r#""predicateType":"custom","predicate":{}"#,
            r#""predicateType":"https://example.test/v1","predicate":{"a":1,"a":2}"#,
            r#""predicateType":"https://slsa.dev/provenance/v1","predicate":{}"#,
            r#""predicateType":"https://example.test/v1","predicate":[]"#,
        ] {
            let error = given(&subjects, rest).unwrap_err();
            assert_eq!(error.reason().code, Code::PredicateForm, "{rest}: {error}");
        }
        assert!(given(&subjects, SAID).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Given::parse(&bytes, Timestamp::UNIX_EPOCH).is_err());
        }
    }
}
