//! placeholder

pub mod state;
