//! Measures what clients do when the proxy refuses, and writes it as the tables of `docs/reference/clients.md`.
//!
//! `cargo run -p trustctl-tests --bin clients [FILE]` measures every client that is here, on loopback, in some minutes. With a file, the part of
//! it between the two marks is written anew; without, it is printed. `--only WORD` prints those alone whose name has the word in it. What breaks at
//! one client, such as an engine that does not come up, costs its rows alone; the file is then left as it is, and what was measured printed.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement that cannot be made has no result"
)]

mod settings;

use std::fmt::Write as _;
use std::fs;
use std::panic::catch_unwind;
use std::time::Instant;

use trustctl_lab::faults::{Fault as LabFault, FaultRule};
use trustctl_tests::clients::{Client as Puller, Deny, Image, Kind, Setup, Site, traces};
use trustctl_tests::counting::{Counting, Fault};

/// Between these the file is written anew.
const MARKS: [&str; 2] = ["<!-- measured -->\n", "<!-- end of what is measured -->\n"];
/// A pull that takes longer than this many seconds has its time told.
const LONG: u64 = 5;
/// Statuses that something before the proxy answers with.
const STATUSES: [u16; 8] = [400, 401, 404, 410, 429, 451, 500, 503];

/// Rows of one client: what was answered or set, and what happened.
struct Client {
    title: String,
    answers: Vec<(String, String)>,
    settings: Vec<[String; 3]>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (file, only) = match &arguments[..] {
        [] => (None, ""),
        [flag, word] if flag == "--only" => (None, word.as_str()),
        [file] => (Some(file), ""),
        _ => panic!("usage: clients [FILE | --only WORD]"),
    };
    let (mut clients, mut broken) = (Vec::new(), Vec::new());
    for kind in Kind::ALL {
        match catch_unwind(|| measure(kind, only)) {
            Ok(client) => clients.extend(client),
            Err(_) => broken.push(kind),
        }
    }
    let text = format!("{}\n{}", answers(&clients), settings(&clients));
    let Some(file) = file.filter(|_| broken.is_empty()) else {
        print!("{text}");
        assert!(broken.is_empty(), "not measured: {broken:?}");
        return;
    };
    let page = fs::read_to_string(file).unwrap();
    let (before, rest) = page.split_once(MARKS[0]).unwrap();
    let (_, after) = rest.split_once(MARKS[1]).unwrap();
    fs::write(file, format!("{before}{}\n{text}\n{}{after}", MARKS[0], MARKS[1])).unwrap();
}

fn measure(kind: Kind, only: &str) -> Option<Client> {
    let title = kind.title().filter(|title| title.contains(only) && kind.is_here())?;
    eprintln!("{title}");
    let mut answers = by_manifest(kind);
    answers.extend(by_status(kind));
    Some(Client { title, answers, settings: settings::measure(kind) })
}

/// A row for each answer would be too wide: one for each client.
fn answers(clients: &[Client]) -> String {
    let names = clients.first().map(|client| client.answers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    let names = names.unwrap_or_default();
    let mut text = format!("| the proxy as a mirror answers | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for client in clients {
        let cells: Vec<&str> = client.answers.iter().map(|(_, cell)| cell.as_str()).collect();
        let _ = writeln!(text, "| {} | {} |", client.title, cells.join(" | "));
    }
    text
}

fn settings(clients: &[Client]) -> String {
    let mut text = "| client | setting | unsigned | trusted |\n|---|---|---|---|\n".to_owned();
    for client in clients {
        for row in &client.settings {
            let _ = writeln!(text, "| {} | {} |", client.title, row.join(" | "));
        }
    }
    text
}

/// The proxy as it is by default, and other answers in its place.
fn by_status(kind: Kind) -> Vec<(String, String)> {
    let site = Site::new(Deny::Status);
    let before = Counting::start(&site.proxy()).unwrap();
    let (registry, address) = (site.world.registry().host(), before.address());
    let client = kind.start(&site.route(&registry, &address, Setup::Mirror)).unwrap().unwrap();
    let client = client.as_ref();
    let mut cells = Vec::new();
    let refused = site.push("shop/refused:1", "the proxy says no");
    cells.push(("403 of the proxy".to_owned(), outcome(client, &refused, &refused.name)));
    let unsure = undecided(&site, "shop/unsure:1");
    cells.push(("503 of the proxy".to_owned(), outcome(client, &unsure, &unsure.name)));
    for status in STATUSES {
        let name = format!("shop/status-{status}:1");
        let image = site.push(&name, &format!("answered with {status}"));
        before.inject(Fault::always(&format!("shop/status-{status}/manifests"), status));
        cells.push((status.to_string(), outcome(client, &image, &image.name)));
    }
    cells
}

/// The denial manifest.
fn by_manifest(kind: Kind) -> Vec<(String, String)> {
    let site = Site::new(Deny::Sticky);
    let (registry, proxy) = (site.world.registry().host(), site.proxy());
    let client = kind.start(&site.route(&registry, &proxy, Setup::Mirror)).unwrap().unwrap();
    let client = client.as_ref();
    let refused = site.push("shop/refused:1", "the proxy says no");
    let unsure = undecided(&site, "shop/unsure:1");
    let (repository, _) = refused.name.split_once(':').unwrap();
    vec![
        ("denial manifest, by tag".to_owned(), outcome(client, &refused, &refused.name)),
        ("the same, undecided".to_owned(), outcome(client, &unsure, &unsure.name)),
        ("denial manifest, by digest".to_owned(), outcome(client, &refused, &format!("{repository}@{}", refused.digest))),
    ]
}

/// An image of which nobody can say whether it is signed.
fn undecided(site: &Site, name: &str) -> Image {
    let image = site.push(name, "nobody can say");
    let (repository, _) = name.split_once(':').unwrap();
    for path in [format!("/v2/{repository}/referrers/*"), format!("/v2/{repository}/manifests/sha256-*")] {
        let fault = LabFault::Status { status: 500, retry_after: None };
        site.world.registry().faults().add(FaultRule::always(&path, fault));
    }
    image
}

/// What a pull came to: by its exit and by what lies on the client afterwards.
pub(crate) fn outcome(client: &dyn Puller, image: &Image, asked: &str) -> String {
    let begun = Instant::now();
    let ran = client.pull(asked);
    let seconds = begun.elapsed().as_secs();
    let arrived = !traces(client.folder(), &[&image.text]).is_empty();
    let word = match &ran {
        Ok(ran) if ran.success() && arrived => "**bypass**",
        Ok(ran) if ran.success() => "exit 0, nothing arrived",
        Ok(_) if arrived => "fails, **image stays**",
        Ok(_) => "stops",
        Err(_) if arrived => "hangs, **image stays**",
        Err(_) => "hangs",
    };
    if let Ok(ran) = &ran {
        let last = ran.output().lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
        eprintln!("  {asked}: {word}, {seconds} s: {last}");
    }
    if seconds > LONG { format!("{word}, {seconds} s") } else { word.to_owned() }
}
