//! What goes to the task of its shard: what waits for one part of Redis keeps nothing of the others waiting.

use std::sync::Arc;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// What belongs to a shard of the queue.
pub trait OfShard {
    /// The shard's number.
    fn shard(&self) -> u16;
}

/// A channel to each shard's task. They end when the last clone of this is dropped.
#[derive(Debug)]
pub struct ByShard<T>(Arc<[UnboundedSender<T>]>);

impl<T> Clone for ByShard<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: OfShard> ByShard<T> {
    /// With the ends that the tasks read, in the order of the shards.
    #[must_use]
    pub fn new(shards: u16) -> (Self, Vec<UnboundedReceiver<T>>) {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..shards).map(|_| mpsc::unbounded_channel()).unzip();
        (Self(senders.into()), receivers)
    }

    /// Hands on to the shard's task.
    ///
    /// # Errors
    /// What was not handed on, because the task has ended or there is no such shard.
    pub fn send(&self, one: T) -> Result<(), T> {
        match self.0.get(usize::from(one.shard())) {
            Some(task) => task.send(one).map_err(|refused| refused.0),
            None => Err(one),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl OfShard for (u16, &str) {
        fn shard(&self) -> u16 {
            self.0
        }
    }

    #[test]
    fn each_goes_to_its_shard_and_what_has_none_comes_back() {
        let (to, mut tasks) = ByShard::new(3);
        for one in [(2, "a"), (0, "b"), (2, "c")] {
            to.clone().send(one).unwrap();
        }
        assert_eq!(to.send((3, "d")), Err((3, "d")));
        drop(to);
        let came: Vec<Vec<_>> =
            tasks.iter_mut().map(|task| std::iter::from_fn(|| task.blocking_recv()).collect()).collect();
        assert_eq!(came, [vec![(0, "b")], vec![], vec![(2, "a"), (2, "c")]]);
        let _ended = tasks.remove(1);
        let (to, tasks) = ByShard::new(1);
        drop(tasks);
        assert_eq!(to.send((0, "e")), Err((0, "e")));
    }
}
