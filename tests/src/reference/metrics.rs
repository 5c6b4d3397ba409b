//! The reference of the admin address: its pages, and every metric as the program itself writes it.

use std::fmt::Write as _;
use std::time::Duration;

use http::StatusCode;
use trustctl_core::claim::SchemeName;
use trustctl_core::reason::Code;
use trustctl_core::time::Timestamp;
use trustctl_proxy::metrics::{CacheUse, Decided, Metrics};
use trustctl_proxy::observe::Outcome;
use trustctl_proxy::trust::TrustEnd;
use trustctl_proxy::upstreams::{Upstream, Upstreams};

const HEAD: &str = "# Metrics, health and status of the proxy\n\n\
The address in `[admin]` of the [configuration](proxy-config.md) is read-only. Whoever reaches it sees which images were asked for and by whom:\n\
keep it on loopback, or give it `certificate`, `key` and `client-ca`.\n\n\
| path | what it is |\n|---|---|\n\
| `/` | the status page; `?outcome=refused` shows one kind of decision |\n\
| `/status.json` | the same as JSON, see below |\n\
| `/metrics` | the metrics, in the text format of OpenMetrics 1.0 |\n\
| `/healthz` | 200 while the process lives |\n\
| `/readyz` | 200 while images can be served, else 503; JSON with what that depends on, and `notices` of what should be looked at, such as trust material that ends within two weeks, or a registry that answered none of the last three requests or more, or only with errors of its own, the last within a minute |\n\n\
## Metrics\n\n\
No label holds anything that a client chose. `rule` is a name of the policy's; more than 256 of them are counted as `(others)`.\n\
`reason` is a [reason code](reasons.md). `call` is one of blob, manifest, ping, referrers, tags, other.\n\n\
| metric | type | labels | meaning |\n|---|---|---|---|\n";

const STATUS: &str = "\n## `/status.json`\n\n\
Times are RFC 3339 in UTC. Fields may be added; `schema` changes when one changes its meaning or goes.\n\n\
| field | meaning |\n|---|---|\n\
| `schema` | `trustctl/proxy-status/v1` |\n\
| `version`, `started`, `now` | the version that runs, when it was started, and when this was written |\n\
| `ready`, `checks[]` | whether images can be served, and what that depends on: `name`, and `problem` where there is one |\n\
| `policy` | `file`, `fingerprint`, and `since` when it is in force |\n\
| `trust[]` | trust material that ends: `name` and `at`; the first end first |\n\
| `notices[]` | what should be looked at, as reasons |\n\
| `totals` | numbers since the start: `answers_ok`, `answers_refused` (status from 400), `answers_failed` (from 500), `cache_hits`, `cache_misses`, `cache_coalesced`, `cache_bytes`, `sent_bytes`, `stale_served`, `break_glass_uses` |\n\
| `upstreams[]` | `registry`, `requests`, and those of them that failed: `errors` |\n\
| `decisions[]` | the last 200 decisions, the newest first: `at`, `request` (as in `x-request-id`), `client`, `image`, `digest`, `outcome`, `rule`, `signers`, `reason`, `took_ms`, and `times` where the same was decided several times in a row. What only repeats what is kept in memory is not among them |\n";

/// Metrics with at least one series of each, since others are not written.
fn sample() -> String {
    let upstreams = Upstreams::new(vec![Upstream::new("docker.io")]).unwrap_or_default();
    let metrics = Metrics::new(&upstreams);
    metrics.answered("ping", StatusCode::OK);
    metrics.cache_used(CacheUse::Hit);
    metrics.verified(Duration::from_secs(1), true);
    metrics.trust_ends(&[TrustEnd { name: "corp".to_owned(), at: Timestamp::UNIX_EPOCH }]);
    let decided =
        Decided { outcome: Outcome::Refused, rule: Some("shop"), scheme: Some(SchemeName::Dct), reason: Some(Code::DctTagMoved) };
    metrics.decision(&decided).inc();
    metrics.text()
}

/// The page.
pub(super) fn page(note: &str) -> String {
    let text = sample();
    let mut page = format!("{note}{HEAD}");
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let Some((name, kind)) = line.split_once(' ') else { continue };
        let help =
            text.lines().find_map(|line| line.strip_prefix("# HELP ")?.strip_prefix(name)?.strip_prefix(' ')).unwrap_or_default();
        let samples = text.lines().filter(|line| !line.starts_with('#') && line.starts_with(name));
        let written = match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        };
        let labels = samples.clone().next().map(labels).unwrap_or_default();
        let _ = writeln!(page, "| `{written}` | {kind} | {labels} | {} |", help.trim_end_matches('.'));
    }
    page.push_str(STATUS);
    page
}

fn labels(sample: &str) -> String {
    let inside = sample.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map(|(inside, _)| inside).unwrap_or_default();
    let names = inside.split(',').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name).filter(|name| *name != "le");
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
