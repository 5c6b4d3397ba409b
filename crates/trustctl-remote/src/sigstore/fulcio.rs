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
    /// [`ServiceError::TokenRefused`] for 401 and 403, and for a 400 that speaks of the token; [`ServiceError::Refused`] for any other
    /// refusal; [`ServiceError::Remote`].
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
        let said = words(&response.body);
        match response.status {
            200 | 201 => Ok(response.body),
            status @ (401 | 403) => Err(ServiceError::TokenRefused { host: response.origin.to_string(), status, words: said }),
            400 if said.to_ascii_lowercase().contains("token") => {
                Err(ServiceError::TokenRefused { host: response.origin.to_string(), status: 400, words: said })
            }
            _ => Err(refused(&response)),
        }
    }
}
