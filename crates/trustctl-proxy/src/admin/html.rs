//! Writing HTML: markup comes from the program alone, and everything else is escaped.

use std::fmt::{Display, Write as _};

/// A page that is being written.
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup of this program.
    pub(super) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, as the content of an element or between the quotes of an attribute.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        // Writing to a string does not fail.
        let _ = write!(Escaped(&mut self.0), "{text}");
        self
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

struct Escaped<'a>(&'a mut String);

impl std::fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Html;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_becomes_markup(text: String) {
            let mut html = Html::default();
            html.text(&text);
            let written = html.finish();
            prop_assert!(!written.contains(['<', '>', '"', '\'']));
            let plain = written.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
            prop_assert_eq!(plain.replace("&amp;", "&"), text);
        }
    }
}
