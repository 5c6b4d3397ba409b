//! The verifying proxy, from outside: the program itself in front of the lab's registry.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a failed unwrap fails the test")]

mod clients;
mod crashes;
mod decisions;
mod discreet;
mod disks;
mod faults;
mod layers;

mod doctor;
mod outages;
mod reload;
mod stage;
mod tenants;
mod threads;
mod watched;
