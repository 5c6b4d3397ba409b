//! Runs a check against a server.

use serde_json::Value;

use super::material::Material;
use super::{CODES, Check, Expect};
use crate::http::{Request, Response};

/// The headers that describe what would be in the body.
const DESCRIBING: [&str; 3] = ["Content-Type", "Docker-Content-Digest", "Etag"];
/// Most pages that are followed.
const PAGES: usize = 20;

/// A server, and what was pushed to it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// `HOST:PORT`.
    pub address: &'a str,
    /// What it has.
    pub material: &'a Material,
}

impl Target<'_> {
    /// Asks, and holds the answer to what is expected.
    ///
    /// # Errors
    /// What is otherwise, in words.
    pub fn passes(&self, check: &Check) -> Result<(), String> {
        let answer = self.send(check, check.ask.method, check.ask.path)?;
        for expect in check.expect {
            let what = format!("{expect:?}: status {}, {:?}", answer.status, String::from_utf8_lossy(shown(&answer.body)));
            match self.holds(check, &answer, expect) {
                Ok(true) => {}
                Ok(false) => return Err(what),
                Err(why) => return Err(format!("{why}; {what}")),
            }
        }
        Ok(())
    }

    fn send(&self, check: &Check, method: &str, path: &str) -> Result<Response, String> {
        let request = Request::new(method, &self.material.fill(path));
        let headers = check.ask.headers.iter();
        let request = headers.fold(request, |request, (name, value)| request.header(name, self.material.fill(value)));
        request.send(self.address).map_err(|failure| failure.to_string())
    }

    fn holds(&self, check: &Check, answer: &Response, expect: &Expect) -> Result<bool, String> {
        let piece = |name: &str| self.material.piece(name);
        Ok(match expect {
            Expect::Body(name) => answer.body == piece(name).bytes,
            Expect::Part(name, from, to) => piece(name).bytes.get(*from..*to) == Some(answer.body.as_slice()),
            Expect::Error(codes) => error_codes(answer)?.iter().all(|code| codes.contains(&code.as_str())),
            Expect::ErrorForm => !is_json(answer) || answer.status < 400 || listed(&error_codes(answer)?),
            Expect::Header(name, value) => answer.headers.first(name) == Some(self.material.fill(value).as_str()),
            Expect::Length(name) => answer.headers.first("Content-Length") == Some(piece(name).bytes.len().to_string().as_str()),
            Expect::LikeGet => self.is_like_get(check, answer)?,
            Expect::Next(wanted) => next(answer).is_some() == *wanted,
            Expect::Pages(tags) => self.pages(check, answer)? == *tags,
            Expect::Referrer(name, artifact_type) => {
                let (entry, content) = (self.referrer(answer, name)?, piece(name));
                let size = u64::try_from(content.bytes.len()).ok();
                let (found, kind) = (entry.get("artifactType").and_then(Value::as_str), entry.get("mediaType"));
                found == Some(artifact_type)
                    && entry.get("size").and_then(Value::as_u64) == size
                    && kind.and_then(Value::as_str) == Some(&content.media_type)
            }
            Expect::ReferrerNote(name, key, value) => {
                let entry = self.referrer(answer, name)?;
                entry.get("annotations").and_then(|notes| notes.get(key)).and_then(Value::as_str) == Some(value)
            }
            Expect::Referrers(names) => {
                let mut expected: Vec<String> = names.iter().map(|name| piece(name).digest()).collect();
                let mut found: Vec<String> = entries(answer)?.iter().map(digest).collect();
                expected.sort_unstable();
                found.sort_unstable();
                found == expected
            }
            Expect::Status(statuses) => statuses.contains(&answer.status),
            Expect::Tags(name, tags) => named(answer)? == *name && tags_of(answer)? == *tags,
            Expect::Without(name) => answer.headers.first(name).is_none(),
        })
    }

    fn is_like_get(&self, check: &Check, answer: &Response) -> Result<bool, String> {
        let full = self.send(check, "GET", check.ask.path)?;
        let same = DESCRIBING.iter().all(|name| full.headers.first(name) == answer.headers.first(name));
        Ok(same && answer.headers.first("Content-Length") == Some(full.body.len().to_string().as_str()))
    }

    /// The tags of all pages, beginning with this one.
    fn pages(&self, check: &Check, first: &Response) -> Result<Vec<String>, String> {
        let mut tags = tags_of(first)?;
        let mut link = next(first);
        for _ in 0..PAGES {
            let Some(path) = link else { return Ok(tags) };
            let page = self.send(check, "GET", &path)?;
            tags.extend(tags_of(&page)?);
            link = next(&page);
        }
        Err("the links do not end".to_owned())
    }

    fn referrer(&self, answer: &Response, name: &str) -> Result<Value, String> {
        let wanted = self.material.piece(name).digest();
        let found = entries(answer)?.into_iter().find(|entry| digest(entry) == wanted);
        found.ok_or_else(|| format!("{name} is not listed"))
    }
}

fn shown(body: &[u8]) -> &[u8] {
    body.get(..200).unwrap_or(body)
}

fn is_json(answer: &Response) -> bool {
    answer.headers.first("Content-Type").is_some_and(|value| value.starts_with("application/json"))
}

fn document(answer: &Response) -> Result<Value, String> {
    serde_json::from_slice(&answer.body).map_err(|error| format!("the body is no JSON: {error}"))
}

/// The codes of an error in the specified form.
fn error_codes(answer: &Response) -> Result<Vec<String>, String> {
    if !is_json(answer) {
        return Err("the error is not announced as JSON".to_owned());
    }
    let document = document(answer)?;
    let errors = document.get("errors").and_then(Value::as_array).filter(|errors| !errors.is_empty());
    let codes: Option<Vec<String>> =
        errors.and_then(|errors| errors.iter().map(|error| Some(error.get("code")?.as_str()?.to_owned())).collect());
    codes.ok_or_else(|| "there is no list of errors with codes".to_owned())
}

fn listed(codes: &[String]) -> bool {
    codes.iter().all(|code| CODES.contains(&code.as_str()))
}

/// The path of the next page (RFC 8288).
fn next(answer: &Response) -> Option<String> {
    let link = answer.headers.first("Link").filter(|link| link.contains("rel=\"next\""))?;
    let target = link.split_once('<')?.1.split_once('>')?.0;
    let path = target.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
    Some(path.unwrap_or(target).to_owned())
}

fn named(answer: &Response) -> Result<String, String> {
    Ok(document(answer)?.get("name").and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn tags_of(answer: &Response) -> Result<Vec<String>, String> {
    let document = document(answer)?;
    let tags = document.get("tags").and_then(Value::as_array).ok_or("there is no list of tags")?;
    Ok(tags.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn entries(answer: &Response) -> Result<Vec<Value>, String> {
    let document = document(answer)?;
    let entries = document.get("manifests").and_then(Value::as_array).cloned();
    entries.filter(|_| document.get("schemaVersion") == Some(&2.into())).ok_or_else(|| "this is no index".to_owned())
}

fn digest(entry: &Value) -> String {
    entry.get("digest").and_then(Value::as_str).unwrap_or_default().to_owned()
}
