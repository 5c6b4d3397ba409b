//! `trustctl anchor update`: the one command that asks a TUF repository.

use serde_json::json;
use trustctl_core::memory::Slot;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::report::ReasonReport;
use trustctl_core::time::Timestamp;
use trustctl_remote::anchors::Anchors;
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

/// Fetches and verifies the newest trusted root of one instance.
///
/// # Errors
/// A [`Failure`] when the repository cannot be asked, or is not what it has to be. What was verified by then is remembered, and the
/// trusted root that is in use stays.
pub(super) async fn run(session: &Session, args: &UpdateAnchorArgs) -> Result<Exit, Failure> {
    let Instance::Fetched(origin) = session.instance(&args.name, args.policy.as_deref())? else {
        let words = "its trusted root is a file, which nothing is fetched for";
        return Err(Failure::bad_value("NAME", &args.name, words));
    };
    let mut network = Network::of_environment(|name: &str| std::env::var_os(name));
    network.plain_http.clone_from(&session.global.plain_http);
    let url = args.mirror.as_deref().unwrap_or(&origin.url);
    let repository = TufRepository::new(Http::new(network), url).map_err(|error| Failure::new(error.reason()))?;
    let anchors = session.anchors()?;
    let before = anchors.repository(&origin.url)?;
    let work = Work { anchors: &anchors, origin: &origin, repository: &repository, deadline: session.deadline()?, now: clock() };
    session.ui.progress(&format!("asking {url}"), work.refresh(&before)).await?;
    report(session, (&args.name, &origin), &before, &anchors.repository(&origin.url)?)?;
    if session.ui.verbose {
        let counts = repository.http().counts();
        session
            .ui
            .tell(format!("{} requests, {} bytes, {} dependent round trips", counts.requests, counts.bytes, counts.round_trips));
    }
    Ok(Exit::Done)
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

fn report(session: &Session, (name, origin): (&str, &Origin), before: &Slot, after: &Slot) -> Result<(), Failure> {
    let Some(now) = kept(after) else {
        let words = format!("nothing of {name} is in the state folder after the update: it was forgotten meanwhile");
        return Err(Failure::new(Reason::new(Code::PublishNotVisible, words)));
    };
    let changed = kept(before).is_none_or(|before| before.trusted_root != now.trusted_root);
    let also: Vec<&str> = Target::ALL.into_iter().filter(|target| now.target(*target).is_some()).map(Target::name).collect();
    let ui = &session.ui;
    if ui.json() {
        let report = json!({
            "schema": "trustctl/anchor-update/v1", "exit": 0, "name": name, "url": origin.url, "changed": changed,
            "root": now.root_version, "fetched": now.fetched, "until": now.until, "files": also, "warnings": Vec::<ReasonReport>::new(),
        });
        ui.say(report.to_string());
        return Ok(());
    }
    let what = if changed { "the trusted root is new" } else { "the trusted root is the same as before" };
    ui.say(format!("{}: {name}, {what}, to be used until {}", ui.paint(Paint::Green, "verified"), now.until));
    ui.note(format!("  from:  {}, root version {}", origin.url, now.root_version));
    ui.note(format!("  files: {}", also.join(", ")));
    Ok(())
}
