//! Who asks, and the number of a request.

use std::fmt;
use std::net::SocketAddr;

use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use trustctl_core::reason::clean;
use x509_cert::der::Decode as _;

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// The address, as the socket tells it.
    pub address: SocketAddr,
    /// The subject of the client's certificate (RFC 4514), cleaned; only of a certificate that an authority of the listener vouches for.
    pub subject: Option<String>,
}

impl Client {
    /// Somebody at an address, with the certificate that was vouched for.
    #[must_use]
    pub fn new(address: SocketAddr, certificate: Option<&CertificateDer<'_>>) -> Self {
        // An IPv4 client of a socket for both kinds of addresses is known by its IPv4 address.
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        Self { address, subject: certificate.map(subject) }
    }
}

fn subject(certificate: &CertificateDer<'_>) -> String {
    let read = x509_cert::Certificate::from_der(certificate);
    read.map(|read| clean(&read.tbs_certificate.subject.to_string())).unwrap_or_default()
}

/// The number of a request: the run of the program and the request in it, as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(u64);

impl RequestId {
    /// Request `number` of run `run`.
    #[must_use]
    pub fn new(run: u32, number: u32) -> Self {
        Self(u64::from(run) << 32 | u64::from(number))
    }

    /// As the value of a header.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        let mut digits = [0; 16];
        let mut rest = self.0;
        for digit in digits.iter_mut().rev() {
            *digit = HEX.get(usize::try_from(rest & 15).unwrap_or_default()).copied().unwrap_or_default();
            rest >>= 4;
        }
        HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";
