//! What the strict reader of TOML files says, in this program's words.

/// The line of a place in a text, from 1.
#[must_use]
pub fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or_default().matches('\n').count() + 1
}

/// The message of the TOML reader in this program's words, with the nearest known field for a misspelt one.
#[must_use]
pub fn explain(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    if let (true, Some(unknown)) = (message.starts_with("unknown field"), quoted.next()) {
        let hint = nearest(unknown, quoted).map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default();
        return format!("unknown field \"{unknown}\"{hint}; unknown fields are refused so that a typo cannot widen trust");
    }
    message.replace('`', "\"").lines().next().unwrap_or_default().to_owned()
}

/// The candidate that differs from `word` least, if it differs little.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word: String = word.chars().take(64).collect();
    let limit = (word.chars().count() / 3).max(1);
    candidates.map(|name| (distance(&word, name), name)).filter(|(far, _)| *far <= limit).min().map(|(_, name)| name)
}

/// Levenshtein distance in characters.
fn distance(one: &str, two: &str) -> usize {
    let two: Vec<char> = two.chars().collect();
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((b, diagonal), above) in two.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or_default();
            let changed = diagonal + usize::from(a != *b);
            next.push(changed.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
