//! Tokens of the SPIFFE Workload API: one unary call, `FetchJWTSVID`, over HTTP/2 on a Unix socket.
//!
//! Source: SPIFFE Workload API, section 6 ("JWT-SVID Profile"), with the security header of section 3.1; gRPC over HTTP/2, "Requests" and
//! "Responses". A whole gRPC stack for one message of one field would be fifty crates.

use std::path::Path;

use bytes::{Buf as _, Bytes, BytesMut};
use zeroize::Zeroizing;

use super::TokenError;
use super::ambient::SPIFFE;
use super::token::MAX_TOKEN;
use crate::limits::Deadline;

const METHOD: &str = "http://localhost/SpiffeWorkloadAPI/FetchJWTSVID";
/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// Most bytes of an answer: a workload has few identities.
const MAX_MESSAGE: usize = 8 * MAX_TOKEN;
/// Longest audience, in bytes: its length is written as one byte.
const MAX_AUDIENCE: usize = 127;

/// The token of this workload's first identity, its default one.
pub(super) async fn token(socket: &Path, audience: &str, deadline: Deadline) -> Result<Zeroizing<String>, TokenError> {
    deadline.limit("the SPIFFE Workload API", call(socket, audience)).await?
}

async fn call(socket: &Path, audience: &str) -> Result<Zeroizing<String>, TokenError> {
    let broken = |error: h2::Error| SPIFFE.failed(format!("{}: {error}", socket.display()));
    let message = question(audience).ok_or_else(|| SPIFFE.failed("the audience is too long"))?;
    let stream = tokio::net::UnixStream::connect(socket).await;
    let stream = stream.map_err(|error| SPIFFE.failed(format!("{}: {error}", socket.display())))?;
    let (sender, connection) = h2::client::handshake(stream).await.map_err(broken)?;
    // It ends with the call: whatever drives the connection is dropped with this future.
    let asked = async {
        let mut sender = sender.ready().await.map_err(broken)?;
        let request = http::Request::post(METHOD)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("workload.spiffe.io", "true")
            .body(())
            .map_err(|error| SPIFFE.failed(error.to_string()))?;
        let (response, mut body) = sender.send_request(request, false).map_err(broken)?;
        body.send_data(message, true).map_err(broken)?;
        answer(response.await.map_err(broken)?).await
    };
    tokio::select! {
        biased;
        answer = asked => answer,
        ended = connection => {
            ended.map_err(broken)?;
            Err(SPIFFE.failed("it closed the connection without an answer"))
        }
    }
}

async fn answer(response: http::Response<h2::RecvStream>) -> Result<Zeroizing<String>, TokenError> {
    let broken = |error: h2::Error| SPIFFE.failed(error.to_string());
    let status = response.status();
    refused(response.headers())?;
    let mut body = response.into_body();
    let mut message = Zeroizing::new(Vec::new());
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(broken)?;
        body.flow_control().release_capacity(piece.len()).map_err(broken)?;
        if message.len() + piece.len() > MAX_MESSAGE {
            return Err(SPIFFE.failed("its answer is too long"));
        }
        message.extend_from_slice(&piece);
    }
    if let Some(trailers) = body.trailers().await.map_err(broken)? {
        refused(&trailers)?;
    }
    if status != 200 {
        return Err(SPIFFE.failed(format!("it answered {status}")));
    }
    let message = message.get(PREFIX..).filter(|_| message.first() == Some(&0));
    let token = message.and_then(first_token).ok_or_else(|| SPIFFE.failed("its answer holds no token"))?;
    std::str::from_utf8(token).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| SPIFFE.failed("its answer is not text"))
}

/// The status of a call (gRPC, "Responses"): in the trailers, or in the head where there is nothing else.
fn refused(headers: &http::HeaderMap) -> Result<(), TokenError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match text("grpc-status") {
        "" | "0" => Ok(()),
        // The agent does not know this process (section 5.2 of the specification).
        "7" => Err(SPIFFE.failed("it has no identity for this workload")),
        status => Err(SPIFFE.failed(trustctl_core::reason::clean(&format!("status {status} {}", text("grpc-message"))))),
    }
}

/// `JWTSVIDRequest { repeated string audience = 1; }` behind its prefix.
fn question(audience: &str) -> Option<Bytes> {
    let length = u8::try_from(audience.len()).ok().filter(|length| usize::from(*length) <= MAX_AUDIENCE)?;
    let mut message = BytesMut::new();
    message.extend_from_slice(&[0, 0, 0, 0, length.checked_add(2)?, 0x0a, length]);
    message.extend_from_slice(audience.as_bytes());
    Some(message.freeze())
}

/// `JWTSVIDResponse { repeated JWTSVID svids = 1; }`, `JWTSVID { string spiffe_id = 1; string svid = 2; }`.
fn first_token(message: &[u8]) -> Option<&[u8]> {
    field(field(message, 1)?, 2)
}

/// The content of the first field with this number, which must be of bytes (Protocol Buffers, "Encoding").
fn field(mut message: &[u8], wanted: u64) -> Option<&[u8]> {
    while message.has_remaining() {
        let key = number(&mut message)?;
        match key & 7 {
            0 => {
                number(&mut message)?;
            }
            1 => message = message.get(8..)?,
            2 => {
                let length = usize::try_from(number(&mut message)?).ok()?;
                let (content, rest) = message.split_at_checked(length)?;
                if key >> 3 == wanted {
                    return Some(content);
                }
                message = rest;
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    None
}

/// A variable-length number of at most ten bytes.
fn number(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for place in 0..10_u32 {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests;
