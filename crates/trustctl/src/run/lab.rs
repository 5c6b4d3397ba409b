//! `trustctl lab up`: a registry, a Notary server and a Sigstore on loopback, until the user stops them.

use serde_json::{Map, Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use trustctl_core::reason::{Code, Reason, Step};
use trustctl_lab::error::LabError;
use trustctl_lab::image::Artifact;
use trustctl_lab::sigstore::{Claims, SigstorePorts};
use trustctl_lab::world::{NOTICE, World, WorldOptions};

use super::Session;
use crate::cli::{LabCommand, LabUpArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::render;

/// What is in the registry of a lab that users start, signed by nobody: what the quickstart and the tutorial speak of.
pub(super) const IMAGES: [&str; 3] = ["shop/cart:1.4", "shop/web:2", "other/app:1.0"];
/// Who the token in the lab's folder is for.
const PERSON: &str = "lab-user@example.test";
/// How long that token is good, in seconds: a day, so that a rehearsal does not run out of it.
const DAY: i64 = 86_400;

pub(super) async fn run(session: &Session, command: &LabCommand) -> Result<Exit, Failure> {
    match command {
        LabCommand::Up(args) => up(session, args).await,
    }
}

async fn up(session: &Session, args: &LabUpArgs) -> Result<Exit, Failure> {
    let mut stop = Stop::listen()?;
    session.ui.tell(NOTICE);
    let world = World::start(options(args)).map_err(failed)?;
    world.write_token(&Claims::email(PERSON).lives(DAY)).map_err(failed)?;
    push_images(&world)?;
    // Last: whoever finds it finds everything.
    world.write_environment().map_err(failed)?;
    if session.ui.json() {
        session.ui.say(report(&world).to_string());
    } else {
        session.ui.say(world.describe().trim_end());
    }
    let environment = world.folder().join("environment").display().to_string();
    let image = "\"$TRUSTCTL_LAB_REGISTRY/shop/cart:1.4\"";
    session.ui.note(format!("in its registry, signed by nobody: {}", IMAGES.join(", ")));
    session.ui.note("next, in another terminal:");
    session.ui.note(format!("  . {}", render::quoted(&[environment])));
    session.ui.note("  trustctl key generate lab");
    session.ui.note(format!("  trustctl sign {image} --resolve-tag --key lab && trustctl verify {image} --key lab"));
    session.ui.note("the lab runs until Ctrl-C");
    stop.asked().await;
    Ok(Exit::Done)
}

/// Fills the registry with [`IMAGES`].
pub(super) fn push_images(world: &World) -> Result<(), Failure> {
    IMAGES.iter().try_for_each(|image| world.push(image, &Artifact::multi_platform(image)).map(drop)).map_err(failed)
}

fn options(args: &LabUpArgs) -> WorldOptions {
    let port = |number: u16| args.port.map_or(0, |first| first.saturating_add(number));
    WorldOptions {
        registry_port: port(0),
        notary_port: port(1),
        sigstore_ports: SigstorePorts { issuer: port(2), fulcio: port(3), rekor: port(4), tiles: port(5), timestamps: port(6) },
        folder: args.dir.clone(),
        ..WorldOptions::default()
    }
}

fn report(world: &World) -> Value {
    let lab = world.sigstore();
    let variables = [world.environment(), world.sigstore_environment(), lab.workload_environment()];
    let variables: Map<String, Value> =
        variables.into_iter().flatten().map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({
        "schema": "trustctl/lab/v1",
        "exit": 0,
        "notice": NOTICE,
        "folder": world.folder(),
        "images": IMAGES.map(|image| world.name(image)),
        "services": {
            "registry": world.registry().url(),
            "notary": world.notary().url(),
            "issuer": lab.issuer().url(),
            "fulcio": lab.fulcio().url(),
            "rekor-v1": lab.rekor().url(),
            "rekor-v2": lab.tiles().url(),
            "timestamps": lab.timestamp_url(),
        },
        "environment": variables,
    })
}

/// Whoever asks a lab to end: the one who ends processes. The user's Ctrl-C ends every command before it gets here.
pub(super) struct Stop(Signal);

impl Stop {
    /// Listens from now on, so that no signal ends the program without its lab.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listening = signal(SignalKind::terminate());
        listening.map(Self).map_err(|error| Failure::new(Reason::new(Code::ConfigUnusable, error.to_string())))
    }

    /// Returns when somebody has asked.
    pub(super) async fn asked(&mut self) {
        self.0.recv().await;
    }
}

/// Why a lab does not run.
pub(super) fn failed(error: LabError) -> Failure {
    let words = format!("the lab: {error}");
    match error {
        LabError::Folder(_) => {
            let step = Step::words("name an empty folder, or one that does not exist yet");
            Failure::new(Reason::new(Code::LocalFile, words).step(step))
        }
        LabError::FolderInUse(_) => {
            let step = Step::words("use that lab (its variables are in the file environment), end it, or name another folder");
            Failure::new(Reason::new(Code::LocalFile, words).step(step))
        }
        LabError::Io { .. } => Failure::new(Reason::new(Code::LocalFile, words)),
        _ => Failure::new(Reason::new(Code::Unavailable, words)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_stands_for_seven_in_a_row_and_none_for_free_ones() {
        let ports = |port| {
            let options = options(&LabUpArgs { dir: None, port });
            let SigstorePorts { fulcio, issuer, rekor, tiles, timestamps } = options.sigstore_ports;
            [options.registry_port, options.notary_port, issuer, fulcio, rekor, tiles, timestamps]
        };
        assert_eq!(ports(Some(5000)), [5000, 5001, 5002, 5003, 5004, 5005, 5006]);
        assert_eq!(ports(None), [0; 7]);
    }
}
