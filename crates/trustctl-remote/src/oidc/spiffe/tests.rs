#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
use super::*;
use proptest::prelude::*;
use std::path::PathBuf;
use std::time::Duration;
use trustctl_core::reason::Code;

/// What the API answers to the one call of a test.
#[derive(Clone)]
struct Says {
    message: Vec<u8>,
    status: &'static str,
}

/// An agent on a socket of its own that answers one call, after checking that it is the specified one.
fn agent(says: Says) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(call) = connection.accept().await {
            let (request, mut respond) = call.unwrap();
            let says = says.clone();
            tokio::spawn(async move {
                assert_eq!(request.uri().path(), "/SpiffeWorkloadAPI/FetchJWTSVID");
                assert_eq!(request.headers().get("workload.spiffe.io").unwrap(), "true");
                let mut body = request.into_body();
                let mut asked = Vec::new();
                while let Some(piece) = body.data().await {
                    asked.extend_from_slice(&piece.unwrap());
                }
                assert_eq!(asked, b"\0\0\0\0\x0a\x0a\x08sigstore");
                let head = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
                let mut stream = respond.send_response(head, false).unwrap();
                stream.send_data(Bytes::from(says.message), false).unwrap();
                let trailers = [("grpc-status", says.status)].into_iter().map(|(name, value)| {
                    (name.parse::<http::HeaderName>().unwrap(), value.parse::<http::HeaderValue>().unwrap())
                });
                stream.send_trailers(trailers.collect()).unwrap();
            });
        }
    });
    (folder, path)
}

/// One identity with this token, as the agent writes it.
fn identity(token: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    let id = "spiffe://lab/x";
    let svid = [&[0x0a, length(id)][..], id.as_bytes(), &[0x12, length(token)], token.as_bytes()].concat();
    [&[0x0a, u8::try_from(svid.len()).unwrap()][..], &svid].concat()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

async fn asked(says: Says) -> Result<String, Code> {
    let (_folder, path) = agent(says);
    let deadline = Deadline::after(Duration::from_secs(20));
    token(&path, "sigstore", deadline).await.map(|text| text.to_string()).map_err(|error| error.reason().code)
}

#[tokio::test]
async fn the_workloads_first_token_is_taken() {
    let message = [identity("first"), identity("second")].concat();
    assert_eq!(asked(Says { message: framed(&message), status: "0" }).await, Ok("first".to_owned()));
}

#[tokio::test]
async fn what_is_no_token_is_a_failure_of_the_source() {
    for (message, status) in
        [(framed(&identity("t")), "7"), (framed(&identity("t")), "14"), (framed(&[]), "0"), (Vec::new(), "0")]
    {
        assert_eq!(asked(Says { message, status }).await, Err(Code::TokenSource));
    }
    let mut compressed = framed(&identity("t"));
    *compressed.first_mut().unwrap() = 1;
    assert_eq!(asked(Says { message: compressed, status: "0" }).await, Err(Code::TokenSource));
    assert_eq!(asked(Says { message: vec![0; MAX_MESSAGE + 1], status: "0" }).await, Err(Code::TokenSource));
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_a_failure_of_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let error = token(&folder.path().join("none.sock"), "sigstore", Deadline::default()).await.unwrap_err();
    assert_eq!(error.reason().code, Code::TokenSource);
}

#[test]
fn an_audience_that_does_not_fit_is_not_asked_for() {
    assert!(question(&"a".repeat(127)).is_some());
    assert!(question(&"a".repeat(128)).is_none());
}

proptest! {
    #[test]
    fn no_message_panics(message in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = first_token(&message);
    }
}
