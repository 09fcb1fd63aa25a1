//! The messages of a request while it is read, resolved and sent, and the memory that they take.

use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::reader::Payload;
use crate::http::memory::Share;
use crate::http::problem::Problem;
use crate::message::address::Server;
use crate::worker::Ticket;
use crate::worker::disposal::Disposal;

/// The maximum time of a slice, during which the event loop waits.
const SLICE: Duration = Duration::from_micros(200);

/// A body that a thread reads.
pub struct Reading {
    /// It ends when the body was read.
    pub ticket: Ticket,
    pub payload: Arc<OnceLock<Result<Payload, Problem>>>,
    /// The request's share of the memory for large bodies.
    pub share: Arc<Share>,
    pub disposal: Rc<Disposal>,
}

/// The messages of a request.
pub struct Composition {
    pub batch: Batch,
    /// The memory of a long answer, once all recipients are resolved.
    pub answer_memory: Option<Share>,
    reading: Option<Reading>,
    /// The memory of a large body, and the thread that frees it.
    held: Option<(Arc<Share>, Rc<Disposal>)>,
}

impl Composition {
    /// The composition of a body that was read.
    pub fn new(batch: Batch) -> Composition {
        Composition::with(batch, None)
    }

    /// The composition of a body that a thread reads.
    pub fn of_reading(batch: Batch, reading: Reading) -> Composition {
        Composition::with(batch, Some(reading))
    }

    fn with(batch: Batch, reading: Option<Reading>) -> Composition {
        Composition {
            batch,
            answer_memory: None,
            reading,
            held: None,
        }
    }

    /// The ticket that must end before the recipients can be resolved, if a thread reads the body.
    pub fn ticket(&self) -> Option<Ticket> {
        self.reading.as_ref().map(|reading| reading.ticket)
    }

    /// Resolves recipients for as long as a slice lasts; returns whether all are resolved.
    ///
    /// # Errors
    /// As [`Batch::take`], [`Batch::resolve`] and [`Batch::answer_memory`]. All messages are freed then.
    pub fn resolve(&mut self, server: &impl Server) -> Result<bool, Problem> {
        let resolved = self.try_resolve(server);
        if resolved.is_err() {
            self.release();
        }
        resolved
    }

    fn try_resolve(&mut self, server: &impl Server) -> Result<bool, Problem> {
        if let Some(reading) = self.reading.take() {
            self.held = Some((reading.share, reading.disposal));
            let payload = Arc::into_inner(reading.payload).and_then(OnceLock::into_inner);
            self.batch.take(payload.unwrap_or_else(|| {
                Err(Problem::unavailable(
                    "the request could not be read in time; try again",
                ))
            }))?;
        }
        let end = Instant::now() + SLICE;
        let is_done = self.batch.resolve(server, || Instant::now() < end)?;
        if is_done {
            self.answer_memory = self.batch.answer_memory()?;
        }
        Ok(is_done)
    }

    /// Frees all messages; for a large body, a thread does it. The answer that another program expects is kept.
    pub fn release(&mut self) {
        self.answer_memory = None;
        if let Some(reading) = self.reading.take() {
            reading.disposal.take((reading.payload, reading.share));
        }
        let contents = self.batch.take_contents();
        if let Some((share, disposal)) = self.held.take() {
            disposal.take((contents, share));
        }
    }
}

impl Drop for Composition {
    fn drop(&mut self) {
        self.release();
    }
}
