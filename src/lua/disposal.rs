//! A thread that frees large values, which would hold the event loop.

use std::cell::RefCell;
use std::sync::mpsc::{Sender, channel};
use std::thread;

type Garbage = Box<dyn Send>;

/// The thread starts with the first value, so that it outlives a fork of the process before that, and ends with this.
#[derive(Default)]
pub struct Disposal(RefCell<Option<Sender<Garbage>>>);

impl Disposal {
    /// Frees a value on the thread; here, if no thread can be started.
    pub fn take(&self, value: impl Send + 'static) {
        let mut thread = self.0.borrow_mut();
        let garbage = thread.get_or_insert_with(start);
        if garbage.send(Box::new(value)).is_err() {
            *thread = None;
        }
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
    }
}
