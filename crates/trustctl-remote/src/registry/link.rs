//! Addresses that a registry hands out: the next page of a listing, and where to upload.

use reqwest::Url;

use crate::error::RemoteError;
use crate::http::Response;

/// The path and query of the next page, when `Link` names one (RFC 8288); it must be on the server that answered.
///
/// # Errors
/// [`RemoteError::BadAnswer`] when a header cannot be read, names several next pages or one elsewhere: the rest of the listing is
/// then unknown.
pub(crate) fn next_page(response: &Response) -> Result<Option<String>, RemoteError> {
    let wrong = |why: &str| RemoteError::bad_answer(response.origin.to_string(), why);
    let mut next: Option<String> = None;
    for value in response.headers.get_all("link") {
        let links = value.to_str().ok().and_then(parse).ok_or_else(|| wrong("its Link header cannot be read"))?;
        for link in links.into_iter().filter(|link| link.leads_on) {
            let path = on_same_server(response, link.target).ok_or_else(|| wrong("its Link header leads to another server"))?;
            if next.replace(path.clone()).is_some_and(|before| before != path) {
                return Err(wrong("its Link header names several next pages"));
            }
        }
    }
    Ok(next)
}

/// One link of a `Link` header.
#[derive(Debug, PartialEq, Eq)]
struct Link<'a> {
    target: &'a str,
    /// Whether one of its relations is `next`.
    leads_on: bool,
}

/// The links of a `Link` header (RFC 8288, section 3): a list of targets in angle brackets, each with parameters. `None` when it is
/// not one.
fn parse(header: &str) -> Option<Vec<Link<'_>>> {
    let mut links = Vec::new();
    let mut rest = header;
    loop {
        // Elements of a list may be empty (RFC 9110, section 5.6.1).
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(links);
        }
        let (target, after) = rest.strip_prefix('<')?.split_once('>')?;
        let (relations, after) = parameters(after)?;
        // Their names have no case (section 3.3).
        let leads_on =
            relations.is_some_and(|names| names.split_ascii_whitespace().any(|name| name.eq_ignore_ascii_case("next")));
        links.push(Link { target, leads_on });
        rest = after;
    }
}

/// The relations among the parameters of a link, and what follows after the link. `None` when that cannot be read, or says the
/// relations twice: readers differ in which of them counts.
fn parameters(mut rest: &str) -> Option<(Option<String>, &str)> {
    let mut relations = None;
    loop {
        rest = skip_space(rest);
        let Some(after) = rest.strip_prefix(';') else {
            return (rest.is_empty() || rest.starts_with(',')).then_some((relations, rest));
        };
        let (name, after) = token(skip_space(after));
        rest = skip_space(after);
        let value = match rest.strip_prefix('=') {
            Some(after) => {
                let (value, after) = value(skip_space(after))?;
                rest = after;
                value
            }
            None => String::new(),
        };
        if name.eq_ignore_ascii_case("rel") && relations.replace(value).is_some() {
            return None;
        }
    }
}

