//! The client for Notary servers, against small servers that answer as the real one does, or as an attacker would.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use trustctl_core::evidence::{Entry, Locator, Origin, RefusalKind, Want};
use trustctl_core::reason::Code;
use trustctl_core::reference::Repository;
use trustctl_remote::credentials::{Credential, Credentials};
use trustctl_remote::error::RemoteError;
use trustctl_remote::gather::Source as _;
use trustctl_remote::http::{Http, Network};
use trustctl_remote::limits::Deadline;
use trustctl_remote::notary::{Notary, NotaryServers, RoleFile, ServerRole, credential_of_notary_auth};

const NOT_FOUND: &str =
    r#"{"errors":[{"code":"METADATA_NOT_FOUND","message":"You have requested metadata that does not exist.","detail":{}}]}"#;

/// A request as the server saw it.
#[derive(Clone, Debug, Default)]
struct Seen {
    line: String,
    authorization: Option<String>,
    content_type: String,
    body: String,
}

/// An answer: status line, further headers, body.
struct Answer(&'static str, String, String);

fn plain(status: &'static str, body: &str) -> Answer {
    Answer(status, String::new(), body.to_owned())
}

fn json(status: &'static str, body: &str) -> Answer {
    Answer(status, "Content-Type: application/json; charset=utf-8\r\n".to_owned(), body.to_owned())
}

/// A server on loopback that answers by a function, for as long as the test runs.
struct Server {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away early is part of some tests.
                let _ = serve(&stream, &answer, &log);
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    fn notary(&self) -> Notary {
        self.notary_with(Credentials::none())
    }

    fn notary_with(&self, credentials: Credentials) -> Notary {
        let mut network = Network::default();
        network.retry_pause = Duration::from_millis(1);
        Notary::new(Http::new(network), credentials, NotaryServers::default().with_server(format!("http://{}", self.address)))
    }
}

fn serve(stream: &TcpStream, answer: &impl Fn(&Seen) -> Answer, log: &Mutex<Vec<Seen>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream);
    let mut seen = Seen::default();
    reader.read_line(&mut seen.line)?;
    seen.line = seen.line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => seen.authorization = Some(value.to_owned()),
            "content-length" => length = value.parse().unwrap(),
            "content-type" => seen.content_type = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    seen.body = String::from_utf8(body).unwrap();
    let Answer(status, headers, body) = answer(&seen);
    log.lock().unwrap().push(seen);
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn gun() -> Repository {
    "localhost:14005/demo/app".parse().unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn want(file: &str, max_bytes: u64) -> Want {
    Want { locator: Locator::Notary { gun: gun(), file: file.to_owned() }, max_bytes }
}

fn kind(entry: &Entry) -> Option<RefusalKind> {
    match entry {
        Entry::Refused(refusal) => Some(refusal.kind),
        _ => None,
    }
}

#[tokio::test]
async fn files_are_asked_for_below_the_gun_and_come_as_they_are() {
    let server = Server::start(|_| plain("200 OK", "{\"signed\" : 1}\n"));
    let notary = server.notary();
    let source = notary.source(soon());
    for file in ["timestamp.json", "3.root.json", "targets/releases.0123.json"] {
        let entry = source.fetch(&want(file, 100)).await;
        assert_eq!(entry, Entry::Present { bytes: b"{\"signed\" : 1}\n".to_vec(), origin: Origin::Notary });
    }
    let below = "GET /v2/localhost:14005/demo/app/_trust/tuf";
    assert_eq!(
        server.lines(),
        [format!("{below}/timestamp.json"), format!("{below}/3.root.json"), format!("{below}/targets/releases.0123.json")]
    );
}

#[tokio::test]
async fn only_the_servers_own_404_means_that_there_is_nothing() {
    let answers = [
        (json("404 Not Found", NOT_FOUND), None),
        (plain("404 Not Found", "404 page not found\n"), Some(RefusalKind::Malformed)),
        (json("404 Not Found", r#"{"errors":[{"code":"NAME_UNKNOWN","message":"x"}]}"#), Some(RefusalKind::Malformed)),
        (json("200 OK", ""), None),
        (json("204 No Content", ""), Some(RefusalKind::Malformed)),
        (json("400 Bad Request", r#"{"errors":[{"code":"INVALID_GUN","message":"no"}]}"#), Some(RefusalKind::Malformed)),
        (json("400 Bad Request", NOT_FOUND), Some(RefusalKind::Malformed)),
        (json("500 Internal Server Error", NOT_FOUND), Some(RefusalKind::Unavailable)),
        (json("501 Not Implemented", NOT_FOUND), Some(RefusalKind::Unavailable)),
        (json("503 Service Unavailable", ""), Some(RefusalKind::Unavailable)),
        (json("429 Too Many Requests", NOT_FOUND), Some(RefusalKind::Unavailable)),
        (json("403 Forbidden", NOT_FOUND), Some(RefusalKind::Denied)),
        (json("401 Unauthorized", NOT_FOUND), Some(RefusalKind::Denied)),
    ];
    for (Answer(status, headers, body), expected) in answers {
        let server = Server::start(move |_| Answer(status, headers.clone(), body.clone()));
        let entry = server.notary().answer(&want("root.json", 1000), soon()).await;
        assert_eq!(kind(&entry), expected, "{status}: {entry:?}");
        assert_eq!(entry == Entry::Absent, expected.is_none() && status.starts_with("404"), "{status}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_or_slow_is_unavailable_and_never_absent() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let servers = NotaryServers::default().with_server(format!("http://{closed}"));
    let notary = Notary::new(Http::new(Network::default()), Credentials::none(), servers);
    let entry = notary.answer(&want("root.json", 1000), soon()).await;
    assert_eq!(kind(&entry), Some(RefusalKind::Unavailable));
    let slow = Server::start(|_| {
        std::thread::sleep(Duration::from_secs(2));
        plain("200 OK", "{}")
    });
    let entry = slow.notary().answer(&want("root.json", 1000), Deadline::after(Duration::from_millis(200))).await;
    assert_eq!(kind(&entry), Some(RefusalKind::OutOfBudget));
}

#[tokio::test]
async fn more_bytes_than_wanted_are_not_read() {
    let server = Server::start(|_| plain("200 OK", &"x".repeat(1001)));
    let notary = server.notary();
    assert_eq!(kind(&notary.answer(&want("timestamp.json", 1000), soon()).await), Some(RefusalKind::TooLarge));
    assert!(matches!(notary.answer(&want("timestamp.json", 1001), soon()).await, Entry::Present { .. }));
    let server = Server::start(|_| plain("200 OK", &"x".repeat(100_000)));
    let error = server.notary().server_key(&gun(), ServerRole::Timestamp, soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::TooLarge);
}

#[tokio::test]
async fn names_in_metadata_do_not_become_other_requests() {
    let server = Server::start(|_| plain("200 OK", "{}"));
    for file in ["../../../v2/", "targets/../../../x.json", "timestamp.key", "targets/a b.json", "x.json?y=.json", "x#.json"] {
        let entry = server.notary().answer(&want(file, 1000), soon()).await;
        assert_eq!(kind(&entry), Some(RefusalKind::Malformed), "{file}");
    }
    assert!(server.lines().is_empty());
    let other = Want {
        locator: Locator::Manifest { repository: gun(), digest: trustctl_core::digest::Digest::sha256_of(b"") },
        max_bytes: 9,
    };
    assert_eq!(kind(&server.notary().answer(&other, soon()).await), Some(RefusalKind::Unavailable));
}

#[tokio::test]
async fn an_upload_is_one_form_with_a_part_for_each_role() {
    let server = Server::start(|_| plain("200 OK", ""));
    let files = [RoleFile { role: "targets", bytes: b"{1}" }, RoleFile { role: "targets/releases", bytes: b"{2}" }];
    server.notary().publish(&gun(), &files, soon()).await.unwrap();
    let [seen] = server.seen().try_into().unwrap();
    assert_eq!(seen.line, "POST /v2/localhost:14005/demo/app/_trust/tuf/");
    let boundary = seen.content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    let parts: Vec<&str> = seen.body.split(&format!("--{boundary}")).collect();
    let part = |role: &str, text: &str| {
        format!(
            "\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{role}\"\r\nContent-Type: application/octet-stream\r\n\r\n{text}\r\n"
        )
    };
    assert_eq!(parts, ["", &part("targets", "{1}"), &part("targets/releases", "{2}"), "--\r\n"]);
    let role = "targets\"\r\nX: y";
    assert!(server.notary().publish(&gun(), &[RoleFile { role, bytes: b"" }], soon()).await.is_err());
    assert_eq!(server.seen().len(), 1, "nothing was sent for a role that is none");
}

#[tokio::test]
async fn refusals_of_an_upload_are_told_apart_and_quoted() {
    let refuse = |status: &'static str, body: &str| {
        let body = body.to_owned();
        Server::start(move |_| json(status, &body))
    };
    let publish = async |server: &Server| {
        let files = [RoleFile { role: "targets", bytes: b"{}" }];
        server.notary().publish(&gun(), &files, soon()).await.unwrap_err()
    };
    let old = refuse(
        "400 Bad Request",
        r#"{"errors":[{"code":"VERSION","message":"A newer version of metadata is already available.","detail":{}}]}"#,
    );
    assert!(matches!(publish(&old).await, RemoteError::OutdatedUpload { .. }));
    assert_eq!(publish(&old).await.code(), Code::PublishConflict);
    let invalid = refuse(
        "400 Bad Request",
        r#"{"errors":[{"code":"INVALID_UPDATE","message":"Update sent by the client is invalid.","detail":{"Name":"ErrBadTargets","Error":{"Msg":"\u001b[31mvalid signatures did not meet threshold for targets"}}}]}"#,
    );
    let error = publish(&invalid).await;
    assert_eq!(error.code(), Code::DctPublishRefused);
    let words = error.to_string();
    assert!(
        words.contains("INVALID_UPDATE, ErrBadTargets, \u{fffd}[31mvalid signatures did not meet threshold for targets"),
        "{words}"
    );
    for (status, body, code) in [
        ("403 Forbidden", "{}", Code::AccessDenied),
        ("401 Unauthorized", "{}", Code::AccessDenied),
        ("500 Internal Server Error", r#"{"errors":[{"code":"UPDATING"}]}"#, Code::Unavailable),
        ("404 Not Found", "404 page not found", Code::BadAnswer),
        ("413 Payload Too Large", "<html>", Code::BadAnswer),
        ("201 Created", "", Code::BadAnswer),
    ] {
        let server = refuse(status, body);
        assert_eq!(publish(&server).await.code(), code, "{status}");
        assert_eq!(server.seen().len(), 1, "{status}: an upload is not sent twice");
    }
}

#[tokio::test]
async fn keys_and_deletion_use_the_methods_of_the_protocol() {
    let key = r#"{"keytype":"ed25519","keyval":{"public":"AA==","private":null}}"#;
    let server = Server::start(move |seen| if seen.line.ends_with(".key") { plain("200 OK", key) } else { plain("200 OK", "") });
    let notary = server.notary();
    assert_eq!(notary.server_key(&gun(), ServerRole::Timestamp, soon()).await.unwrap(), key.as_bytes());
    assert_eq!(notary.rotate_server_key(&gun(), ServerRole::Snapshot, soon()).await.unwrap(), key.as_bytes());
    notary.delete(&gun(), soon()).await.unwrap();
    let below = "/v2/localhost:14005/demo/app/_trust/tuf/";
    assert_eq!(
        server.lines(),
        [format!("GET {below}timestamp.key"), format!("POST {below}snapshot.key"), format!("DELETE {below}")]
    );
}

#[tokio::test]
async fn tokens_are_asked_for_with_the_scopes_of_notary() {
    let token_server = Server::start(|_| json("200 OK", r#"{"token":"t"}"#));
    let address = token_server.address.clone();
    let server = Server::start(move |seen| match &seen.authorization {
        Some(_) => plain("200 OK", if seen.line.contains("changefeed") { r#"{"count":0,"records":null}"# } else { "{}" }),
        None => {
            let realm = format!("WWW-Authenticate: Bearer realm=\"http://{address}/token\",service=\"notary\"\r\n");
            Answer("401 Unauthorized", realm, "{}".to_owned())
        }
    });
    let notary = server.notary_with(Credentials::none().with("localhost:14005", Credential::password("erin", "secret")));
    notary.file((&gun(), "root.json"), 100, soon()).await.unwrap();
    notary.server_key(&gun(), ServerRole::Timestamp, soon()).await.unwrap();
    notary.publish(&gun(), &[], soon()).await.unwrap();
    notary.rotate_server_key(&gun(), ServerRole::Timestamp, soon()).await.unwrap();
    notary.delete(&gun(), soon()).await.unwrap();
    notary.changes(&gun(), "0", soon()).await.unwrap();
    let scopes: Vec<String> = token_server.lines().iter().map(|line| line.rsplit_once("scope=").unwrap().1.to_owned()).collect();
    let resource = "repository%3Alocalhost%3A14005%2Fdemo%2Fapp";
    assert_eq!(scopes, [format!("{resource}%3Apull"), format!("{resource}%3Apush%2Cpull"), format!("{resource}%3A%2A")]);
    assert!(token_server.seen().iter().all(|seen| seen.authorization.as_deref() == Some("Basic ZXJpbjpzZWNyZXQ=")));
    assert!(server.seen().iter().all(|seen| seen.authorization.as_deref().is_none_or(|value| value.starts_with("Bearer "))));
}

#[tokio::test]
async fn notary_auth_is_used_for_every_collection() {
    let server = Server::start(|seen| match &seen.authorization {
        Some(_) => plain("200 OK", "{}"),
        None => Answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"n\"\r\n".to_owned(), String::new()),
    });
    let error = server.notary().file((&gun(), "root.json"), 100, soon()).await.unwrap_err();
    assert_eq!(error.code(), Code::NoCredentials);
    let notary = server.notary().with_credential(credential_of_notary_auth("dXNlcjpwdw==").unwrap());
    for name in ["localhost:14005/demo/app", "docker.io/library/alpine"] {
        assert!(notary.file((&name.parse().unwrap(), "root.json"), 100, soon()).await.unwrap().is_some());
    }
    assert!(notary.fresh().file((&gun(), "root.json"), 100, soon()).await.unwrap().is_some());
    assert_eq!(server.seen().last().unwrap().authorization.as_deref(), Some("Basic dXNlcjpwdw=="));
}

#[tokio::test]
async fn a_server_elsewhere_is_never_asked_without_tls() {
    let servers = NotaryServers::default().with_server("http://notary.invalid");
    let notary = Notary::new(Http::new(Network::default()), Credentials::none(), servers);
    assert_eq!(notary.file((&gun(), "root.json"), 100, soon()).await.unwrap_err().code(), Code::PlainHttp);
    let broken = NotaryServers::default().with_server("not an address");
    let notary = Notary::new(Http::new(Network::default()), Credentials::none(), broken);
    let entry = notary.answer(&want("root.json", 100), soon()).await;
    assert_eq!(kind(&entry), Some(RefusalKind::Unavailable));
    assert!(notary.server(&gun()).is_err());
}

#[tokio::test]
async fn changes_are_listed() {
    let records = r#"{"count":1,"records":[{"ID":"7","CreatedAt":"2026-11-22T14:57:13Z","GUN":"localhost:14005/demo/app","Version":3,"SHA256":"00","Category":"update"}]}"#;
    let server = Server::start(move |_| json("200 OK", records));
    let changes = server.notary().changes(&gun(), "6&x=1", soon()).await.unwrap();
    assert_eq!(
        changes.first().map(|change| (change.id.as_str(), change.version, change.category.as_str())),
        Some(("7", 3, "update"))
    );
    assert_eq!(server.lines(), ["GET /v2/localhost:14005/demo/app/_trust/changefeed?change_id=6%26x%3D1&records=1000"]);
}
