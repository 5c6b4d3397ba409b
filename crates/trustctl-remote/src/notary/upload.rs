//! The body of an upload: `multipart/form-data` (RFC 7578) the way Notary's own client writes it.

use trustctl_core::digest::Digest;

use crate::error::RemoteError;

/// Longest role name that is sent, in bytes; Notary's database takes 255.
const MAX_ROLE: usize = 255;

/// A new file of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleFile<'a> {
    /// The role, without ending: `root`, `targets`, `targets/releases`, `snapshot`.
    pub role: &'a str,
    /// The file's exact bytes.
    pub bytes: &'a [u8],
}

/// A body with its media type.
pub(super) struct Form {
    pub(super) media_type: String,
    pub(super) body: Vec<u8>,
}

/// The form that carries `files`, one part for each: the role is the part's file name.
///
/// # Errors
/// [`RemoteError::Configuration`] for a role that is none: it would break out of its header.
pub(super) fn form(files: &[RoleFile<'_>]) -> Result<Form, RemoteError> {
    let mut parts = Vec::new();
    for file in files {
        if !is_role(file.role) {
            return Err(RemoteError::configuration(file.role, "not the name of a role"));
        }
        parts.push(format!(
            "Content-Disposition: form-data; name=\"files\"; filename=\"{}\"\r\nContent-Type: application/octet-stream\r\n\r\n",
            file.role
        ));
    }
    // No content can hold the hash of itself.
    let boundary = {
        let all: Vec<u8> = files.iter().flat_map(|file| file.bytes.iter().copied()).collect();
        Digest::sha256_of(&all).hex()
    };
    let mut body = Vec::new();
    for (file, head) in files.iter().zip(parts) {
        body.extend_from_slice(format!("--{boundary}\r\n{head}").as_bytes());
        body.extend_from_slice(file.bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(Form { media_type: format!("multipart/form-data; boundary={boundary}"), body })
}

/// Whether `name` is made like the names of roles are: path components of lower-case letters, digits, `-` and `_`.
fn is_role(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    name.len() <= MAX_ROLE && name.split('/').all(|part| !part.is_empty() && part.bytes().all(letter))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
    use super::*;

    #[test]
    fn the_form_is_the_one_notary_writes() {
        let files = [RoleFile { role: "targets/releases", bytes: b"{\"a\":1}" }, RoleFile { role: "snapshot", bytes: b"{}" }];
        let form = form(&files).unwrap();
        let boundary = form.media_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        let expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"files\"; filename=\"targets/releases\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{{\"a\":1}}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"files\"; filename=\"snapshot\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n{{}}\r\n--{boundary}--\r\n"
        );
        assert_eq!(String::from_utf8(form.body).unwrap(), expected);
    }

    #[test]
    fn a_role_cannot_break_out_of_its_header() {
        for role in
            ["", "targets/", "/targets", "a//b", "targets\"; filename=\"root", "a\r\nb", "Targets", "targets/ä", &"a".repeat(256)]
        {
            assert!(form(&[RoleFile { role, bytes: b"" }]).is_err(), "{role}");
        }
    }
}
