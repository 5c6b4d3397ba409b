//! Names that somebody may have meant.

/// Most names that are suggested.
const MOST: usize = 3;
/// Fewest letters that count as the beginning of a name.
const BEGINNING: usize = 3;

/// Those of `names` that `wanted` is the beginning of, or that differ from it by a letter or two; the nearest first.
pub(super) fn near(wanted: &str, names: Vec<String>) -> Vec<String> {
    let lower = wanted.to_lowercase();
    let letters = lower.chars().count();
    // A short name is near to any other short one.
    let most = if letters <= 4 { 1 } else { 2 };
    let mut fits: Vec<(usize, String)> = names
        .into_iter()
        .filter_map(|name| {
            let apart = distance(&lower, &name.to_lowercase());
            let begins = letters >= BEGINNING && name.to_lowercase().starts_with(&lower);
            (apart <= most || begins).then_some((apart, name))
        })
        .collect();
    fits.sort();
    fits.dedup();
    fits.into_iter().map(|(_, name)| name).take(MOST).collect()
}

/// How many letters have to be put in, left out or replaced to make one text the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut left = line + 1;
        let mut next = vec![left];
        for (pair, against) in row.windows(2).zip(&other) {
            let &[diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(letter != *against)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (one, other, apart) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("release", "relaese", 2), ("a", "b", 1)]
        {
            assert_eq!((distance(one, other), distance(other, one)), (apart, apart), "{one} {other}");
        }
    }

    #[test]
    fn typing_errors_and_beginnings_are_near_and_other_names_are_not() {
        let names = || ["release", "release-2027", "alice", "ci"].map(str::to_owned).to_vec();
        for (wanted, expected) in [
            ("releas", &["release", "release-2027"][..]),
            ("RELEASE", &["release", "release-2027"]),
            ("alcie", &["alice"]),
            ("ali", &["alice"]),
            ("cj", &["ci"]),
            ("xy", &[]),
            ("nobody", &[]),
            ("", &[]),
        ] {
            assert_eq!(near(wanted, names()), expected, "{wanted}");
        }
    }
}