/// A token or a quoted string, and what follows. Single quotes are characters of a token; servers that mean them as quotes are
/// understood.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        let bare = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).unwrap_or(value);
        return (!value.is_empty()).then(|| (bare.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// The characters of a token (RFC 9110, section 5.6.2) at the beginning, which may be none, and what follows.
fn token(text: &str) -> (&str, &str) {
    let outside = |c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
    text.split_at(text.find(outside).unwrap_or(text.len()))
}

fn skip_space(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// The path and query where an upload goes on: `Location`, on the server that answered.
///
/// # Errors
/// [`RemoteError::BadAnswer`] when there is none, or it leads elsewhere: what is uploaded goes to the registry alone.
pub(crate) fn location(response: &Response) -> Result<String, RemoteError> {
    let wrong = |why: &str| RemoteError::bad_answer(response.origin.to_string(), why);
    let text = response.header("location").ok_or_else(|| wrong("it does not say where to upload to"))?;
    on_same_server(response, text).ok_or_else(|| wrong("it wants the upload to go to another server"))
}

/// Path with query, when `target` is on the server that answered. The scheme is not compared: behind a proxy
/// registries write `http` for themselves, and the request is made on the known server and scheme whatever they write.
fn on_same_server(response: &Response, target: &str) -> Option<String> {
    let base: Url = format!("{}://{}{}", response.origin.scheme()?.as_str(), response.origin, response.path).parse().ok()?;
    let url = base.join(target).ok()?;
    let known = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    let same_port = url.port() == base.port() || (url.port().is_none() && url.scheme() != base.scheme());
    if !known || url.host_str() != base.host_str() || !same_port {
        return None;
    }
    Some(match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;
    use proptest::prelude::*;

    /// The targets that lead on.
    fn next(header: &str) -> Option<Vec<&str>> {
        Some(parse(header)?.into_iter().filter(|link| link.leads_on).map(|link| link.target).collect())
    }

    #[test]
    fn the_next_page_is_found_in_every_form_the_standard_has() {
        for header in [
            r#"<2>; rel="next""#,
            "<2>;rel=next",
            r#"<2>; rel="next", <9>; rel="last""#,
            r#"<9>; rel="last", <2>; rel="next""#,
            r#"<9>; rel="last",<2>;REL="Last NEXT""#,
            r#"<2>; rel="next last""#,
            "<2>; rel='next'",
            r#"</style.css>; rel=preload; as=style, , <2>; rel = "next" ;"#,
            r#"<2>; title="a;b, <x>; rel=\"prev\""; crossorigin; rel="next""#,
            r#"<2>; title*=UTF-8''n%c3%a4chste; rel="n\ext""#,
        ] {
            assert_eq!(next(header), Some(vec!["2"]), "{header}");
        }
        for header in ["", " , ", r#"<2>; rel="prev""#, "<2>", r#"<2>; title="rel=next""#, r#"<2>; rel="nextish""#, "<2>; rel"] {
            assert_eq!(next(header), Some(Vec::new()), "{header}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_the_last_page() {
        for header in [
            "nonsense",
            "<2; rel=next",
            r#"<2>; rel="next"#,
            r#"<2>; rel="next\"#,
            "<2>; rel=next last",
            "<2> rel=next",
            "<2>; rel=",
            "<2>; rel=prev; rel=next",
            r#"<9>; rel="last" <2>; rel="next""#,
            "<9>; rel=last, 2; rel=next",
        ] {
            assert_eq!(parse(header), None, "{header}");
        }
    }

    fn space() -> impl Strategy<Value = &'static str> {
        proptest::sample::select(vec!["", " ", "\t "])
    }

    fn written_value() -> impl Strategy<Value = String> {
        let quoted = "[ -~]{0,12}".prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
        prop_oneof!["[a-z0-9*.'-]{1,8}", quoted]
    }

    /// A link as servers may write it, with these relations among other parameters.
    fn written(relations: &'static str) -> impl Strategy<Value = String> {
        let other = ("[a-qs-z]{1,8}", proptest::option::of(written_value()))
            .prop_map(|(name, value)| value.map_or(name.clone(), |value| format!("{name}={value}")));
        (proptest::collection::vec(other, 0..4), 0..4_usize, space()).prop_map(move |(mut parameters, at, space)| {
            let own =
                if relations.contains(' ') { format!("rel=\"{relations}\"") } else { format!("Rel{space}={space}{relations}") };
            parameters.insert(at.min(parameters.len()), own);
            let parameters: String = parameters.iter().map(|parameter| format!("{space};{space}{parameter}")).collect();
            format!("<{relations}>{parameters}")
        })
    }

    proptest! {
        #[test]
        fn the_next_page_is_found_among_any_links(
            before in proptest::collection::vec(written("prev"), 0..3),
            own in prop_oneof![written("next"), written("last NEXT x")],
            after in proptest::collection::vec(written("last"), 0..3),
            space in space(),
        ) {
            let links: Vec<String> = before.into_iter().chain([own]).chain(after).collect();
            let header = links.join(&format!("{space},{space}"));
            prop_assert_eq!(next(&header).unwrap().len(), 1, "{}", header);
        }

        #[test]
        fn no_header_panics_and_none_hides_a_well_formed_next_link(garbage in "[<>;,=\"' \\\\a-z]{0,40}") {
            drop(parse(&garbage));
            // Either it is refused, or what follows it as a link of its own is found.
            if let Some(links) = parse(&format!("{garbage}, <2>; rel=next")) {
                let quoted = garbage.contains('"') || garbage.contains('<');
                prop_assert!(quoted || links.last().is_some_and(|link| link.leads_on), "{}", garbage);
            }
        }
    }
}
