//! What work may cost, and how that is measured.
//!
//! Memory is what the thread allocates at once, at most, by a counting allocator. A block that grows counts old and new at
//! once. Time is the CPU time of the thread, so that other processes do not count, the least of several runs, and in
//! milliseconds of a machine on which [`reference`] takes one: neither instructions nor steps can be counted everywhere.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Bytes of memory for each byte of a request, and for any request.
const MEMORY: (f64, f64) = (20.0, 2_097_152.0);
/// Milliseconds for which the event loop may be held in one go.
const ON_LOOP: f64 = 1.0;
/// Milliseconds for which the thread may be held: for any request, for each of its bytes, and at most.
const ON_THREAD: (f64, f64, f64) = (50.0, 0.000_5, 1000.0);
/// Elements of a stanza, each of which is three tables in Lua.
const ELEMENTS: f64 = 2_100.0;
/// A time is too long where it is so many times as long as it may be: caches and the clock's rate are shared.
const MARGIN: f64 = 2.0;
/// So often a time that is too long is taken again.
const RUNS: usize = 5;

/// What a piece of work cost.
#[derive(Debug, Default, Clone)]
pub struct Cost {
    /// Bytes that were allocated at once, at most.
    pub memory: u64,
    /// Milliseconds for which the event loop was held in one go, at most, and by what.
    pub on_loop: (f64, &'static str),
    /// Milliseconds for which a thread, which reads or frees, was held in one go, at most.
    pub on_thread: f64,
    /// Elements of the largest stanza.
    pub elements: usize,
    /// The status of the problem, or 200.
    pub status: u16,
}

impl Cost {
    /// Runs a step that nothing interrupts on the event loop.
    pub fn hold<T>(&mut self, what: &'static str, step: impl FnOnce() -> T) -> T {
        let (result, time) = timed(step);
        if time > self.on_loop.0 {
            self.on_loop = (time, what);
        }
        result
    }

    /// Runs what a thread does for a large body.
    pub fn on_thread<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let (result, time) = timed(step);
        self.on_thread = self.on_thread.max(time);
        result
    }

    /// What is more than a request of so many bytes may cost: how many times, and what.
    pub fn faults(&self, bytes: usize) -> Vec<(f64, String)> {
        let bytes = bytes as f64;
        let memory = self.memory as f64;
        let (on_loop, what) = self.on_loop;
        let (any, each, most) = ON_THREAD;
        let rules = [
            (
                memory / (MEMORY.0 * bytes + MEMORY.1),
                format!(
                    "{memory} bytes of memory, {:.0} for each byte",
                    memory / bytes.max(1.0)
                ),
            ),
            (
                on_loop / (ON_LOOP * MARGIN),
                format!("{on_loop:.1} ms of the event loop {what}"),
            ),
            (
                self.on_thread / ((any + each * bytes).min(most) * MARGIN),
                format!("{:.0} ms of the thread", self.on_thread),
            ),
            (
                self.elements as f64 / ELEMENTS,
                format!("a stanza of {} elements", self.elements),
            ),
        ];
        rules
            .into_iter()
            .filter(|(times, _)| *times > 1.0)
            .collect()
    }

    /// Whether another run could be short enough.
    fn may_be_noise(&self, bytes: usize) -> bool {
        let mut faults = self.faults(bytes).into_iter();
        faults.any(|(times, fault)| times < 4.0 && fault.contains(" ms "))
    }
}

/// What work for so many bytes costs: of several runs the least, as long as a time is more than it may be.
pub fn least(bytes: usize, work: impl Fn(&mut Cost)) -> Cost {
    let run = || {
        let mut cost = Cost::default();
        let ((), memory) = measured(|| work(&mut cost));
        Cost { memory, ..cost }
    };
    let mut least = run();
    for _ in 1..RUNS {
        if !least.may_be_noise(bytes) {
            break;
        }
        let next = run();
        if next.on_loop.0 < least.on_loop.0 {
            least.on_loop = next.on_loop;
        }
        least.on_thread = least.on_thread.min(next.on_thread);
    }
    least
}

/// The result of work, and the bytes that it allocated at once, at most.
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let result = RefCell::new(None);
    let info = allocation_counter::measure(|| {
        *result.borrow_mut() = Some(work());
    });
    (result.into_inner().expect("a result"), info.bytes_max)
}

fn timed<T>(step: impl FnOnce() -> T) -> (T, f64) {
    let start = clock();
    let result = step();
    let time = clock() - start;
    (result, time.as_secs_f64() * 1000.0 / *MILLISECOND)
}

/// The CPU time of this thread.
fn clock() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let part = |number: i64| u64::try_from(number).unwrap_or_default();
    Duration::from_secs(part(now.tv_sec)) + Duration::from_nanos(part(now.tv_nsec))
}

/// Milliseconds of this machine and build that [`reference`] takes.
static MILLISECOND: LazyLock<f64> = LazyLock::new(|| {
    let run = |_| {
        let start = clock();
        std::hint::black_box(reference());
        (clock() - start).as_secs_f64() * 1000.0
    };
    (0..20).map(run).fold(f64::INFINITY, f64::min)
});

/// Work that is of the kind that reading is: strings are made, compared and freed. It takes a millisecond on the machine
/// that the limits of `src/payload/format.rs` were found on.
fn reference() -> usize {
    let pairs = (0..REFERENCE).map(|number: u32| (number.reverse_bits().to_string(), number));
    pairs.collect::<BTreeMap<_, _>>().len()
}

const REFERENCE: u32 = 7800;

/// How long a millisecond is here, for who reads what was measured.
pub fn millisecond() -> f64 {
    *MILLISECOND
}
