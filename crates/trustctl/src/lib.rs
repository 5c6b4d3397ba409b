//! The command line of trustctl, as a library so that the documentation and the tests are made from the same command tree.
//!
//! It wires schemes, keys and network together and holds no logic that a library user would need. In reading order: [`cli`] (flags),
//! [`run`] (commands), [`exit`] and [`failure`] (how a run ends), [`render`] and [`ui`] (how it talks), [`config`] (where things are).

pub mod cli;
pub mod config;
pub mod exit;
pub mod failure;
pub mod render;
pub mod run;
pub mod ui;
