//! `multipart/form-data` (RFC 7578), as far as Notary's clients use it: whole in memory, one file a part.

/// One part: the file name it was sent under, empty when there was none, and its content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) file_name: String,
    pub(crate) content: &'a [u8],
}

/// The parts of a body, or `None` when it is not multipart or does not end as it should. No part at all is fine.
pub(crate) fn parts<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<Part<'a>>> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !matches!(kind.trim().to_ascii_lowercase().as_str(), "multipart/form-data" | "multipart/mixed") {
        return None;
    }
    let boundary = parameter(parameters, "boundary").filter(|boundary| !boundary.is_empty() && boundary.len() <= 70)?;
    let first = format!("--{boundary}");
    let delimiter = format!("\r\n{first}");
    // The first delimiter may stand at the very start, without the line break that belongs to the others.
    let mut rest = match body.strip_prefix(first.as_bytes()) {
        Some(rest) => rest,
        None => split_at(body, delimiter.as_bytes())?.1,
    };
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let (_, after_line) = split_at(rest, b"\r\n")?;
        let (headers, after_headers) = match after_line.strip_prefix(b"\r\n") {
            Some(after) => (&b""[..], after),
            None => split_at(after_line, b"\r\n\r\n")?,
        };
        let (content, after) = split_at(after_headers, delimiter.as_bytes())?;
        if parts.len() >= MAX_PARTS {
            return None;
        }
        parts.push(Part { file_name: file_name(headers), content });
        rest = after;
    }
    Some(parts)
}

fn split_at<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(separator.len()).position(|window| window == separator)?;
    Some((bytes.get(..at)?, bytes.get(at + separator.len()..)?))
}

fn file_name(headers: &[u8]) -> String {
    let headers = String::from_utf8_lossy(headers);
    let disposition = headers.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    disposition.and_then(|value| parameter(value, "filename")).unwrap_or_default()
}

/// The value of `name=value` or `name="value"` among parameters separated by semicolons. Role names need no escapes.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    parameters.split(';').find_map(|one| {
        let (key, value) = one.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim_matches('"').to_owned())
    })
}

/// A root, a snapshot, and as many targets files as a snapshot may name.
const MAX_PARTS: usize = 2048;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=xyz";

    #[test]
    fn parts_have_names_and_exact_content() {
        let body = b"--xyz\r\nContent-Disposition: form-data; name=\"files\"; filename=\"targets/a\"\r\n\
            Content-Type: application/octet-stream\r\n\r\n{\r\n}\r\n--xyz\r\n\r\nplain\r\n--xyz--\r\n";
        let parts = parts(TYPE, body).unwrap();
        let found: Vec<_> = parts.iter().map(|part| (part.file_name.as_str(), part.content)).collect();
        assert_eq!(found, [("targets/a", &b"{\r\n}"[..]), ("", b"plain")]);
    }

    #[test]
    fn no_part_is_fine_and_a_cut_body_is_not() {
        assert_eq!(parts(TYPE, b"\r\n--xyz--\r\n").unwrap().len(), 0);
        assert_eq!(parts(TYPE, b"--xyz--").unwrap().len(), 0);
        assert!(parts(TYPE, b"").is_none());
        assert!(parts(TYPE, b"--xyz\r\n\r\nplain\r\n--xy").is_none());
        assert!(parts("application/json", b"{}").is_none());
        assert!(parts("multipart/form-data; boundary=", b"--").is_none());
    }
}
