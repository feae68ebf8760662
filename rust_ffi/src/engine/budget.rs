//! The two budgets: requests in flight, and bytes in flight. Neither depends on the number of cores.
//!
//! Both are fair: each operation has at most one request in line for them, and the line is first come, first served. So
//! a small read waits for one request of a huge one, not for all of those that it has planned.

use std::sync::Arc;

use smallvec::SmallVec;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::runtime::Live;
use super::shared::{Share, Shared};

/// Bytes are counted in units of this many, since a semaphore counts to 2^32 at a time.
const UNIT: u64 = 1 << 10;

/// Limits shared by the operations of a process, or those of one operation.
pub struct Budget {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    /// All the units there are: what asks for more gets all of them, and so runs alone.
    units: u32,
}

/// Bytes in flight, until dropped.
#[derive(Default)]
pub struct BytesPermit {
    permits: Permits,
    /// Where they are counted, and how many.
    counted: Option<(Arc<Live>, u64)>,
    /// Of the memory that this will be decoded into.
    share: Option<Share>,
}

/// A request in flight, until dropped.
pub struct RequestPermit(Permits);

/// Of the operation's own budget, if it has one, and of the process's.
type Permits = SmallVec<[OwnedSemaphorePermit; 2]>;

impl Budget {
    pub fn new(requests: usize, bytes: u64) -> Self {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        let semaphore = |n: usize| Arc::new(Semaphore::new(n.clamp(1, Semaphore::MAX_PERMITS)));
        Self { requests: semaphore(requests), bytes: semaphore(units as usize), units }
    }

    async fn take_bytes(&self, bytes: u64) -> OwnedSemaphorePermit {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units);
        self.bytes.clone().acquire_many_owned(units).await.expect("never closed")
    }

    async fn take_request(&self) -> OwnedSemaphorePermit {
        self.requests.clone().acquire_owned().await.expect("never closed")
    }
}

impl BytesPermit {
    /// Give back what turned out not to be needed: `bytes` remain.
    pub fn shrink(&mut self, bytes: u64) {
        let units = usize::try_from(bytes.div_ceil(UNIT)).unwrap_or(usize::MAX);
        for permit in &mut self.permits {
            let surplus = permit.num_permits().saturating_sub(units);
            drop(permit.split(surplus));
        }
    }

    /// Take up to `bytes` out of this.
    fn split(&mut self, bytes: u64) -> Self {
        let units = usize::try_from(bytes.div_ceil(UNIT)).unwrap_or(usize::MAX);
        let part = |permit: &mut OwnedSemaphorePermit| permit.split(units.min(permit.num_permits()));
        let permits = self.permits.iter_mut().filter_map(part).collect();
        Self { permits, counted: None, share: None }
    }

    /// Count `bytes` as in flight while this lives.
    pub fn account(&mut self, live: &Arc<Live>, bytes: u64) {
        if self.permits.is_empty() {
            return; // Whoever waited for these bytes counts them.
        }
        live.bytes.raise(bytes);
        if let Some((live, before)) = self.counted.replace((live.clone(), bytes)) {
            live.bytes.lower(before);
        }
    }
}

impl Drop for BytesPermit {
    fn drop(&mut self) {
        if let Some((live, bytes)) = self.counted.take() {
            live.bytes.lower(bytes);
        }
    }
}

/// One operation's place in line, or that of all small reads.
#[derive(Default)]
pub struct Turn {
    line: Mutex<()>,
    /// Of those that hold their bytes already: who waits for bytes may wait for one of these.
    request_line: Mutex<()>,
    own: Option<Budget>,
    shared: Shared,
}

impl Turn {
    /// For an operation with limits of its own (0: none).
    pub fn new(max_requests: usize, max_bytes: u64) -> Self {
        let or_all = |n: u64, all: u64| if n == 0 { all } else { n };
        let own = (max_requests, max_bytes) != (0, 0);
        let own = own.then(|| {
            let requests = or_all(max_requests as u64, Semaphore::MAX_PERMITS as u64) as usize;
            Budget::new(requests, or_all(max_bytes, u64::from(u32::MAX) * UNIT))
        });
        Self { line: Mutex::new(()), request_line: Mutex::new(()), own, shared: Shared::default() }
    }

    /// Whether anybody waits in this line, or is about to be served.
    pub fn is_taken(&self) -> bool {
        self.line.try_lock().is_err()
    }

    /// Wait until all who are in this line by now have been served.
    pub async fn come_to_the_head(&self) {
        drop(self.line.lock().await);
    }

    /// Wait for leave to make one request that will hold up to `bytes`.
    pub async fn wait(&self, budget: &Budget, bytes: u64) -> (BytesPermit, RequestPermit) {
        let _line = self.line.lock().await;
        self.take(budget, bytes).await
    }

    /// The same for up to `bytes` that will be decoded into memory for `decoded` more.
    pub async fn wait_to_decode(
        &self,
        live: &Arc<Live>,
        bytes: u64,
        decoded: u64,
    ) -> (BytesPermit, RequestPermit) {
        if decoded == 0 {
            return self.wait(&live.budget, bytes).await;
        }
        let at_once = live.config().codec_threads;
        let _line = self.line.lock().await;
        if self.shared.is_enough(decoded, at_once) {
            let (mut permit, request) = self.take(&live.budget, bytes).await;
            // Waiting keeps nothing of it, or operations could wait for each other's.
            permit.share = self.shared.join(decoded, at_once);
            if permit.share.is_some() {
                return (permit, request);
            }
        }
        let (mut permit, request) = self.take(&live.budget, bytes.saturating_add(decoded)).await;
        let mut memory = permit.split(decoded);
        memory.account(live, decoded);
        permit.share = Some(self.shared.add(decoded, memory));
        (permit, request)
    }

