//! The status page.

use trustctl_core::reason::Reason;
use trustctl_core::time::Timestamp;

use super::html::Html;
use super::status::Status;
use crate::answer::docs_link;
use crate::observe::Outcome;
use crate::recent::Decision;
use crate::trust::SOON;

/// The style sheet. The content security policy names it by its hash.
pub(super) const STYLE: &str = include_str!("page.css");
/// Hexadecimal digits of a digest that are shown; the whole is in the title.
const SHOWN: usize = 12;

pub(super) fn render(status: &Status, outcome: Option<Outcome>) -> String {
    let mut html = Html::default();
    html.markup("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>").text(title(status));
    html.markup("</title><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>")
        .markup(STYLE)
        .markup("</style></head><body><header>");
    heading(&mut html, status);
    html.markup("</header><main>");
    numbers(&mut html, status);
    notices(&mut html, status);
    decisions(&mut html, status, outcome);
    html.markup("<div class=\"columns\">");
    trust(&mut html, status);
    upstreams(&mut html, status);
    html.markup("</div></main><footer>trustctl ").text(status.version);
    html.markup(" · <a href=\"/status.json\">status.json</a> · <a href=\"/metrics\">metrics</a> · written ");
    time(&mut html, status.now);
    html.markup("</footer></body></html>\n");
    html.finish()
}

fn title(status: &Status) -> &'static str {
    if status.ready { "trustctl proxy: ready" } else { "trustctl proxy: not ready" }
}

fn heading(html: &mut Html, status: &Status) {
    html.markup("<h1>trustctl proxy ");
    html.markup(if status.ready { "<span class=\"badge good\">ready" } else { "<span class=\"badge bad\">not ready" });
    html.markup("</span></h1><ul class=\"problems\">");
    for check in &status.checks {
        if let Some(problem) = &check.problem {
            html.markup("<li><b>").text(check.name).markup(":</b> ").text(problem).markup("</li>");
        }
    }
    html.markup("</ul><p>Policy <code>").text(&status.policy.file).markup("</code> <code class=\"quiet\">");
    html.text(&status.policy.fingerprint).markup("</code> in force since ");
    time(html, status.policy.since);
    html.markup(". Running since ");
    time(html, status.started);
    html.markup(".</p>");
}

fn numbers(html: &mut Html, status: &Status) {
    let totals = &status.totals;
    let wanted = totals.cache_hits.saturating_add(totals.cache_misses).saturating_add(totals.cache_coalesced);
    let rate = totals.cache_hits.saturating_mul(100).checked_div(wanted).map(|percent| format!("{percent} %"));
    html.markup("<section aria-label=\"Numbers since the start\" class=\"numbers\"><h2>Since the start</h2><dl>");
    let mut number = |name: &'static str, value: String| {
        html.markup("<div><dt>").markup(name).markup("</dt><dd>").text(value).markup("</dd></div>");
    };
    number("requests served", grouped(totals.answers_ok));
    number("requests refused, or for what is not there", grouped(totals.answers_refused));
    number("requests undecided or failed", grouped(totals.answers_failed));
    number("blobs from the cache", rate.unwrap_or_else(|| "none yet".to_owned()));
    number("cache holds", bytes(totals.cache_bytes));
    number("sent", bytes(totals.sent_bytes));
    number("served stale", grouped(totals.stale_served));
    number("break-glass", grouped(totals.break_glass_uses));
    html.markup("</dl></section>");
}

fn notices(html: &mut Html, status: &Status) {
    if status.notices.is_empty() {
        return;
    }
    html.markup("<section class=\"notices\"><h2>To look at</h2><ul>");
    for notice in &status.notices {
        html.markup("<li>");
        reason(html, notice);
        html.markup("</li>");
    }
    html.markup("</ul></section>");
}

fn decisions(html: &mut Html, status: &Status, shown: Option<Outcome>) {
    html.markup(
        "<section><h2 id=\"decisions\">Last decisions</h2><nav aria-label=\"Kinds of decisions\"><a href=\"/#decisions\"",
    );
    html.markup(if shown.is_none() { " aria-current=\"true\">all</a>" } else { ">all</a>" });
    for outcome in Outcome::ALL {
        html.markup(" <a href=\"/?outcome=").text(outcome.word()).markup("#decisions\"");
        html.markup(if shown == Some(outcome) { " aria-current=\"true\">" } else { ">" }).text(outcome.word()).markup("</a>");
    }
    html.markup("</nav>");
    let mut rows = status.decisions.iter().filter(|decision| shown.is_none_or(|shown| decision.outcome == shown)).peekable();
    if rows.peek().is_none() {
        html.markup(
            "<p class=\"quiet\">None yet. What only repeats what is kept in memory is counted, and not listed.</p></section>",
        );
        return;
    }
    html.markup(
        "<div class=\"wide\"><table><thead><tr><th scope=\"col\">When</th><th scope=\"col\">Decision</th><th scope=\"col\">Image</th>\
         <th scope=\"col\">Rule</th><th scope=\"col\">Why</th><th scope=\"col\">Client</th><th scope=\"col\" class=\"number\">Took</th></tr></thead><tbody>",
    );
    rows.for_each(|decision| row(html, decision));
    html.markup("</tbody></table></div></section>");
}

