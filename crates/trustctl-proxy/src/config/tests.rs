#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use proptest::prelude::*;

use super::*;
use crate::upstreams::{DenyMode, SecretSource, UpstreamCredentials};

const KEY: &str = include_str!("../../../../keys-example/cosign.pub");

const FULL: &str = r#"
version = 1
policy = "policy.toml"
state = "/var/lib/trustctl"
help = "https://wiki.example/images"

[[listen]]
address = "0.0.0.0:5000"
certificate = "tls/proxy.crt"
key = "/tls/proxy.key"
client-ca = "tls/clients.crt"
client-certificates = "optional"

[[listen]]
address = "[::1]:5000"

[admin]
address = "127.0.0.1:5001"

[cache]
max-size = "500MiB"

[times]
tag-ttl = "0s"
revocation = "5m"
refusal = "1s"
max-stale = "7d"
verify = "10s"

[limits]
connections = 100
header = "5s"
idle = "1m"
shutdown = "0s"

[audit]
file = "/var/log/trustctl/audit.log"

[break-glass]
keys = ["keys/security.pub"]

[[upstreams]]
registry = "docker.io"
endpoint = "http://127.0.0.1:5001/"
hosts = ["hub.proxy.example"]
namespace = true
default = true
mirror = true
deny-mode = "sticky"
user = "bot"
password = "env:HUB_TOKEN"
canary = "library/hello-world"

[[upstreams]]
registry = "registry.example:5000"
prefix = "ours"
credentials = "pass-through"
"#;

const SMALL: &str = r#"version = 1
policy = "policy.toml"
state = "state"
[[listen]]
address = "127.0.0.1:0"
[[upstreams]]
registry = "docker.io"
"#;

fn read(text: &str) -> Result<Config, ConfigError> {
    let load = |path: &Path| match path.to_str() {
        Some("/etc/proxy/keys/security.pub") => Ok(KEY.as_bytes().to_vec()),
        _ => Err("no such file".to_owned()),
    };
    Config::parse(&ConfigText { name: "proxy.toml", folder: Path::new("/etc/proxy"), text, load: &load })
}

#[test]
fn every_field_is_read() {
    let config = read(FULL).unwrap();
    assert_eq!(config.policy, Path::new("/etc/proxy/policy.toml"));
    assert_eq!(config.state, Path::new("/var/lib/trustctl"));
    assert_eq!(config.help.as_deref(), Some("https://wiki.example/images"));
    let clients = ClientAuthority { authority: "/etc/proxy/tls/clients.crt".into(), required: false };
    let tls = TlsFiles { certificate: "/etc/proxy/tls/proxy.crt".into(), key: "/tls/proxy.key".into(), clients: Some(clients) };
    let first = Listen { address: "0.0.0.0:5000".parse().unwrap(), tls: Some(tls) };
    assert_eq!(config.listen, [first, Listen { address: "[::1]:5000".parse().unwrap(), tls: None }]);
    assert_eq!(config.admin, Some(Listen { address: "127.0.0.1:5001".parse().unwrap(), tls: None }));
    assert_eq!(config.cache_size, 500 * 1024 * 1024);
    let seconds = Duration::from_secs;
    let times = Times {
        tag_ttl: seconds(0),
        revocation: seconds(300),
        refusal: seconds(1),
        max_stale: seconds(7 * 86_400),
        verify: seconds(10),
    };
    assert_eq!(config.times, times);
    let limits = Limits { connections: 100, header: seconds(5), idle: seconds(60), shutdown: seconds(0) };
    assert_eq!(config.limits, limits);
    assert_eq!(config.audit, Path::new("/var/log/trustctl/audit.log"));
    assert_eq!(config.break_glass.len(), 1);
    let [hub, ours] = config.upstreams.all() else { unreachable!("two upstreams") };
    assert_eq!((hub.registry.as_str(), hub.endpoint.as_deref()), ("docker.io", Some("http://127.0.0.1:5001")));
    assert!(hub.namespace && hub.default && hub.mirror && hub.deny_mode == DenyMode::Sticky);
    assert_eq!((hub.prefix.as_deref(), hub.hosts.as_slice()), (Some("docker.io"), ["hub.proxy.example".to_owned()].as_slice()));
    let password = SecretSource::Environment("HUB_TOKEN".to_owned());
    assert_eq!(hub.credentials, UpstreamCredentials::User { user: "bot".to_owned(), password });
    assert_eq!((ours.prefix.as_deref(), &ours.credentials), (Some("ours"), &UpstreamCredentials::PassThrough));
    assert!(!ours.namespace && !ours.default && !ours.mirror && ours.deny_mode == DenyMode::Status);
    assert_eq!(config.warnings, []);
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let config = read(SMALL).unwrap();
    assert_eq!((config.times, config.limits), (Times::default(), Limits::default()));
    assert_eq!((config.cache_size, config.audit.as_path()), (20 << 30, Path::new("/etc/proxy/state/audit.log")));
    assert!(config.admin.is_none() && config.break_glass.is_empty() && config.help.is_none());
    let default = |table: &str, name: &str| {
        let table = reference::TABLES.iter().find(|known| known.header == table).unwrap();
        table.fields.iter().find(|field| field.name == name).unwrap().default.trim_matches('`').to_owned()
    };
    let times = Times::default();
    let limits = Limits::default();
    for (table, name, value) in [
        ("[times]", "tag-ttl", times.tag_ttl),
        ("[times]", "revocation", times.revocation),
        ("[times]", "refusal", times.refusal),
        ("[times]", "max-stale", times.max_stale),
        ("[times]", "verify", times.verify),
        ("[limits]", "header", limits.header),
        ("[limits]", "idle", limits.idle),
        ("[limits]", "shutdown", limits.shutdown),
    ] {
        assert_eq!(trustctl_core::time::parse_age(&default(table, name)).unwrap(), value, "{name}");
    }
    assert_eq!(default("[limits]", "connections"), limits.connections.to_string());
    assert_eq!(values::size(&default("[cache]", "max-size")).unwrap(), config.cache_size);
}

