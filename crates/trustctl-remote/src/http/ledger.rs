//! How much was asked, and how long the longest chain of waiting was.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Most exchanges that are remembered for `-v` and for tests: a megabyte.
const MAX_EXCHANGES: usize = 4096;

/// One request that was made, for `-v` and for tests. No query, no header, no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// The server.
    pub server: String,
    /// The path.
    pub path: String,
    /// The status; `None` when there was no answer.
    pub status: Option<u16>,
    /// Whether the time for it was over before its answer had come.
    pub out_of_time: bool,
    /// From sending to the last byte.
    pub took: Duration,
    /// Its place in the longest chain of requests of which each began after an earlier one had been answered, from 1.
    pub round_trip: u32,
}

/// How much was asked so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests, repeated and redirected ones included.
    pub requests: u64,
    /// Bytes of answers' bodies.
    pub bytes: u64,
    /// Dependent round trips: the longest chain of requests of which each began after an earlier one had been answered. With a
    /// round trip of 50 ms, 50 ms times this is what waiting cost.
    pub round_trips: u32,
}

/// Somebody who is told of every exchange and of the bodies that arrive. Must not block.
pub trait Watch: Send + Sync {
    /// A request was answered, or was not.
    fn exchanged(&self, exchange: &Exchange);
    /// Bytes of the body of an answer came.
    fn received(&self, bytes: u64);
    /// The body of an answer stopped in the middle, for longer than is waited.
    fn stalled(&self);
}

/// What one client has asked so far.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) counts: Counts,
    pub(super) exchanges: Vec<Exchange>,
    answered: u32,
}

/// A request that has begun.
pub(super) struct Began {
    pub(super) at: Instant,
    pub(super) round_trip: u32,
    pub(super) server: String,
    pub(super) path: String,
}

/// The request of a try that is going on, until it is recorded: a try that is given up leaves it here.
pub(super) type UnderWay = Arc<Mutex<Option<Began>>>;

impl Ledger {
    /// Counts a request that begins.
    pub(super) fn begin(&mut self, server: &str, path: &str) -> Began {
        self.counts.requests += 1;
        let round_trip = self.answered.saturating_add(1);
        self.counts.round_trips = self.counts.round_trips.max(round_trip);
        Began { at: Instant::now(), round_trip, server: server.to_owned(), path: path.to_owned() }
    }

    /// Notes that a request has ended, and keeps it where there is room.
    pub(super) fn record(&mut self, exchange: Exchange) {
        self.answered(exchange.round_trip);
        if self.exchanges.len() < MAX_EXCHANGES {
            self.exchanges.push(exchange);
        }
    }

    /// Notes that a request has ended, and nothing else of it.
    pub(super) fn answered(&mut self, round_trip: u32) {
        self.answered = self.answered.max(round_trip);
    }
}
