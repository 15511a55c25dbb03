//! What is promised to readers, under whatever happens to leaders, agents and the store: from a seed.
//!
//! ```text
//!   ledger: attempts, how far each went, the end ──► story ──► leader after leader, over one store
//!   agents: what each attempt said, as long as their disks live ──► append ─┘   └──► readers, from anywhere, with any leader
//! ```

use std::collections::BTreeMap;

use super::*;

/// Chance from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33) % limit
    }
}

/// An attempt, as its agent and the ledger know it.
struct Attempt {
    /// How many events it told itself.
    count: u64,
    /// How many of them a leader has taken, and how many are durable.
    taken: u64,
    durable: u64,
    /// Whether the agent has its events still, and whether it lost what wasn't durable.
    has_events: bool,
    lost: bool,
    /// How many it named with its end.
    said: Option<u64>,
}

/// A reader that goes on with every leader.
struct Reader {
    began: u64,
    follower: Follower,
    told: Vec<(u64, String)>,
    ended: bool,
}

struct World {
    dice: Dice,
    store: Store,
    leader: Events,
    attempts: Vec<Attempt>,
    finished: bool,
    readers: Vec<Reader>,
    /// What each number ever named.
    names: BTreeMap<u64, String>,
}

fn is_note(text: &str) -> bool {
    text.contains("no longer kept") || text.contains("lost with its agent")
}

/// How many events a word tells to be lost.
fn lost(text: &str) -> u64 {
    text.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or(1)
}

impl World {
    fn new(seed: u64) -> Self {
        let (leader, store) = farm();
        leader.open(build(), [task(1)]);
        let (attempts, readers, names) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { dice: Dice(seed), store, leader, attempts, finished: false, readers, names }
    }

    fn epoch(&self) -> u64 {
        self.attempts.len() as u64
    }

    fn story(&self) -> Story {
        let said: Vec<_> = self.attempts.iter().map(|attempt| attempt.said).collect();
        if self.finished { finished(&said) } else { story(&said) }
    }

    /// Whether the latest attempt goes on.
    fn works(&self) -> bool {
        !self.finished && self.attempts.last().is_some_and(|attempt| attempt.said.is_none())
    }

    fn begin(&mut self) {
        let attempt = Attempt { count: 0, taken: 0, durable: 0, has_events: true, lost: false, said: None };
        self.attempts.push(attempt);
        self.leader.hear(task(1), self.story());
        let epoch = self.epoch();
        assert_eq!(self.leader.begin(task(1), Epoch(epoch)), Some(at(epoch, 1)));
    }

