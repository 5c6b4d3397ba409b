#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed unwrap fails the test")]

use toml::Table;

use super::*;

fn wanted(proxy: &str, registries: &[&str], authority: Option<&str>) -> Wanted {
    Wanted {
        proxy: Address::parse(proxy).unwrap(),
        registries: registries.iter().map(|text| Served::parse(text).unwrap()).collect(),
        authority: authority.map(PathBuf::from),
    }
}

fn only_file(setup: &Setup) -> (&Path, Table) {
    assert_eq!(setup.files.len(), 1);
    let (path, text) = &setup.files[0];
    (path, text.parse().unwrap())
}

/// With `server` alone containerd 1.6 refuses the file, with a host alone it asks the registry after a refusal.
#[test]
fn containerd_has_the_proxy_as_server_and_as_host() {
    let setup = wanted("https://proxy.example:5000", &[], Some("/etc/ca.pem")).setup(Client::Containerd).unwrap();
    let (path, hosts) = only_file(&setup);
    assert_eq!((path, setup.enforced), (Path::new("_default/hosts.toml"), true));
    assert_eq!(hosts["server"].as_str(), Some("https://proxy.example:5000"));
    let tables = hosts["host"].as_table().unwrap();
    assert_eq!(tables.len(), 1, "nothing comes after the proxy");
    let host = tables["https://proxy.example:5000"].as_table().unwrap();
    let capabilities: Vec<&str> = host["capabilities"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(capabilities, ["pull", "resolve"], "without resolve the registry says what a tag means");
    assert_eq!((hosts["ca"].as_str(), host["ca"].as_str()), (Some("/etc/ca.pem"), Some("/etc/ca.pem")));
    let named = wanted("http://127.0.0.1:5000", &["docker.io", "registry.example:5000"], None).setup(Client::Containerd).unwrap();
    let paths: Vec<&Path> = named.files.iter().map(|(path, _)| path.as_path()).collect();
    assert_eq!(paths, [Path::new("docker.io/hosts.toml"), Path::new("registry.example:5000/hosts.toml")]);
    assert!(named.notes.iter().any(|note| note.contains("every other registry")), "{:?}", named.notes);
}

/// `mirror-by-digest-only` would take tags past the proxy, and any mirror is passed over when it refuses.
#[test]
fn podman_and_crio_find_the_registry_renamed() {
    for client in [Client::Podman, Client::Crio] {
        let setup = wanted("http://127.0.0.1:5000", &["docker.io", "registry.example:5000=corp/hub", "quay.io="], None)
            .setup(client)
            .unwrap();
        let (_, conf) = only_file(&setup);
        let registries = conf["registry"].as_array().unwrap();
        let places: Vec<(&str, &str)> =
            registries.iter().map(|table| (table["prefix"].as_str().unwrap(), table["location"].as_str().unwrap())).collect();
        let proxy = "127.0.0.1:5000";
        let expected = [
            ("docker.io", format!("{proxy}/docker.io")),
            ("registry.example:5000", format!("{proxy}/corp/hub")),
            ("quay.io", proxy.to_owned()),
        ];
        assert_eq!(places, expected.each_ref().map(|(name, place)| (*name, place.as_str())));
        for table in registries {
            let keys: Vec<&String> = table.as_table().unwrap().keys().collect();
            assert!(!keys.iter().any(|key| key.contains("mirror")), "{keys:?}");
            assert_eq!(table["insecure"].as_bool(), Some(true));
        }
    }
    let tls = wanted("https://proxy.example", &[], Some("/etc/ca.pem")).setup(Client::Podman).unwrap();
    let (_, conf) = only_file(&tls);
    assert!(conf["registry"][0].get("insecure").is_none());
    assert!(tls.notes.iter().any(|note| note.contains("/etc/containers/certs.d/proxy.example/ca.crt")), "{:?}", tls.notes);
}

#[test]
fn docker_and_buildkit_are_not_called_enforced() {
    for (client, pull) in [
        (Client::Docker, "docker pull proxy.example/docker.io/library/alpine:3"),
        (Client::Buildkit, "FROM proxy.example/docker.io/library/alpine:3"),
    ] {
        let setup = wanted("https://proxy.example", &[], None).setup(client).unwrap();
        assert!(!setup.enforced);
        assert!(setup.notes.iter().any(|note| note.contains("block the way")), "{:?}", setup.notes);
        assert!(setup.notes.iter().any(|note| note.contains(pull)), "{:?}", setup.notes);
        let settings = setup.files.iter().flat_map(|(_, text)| text.lines()).filter(|line| !line.starts_with('#'));
        assert!(!settings.clone().any(|line| line.contains("mirrors")), "{:?}", setup.files);
        let comments: String = setup.files.iter().map(|(_, text)| text.replace("\n#  ", "")).collect();
        assert!(setup.notes.iter().all(|note| comments.contains(note)), "the notes are where the settings are: {comments}");
    }
}

/// An engine that keeps images in containerd reads these, and is held by both entries.
#[test]
fn docker_has_the_files_of_containerd_too() {
    let setup = wanted("http://127.0.0.1:5000", &["docker.io", "ghcr.io"], None).setup(Client::Docker).unwrap();
    let text = |name: &str| setup.files.iter().find(|(path, _)| path == Path::new(name)).unwrap().1.clone();
    let alone = wanted("http://127.0.0.1:5000", &["docker.io"], None).setup(Client::Containerd).unwrap();
    let settings = |text: &str| text.parse::<Table>().unwrap();
    assert_eq!(settings(&text("certs.d/docker.io/hosts.toml")), settings(&alone.files[0].1));
    assert_eq!(settings(&text("certs.d/ghcr.io/hosts.toml")), settings(&alone.files[0].1));
    let about = text("daemon.json.about");
    assert!(about.starts_with(&format!("# {MARK}\n")) && about.contains("block the way from the host"), "{about}");
    assert!(text("daemon.json").contains("127.0.0.1:5000"));
}

#[test]
fn k3s_takes_away_what_it_puts_behind_mirrors() {
    let setup = wanted("https://proxy.example:5000", &[], Some("/etc/c\"a.pem")).setup(Client::K3s).unwrap();
    let text = |name: &str| setup.files.iter().find(|(path, _)| path == Path::new(name)).unwrap().1.clone();
    assert!(text("config.yaml.d/50-trustctl-proxy.yaml").contains("\ndisable-default-registry-endpoint: true\n"));
    let registries = text("registries.yaml");
    assert!(registries.contains("  \"*\":\n    endpoint:\n      - \"https://proxy.example:5000\"\n"), "{registries}");
    assert!(registries.contains(r#"ca_file: "/etc/c\"a.pem""#), "{registries}");
    assert!(setup.notes.iter().any(|note| note.contains("not measured")));
}

#[test]
fn what_cannot_be_written_down_is_refused() {
    for text in [
        "proxy.example",
        "ftp://proxy.example",
        "https://user@proxy.example",
        "https://proxy.example/path",
        "https://a\"b",
        "https://a?b",
        "https://",
    ] {
        assert_eq!(Address::parse(text), Err(ClientError::BadAddress(text.to_owned())), "{text}");
    }
    assert_eq!(Address::parse("https://Proxy.example:5000/").unwrap().url(), "https://proxy.example:5000");
    for text in ["", "a/b", "alpine", "docker.io/library", "a\"b.example", "quay.io=A", "quay.io=../x", "quay.io=a=b"] {
        assert_eq!(Served::parse(text), Err(ClientError::BadRegistry(text.to_owned())), "{text}");
    }
    let unnamed = wanted("https://proxy.example", &["registry.example:5000"], None);
    assert_eq!(unnamed.setup(Client::Podman), Err(ClientError::NoPrefix("registry.example:5000".to_owned())));
    assert!(unnamed.setup(Client::Containerd).is_ok(), "containerd names it by ?ns=");
    let relative = wanted("https://proxy.example", &[], Some("ca.pem"));
    assert_eq!(relative.setup(Client::K3s), Err(ClientError::RelativeAuthority("ca.pem".into())));
}
