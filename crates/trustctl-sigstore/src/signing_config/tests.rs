#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: &str = "2026-11-28T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn service(host: &str, version: u32, start: &str, operator: &str) -> Value {
    json!({"url": format!("https://{host}.example"), "majorApiVersion": version, "validFor": {"start": start}, "operator": operator})
}

fn config(logs: &[Value], selector: &Value) -> Value {
    json!({"mediaType": MEDIA_TYPE, "rekorTlogUrls": logs, "rekorTlogConfig": selector})
}

fn parse(config: &Value) -> Result<SigningConfig, Fault> {
    SigningConfig::parse(config.to_string().as_bytes())
}

/// The first labels of the logs that are chosen.
fn chosen(logs: &[Value], selector: &Value) -> Result<Vec<String>, Fault> {
    let config = parse(&config(logs, selector))?;
    let found = config.logs(&[LogApi::V1, LogApi::V2], now())?;
    Ok(found.into_iter().map(|log| log.url.trim_start_matches("https://").split('.').next().unwrap().to_owned()).collect())
}

#[test]
fn the_public_config_names_every_service_and_its_date_is_the_one_of_its_bytes() {
    let config = SigningConfig::parse(PUBLIC_GOOD.as_bytes()).unwrap();
    assert_eq!(config.authority(now()).unwrap().url, "https://fulcio.sigstore.dev");
    assert_eq!(config.issuer(now()).unwrap().url, "https://oauth2.sigstore.dev/auth");
    assert_eq!(config.logs(&[LogApi::V1, LogApi::V2], now()).unwrap().len(), 1);
    assert_eq!(config.timestamp_authorities(now()).unwrap().len(), 1);
    let digest = trustctl_core::digest::Digest::sha256_of(PUBLIC_GOOD.as_bytes()).hex();
    // A new version of the library may bring another config: then PUBLIC_GOOD_DATE is to be set to the day of its release.
    assert_eq!(digest.get(..16), Some("9711a6d537570695"), "of {PUBLIC_GOOD_DATE}");
}

#[test]
fn one_service_an_operator_is_chosen_by_version_then_by_start() {
    let logs = [
        service("old", 1, "2021-01-01T00:00:00Z", "a"),
        service("new", 1, "2025-01-01T00:00:00Z", "a"),
        service("tiles", 2, "2024-01-01T00:00:00Z", "b"),
        service("tiles-new", 2, "2026-01-01T00:00:00Z", "b"),
        service("future", 2, "2027-01-01T00:00:00Z", "c"),
        service("unspoken", 3, "2024-01-01T00:00:00Z", "d"),
    ];
    assert_eq!(chosen(&logs, &json!({"selector": "ANY"})).unwrap(), ["tiles-new"]);
    assert_eq!(chosen(&logs, &json!({"selector": "ALL"})).unwrap(), ["tiles-new", "new"]);
    assert_eq!(chosen(&logs, &json!({"selector": "EXACT", "count": 1})).unwrap(), ["tiles-new"]);
    assert_eq!(chosen(&logs, &json!({"selector": "EXACT", "count": 2})).unwrap(), ["tiles-new", "new"]);
    assert_eq!(chosen(&logs, &json!({})).unwrap(), ["tiles-new"]);
    assert_eq!(chosen(&logs, &json!({"selector": "EXACT", "count": 3})).unwrap_err().code, Code::ServiceMissing);
}

#[test]
fn the_apis_that_are_spoken_decide() {
    let logs = [service("tiles", 2, "2024-01-01T00:00:00Z", "a"), service("first", 1, "2021-01-01T00:00:00Z", "a")];
    let both = parse(&config(&logs, &json!({"selector": "ANY"}))).unwrap();
    assert_eq!(both.logs(&[LogApi::V1], now()).unwrap().first().unwrap().version, 1);
    let second = parse(&config(&logs[..1], &json!({"selector": "ANY"}))).unwrap();
    assert_eq!(second.logs(&[LogApi::V1], now()).unwrap_err().code, Code::ServiceMissing);
}

