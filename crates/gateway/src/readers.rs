//! Reads the log for snapshots and for sessions behind the ring, on a few threads, so that the live tail never waits
//! for a disk.
//!
//! First come, first served: each subscription has at most one piece of work here at a time and each piece is bounded
//! (a page, a chunk), so a thousand clients that replay take turns.

use std::sync::{Arc, mpsc};

use parking_lot::Mutex;
use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// See the module. Dropping it ends the threads once their work is done.
#[derive(Debug)]
pub(crate) struct Readers {
    /// Unbounded in form only: bounded by subscriptions, which are.
    queue: mpsc::Sender<Work>,
}

impl Readers {
    pub(crate) fn start(threads: usize) -> Readers {
        let (queue, work) = mpsc::channel::<Work>();
        let work = Arc::new(Mutex::new(work));
        for number in 0..threads.max(1) {
            let work = work.clone();
            let run = move || {
                loop {
                    // Waits for work with the lock held: the others wait for the lock instead.
                    let next = work.lock().recv();
                    match next {
                        Ok(work) => work(),
                        Err(mpsc::RecvError) => break,
                    }
                }
            };
            let spawned = std::thread::Builder::new()
                .name(format!("gateway-read-{number}"))
                .spawn(run);
            spawned.expect("a process that cannot start a thread at start cannot serve");
        }
        Readers { queue }
    }

    /// Does `work` when its turn comes, unless nobody waits for it any more. A closed receiver means that the work
    /// panicked.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
        let (done, result) = oneshot::channel();
        let work = move || {
            if !done.is_closed() {
                let _ = done.send(work());
            }
        };
        self.queue
            .send(Box::new(work))
            .expect("the threads live as long as the queue");
        result
    }
}
