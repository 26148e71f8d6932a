//! Who is connected: when no more may come, whoever has been silent for longest makes room.
//!
//! A connection is *busy* from when a request has come whole until its answer is ready; a busy one is never closed. So a
//! crowd of callers that say nothing, or say it slowly, keeps nobody else out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// All connections of this process.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    /// Counts up with all that happens: what stands in `quiet` is ordered by it.
    clock: u64,
    count: usize,
    /// Those that are not busy, the one that has been silent for longest first.
    quiet: BTreeMap<u64, AbortHandle>,
}

/// One connection's place. Dropping it gives the place up.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    task: Mutex<(AbortHandle, Option<u64>)>,
}

impl Crowd {
    /// Makes room for one more, if need be. `false`: all are busy.
    pub(super) fn make_room(&self, most: usize) -> bool {
        let mut inside = self.lock();
        if inside.count < most {
            return true;
        }
        match inside.quiet.pop_first() {
            Some((_, task)) => {
                task.abort();
                true
            }
            None => false,
        }
    }

    /// A place for the connection that this task serves.
    pub(super) fn enter(self: &Arc<Self>, task: AbortHandle) -> Place {
        let mut inside = self.lock();
        inside.count += 1;
        let at = inside.add(task.clone());
        drop(inside);
        Place { crowd: Arc::clone(self), task: Mutex::new((task, Some(at))) }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.lock().count
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn add(&mut self, task: AbortHandle) -> u64 {
        self.clock += 1;
        self.quiet.insert(self.clock, task);
        self.clock
    }
}

impl Place {
    /// A request has come whole: it is not closed before its answer is ready.
    pub(super) fn busy(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = task.1.take() {
            self.crowd.lock().quiet.remove(&at);
        }
    }

    /// The answer is ready: from now on it is silent.
    pub(super) fn quiet(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.1.is_none() {
            task.1 = Some(self.crowd.lock().add(task.0.clone()));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.busy();
        self.crowd.lock().count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_silent_makes_room_and_never_a_busy_one() {
        let crowd = Arc::new(Crowd::default());
        let tasks: Vec<_> = (0..3).map(|_| tokio::spawn(std::future::pending::<()>())).collect();
        let places: Vec<_> = tasks.iter().map(|task| crowd.enter(task.abort_handle())).collect();
        assert!(crowd.make_room(4) && tasks.iter().all(|task| !task.is_finished()), "there is room");
        places[0].busy();
        assert!(crowd.make_room(3));
        let [first, second, third] = <[_; 3]>::try_from(tasks).unwrap();
        assert!(second.await.unwrap_err().is_cancelled(), "the one that is busy was passed over");
        places[0].quiet();
        places[2].busy();
        assert!(crowd.make_room(3));
        assert!(first.await.unwrap_err().is_cancelled());
        assert!(!crowd.make_room(3) && !third.is_finished(), "a busy one is never closed");
        drop(places);
        assert_eq!(crowd.count(), 0);
    }
}
