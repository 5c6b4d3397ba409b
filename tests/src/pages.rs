//! The files that a page of the documentation shows.

/// The files in `page`: blocks whose language is followed by a file's name, each with its content.
#[must_use]
pub fn files(page: &str) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        if let Some(head) = line.strip_prefix("```") {
            let name = head.split_once(' ').map(|(_, name)| name.to_owned());
            inside = name.is_some();
            files.extend(name.map(|name| (name, String::new())));
        } else if let (true, Some((_, content))) = (inside, files.last_mut()) {
            content.push_str(line);
            content.push('\n');
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::files;

    #[test]
    fn blocks_with_a_name_are_files() {
        let page = "# x\n```json a.json\n{\n}\n```\ntext\n```sh\nls\n```\n```toml b.toml\nx = 1\n```\n";
        let expected = [("a.json", "{\n}\n"), ("b.toml", "x = 1\n")].map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(files(page), expected);
    }
}
