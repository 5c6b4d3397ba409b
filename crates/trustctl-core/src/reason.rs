//! Reasons: why something is not trusted, cannot be decided, or did not work. One table, one code each.
//!
//! Codes are stable: once released, a code keeps its meaning and is never reused. `trustctl explain` and
//! `docs/reference/reasons.md` are generated from [`Code::ALL`].

#[macro_use]
mod codes;
mod ending;
#[macro_use]
mod proxy_table;
mod table;

use std::fmt;

use serde::{Serialize, Serializer};

pub use ending::Ending;
pub use table::Code;

/// Longest text from outside that is quoted in a reason, in characters.
const MAX_QUOTED: usize = 300;

/// One reason, with what was expected and found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The code.
    pub code: Code,
    /// What happened here, in one sentence; cleaned of control characters.
    pub message: String,
    /// What was expected, where that can be said in few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was found instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What to do next, in place of the code's own advice. Never weakens the policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<Step>,
}

impl Reason {
    /// A reason with a message.
    #[must_use]
    pub fn new(code: Code, message: impl AsRef<str>) -> Self {
        Self { code, message: clean(message.as_ref()), expected: None, found: None, next: Vec::new() }
    }

    /// Adds what was expected and what was found.
    #[must_use]
    pub fn expected_found(mut self, expected: impl fmt::Display, found: impl fmt::Display) -> Self {
        self.expected = Some(clean(&expected.to_string()));
        self.found = Some(clean(&found.to_string()));
        self
    }

    /// Adds a step the user can take.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.next.push(step);
        self
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// Something the user can do: words, and where it is a command of this program, the command as an argument vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The words.
    pub text: String,
    /// The command, unquoted, one argument an element; empty when there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
}

impl Step {
    /// A step in words.
    #[must_use]
    pub fn words(text: impl AsRef<str>) -> Self {
        Self { text: clean(text.as_ref()), command: Vec::new() }
    }

    /// A step with the command that takes it.
    #[must_use]
    pub fn command<I: IntoIterator<Item = S>, S: AsRef<str>>(text: impl AsRef<str>, command: I) -> Self {
        Self { text: clean(text.as_ref()), command: command.into_iter().map(|word| clean(word.as_ref())).collect() }
    }
}

impl Code {
    /// The code as users see it: `TC` and four digits.
    #[must_use]
    pub fn id(self) -> String {
        format!("TC{:04}", self.number())
    }

    /// The code for an id such as `TC0204` or a name such as `dct.tag-moved`, in any case.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.id().eq_ignore_ascii_case(text) || code.name().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `text` without control and direction-changing characters, and without those that nobody sees; shortened to a length a terminal
/// can show.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_QUOTED).map(|c| if is_hidden(c) { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        shown.push('…');
    }
    shown
}

/// Whether a character moves the cursor, changes the direction of text, or shows as nothing: texts with it can look like others.
///
/// Source: Unicode 16, general category `Cc` and `Cf`, and the property `Default_Ignorable_Code_Point`.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}')
        || matches!(c, '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}')
        || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}')
        || matches!(c, '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}')
        || matches!(c, '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_and_names_are_unique_and_in_their_range() {
        let numbers: BTreeSet<u16> = Code::ALL.iter().map(|code| code.number()).collect();
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(numbers.len(), Code::ALL.len());
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let prefixes: &[&str] = match code.number() / 100 {
                1 => &["reference.", "registry.", "image."],
                2 => &["dct."],
                3 => &["cosign."],
                4 => &["net.", "limit."],
                5 => &["key.", "auth."],
                6 => &["proxy.", "containerd."],
                7 => &["policy.", "config."],
                8 => &["usage.", "queue."],
                9 => &["sigstore.", "token.", "anchor."],
                _ => &[],
            };
            assert!(prefixes.iter().any(|prefix| code.name().starts_with(prefix)), "{} {}", code, code.name());
            assert!(!code.summary().ends_with('.') && !code.meaning().is_empty() && !code.advice().is_empty(), "{code}");
        }
    }

    #[test]
    fn text_from_outside_cannot_drive_a_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\u{202e}c\n"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}");
        for hidden in ['\u{61c}', '\u{2060}', '\u{e0041}', '\u{ad}', '\u{feff}', '\u{200d}', '\u{2066}', '\u{9b}', '\u{7f}'] {
            assert_eq!(clean(&format!("red{hidden}y")), "red\u{fffd}y", "{hidden:?}");
        }
        assert_eq!(clean("é 漢字 — ₤ 😀"), "é 漢字 — ₤ 😀");
        assert_eq!(clean(&"x".repeat(1000)).chars().count(), MAX_QUOTED + 1);
    }
}
