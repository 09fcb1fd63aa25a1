//! A thread that frees large values, because freeing them would block the event loop.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// A value, and its counter.
type Garbage = (Box<dyn Send>, Arc<()>);

/// The thread starts with the first value, so that the process may fork before. It ends when this is dropped.
#[derive(Default)]
pub struct Disposal {
    thread: RefCell<Option<Sender<Garbage>>>,
    counter: Arc<()>,
}

impl Disposal {
    /// Frees a value on the thread; or at once, if no thread can be started.
    pub fn take(&self, value: impl Send + 'static) {
        let mut thread = self.thread.borrow_mut();
        let garbage = thread.get_or_insert_with(start);
        let value = (Box::new(value) as _, Arc::clone(&self.counter));
        if garbage.send(value).is_err() {
            *thread = None;
        }
    }

    /// The number of values that are not freed yet.
    pub fn unfinished(&self) -> usize {
        Arc::strong_count(&self.counter) - 1
    }
}

fn start() -> Sender<Garbage> {
    let (sender, garbage) = channel::<Garbage>();
    // Without a thread, the receiver is gone, and each `send` returns its value.
    let _ = thread::Builder::new()
        .name("post_msg".to_owned())
        .spawn(move || garbage.into_iter().for_each(drop));
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_freed_on_another_thread() {
        struct Value(Sender<thread::ThreadId>);
        impl Drop for Value {
            fn drop(&mut self) {
                let _ = self.0.send(thread::current().id());
            }
        }
        let (sender, freed) = channel();
        let disposal = Disposal::default();
        disposal.take(Value(sender.clone()));
        disposal.take(Value(sender));
        let threads = [freed.recv().unwrap(), freed.recv().unwrap()];
        assert_eq!(threads[0], threads[1]);
        assert_ne!(threads[0], thread::current().id());
        let (sender, released) = channel::<()>();
        struct Held(std::sync::mpsc::Receiver<()>);
        impl Drop for Held {
            fn drop(&mut self) {
                let _ = self.0.recv();
            }
        }
        disposal.take(Held(released));
        assert!((1..=3).contains(&disposal.unfinished()));
        drop(sender);
        while disposal.unfinished() > 0 {
            thread::yield_now();
        }
    }
}
