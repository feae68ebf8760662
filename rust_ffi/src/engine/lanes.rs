//! The codec pool's queue.
//!
//! Each operation has a [`Lane`], and lanes take turns by bytes: the lane at the head of the queue is served until it
//! has had [`QUANTUM`], then goes to the back (deficit round robin). So a small read submitted during a huge one waits
//! for one turn of it, not for all, and many small chunks pass large ones. Within a lane the newest work goes first: the
//! inner chunks of a shard already open come before the next shard.
//!
//! Units that hold much memory while they run ([`Work::holds`]) only start where there is [`Room`], within the operation's
//! budget and within the process's. Nothing but running units takes room, so waiting for it always ends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use smallvec::SmallVec;

use super::room::Room;

/// Bytes of decoded chunks that a lane is served in one turn.
const QUANTUM: i64 = 1 << 20;

/// What any unit costs at the least, in the same currency.
const LEAST_COST: u64 = 4 << 10;

/// Work that consists of units, each claimed by one worker.
pub trait Work: Send + Sync {
    /// Claim the next unit. `None` when all are claimed.
    fn claim(&self) -> Option<Claim>;

    /// Run a claimed unit. Called without any lock; must contain its own panics.
    fn run(self: Arc<Self>, unit: usize);

    /// Bytes that a unit holds while it runs, at the most; 0 where they are too few to count, or within the budget by
    /// other means.
    fn holds(&self) -> u64 {
        0
    }
}

/// A unit, whether there are more after it, and about how many bytes it decodes.
pub struct Claim {
    pub unit: usize,
    pub more: bool,
    pub bytes: u64,
}

/// The work of one operation that is waiting for workers.
#[derive(Default)]
pub struct Lane(Mutex<LaneState>);

#[derive(Default)]
struct LaneState {
    stack: SmallVec<[Arc<dyn Work>; 2]>,
    queued: bool,
    /// What is left of this turn; less than nothing when the last unit was larger than that.
    credit: i64,
    /// Of the operation's own budget.
    room: Room,
}

impl Lane {
    /// For an operation whose units may hold up to `max_bytes` together (0: no limit of its own).
    pub fn within(max_bytes: u64) -> Self {
        let room = if max_bytes == 0 { Room::default() } else { Room::new(max_bytes) };
        Self(Mutex::new(LaneState { room, ..Default::default() }))
    }
}

impl LaneState {
    /// What the next unit will hold.
    fn holds(&self) -> u64 {
        self.stack.last().map_or(0, |work| work.holds())
    }

    /// Claim a unit of the newest work that has one.
    fn claim(&mut self) -> Option<(Arc<dyn Work>, usize)> {
        while let Some(work) = self.stack.pop() {
            let Some(claim) = work.claim() else { continue };
            if claim.more {
                self.stack.push(work.clone());
            }
            // A debt is paid by waiting turns; none is so large that it takes more than some.
            let cost = i64::try_from(claim.bytes.max(LEAST_COST)).unwrap_or(i64::MAX).min(64 * QUANTUM);
            self.credit -= cost;
            return Some((work, claim.unit));
        }
        None
    }
}

/// A unit for a worker to run.
pub(super) struct Job {
    pub work: Arc<dyn Work>,
    pub unit: usize,
    pub held: Held,
}

/// What a unit holds, and of which lane it is.
pub(super) struct Held {
    lane: Arc<Lane>,
    pub bytes: u64,
}

/// The lanes that wait for workers, and how many workers there are at work.
pub(super) struct Queue {
    lanes: VecDeque<Arc<Lane>>,
    /// Lanes whose next unit waits for room; the first gets what there is.
    short: VecDeque<Arc<Lane>>,
    room: Room,
    pub workers: usize,
}

impl Queue {
    /// For units that hold up to `max_bytes` together.
    pub fn new(max_bytes: u64) -> Self {
        Self { lanes: VecDeque::new(), short: VecDeque::new(), room: Room::new(max_bytes), workers: 0 }
    }

    pub fn push(&mut self, lane: &Arc<Lane>, work: Arc<dyn Work>) {
        let mut state = lane.0.lock().unwrap();
        state.stack.push(work);
        self.enqueue(lane, &mut state);
    }

    /// Likewise, but all that the lane has comes first.
    pub fn push_behind(&mut self, lane: &Arc<Lane>, work: Arc<dyn Work>) {
        let mut state = lane.0.lock().unwrap();
        state.stack.insert(0, work);
        self.enqueue(lane, &mut state);
    }

    fn enqueue(&mut self, lane: &Arc<Lane>, state: &mut LaneState) {
        if !state.queued {
            state.queued = true;
            self.lanes.push_back(lane.clone());
        }
    }

    /// The next unit, if there is one that may run now.
    pub fn claim(&mut self) -> Option<Job> {
        if self.first_has_room()
            && let Some(job) = self.short.pop_front().and_then(|lane| self.claim_from(lane))
        {
            return Some(job);
        }
        while let Some(lane) = self.lanes.pop_front() {
            let mut state = lane.0.lock().unwrap();
            let holds = state.holds();
            if state.credit <= 0 {
                state.credit += QUANTUM;
                drop(state);
                self.lanes.push_back(lane);
            } else if !state.room.has(holds) {
                state.queued = false; // until `give_back`
            } else if holds > 0 && !(self.short.is_empty() && self.room.has(holds)) {
                drop(state);
                self.short.push_back(lane);
            } else {
                drop(state);
                if let Some(job) = self.claim_from(lane) {
                    return Some(job);
                }
            }
        }
        None
    }

    /// Claim a unit of a lane for which there is room, and leave it first in the queue if it has more.
    fn claim_from(&mut self, lane: Arc<Lane>) -> Option<Job> {
        let mut state = lane.0.lock().unwrap();
        let bytes = state.holds();
        let claimed = state.claim();
        state.queued = !state.stack.is_empty();
        if claimed.is_some() {
            state.room.take(bytes);
            self.room.take(bytes);
        }
        if state.queued {
            self.lanes.push_front(lane.clone());
        }
        drop(state);
        claimed.map(|(work, unit)| Job { work, unit, held: Held { lane, bytes } })
    }

    /// A unit has run.
    pub fn give_back(&mut self, held: Held) {
        self.room.give(held.bytes);
        let mut state = held.lane.0.lock().unwrap();
        state.room.give(held.bytes);
        if !state.stack.is_empty() {
            self.enqueue(&held.lane, &mut state);
        }
    }

    /// Whether the first that waits for room need not wait longer.
    fn first_has_room(&self) -> bool {
        self.short.front().is_some_and(|lane| self.room.has(lane.0.lock().unwrap().holds()))
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty() && self.short.is_empty()
    }

    /// Whether a worker would find a unit, as far as a look at the first lanes tells.
    pub fn is_ready(&self) -> bool {
        let has_room = |lane: &Arc<Lane>| {
            let state = lane.0.lock().unwrap();
            state.room.has(state.holds()) && self.room.has(state.holds())
        };
        self.first_has_room() || self.lanes.front().is_some_and(has_room)
    }
}