/// The line of the first occurrence of a text, from 1.
fn line(text: &str, of: &str) -> usize {
    trustctl_core::toml_error::line_of(text, text.find(of).unwrap())
}

#[test]
fn what_is_wrong_is_refused_with_its_line() {
    for (right, wrong, message) in [
        ("version = 1", "version = 2", "unknown version"),
        ("tag-ttl = \"0s\"", "tag-tll = \"0s\"", "did you mean \"tag-ttl\""),
        ("tag-ttl = \"0s\"", "tag-ttl = \"2d\"", "from 0s to 86400s"),
        ("verify = \"10s\"", "verify = \"0s\"", "from 1s to 60s"),
        ("verify = \"10s\"", "verify = \"ten\"", "not a duration"),
        ("connections = 100", "connections = 0", "1 to 65536"),
        ("connections = 100", "connections = -1", "1 to 65536"),
        ("\"500MiB\"", "\"500MB\"", "MiB, GiB or TiB"),
        ("\"500MiB\"", "\"1MiB\"", "64MiB"),
        ("\"500MiB\"", "\"99999999999TiB\"", "does not fit"),
        ("\"0.0.0.0:5000\"", "\":5000\"", "with its port"),
        ("\"127.0.0.1:5001\"", "\"[::1]:5000\"", "twice"),
        ("\"https://wiki.example/images\"", "\"wiki\"", "not the address of a page"),
        ("key = \"/tls/proxy.key\"\n", "", "go together"),
        ("client-ca = \"tls/clients.crt\"\n", "", "needs a client-ca"),
        ("\"optional\"", "\"maybe\"", "\"required\" or \"optional\""),
        ("\"keys/security.pub\"", "\"keys/other.pub\"", "no such file"),
        ("\"sticky\"", "\"silent\"", "\"status\" or \"sticky\""),
        ("mirror = true\n", "", "goes with mirror = true"),
        ("password = \"env:HUB_TOKEN\"\n", "", "go together"),
        ("\"env:HUB_TOKEN\"", "\"env:\"", "name of a variable"),
        ("user = \"bot\"", "user = \"b:t\"", "no colon"),
        ("user = \"bot\"", "user = \"bot\"\ncredentials = \"none\"", "contradicts user"),
        ("\"pass-through\"", "\"through\"", "user and password"),
        ("credentials = \"pass-through\"", "credentials = \"pass-through\"\nmirror = true", "never asks clients"),
        ("http://127.0.0.1:5001/", "http://registry.example", "plain = true"),
        ("http://127.0.0.1:5001/", "https://a@registry.example", "an endpoint is"),
        ("http://127.0.0.1:5001/", "https://registry.example/v2", "an endpoint is"),
        ("http://127.0.0.1:5001/", "ftp://registry.example", "an endpoint is"),
        ("\"registry.example:5000\"", "\"docker.io\"", "there twice"),
        ("prefix = \"ours\"", "prefix = \"Ours\"", "is not a path"),
        ("credentials = \"pass-through\"", "default = true", "both the default"),
        ("endpoint = \"http://127.0.0.1:5001/\"", "plain = true", "goes with an endpoint"),
    ] {
        let text = FULL.replacen(right, wrong, 1);
        assert_ne!(text, FULL, "{right}");
        let error = read(&text).unwrap_err();
        assert!(error.message.contains(message), "{wrong}: {error}");
        assert!(error.line > 1, "{error}");
        assert!(error.reason().code == Code::ProxyConfig && error.reason().message.contains("proxy.toml, line"), "{error}");
    }
    let text = FULL.replace("verify = \"10s\"", "verify = \"0s\"");
    assert_eq!(read(&text).unwrap_err().line, line(&text, "verify"));
    for part in ["[[listen]]\naddress = \"127.0.0.1:0\"\n", "[[upstreams]]\nregistry = \"docker.io\"\n"] {
        assert!(read(&SMALL.replace(part, "")).unwrap_err().message.contains("is served"));
    }
    assert!(read(&format!("{SMALL}#{}", " ".repeat(1 << 20))).unwrap_err().message.contains("1 MiB"));
}

