//! The limits of the cost of work, and their measurement.
//!
//! Memory is the peak allocation of the thread, measured by a counting allocator. A block that grows counts its old and
//! new size. Time is the CPU time of the thread, so that other processes do not count: the least of several runs. Its
//! unit is a millisecond of a machine on which [`reference`] takes one, because not every machine can count
//! instructions.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The limit of memory in bytes: for each byte of a request, and for any request.
const MEMORY: (f64, f64) = (20.0, 2_097_152.0);
/// Milliseconds for which one step may block the event loop.
const ON_LOOP: f64 = 1.0;
/// Milliseconds for which a request may block the thread: for any request, for each of its bytes, and at most.
const ON_THREAD: (f64, f64, f64) = (50.0, 0.000_5, 1000.0);
/// Elements of a stanza. Each is three tables in Lua.
const ELEMENTS: f64 = 2_100.0;
/// The tolerance of times, as a factor: caches and the clock's rate are shared.
const MARGIN: f64 = 2.0;
/// The number of new measurements if a time is too long.
const RUNS: usize = 5;

/// The cost of a piece of work.
#[derive(Debug, Default, Clone)]
pub struct Cost {
    /// The peak allocation in bytes.
    pub memory: u64,
    /// The longest step on the event loop in milliseconds, and its name.
    pub on_loop: (f64, &'static str),
    /// The longest step on a thread, which reads or frees, in milliseconds.
    pub on_thread: f64,
    /// Elements of the largest stanza.
    pub elements: usize,
    /// The status of the problem, or 200.
    pub status: u16,
}

impl Cost {
    /// Runs an uninterrupted step on the event loop.
    pub fn hold<T>(&mut self, what: &'static str, step: impl FnOnce() -> T) -> T {
        let (result, time) = measure_time(step);
        if time > self.on_loop.0 {
            self.on_loop = (time, what);
        }
        result
    }

    /// Runs a step of a thread for a large body.
    pub fn on_thread<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let (result, time) = measure_time(step);
        self.on_thread = self.on_thread.max(time);
        result
    }

    /// The costs above the limits for a request of so many bytes: the factor, and a description.
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

    /// Whether another run may be short enough.
    fn may_be_noise(&self, bytes: usize) -> bool {
        let mut faults = self.faults(bytes).into_iter();
        faults.any(|(times, fault)| times < 4.0 && fault.contains(" ms "))
    }
}

/// The cost of work for so many bytes. If a time is above its limit, the work runs again, and the least time counts.
pub fn least_cost(bytes: usize, work: impl Fn(&mut Cost)) -> Cost {
    let run = || {
        let mut cost = Cost::default();
        let ((), memory) = measure_peak(|| work(&mut cost));
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

/// The result of work, and its peak allocation in bytes.
pub fn measure_peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let result = RefCell::new(None);
    let info = allocation_counter::measure(|| {
        *result.borrow_mut() = Some(work());
    });
    (result.into_inner().expect("a result"), info.bytes_max)
}

fn measure_time<T>(step: impl FnOnce() -> T) -> (T, f64) {
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

/// The milliseconds that [`reference`] takes on this machine and in this build.
static MILLISECOND: LazyLock<f64> = LazyLock::new(|| {
    let run = |_| {
        let start = clock();
        std::hint::black_box(reference());
        (clock() - start).as_secs_f64() * 1000.0
    };
    (0..20).map(run).fold(f64::INFINITY, f64::min)
});

/// Work that is similar to reading: strings are made, compared and freed. It takes a millisecond on the machine on
/// which the limits of `src/payload/format.rs` were measured.
fn reference() -> usize {
    let pairs = (0..REFERENCE).map(|number: u32| (number.reverse_bits().to_string(), number));
    pairs.collect::<BTreeMap<_, _>>().len()
}

const REFERENCE: u32 = 7800;

/// The length of a millisecond here, for readers of the measurements.
pub fn millisecond() -> f64 {
    *MILLISECOND
}
