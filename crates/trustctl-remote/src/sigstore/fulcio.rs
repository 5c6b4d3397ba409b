//! Certificate authorities: Fulcio's API v2.

use bytes::Bytes;

use super::{ServiceError, Services, refused, words};
use crate::http::Method;
use crate::limits::Deadline;
use crate::oidc::token::IdentityToken;

impl Services {
    /// The answer of the authority at `base` to a request for a certificate for whoever `token` names.
    ///
    /// # Errors
    /// [`ServiceError::TokenRefused`] when it does not accept the token; [`ServiceError::Refused`] for any other refusal;
    /// [`ServiceError::Remote`].
    pub async fn certificate(
        &self,
        base: &str,
        body: Vec<u8>,
        token: &IdentityToken,
        deadline: Deadline,
    ) -> Result<Bytes, ServiceError> {
        let mut request = Self::request(Method::POST, base, "/api/v2/signingCert")?.body("application/json", body);
        request.authorization = Some(token.authorization());
        let response = self.send(&request, deadline).await?;
        match response.status {
            200 | 201 => Ok(response.body),
            status if is_about_the_token(status, &response.body) => {
                let (host, words) = (response.origin.to_string(), words(&response.body));
                Err(ServiceError::TokenRefused { host, status, words })
            }
            _ => Err(refused(&response)),
        }
    }
}

/// Whether a refusal is about who asks. Besides the HTTP statuses for that, a gateway answers with the status of google.rpc.Code. Fulcio
/// says `INVALID_ARGUMENT` of a token that it cannot accept, as of a proof of possession over another name than the token's; what else it
/// says that of (an unreadable or weak key) is never in the requests that are made here. Its words differ from version to version.
///
/// Source: fulcio `pkg/server/grpc_server.go`, `CreateSigningCertificate`.
fn is_about_the_token(status: u16, body: &[u8]) -> bool {
    const INVALID_ARGUMENT: u64 = 3;
    const PERMISSION_DENIED: u64 = 7;
    const UNAUTHENTICATED: u64 = 16;
    let code = serde_json::from_slice::<serde_json::Value>(body).ok().and_then(|value| value.get("code")?.as_u64());
    matches!(status, 401 | 403) || (status == 400 && matches!(code, Some(INVALID_ARGUMENT | PERMISSION_DENIED | UNAUTHENTICATED)))
}

#[cfg(test)]
mod tests {
    use super::is_about_the_token;

    #[test]
    fn status_and_code_tell_and_words_do_not() {
        let bad = |words: &str| format!(r#"{{"code":3,"message":"{words}","details":[]}}"#);
        for words in
            ["There was an error processing the credentials for this request", "There was an error processing the identity token"]
        {
            assert!(is_about_the_token(400, bad(words).as_bytes()));
        }
        assert!(is_about_the_token(401, b"") && is_about_the_token(403, b"<html>"));
        for (status, body) in [
            (400, r#"{"code":5,"message":"no such token"}"#),
            (400, r#"{"message":"the token"}"#),
            (400, "the token"),
            (404, r#"{"code":3,"message":"the token"}"#),
            (400, r#"{"code":"3"}"#),
        ] {
            assert!(!is_about_the_token(status, body.as_bytes()), "{status} {body}");
        }
    }
}