fn row(html: &mut Html, decision: &Decision) {
    html.markup("<tr><td>");
    time(html, decision.at);
    html.markup("</td><td><span class=\"badge ").markup(class(decision.outcome)).markup("\">");
    html.text(decision.outcome.word()).markup("</span>");
    if decision.times > 1 {
        html.markup(" <span class=\"quiet\">×").text(decision.times).markup("</span>");
    }
    html.markup("</td><td class=\"image\">").text(&decision.image);
    if let Some(digest) = &decision.digest {
        let hex = digest.hex();
        html.markup(" <code class=\"quiet\" title=\"").text(digest).markup("\">").text(hex.get(..SHOWN).unwrap_or(&hex));
        html.markup("</code>");
    }
    html.markup("</td><td>").text(decision.rule.as_deref().unwrap_or("–")).markup("</td><td class=\"why\">");
    match &decision.reason {
        Some(why) => reason(html, why),
        None if decision.signers.is_empty() => drop(html.text("–")),
        None => drop(html.markup("signed by ").text(decision.signers.join(", "))),
    }
    html.markup("</td><td>").text(&decision.client).markup("<br><code class=\"quiet\">").text(&decision.request);
    html.markup("</code></td><td class=\"number\">").text(decision.took_ms).markup(" ms</td></tr>");
}

fn reason(html: &mut Html, reason: &Reason) {
    html.markup("<a href=\"").text(docs_link(reason.code)).markup("\" rel=\"noreferrer\">").text(reason.code).markup("</a> ");
    html.text(&reason.message);
}

fn trust(html: &mut Html, status: &Status) {
    html.markup("<section><h2>Trust material</h2>");
    if status.trust.is_empty() {
        html.markup("<p class=\"quiet\">Nothing that ends.</p></section>");
        return;
    }
    html.markup(
        "<div class=\"wide\"><table><thead><tr><th scope=\"col\">Name</th><th scope=\"col\">Ends</th></tr></thead><tbody>",
    );
    for end in &status.trust {
        html.markup("<tr><td>").text(&end.name).markup("</td><td>");
        time(html, end.at);
        let left = end.at.since(status.now);
        if left.is_zero() {
            html.markup(" <span class=\"badge bad\">has ended</span>");
        } else if left < SOON {
            html.markup(" <span class=\"badge warn\">in ").text(left.as_secs() / 86_400).markup(" days</span>");
        }
        html.markup("</td></tr>");
    }
    html.markup("</tbody></table></div></section>");
}

fn upstreams(html: &mut Html, status: &Status) {
    html.markup(
        "<section><h2>Upstreams</h2><table><thead><tr><th scope=\"col\">Registry</th><th scope=\"col\" class=\"number\">Requests to it</th>\
         <th scope=\"col\" class=\"number\">Failed of these</th></tr></thead><tbody>",
    );
    for upstream in &status.upstreams {
        html.markup("<tr><td>").text(&upstream.registry).markup("</td><td class=\"number\">").text(grouped(upstream.requests));
        html.markup("</td><td class=\"number\">").text(grouped(upstream.errors)).markup("</td></tr>");
    }
    html.markup("</tbody></table></section>");
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Evidence | Outcome::Served => "good",
        Outcome::NotFound | Outcome::Refused => "bad",
        Outcome::Audited | Outcome::BreakGlass | Outcome::Stale | Outcome::Undecided | Outcome::Warned => "warn",
    }
}

fn time(html: &mut Html, at: Timestamp) {
    let words = at.to_string().replace('T', " ").replace('Z', " UTC");
    html.markup("<time datetime=\"").text(at).markup("\">").text(words).markup("</time>");
}

/// A number with spaces between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push('\u{a0}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of bytes in the largest unit of which there is at least one.
fn bytes(count: u64) -> String {
    let units = [(40_u32, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.into_iter().find(|(shift, _)| count >> shift > 0);
    unit.map_or_else(
        || format!("{count}\u{a0}B"),
        |(shift, name)| {
            let tenths = (count >> (shift - 10)).saturating_mul(10) >> 10;
            format!("{}.{}\u{a0}{name}", tenths / 10, tenths % 10)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::{bytes, grouped};

    #[test]
    fn numbers_are_readable() {
        let plain = |text: String| text.replace('\u{a0}', " ");
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(plain(grouped(number)), text);
        }
        for (number, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (20 << 30, "20.0 GiB"), (u64::MAX, "16777215.9 TiB")]
        {
            assert_eq!(plain(bytes(number)), text);
        }
    }
}