#[test]
fn a_service_counts_on_both_ends_of_its_window() {
    for (start, end, counts) in [
        (NOW, NOW, true),
        ("2026-11-28T12:00:01Z", "2027-01-01T00:00:00Z", false),
        ("2020-01-01T00:00:00Z", "2026-11-28T11:59:59Z", false),
    ] {
        let log = json!({"url": "https://a.example", "majorApiVersion": 1, "validFor": {"start": start, "end": end}});
        assert_eq!(chosen(&[log], &json!({"selector": "ALL"})).is_ok(), counts, "{start} {end}");
    }
}

#[test]
fn a_config_without_services_asks_nobody() {
    let config = parse(&json!({"mediaType": MEDIA_TYPE, "rekorTlogConfig": {}, "tsaConfig": {}})).unwrap();
    assert!(config.logs(&[LogApi::V1, LogApi::V2], now()).unwrap().is_empty());
    assert!(config.timestamp_authorities(now()).unwrap().is_empty());
    assert_eq!(config.authority(now()).unwrap_err().code, Code::ServiceMissing);
}

#[test]
fn what_is_not_a_config_of_this_version_is_refused() {
    let log = service("a", 1, "2021-01-01T00:00:00Z", "a");
    let good = config(std::slice::from_ref(&log), &json!({"selector": "ANY"}));
    assert!(parse(&good).is_ok());
    let with = |pointer: &str, value: Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        bad
    };
    let many = vec![log.clone(); MAX_SERVICES + 1];
    let bad = [
        with("/mediaType", json!("application/vnd.dev.sigstore.signingconfig.v0.1+json")),
        with("/mediaType", json!(7)),
        with("/rekorTlogConfig", json!({"selector": "SERVICE_SELECTOR_UNDEFINED"})),
        with("/rekorTlogConfig", json!({"selector": "EXACT"})),
        with("/rekorTlogConfig", json!({"selector": "EXACT", "count": 0})),
        with("/rekorTlogUrls/0/url", json!("ftp://a.example")),
        with("/rekorTlogUrls/0/url", json!(format!("https://{}", "a".repeat(MAX_URL)))),
        with("/rekorTlogUrls/0/majorApiVersion", json!(-1)),
        with("/rekorTlogUrls/0/validFor", json!({})),
        with("/rekorTlogUrls/0/validFor", json!({"start": "soon"})),
        with("/rekorTlogUrls/0/validFor", json!({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"})),
        with("/rekorTlogUrls", json!(many)),
        json!([]),
    ];
    for config in bad {
        assert_eq!(parse(&config).unwrap_err().code, Code::SigningConfigUnusable, "{config}");
    }
    assert!(SigningConfig::parse(&vec![b' '; MAX_CONFIG + 1]).is_err());
    let twice = good.to_string().replace("\"rekorTlogUrls\"", "\"rekorTlogUrls\":[],\"rekorTlogUrls\"");
    assert!(SigningConfig::parse(twice.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn a_damaged_config_never_panics(at in 0..PUBLIC_GOOD.len(), byte in any::<u8>()) {
        let mut bytes = PUBLIC_GOOD.as_bytes().to_vec();
        if let Some(slot) = bytes.get_mut(at) {
            *slot = byte;
        }
        if let Ok(config) = SigningConfig::parse(&bytes) {
            let _ = (config.authority(now()), config.logs(&[LogApi::V1, LogApi::V2], now()), config.timestamp_authorities(now()));
        }
    }

    #[test]
    fn no_operator_is_chosen_twice_and_never_more_than_demanded(
        kinds in proptest::collection::vec((0..3_u8, 1..3_u32, 2020..2030_i32), 0..12), count in 1..4_u32,
    ) {
        let logs: Vec<Value> = kinds.iter().enumerate().map(|(index, (operator, version, year))| {
            service(&format!("log{index}"), *version, &format!("{year}-01-01T00:00:00Z"), &operator.to_string())
        }).collect();
        let config = parse(&config(&logs, &json!({"selector": "EXACT", "count": count}))).unwrap();
        if let Ok(found) = config.logs(&[LogApi::V1, LogApi::V2], now()) {
            let operators: BTreeSet<&str> = found.iter().map(|log| log.operator.as_str()).collect();
            prop_assert_eq!(operators.len(), found.len());
            prop_assert!(found.is_empty() == logs.is_empty());
            prop_assert!(logs.is_empty() || found.len() == usize::try_from(count).unwrap());
            prop_assert!(found.iter().all(|log| log.counts(now())));
        }
    }
}