    async fn take(&self, budget: &Budget, bytes: u64) -> (BytesPermit, RequestPermit) {
        let mut bytes_permit = BytesPermit::default();
        let mut request_permit = RequestPermit(Permits::new());
        // The operation's own limits come first, so that waiting for them holds nothing of the others'.
        for budget in self.own.iter().chain([budget]) {
            bytes_permit.permits.push(budget.take_bytes(bytes).await);
            request_permit.0.push(budget.take_request().await);
        }
        (bytes_permit, request_permit)
    }

    /// Wait for leave to hold up to `bytes`.
    pub async fn wait_bytes(&self, budget: &Budget, bytes: u64) -> BytesPermit {
        let mut permit = BytesPermit::default();
        let _line = self.line.lock().await;
        for budget in self.own.iter().chain([budget]) {
            permit.permits.push(budget.take_bytes(bytes).await);
        }
        permit
    }

    /// Wait for leave to make one request, whose bytes are held already.
    pub async fn wait_request(&self, budget: &Budget) -> RequestPermit {
        let mut permit = RequestPermit(Permits::new());
        let _line = self.request_line.lock().await;
        for budget in self.own.iter().chain([budget]) {
            permit.0.push(budget.take_request().await);
        }
        permit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::runtime::{Runtime, RuntimeConfig};

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn what_exceeds_the_budget_runs_alone() {
        block_on(async {
            let budget = Budget::new(8, 100 * UNIT);
            let turn = Turn::new(0, 0);
            let (mut bytes, _request) = turn.wait(&budget, 1000 * UNIT).await;
            assert_eq!(budget.bytes.available_permits(), 0);
            bytes.shrink(10 * UNIT);
            assert_eq!(budget.bytes.available_permits(), 90);
        });
    }

    #[test]
    fn requests_share_the_memory_that_they_are_decoded_into() {
        block_on(async {
            let config = RuntimeConfig { codec_threads: 2, max_bytes: 100 * UNIT, ..Default::default() };
            let live = Runtime::new(config).unwrap().live();
            let (turn, left) = (Turn::new(0, 0), || live.budget.bytes.available_permits());
            let mut held = vec![];
            for expected in [70, 40, 30, 20] {
                held.push(turn.wait_to_decode(&live, 10 * UNIT, 20 * UNIT).await);
                assert_eq!(left(), expected);
            }
            assert_eq!(live.bytes.level(), 40 * UNIT);
            // A larger chunk needs more than what the others have.
            held.push(turn.wait_to_decode(&live, UNIT, 18 * UNIT).await);
            assert_eq!(left(), 19);
            for expected in [20, 30, 40, 70, 100] {
                held.pop();
                assert_eq!(left(), expected);
            }
            assert_eq!(live.bytes.level(), 0);
            held.push(turn.wait_to_decode(&live, 10 * UNIT, 20 * UNIT).await);
            held.push(turn.wait_to_decode(&live, 10 * UNIT, 30 * UNIT).await);
            assert_eq!(left(), 30);
            // The smaller memory goes first.
            held.remove(1);
            assert_eq!(left(), 60);
        });
    }

    #[test]
    fn what_is_decoded_and_exceeds_the_budget_runs_alone() {
        block_on(async {
            let config = RuntimeConfig { codec_threads: 1, max_bytes: 100 * UNIT, ..Default::default() };
            let live = Runtime::new(config).unwrap().live();
            let turn = Arc::new(Turn::new(0, 0));
            let first = turn.wait_to_decode(&live, 80 * UNIT, 80 * UNIT).await;
            let (other, live_too) = (turn.clone(), live.clone());
            let second =
                tokio::spawn(async move { other.wait_to_decode(&live_too, 80 * UNIT, 80 * UNIT).await });
            tokio::task::yield_now().await;
            assert!(!second.is_finished());
            drop(first);
            let second = second.await.unwrap();
            assert_eq!(live.budget.bytes.available_permits(), 0);
            drop(second);
            assert_eq!(live.budget.bytes.available_permits(), 100);
        });
    }

    #[test]
    fn a_small_read_is_next_however_much_a_huge_one_has_planned() {
        block_on(async {
            let budget = Arc::new(Budget::new(1, 100 * UNIT));
            let (huge, small) = (Arc::new(Turn::new(0, 0)), Turn::new(0, 0));
            let held = huge.wait(&budget, UNIT).await;
            let served = Arc::new(std::sync::atomic::AtomicUsize::new(0));
            for _ in 0..100 {
                let (budget, huge, served) = (budget.clone(), huge.clone(), served.clone());
                tokio::spawn(async move {
                    let _permit = huge.wait(&budget, UNIT).await;
                    served.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    tokio::task::yield_now().await;
                });
            }
            tokio::task::yield_now().await;
            drop(held);
            let _permit = small.wait(&budget, UNIT).await;
            assert!(served.load(std::sync::atomic::Ordering::SeqCst) <= 2);
        });
    }
}
