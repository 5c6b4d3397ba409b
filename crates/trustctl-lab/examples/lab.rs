//! Runs a lab until it is interrupted, and prints what to put into the environment of another shell.

use trustctl_lab::error::LabError;
use trustctl_lab::world::{World, WorldOptions};

fn main() -> Result<(), LabError> {
    let world = World::start(WorldOptions::default())?;
    println!("{}", world.describe());
    loop {
        std::thread::park();
    }
}
