//! Native threads for work that would block the event loop.

pub mod disposal;
pub mod turns;

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The id of a piece of work.
pub type Ticket = u64;

/// The tickets of different workers are different.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// A bounded queue, and the threads that run its work. The threads start with the first work, so
/// that the process may fork before the first request.
pub struct Worker {
    shared: Arc<Shared>,
    /// Becomes readable when work has ended.
    wake: UnixStream,
    capacity: usize,
    threads: usize,
    started: usize,
}

struct Shared {
    state: Mutex<State>,
    more: Condvar,
    wake: UnixStream,
}

#[derive(Default)]
struct State {
    waiting: Vec<Job>,
    running: usize,
    ended: Vec<Ticket>,
    closed: bool,
}

struct Job {
    ticket: Ticket,
    rank: u32,
    run: Box<dyn FnOnce() + Send>,
}

impl Shared {
    /// A thread that panics leaves the state consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    /// At most `capacity` pieces of work wait for `threads` threads.
    ///
    /// # Errors
    /// If the system has no free file descriptors.
    pub fn new(threads: usize, capacity: usize) -> std::io::Result<Worker> {
        let (wake, end) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        end.set_nonblocking(true)?;
        Ok(Worker {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                more: Condvar::new(),
                wake: end,
            }),
            wake,
            capacity,
            threads,
            started: 0,
        })
    }

    /// A file descriptor that becomes readable when work has ended.
    pub fn wake_fd(&self) -> RawFd {
        self.wake.as_raw_fd()
    }

    /// Queues a piece of work. A lower rank runs first; within a rank, the order is kept.
    ///
    /// # Errors
    /// `Busy` if the queue is full and no work in it has a higher rank. If some has, the piece with the highest rank is
    /// dropped, and its ticket ends without a result.
    pub fn submit(
        &mut self,
        rank: u32,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<Ticket, Busy> {
        if self.started < self.threads {
            let shared = Arc::clone(&self.shared);
            let name = "post_msg".to_owned();
            if thread::Builder::new()
                .name(name)
                .spawn(move || work(&shared))
                .is_ok()
            {
                self.started += 1;
            } else if self.started == 0 {
                return Err(Busy);
            }
        }
        let mut state = self.shared.lock();
        if state.waiting.len() >= self.capacity {
            let last = (0..state.waiting.len()).max_by_key(|&i| state.waiting[i].rank);
            match last {
                Some(last) if state.waiting[last].rank > rank => {
                    let given_up = state.waiting.remove(last);
                    state.ended.push(given_up.ticket);
                    wake(&self.shared.wake);
                }
                _ => return Err(Busy),
            }
        }
        let ticket = NEXT.fetch_add(1, Ordering::Relaxed);
        state.waiting.push(Job {
            ticket,
            rank,
            run: Box::new(run),
        });
        drop(state);
        self.shared.more.notify_one();
        Ok(ticket)
    }

    /// The number of pieces of work that wait or run.
    pub fn unfinished(&self) -> usize {
        let state = self.shared.lock();
        state.waiting.len() + state.running
    }

    /// Makes the file descriptor readable, as if work had ended.
    pub fn tick(&self) {
        wake(&self.shared.wake);
    }

    /// The tickets of the work that has ended since the last call.
    pub fn ended(&mut self) -> Vec<Ticket> {
        let mut bytes = [0; 64];
        while matches!(self.wake.read(&mut bytes), Ok(1..)) {}
        std::mem::take(&mut self.shared.lock().ended)
    }
}

/// Waiting work is dropped. Each thread ends after its current work.
impl Drop for Worker {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.waiting.clear();
        drop(state);
        self.shared.more.notify_all();
    }
}

/// If the pipe is full, the descriptor is readable already.
fn wake(mut end: &UnixStream) {
    let _ = end.write(&[0]);
}

fn work(shared: &Shared) {
    loop {
        let mut state = shared.lock();
        let job = loop {
            if state.closed {
                return;
            }
            // The first of the lowest rank.
            let next = (0..state.waiting.len()).min_by_key(|&i| state.waiting[i].rank);
            match next {
                Some(next) => break state.waiting.remove(next),
                None => {
                    let guard = shared.more.wait(state);
                    state = guard.unwrap_or_else(PoisonError::into_inner);
                }
            }
        };
        state.running += 1;
        drop(state);
        // If the work panics, it has no result.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job.run));
        let mut state = shared.lock();
        state.running -= 1;
        state.ended.push(job.ticket);
        drop(state);
        wake(&shared.wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn await_ended(worker: &mut Worker, count: usize) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        worker.wake.set_nonblocking(false).unwrap();
        while tickets.len() < count {
            worker.wake.read_exact(&mut [0]).unwrap();
            tickets.append(&mut std::mem::take(&mut worker.shared.lock().ended));
        }
        worker.wake.set_nonblocking(true).unwrap();
        tickets
    }

    /// A worker with one thread, which waits until the sender is dropped.
    fn held_up(capacity: usize) -> (Worker, mpsc::Sender<()>) {
        let mut worker = Worker::new(1, capacity).unwrap();
        let (release, held) = mpsc::channel::<()>();
        let (begin_sender, begin_signal) = mpsc::channel();
        let hold = move || {
            begin_sender.send(()).unwrap();
            let _ = held.recv();
        };
        worker.submit(0, hold).unwrap();
        begin_signal.recv().unwrap();
        (worker, release)
    }

    #[test]
    fn work_is_done_by_rank_and_then_in_order() {
        let (mut worker, release) = held_up(10);
        let tickets: Vec<_> = [3, 1, 2, 1]
            .map(|r| worker.submit(r, || {}).unwrap())
            .to_vec();
        drop(release);
        let order = await_ended(&mut worker, 5);
        assert_eq!(order[1..], [tickets[1], tickets[3], tickets[2], tickets[0]]);
    }

    #[test]
    fn a_full_queue_takes_only_work_of_a_lower_rank() {
        let (mut worker, release) = held_up(2);
        worker.submit(1, || {}).unwrap();
        let last = worker.submit(2, || panic!("it gave way")).unwrap();
        assert_eq!(worker.submit(2, || {}), Err(Busy));
        let first = worker.submit(0, || {}).unwrap();
        assert_eq!(worker.ended(), [last]);
        assert_eq!(worker.unfinished(), 3);
        drop(release);
        assert_eq!(await_ended(&mut worker, 3)[1], first);
    }

    #[test]
    fn a_panic_ends_the_work_and_not_the_thread() {
        let mut worker = Worker::new(1, 10).unwrap();
        let first = worker.submit(0, || panic!("on purpose")).unwrap();
        let second = worker.submit(0, || {}).unwrap();
        assert_eq!(await_ended(&mut worker, 2), [first, second]);
        assert_eq!(worker.unfinished(), 0);
    }
}
