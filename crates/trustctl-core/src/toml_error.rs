//! What the strict reader of TOML files says, in this program's words.

use std::ops::Range;

/// The line of a place in a text, from 1.
#[must_use]
pub fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or_default().matches('\n').count() + 1
}

/// The message of the TOML reader about the place `span` of `text` in this program's words: with the nearest known field for a misspelt one,
/// and what to write for a value of another form.
#[must_use]
pub fn explain(text: &str, span: Range<usize>, message: &str) -> String {
    if let Some(words) = other_form(text, span, message) {
        return words;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    if let (true, Some(unknown)) = (message.starts_with("unknown field"), quoted.next()) {
        let hint = nearest(unknown, quoted).map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default();
        return format!("unknown field \"{unknown}\"{hint}; unknown fields are refused so that a typo cannot widen trust");
    }
    message.replace('`', "\"").lines().next().unwrap_or_default().to_owned()
}

/// What to write where a value has another form than its field.
fn other_form(text: &str, span: Range<usize>, message: &str) -> Option<String> {
    let (found, wanted) = message.lines().next()?.strip_prefix("invalid type: ")?.split_once(", expected ")?;
    let before = text.get(..span.start)?;
    let line = before.rsplit('\n').next().unwrap_or(before).trim_end();
    let value = text.get(span)?;
    if line.is_empty() && found == "map" && wanted == "a sequence" {
        let name = value.lines().next()?.trim().trim_start_matches('[').split(']').next()?;
        return Some(format!("there can be several {name}: write [[{name}]] in place of [{name}]"));
    }
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let key = line.strip_suffix('=')?.trim_end().rsplit(|c: char| !is_key(c)).next().filter(|key| !key.is_empty())?;
    match wanted {
        "a sequence" if found.starts_with("string ") => Some(format!("{key} is a list: write {key} = [{value}]")),
        "a sequence" => Some(format!("{key} is a list: write {key} = [ … ]")),
        "a string" => Some(format!("{key} is a text: write it in quotes")),
        "a boolean" => Some(format!("{key} is true or false, without quotes")),
        _ => None,
    }
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
