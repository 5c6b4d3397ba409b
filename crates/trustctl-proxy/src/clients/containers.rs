//! The `registries.conf` of Podman, Buildah, Skopeo and CRI-O, by containers-registries.conf(5).

use std::fmt::Write as _;
use std::path::PathBuf;

use super::{ClientError, MARK, Setup, Wanted, quoted, shown};

/// What differs between the programs that read these files.
pub(super) struct Reader {
    reload: &'static str,
}

/// Podman, Buildah, Skopeo.
pub(super) const PODMAN: Reader = Reader {
    reload: "the next pull reads the file; a user's own ~/.config/containers/registries.conf takes its place, so take away the right to pull from elsewhere too",
};
/// CRI-O.
pub(super) const CRIO: Reader = Reader { reload: "CRI-O reads the file at its start and on systemctl reload crio" };

/// One table for each registry: its images are somewhere else, which leaves nothing to come back to. Never a mirror.
pub(super) fn setup(wanted: &Wanted, reader: Reader) -> Result<Setup, ClientError> {
    let mut text = format!("# {MARK}\n# The registry is renamed, not mirrored: a mirror that refuses is passed over.\n");
    for served in wanted.named() {
        let location = quoted(&served.location(&wanted.proxy)?);
        let _ = write!(text, "\n[[registry]]\nprefix = {}\nlocation = {location}\n", quoted(&served.registry));
        if wanted.proxy.is_plain() {
            text.push_str("insecure = true\n");
        }
    }
    let mut notes = vec![reader.reload.to_owned(), wanted.others()];
    if let Some(path) = &wanted.authority {
        notes.push(format!("put a copy of {} at /etc/containers/certs.d/{}/ca.crt", shown(path), wanted.proxy.authority));
    }
    let files = vec![(PathBuf::from("50-trustctl-proxy.conf"), text)];
    Ok(Setup { enforced: true, folder: "/etc/containers/registries.conf.d", files, notes })
}