#[test]
fn plain_http_is_for_loopback_unless_it_is_asked_for_and_then_warned_about() {
    let open = SMALL.replace("127.0.0.1:0", "0.0.0.0:5000");
    let error = read(&open).unwrap_err();
    assert!(error.message.contains("plain = true") && error.line == line(&open, "0.0.0.0"), "{error}");
    let asked = open.replace("0.0.0.0:5000\"", "0.0.0.0:5000\"\nplain = true");
    let warnings = read(&asked).unwrap().warnings;
    assert!(
        matches!(warnings.as_slice(), [one] if one.code == Code::ProxyPlain && one.message.contains("line 6")),
        "{warnings:?}"
    );
    let endpoint = format!("{SMALL}endpoint = \"http://registry.example:5000\"\nplain = true\n");
    assert!(matches!(read(&endpoint).unwrap().warnings.as_slice(), [one] if one.code == Code::ProxyPlain));
    assert_eq!(read(&SMALL.replace("127.0.0.1:0\"", "127.0.0.1:0\"\nplain = true")).unwrap().warnings, []);
    let both = FULL.replace("client-certificates = \"optional\"", "plain = true");
    assert!(read(&both).unwrap_err().message.contains("contradicts"));
}

/// Each table with a field that does not exist; the reader answers with those that do.
#[test]
fn the_reference_names_every_field_that_is_read() {
    let whole = "version = 1\npolicy = \"p\"\nstate = \"s\"\n";
    let probes = [
        ("(top level)", format!("{whole}zzz = 1")),
        ("[[listen]]", format!("{whole}[[listen]]\nzzz = 1")),
        ("[admin]", format!("{whole}[admin]\nzzz = 1")),
        ("[cache]", format!("{whole}[cache]\nzzz = 1")),
        ("[times]", format!("{whole}[times]\nzzz = 1")),
        ("[limits]", format!("{whole}[limits]\nzzz = 1")),
        ("[audit]", format!("{whole}[audit]\nzzz = 1")),
        ("[break-glass]", format!("{whole}[break-glass]\nzzz = 1")),
        ("[[upstreams]]", format!("{whole}[[upstreams]]\nzzz = 1")),
    ];
    let headers: Vec<&str> = reference::TABLES.iter().map(|table| table.header).collect();
    assert_eq!(headers, probes.iter().map(|(header, _)| *header).collect::<Vec<_>>());
    for (table, (header, probe)) in reference::TABLES.iter().zip(probes) {
        let message = toml::from_str::<form::ConfigForm>(&probe).map(|_| ()).unwrap_err().message().to_owned();
        let mut known: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
        known.retain(|name| !headers.iter().any(|header| header.trim_matches(['[', ']']) == *name));
        let mut documented: Vec<&str> = table.fields.iter().map(|field| field.name).collect();
        known.sort_unstable();
        documented.sort_unstable();
        assert_eq!(documented, known, "{header}: {message}");
    }
}

#[test]
fn secrets_are_read_when_they_are_needed_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let source = |name: &str, content: &str| {
        std::fs::write(folder.path().join(name), content).unwrap();
        SecretSource::File(folder.path().join(name))
    };
    assert_eq!(source("unix", "s3cret\n").read().unwrap().as_str(), "s3cret");
    assert_eq!(source("dos", "s3cret\r\n").read().unwrap().as_str(), "s3cret");
    for (name, content) in [("empty", ""), ("lines", "s3cret\nmore"), ("large", &"x".repeat(70_000))] {
        let reason = source(name, content).read().unwrap_err();
        assert!(reason.code == Code::ProxySecret && !reason.message.contains("s3cret"), "{reason}");
    }
    let unset = SecretSource::Environment("TRUSTCTL_TEST_NO_SUCH_VARIABLE".to_owned()).read().unwrap_err();
    assert!(unset.code == Code::ProxySecret && unset.message.contains("env:TRUSTCTL_TEST_NO_SUCH_VARIABLE"), "{unset}");
    assert!(!format!("{:?}", read(FULL).unwrap()).contains("s3cret"));
}

#[test]
fn a_file_is_loaded_with_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    let missing = Config::load(&path).unwrap_err();
    assert_eq!(missing.code, Code::LocalFile);
    std::fs::write(folder.path().join("security.pub"), KEY).unwrap();
    std::fs::write(&path, format!("{SMALL}[break-glass]\nkeys = [\"security.pub\"]\n")).unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!((config.break_glass.len(), config.policy), (1, folder.path().join("policy.toml")));
    assert_eq!(config.policy_named, format!("{}, line {}", path.display(), line(SMALL, "policy")));
    std::fs::write(&path, b"\xff").unwrap();
    assert_eq!(Config::load(&path).unwrap_err().code, Code::ProxyConfig);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}", cut in 0..FULL.len(), from in "[a-z\"= ]{1,3}", to in "\\PC{0,4}") {
        drop(read(&text));
        drop(FULL.get(..cut).map(read));
        drop(read(&FULL.replacen(&from, &to, 1)));
    }
}
