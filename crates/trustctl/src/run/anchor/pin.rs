//! `trustctl anchor pin` and `trustctl anchor forget`.

use std::path::Path;

use serde_json::json;
use trustctl_core::memory::Slot;
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_core::reference::Repository;
use trustctl_core::scheme::{SigstoreAnchor, Thresholds};
use trustctl_remote::anchors::Pin;
use trustctl_remote::http::{Http, Network};
use trustctl_remote::tuf::TufRepository;
use trustctl_sigstore::keyless::Instance as Judge;
use trustctl_sigstore::tuf::Refresh;

use super::{Instance, Origin, PUBLIC_GOOD};
use crate::cli::{ForgetAnchorArgs, PinAnchorArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::run::{Session, clock, policy, trust};
use crate::ui::Paint;

/// Longest name of an instance, in characters.
const MAX_NAME: usize = 60;

/// Pins an instance or the roots of a collection.
///
/// # Errors
/// A [`Failure`] for a name or file that cannot be used, and where the name is taken.
pub(super) fn run(session: &Session, args: &PinAnchorArgs) -> Result<Exit, Failure> {
    if let Some(text) = &args.repository {
        return pin_collection(session, text, &args.dct_root);
    }
    let name = args.name.as_deref().unwrap_or_default();
    check_name(name)?;
    let pin = match (&args.url, &args.root, &args.trusted_root) {
        (Some(url), Some(root), None) => repository(url, root)?,
        (None, None, Some(file)) => trusted_root(file)?,
        _ => {
            let words = "an instance is pinned with --url and --root, or with --trusted-root";
            return Err(Failure::usage(Code::BadCommandLine, words));
        }
    };
    session.anchors()?.pin(name, &pin)?;
    let fetched = matches!(pin, Pin::Repository { .. });
    let ui = &session.ui;
    if ui.json() {
        ui.say(json!({ "schema": "trustctl/anchor-pin/v1", "exit": 0, "name": name, "fetched": fetched }).to_string());
        return Ok(Exit::Done);
    }
    ui.say(format!("{}: {name}", ui.paint(Paint::Green, "pinned")));
    if fetched {
        ui.note(format!("next: fetch its trusted root:  trustctl anchor update {name}"));
    }
    ui.note(format!("use it with  trustctl verify IMAGE --identity … --issuer … --sigstore {name}"));
    Ok(Exit::Done)
}

fn repository(url: &str, root: &Path) -> Result<Pin, Failure> {
    let url = url.trim_end_matches('/');
    // Nobody is asked; the address is read as it will be when somebody is.
    TufRepository::new(Http::new(Network::default()), url).map_err(|error| Failure::bad_value("--url", url, error))?;
    let root = policy::read_limited(root).map_err(|error| Failure::file(Path::new(root), &error))?;
    Refresh::begin(Origin::pinned(url, &root).beginning(), &Slot::default(), clock())?;
    Ok(Pin::Repository { url: url.to_owned(), root })
}

fn trusted_root(file: &Path) -> Result<Pin, Failure> {
    let bytes = policy::read_limited(file).map_err(|error| Failure::file(file, &error))?;
    let anchor = SigstoreAnchor { name: None, trusted_root: bytes.as_slice().into(), thresholds: Thresholds::default() };
    Judge::new(&anchor)
        .map_err(|fault| Failure::new(Reason::new(Code::AnchorUnusable, format!("{}: {fault}", file.display()))))?;
    Ok(Pin::TrustedRoot(bytes))
}

fn check_name(name: &str) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(plain) {
        return Err(Failure::bad_value("--name", name, "a name is 1 to 60 letters, digits, dashes, dots and underscores"));
    }
    if name == PUBLIC_GOOD {
        return Err(Failure::bad_value("--name", name, "this is the name of the instance that this program carries"));
    }
    Ok(())
}

fn pin_collection(session: &Session, text: &str, roots: &[String]) -> Result<Exit, Failure> {
    let collection: Repository = text.parse().map_err(|error| Failure::bad_value("--repository", text, error))?;
    roots.iter().try_for_each(|root| trust::check_root(root))?;
    session.anchors()?.pin_collection(&collection, roots)?;
    let ui = &session.ui;
    if ui.json() {
        let report =
            json!({ "schema": "trustctl/anchor-pin/v1", "exit": 0, "repository": collection.to_string(), "roots": roots });
        ui.say(report.to_string());
        return Ok(Exit::Done);
    }
    ui.say(format!("{}: {collection}", ui.paint(Paint::Green, "pinned")));
    ui.note(format!("where neither policy nor flags say whom to trust, trustctl verify {collection}:TAG now demands this root"));
    Ok(Exit::Done)
}

/// Forgets a pin, with what was seen of its repository.
///
/// # Errors
/// A [`Failure`] when there is none, and when nobody has said yes.
pub(super) fn forget(session: &Session, args: &ForgetAnchorArgs) -> Result<Exit, Failure> {
    let anchors = session.anchors()?;
    let name = args.name.as_str();
    let collection =
        name.parse::<Repository>().ok().filter(|collection| !anchors.collection(collection).unwrap_or_default().is_empty());
    let instance = if collection.is_none() { Some(session.instance(name, None)?) } else { None };
    let question = format!("forget {name}, so that older metadata of its repository would be believed again?");
    if !args.yes && !session.ui.confirm(&question, "--yes")? {
        return Ok(Exit::Interrupted);
    }
    let mut forgotten = anchors.forget(name)?;
    if let Some(collection) = &collection {
        forgotten |= anchors.forget_collection(collection)?;
    }
    if let Some(Instance::Fetched(origin)) = &instance {
        forgotten |= anchors.forget_repository(&origin.url)?;
    }
    if !forgotten {
        let reason = Reason::new(Code::AnchorUnknown, format!("nothing of \"{name}\" is remembered"));
        return Err(Failure::new(reason.step(Step::command("see what is", ["trustctl", "anchor", "list"]))));
    }
    let ui = &session.ui;
    if ui.json() {
        ui.say(json!({ "schema": "trustctl/anchor-forget/v1", "exit": 0, "name": name }).to_string());
    } else {
        ui.say(format!("{}: {name}", ui.paint(Paint::Green, "forgotten")));
    }
    Ok(Exit::Done)
}
