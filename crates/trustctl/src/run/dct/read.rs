//! Reading a collection in order to change it.

use trustctl_core::claim::SchemeName;
use trustctl_core::evidence::Evidence;
use trustctl_core::reason::{Code, Reason};
use trustctl_core::scheme::{Anchors, Context, DctAnchor};
use trustctl_dct::collection::Collection;
use trustctl_dct::edit::editable;
use trustctl_dct::metadata::Document as _;
use trustctl_dct::metadata::envelope::Envelope;
use trustctl_dct::metadata::root::Root;
use trustctl_dct::reading::{Reading, read};
use trustctl_remote::gather::{Limits, Supply, collect};
use trustctl_remote::trust_dir::TrustDir;

use super::Publication;
use crate::failure::Failure;
use crate::run::network::World;

/// What a publisher finds.
pub(in crate::run) enum Known {
    /// A collection that is this publisher's to change.
    Collection(Box<Collection>),
    /// A repository without trust data.
    Virgin,
}

impl Publication<'_> {
    /// Reads the collection; an expired one too, for publishing is how it is renewed.
    pub(in crate::run) async fn read(&self, world: &World) -> Result<Known, Failure> {
        let pins = self.pins()?;
        let name = self.gun.to_string();
        let memory = self.memory()?;
        let remembered = memory.slot(SchemeName::Dct, &name).is_some();
        let anchor = DctAnchor { signer: "publisher".to_owned(), tofu: pins.is_empty(), roots: pins, authorities: Vec::new() };
        let tofu = anchor.tofu;
        let anchors = Anchors { dct: vec![anchor], ..Anchors::default() };
        let context = Context { anchors: &anchors, memory: &memory, now: self.now };
        let deadline = self.session.deadline()?;
        let source = world.until(deadline);
        let wants = |have: &Evidence| read(&self.gun, have, &context).wants;
        let gathering = collect(&wants, Evidence::new(), Supply { source: &source, limits: Limits::default(), deadline });
        let evidence = self.session.ui.progress(&format!("reading the trust data of {name}"), gathering).await;
        let reading = read(&self.gun, &evidence, &context);
        if let Some(missing) = reading.missing.first() {
            return Err(Failure::new(missing.reason.clone()));
        }
        if reading.collection.is_none() && is_virgin(&reading) {
            return Ok(Known::Virgin);
        }
        let collection = editable(&reading)?.clone();
        if reading.sound {
            self.learn(reading.learnt)?;
        }
        if tofu && !remembered && !self.holds_root(&collection)? {
            let words = format!("nothing here says that the trust data of {name} is the one you publish to");
            return Err(Failure::new(Reason::new(Code::UsageAnchor, words).step(pin_step(&collection))));
        }
        Ok(Known::Collection(Box::new(collection)))
    }

    /// The pinned root key ids: those named by flags, else those of the root that Docker or Notary has cached here.
    fn pins(&self) -> Result<Vec<String>, Failure> {
        if !self.args.dct_root.is_empty() {
            return Ok(self.args.dct_root.clone());
        }
        for folder in self.trust_folders() {
            let Some(directory) = TrustDir::open(&folder)? else { continue };
            let Some(bytes) = directory.metadata(&self.gun.to_string(), "root.json")? else { continue };
            let root = Envelope::parse(&bytes).and_then(|envelope| Root::from_signed(envelope.signed()));
            let root = root.map_err(|error| Failure::new(error.reason(&format!("the cached root of {}", self.gun))))?;
            return Ok(root.root.key_ids.iter().map(|id| id.as_str().to_owned()).collect());
        }
        Ok(Vec::new())
    }
}

fn is_virgin(reading: &Reading) -> bool {
    !reading.problems.is_empty() && reading.problems.iter().all(|problem| problem.reason.code == Code::DctNoData)
}

fn pin_step(collection: &Collection) -> trustctl_core::reason::Step {
    let ids: Vec<&str> = collection.root_keys().iter().map(trustctl_dct::key::KeyId::as_str).collect();
    trustctl_core::reason::Step::words(format!(
        "compare the root key id with the publisher, then give --dct-root {}",
        ids.join(" ")
    ))
}
