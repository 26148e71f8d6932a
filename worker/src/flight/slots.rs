//! Who may ask for how many slots.

/// The slots of a worker: who has them, and how many free ones are being asked for.
pub(super) struct Slots {
    all: usize,
    taken: Vec<usize>,
    asked: usize,
}

impl Slots {
    pub(super) fn new(all: usize, shards: usize) -> Self {
        Self { all, taken: vec![0; shards], asked: 0 }
    }

    /// Jobs in hand of a shard.
    pub(super) fn of(&self, shard: u16) -> usize {
        self.taken.get(usize::from(shard)).copied().unwrap_or(0)
    }

    pub(super) fn take(&mut self, shard: u16) {
        if let Some(taken) = self.taken.get_mut(usize::from(shard)) {
            *taken += 1;
        }
    }

    pub(super) fn free(&mut self, shard: u16) {
        if let Some(taken) = self.taken.get_mut(usize::from(shard)) {
            *taken = taken.saturating_sub(1);
        }
    }

    /// How many jobs a shard may ask for when so many of its attempts end, and how many free slots are set aside for it: half of
    /// them if there are other shards, for its answer may be long in coming. While others wait, it has no more than its share.
    pub(super) fn ask(&mut self, shard: u16, ends: usize, waits: impl Fn(usize) -> bool) -> (usize, usize) {
        let shards = self.taken.len();
        let free = self.all.saturating_sub(self.taken.iter().sum::<usize>() + self.asked);
        let mut jobs = ends + if shards > 1 { free.div_ceil(2) } else { free };
        if (0..shards).any(&waits) {
            let shares = |at: &usize| *at == usize::from(shard) || self.taken[*at] > 0 || waits(*at);
            let share = (self.all / (0..shards).filter(shares).count()).max(1);
            jobs = jobs.min(share.saturating_sub(self.of(shard).saturating_sub(ends)));
        }
        let more = jobs.saturating_sub(ends);
        self.set_aside(more);
        (jobs, more)
    }

    /// So many more slots are for whoever asks.
    pub(super) fn set_aside(&mut self, slots: usize) {
        self.asked += slots;
    }

    /// So many slots that were set aside are free, or taken meanwhile.
    pub(super) fn give_back(&mut self, slots: usize) {
        self.asked = self.asked.saturating_sub(slots);
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;

    fn nobody(_: usize) -> bool {
        false
    }

    #[test]
    fn no_slot_is_asked_for_twice() {
        let mut slots = Slots::new(8, 1);
        assert_eq!(slots.ask(0, 0, nobody), (8, 8));
        assert_eq!(slots.ask(0, 3, nobody), (3, 0), "what ends frees a slot of its own");
        let mut slots = Slots::new(8, 2);
        assert_eq!(slots.ask(0, 0, nobody), (4, 4));
        assert_eq!(slots.ask(1, 0, nobody), (2, 2));
        (0..3).for_each(|_| slots.take(0));
        slots.give_back(4);
        assert_eq!((slots.of(0), slots.of(1)), (3, 0));
        assert_eq!(slots.ask(0, 1, nobody), (3, 2));
        assert_eq!(slots.ask(1, 0, nobody), (1, 1), "the last one, too");
    }

    #[test]
    fn who_has_all_of_them_leaves_a_share_to_those_who_wait() {
        let mut slots = Slots::new(12, 3);
        (0..12).for_each(|_| slots.take(0));
        assert_eq!(slots.ask(0, 4, nobody), (4, 0), "nobody waits: it goes on with what it has");
        let second = |shard: usize| shard == 1;
        assert_eq!(slots.ask(0, 4, second), (0, 0), "8 are left to it, more than its half");
        assert_eq!(slots.ask(0, 8, second), (2, 0), "4 are left to it, and 6 are its half");
        (0..4).for_each(|_| slots.free(0));
        assert_eq!(slots.ask(0, 0, second), (0, 0), "nor does it take again what it freed");
        assert_eq!(slots.ask(1, 0, |shard| shard == 0), (2, 2));
    }
}
