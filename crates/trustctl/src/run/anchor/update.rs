//! `trustctl anchor update`: the one command that asks a TUF repository.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use trustctl_core::memory::Slot;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::report::ReasonReport;
use trustctl_core::time::Timestamp;
use trustctl_remote::anchors::{Anchors, Pin};
use trustctl_remote::http::{Http, Network};
use trustctl_remote::limits::Deadline;
use trustctl_remote::tuf::TufRepository;
use trustctl_sigstore::tuf::{Refresh, Target, kept};

use super::{Instance, Origin};
use crate::cli::UpdateAnchorArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::run::{Session, clock};
use crate::ui::Paint;

/// Fetches and verifies the newest trusted root of one instance, or of all.
///
/// # Errors
/// A [`Failure`] when the repository cannot be asked, or is not what it has to be. What was verified by then is remembered, and the
/// trusted root that is in use stays. Of several, what stands in the way of one is reported with it.
pub(super) async fn run(session: &Session, args: &UpdateAnchorArgs) -> Result<Exit, Failure> {
    if args.all {
        return all(session, args).await;
    }
    let Instance::Fetched(origin) = session.instance(&args.name, args.policy.as_deref())? else {
        let words = "its trusted root is a file, which nothing is fetched for";
        return Err(Failure::bad_value("NAME", &args.name, words));
    };
    let updated = update(session, (&args.name, &origin), args.mirror.as_deref()).await?;
    if session.ui.json() {
        session.ui.say(updated.report(Exit::Done).to_string());
    } else {
        updated.tell(session);
    }
    Ok(Exit::Done)
}

/// Does the same with every instance; one that fails does not keep the others from it.
async fn all(session: &Session, args: &UpdateAnchorArgs) -> Result<Exit, Failure> {
    let (mut reports, mut exits) = (Vec::new(), Vec::new());
    for (name, origin) in instances(session, args.policy.as_deref())? {
        match update(session, (&name, &origin), None).await {
            Ok(updated) => {
                if !session.ui.json() {
                    updated.tell(session);
                }
                exits.push(Exit::Done);
                reports.push(updated.report(Exit::Done));
            }
            Err(failure) => {
                if !session.ui.json() {
                    session.ui.say(format!("{}: {name}", session.ui.paint(Paint::Red, "failed")));
                    crate::render::failure(&session.ui, &failure);
                }
                exits.push(failure.exit);
                let (exit, error) = (failure.exit.code(), ReasonReport::new(&failure.reason));
                reports.push(json!({ "exit": exit, "name": name, "url": origin.url, "error": error }));
            }
        }
    }
    let exit = Exit::of_several(&exits);
    if session.ui.json() {
        let report = json!({ "schema": "trustctl/anchor-update-all/v1", "exit": exit.code(), "results": reports });
        session.ui.say(report.to_string());
    }
    Ok(exit)
}

/// Every instance whose trusted root is fetched, by name. A policy's name counts more than the same one of a pin.
fn instances(session: &Session, policy: Option<&Path>) -> Result<BTreeMap<String, Origin>, Failure> {
    let mut all = BTreeMap::from([(super::PUBLIC_GOOD.to_owned(), Origin::public_good())]);
    let named = session.policy_in_force(policy)?.into_iter().flat_map(|policy| policy.repositories);
    all.extend(named.map(|anchor| (anchor.name.clone(), Origin::pinned(&anchor.url, &anchor.root))));
    for (name, pin) in session.anchors()?.pins()? {
        if let Pin::Repository { url, root } = pin {
            all.entry(name).or_insert_with(|| Origin::pinned(&url, &root));
        }
    }
    Ok(all)
}

async fn update<'a>(
    session: &Session,
    (name, origin): (&'a str, &'a Origin),
    mirror: Option<&str>,
) -> Result<Updated<'a>, Failure> {
    let mut network = Network::of_environment(|name: &str| std::env::var_os(name));
    network.plain_http.clone_from(&session.global.plain_http);
    let url = mirror.unwrap_or(&origin.url);
    let repository = TufRepository::new(Http::new(network), url).map_err(|error| Failure::new(error.reason()))?;
    let anchors = session.anchors()?;
    let before = anchors.repository(&origin.url)?;
    let work = Work { anchors: &anchors, origin, repository: &repository, deadline: session.deadline()?, now: clock() };
    session.ui.progress(&format!("asking {url}"), work.refresh(&before)).await?;
    if session.ui.verbose {
        let counts = repository.http().counts();
        session
            .ui
            .tell(format!("{} requests, {} bytes, {} dependent round trips", counts.requests, counts.bytes, counts.round_trips));
    }
    let after = anchors.repository(&origin.url)?;
    if kept(&after).is_none() {
        let words = format!("nothing of {name} is in the state folder after the update: it was forgotten meanwhile");
        return Err(Failure::new(Reason::new(Code::PublishNotVisible, words)));
    }
    Ok(Updated { name, origin, before, after })
}

struct Work<'a> {
    anchors: &'a Anchors,
    origin: &'a Origin,
    repository: &'a TufRepository,
    deadline: Deadline,
    now: Timestamp,
}

impl Work<'_> {
    /// Fetches what the refresh wants until it is done. What was learnt is stored before the next file is asked for, so that whatever
    /// ends the run loses nothing.
    async fn refresh(&self, remembered: &Slot) -> Result<(), Failure> {
        let mut refresh = Refresh::begin(self.origin.beginning(), remembered, self.now)?;
        let mut stored = Slot::default();
        loop {
            if *refresh.learnt() != stored {
                stored = refresh.learnt().clone();
                self.anchors.learn(&self.origin.url, &stored)?;
            }
            let wants = refresh.wants();
            if wants.is_empty() {
                return Ok(());
            }
            for file in wants {
                let fetched = self.repository.fetch(&file.path, file.max_bytes, self.deadline).await;
                let answer = fetched.map_err(|error| Failure::new(error.reason()))?;
                refresh.receive(&file, answer.as_deref())?;
            }
        }
    }
}

/// An instance whose trusted root was fetched.
struct Updated<'a> {
    name: &'a str,
    origin: &'a Origin,
    before: Slot,
    after: Slot,
}

impl Updated<'_> {
    fn is_changed(&self) -> bool {
        kept(&self.before).map(|before| before.trusted_root) != kept(&self.after).map(|after| after.trusted_root)
    }

    fn files(&self) -> Vec<&'static str> {
        let Some(now) = kept(&self.after) else { return Vec::new() };
        Target::ALL.into_iter().filter(|target| now.target(*target).is_some()).map(Target::name).collect()
    }

    fn report(&self, exit: Exit) -> Value {
        let now = kept(&self.after);
        json!({
            "schema": "trustctl/anchor-update/v1", "exit": exit.code(), "name": self.name, "url": self.origin.url,
            "changed": self.is_changed(), "root": now.as_ref().map(|now| now.root_version), "fetched": now.as_ref().map(|now| now.fetched),
            "until": now.as_ref().map(|now| now.until), "files": self.files(), "warnings": Vec::<ReasonReport>::new(),
        })
    }

    fn tell(&self, session: &Session) {
        let Some(now) = kept(&self.after) else { return };
        let (ui, name) = (&session.ui, self.name);
        let what = if self.is_changed() { "the trusted root is new" } else { "the trusted root is the same as before" };
        ui.say(format!("{}: {name}, {what}, to be used until {}", ui.paint(Paint::Green, "verified"), now.until));
        ui.note(format!("  from:  {}, root version {}", self.origin.url, now.root_version));
        ui.note(format!("  files: {}", self.files().join(", ")));
    }
}