    /// An agent tells what isn't durable, or a part of it.
    fn send(&mut self, index: usize, all: bool) {
        let (epoch, part) = (index as u64 + 1, 1 + self.dice.below(4));
        let Attempt { count, taken, durable, has_events: true, .. } = self.attempts[index] else { return };
        let to = if all { count } else { count.min(taken.max(durable) + part) };
        let words: Vec<String> = (durable + 1..=to).map(|n| format!("{epoch}-{n}")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let sent = records(epoch, durable + 1, &words);
        let receipt = self.leader.append(task(1), Epoch(epoch), sent);
        let attempt = &mut self.attempts[index];
        attempt.has_events = !receipt.refused;
        if !receipt.refused {
            let counted = |place: u64| place - at(epoch, 1);
            attempt.taken = attempt.taken.max(counted(receipt.next_sequence));
            attempt.durable = attempt.durable.max(counted(receipt.durable_sequence));
        }
    }

    fn send_all(&mut self) {
        for index in 0..self.attempts.len() {
            // The ledger shuts out who fell silent.
            if self.attempts[index].said.is_some() || index + 1 == self.attempts.len() {
                self.send(index, true);
            }
        }
    }

    async fn change_leaders(&mut self) {
        self.leader = next_leader(&self.store, self.story()).await;
        for reader in &mut self.readers {
            let place = reader.follower.places[&task(1)];
            reader.follower = self.leader.follow(build(), [(task(1), place)]).unwrap();
        }
    }

    fn new_reader(&mut self, place: u64) {
        let follower = self.leader.follow(build(), [(task(1), place)]).unwrap();
        self.readers.push(Reader { began: place, follower, told: Vec::new(), ended: false });
    }

    async fn read(&mut self) {
        for reader in &mut self.readers {
            let limit = Duration::from_millis(1);
            while !reader.ended {
                let next = tokio::time::timeout(limit, self.leader.next(&mut reader.follower)).await;
                let Ok(next) = next else { break };
                let Some(update) = next.unwrap() else {
                    reader.ended = true;
                    break;
                };
                let opened = update.iter().flat_map(|of| &of.records).map(|record| {
                    let text = match record.open(task(1)).unwrap().unwrap().kind {
                        EventKind::Say { text, .. } | EventKind::Error { text, .. } => text,
                        _ => "the end".to_owned(),
                    };
                    (record.sequence, text)
                });
                reader.told.extend(opened);
            }
        }
    }

    async fn happen(&mut self) {
        let last = self.attempts.len().checked_sub(1);
        match (self.dice.below(16), last) {
            (0 | 1, _) if !self.works() && !self.finished => self.begin(),
            (0..=3, Some(last)) if self.works() && self.attempts[last].has_events => {
                self.attempts[last].count += 1 + self.dice.below(3);
            }
            (4..=7, Some(last)) => {
                let index = usize::try_from(self.dice.below(last as u64 + 1)).unwrap();
                if self.attempts[index].said.is_some() || index == last {
                    self.send(index, false);
                }
            }
            (8, Some(last)) if self.works() && self.attempts[last].has_events => {
                // An end is reported once some leader has taken everything.
                self.send(last, true);
                self.attempts[last].said = Some(self.attempts[last].count);
                self.finished = self.dice.below(3) == 0;
                self.leader.hear(task(1), self.story());
            }
            // Its lease expires, and it is made again.
            (9, Some(_)) if self.works() => self.begin(),
            (10, Some(last)) if self.dice.below(3) == 0 => {
                let index = usize::try_from(self.dice.below(last as u64 + 1)).unwrap();
                let attempt = &mut self.attempts[index];
                (attempt.has_events, attempt.lost) = (false, true);
            }
            (11, _) => {
                tokio::time::advance(Duration::from_secs(self.dice.below(7))).await;
                let leads = self.dice.below(3) > 0;
                rest(&self.leader, leads).await;
            }
            (12, _) => self.change_leaders().await,
            (13, _) => {
                let epoch = self.dice.below(self.epoch() + 2);
                let place = at(epoch, self.dice.below(6));
                let from_start = self.dice.below(2) == 0;
                self.new_reader(if from_start { 0 } else { place });
            }
            (14, _) if self.dice.below(3) == 0 => {
                // Whoever is there has told everything by then.
                self.send_all();
                tokio::time::advance(RETURN).await;
                self.leader.settle();
            }
            _ => self.read().await,
        }
    }

    /// All comes to its end, and so must readers.
    async fn end(&mut self) {
        if self.attempts.is_empty() {
            self.begin();
        }
        self.send_all();
        let last = self.attempts.last_mut().unwrap();
        if !self.finished && last.has_events {
            last.said = Some(last.count);
        }
        self.finished = true;
        self.leader.hear(task(1), self.story());
        self.send_all();
        tokio::time::advance(RETURN).await;
        self.leader.settle();
        self.read().await;
    }

    fn check(&mut self, seed: u64) {
        let end = place::end(Epoch(self.epoch()));
        for reader in &self.readers {
            let whose = format!("seed {seed}, from {:#x}: {:x?}", reader.began, reader.told);
            assert!(reader.ended, "not told the end: {whose}");
            let ends = reader.told.iter().filter(|(place, _)| *place == end).count();
            let expected = usize::from(reader.began <= end);
            assert_eq!((ends, reader.told.len().min(1)), (expected, expected), "{whose}");
            assert!(reader.told.windows(2).all(|two| two[0].0 < two[1].0), "twice, or out of order: {whose}");
            for (place, text) in reader.told.iter().filter(|(_, text)| !is_note(text)) {
                let named = self.names.entry(*place).or_insert_with(|| text.clone());
                assert_eq!(named, text, "{place:#x} names two events: {whose}");
            }
            for (epoch, attempt) in (1..).zip(&self.attempts) {
                check_attempt(reader, epoch, attempt, &whose);
            }
        }
    }
}

/// Every event of an attempt was told once or, when its agent's disk died, is told to be lost.
fn check_attempt(reader: &Reader, epoch: u64, attempt: &Attempt, whose: &str) {
    let from = at(epoch, 1).max(reader.began);
    let (mut next, end) = (from, place::end(Epoch(epoch)));
    for (place, text) in reader.told.iter().filter(|(place, _)| (from..end).contains(place)) {
        if is_note(text) {
            assert!(attempt.lost, "{place:#x} is not lost: {whose}");
            next += lost(text);
        } else {
            next += 1;
        }
        assert_eq!(next, place + 1, "something is missing before {place:#x}: {whose}");
    }
    if let Some(said) = attempt.said.filter(|said| at(epoch, said + 1) >= from) {
        assert_eq!(next, at(epoch, said + 1), "attempt {epoch} was not told to its end: {whose}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_reader_misses_anything_and_all_are_told_the_end() {
    for seed in 1..=400 {
        let mut world = World::new(seed);
        world.new_reader(0);
        for _ in 0..60 + world.dice.below(60) {
            world.happen().await;
        }
        world.end().await;
        world.check(seed);
    }
}

#[tokio::test(start_paused = true)]
async fn from_any_place_with_any_leader_the_rest_is_told() {
    for seed in 1_001..=1_060 {
        let mut world = World::new(seed);
        for _ in 0..80 {
            world.happen().await;
        }
        world.end().await;
        for _ in 0..2 {
            world.readers.clear();
            world.new_reader(0);
            world.read().await;
            let whole = std::mem::take(&mut world.readers).remove(0).told;
            let events = |told: &[(u64, String)], from: u64| -> Vec<(u64, String)> {
                told.iter().filter(|(place, text)| *place >= from && !is_note(text)).cloned().collect()
            };
            let places: Vec<u64> = whole.iter().flat_map(|(place, _)| [*place, place + 1]).collect();
            places.iter().for_each(|place| world.new_reader(*place));
            world.read().await;
            for reader in &world.readers {
                assert_eq!(events(&reader.told, 0), events(&whole, reader.began), "seed {seed}");
            }
            world.check(seed);
            while rest(&world.leader, true).await > 0 {}
            world.change_leaders().await;
            world.send_all();
            tokio::time::advance(RETURN).await;
            world.leader.settle();
        }
    }
}
