//! A client for the tests: plain requests, answers read whole.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, Method};

/// An answer, with header names in lower case.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The first error code of a registry's or Notary's error list.
    pub(crate) fn code(&self) -> String {
        self.json().pointer("/errors/0/code").and_then(|code| code.as_str()).unwrap_or_default().to_owned()
    }
}

/// A request to be sent to a lab's service.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Ask {
    pub(crate) fn new(method: &str, url: impl Into<String>) -> Self {
        Self { method: method.parse().unwrap(), url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) async fn send(self) -> Answer {
        self.try_send().await.unwrap()
    }

    /// Fails when there is no answer, or only a part of one, within two seconds.
    pub(crate) async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        let mut request = client.request(self.method, self.url);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let answer = request.body(self.body).send().await?;
        let status = answer.status().as_u16();
        let headers =
            answer.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        Ok(Answer { status, headers, body: answer.bytes().await?.to_vec() })
    }
}
