//! A lock for each stored object, so that two writes of one process that change parts of the same chunk both last.
//!
//! Whoever reads an object to change it, or replaces it, holds its lock from before the read until after the write.
//! The locks are of this process: others are told apart by conditional writes only.

use std::collections::HashMap;

use tokio::sync::OwnedMutexGuard;

use crate::sync::{Arc, Mutex};

type Lock = Arc<tokio::sync::Mutex<()>>;

/// The locks that somebody holds or waits for.
#[derive(Default)]
pub struct KeyLocks(Mutex<HashMap<String, Lock>>);

/// Holds the lock of one object until dropped.
pub struct KeyGuard {
    locks: Arc<KeyLocks>,
    address: String,
    held: Option<OwnedMutexGuard<()>>,
}

impl KeyLocks {
    /// Wait for the lock of the object at `address`, which is [`Store::address`]'s.
    ///
    /// [`Store::address`]: crate::storage::Store::address
    pub async fn lock(self: &Arc<Self>, address: String) -> KeyGuard {
        let lock = self.0.lock().unwrap().entry(address.clone()).or_default().clone();
        // Made before the wait: a wait that is given up must also leave the table as it was.
        let mut guard = KeyGuard { locks: self.clone(), address, held: None };
        guard.held = Some(lock.lock_owned().await);
        guard
    }

    /// Whether nobody holds a lock or waits for one.
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        let mut locks = self.locks.0.lock().unwrap();
        self.held = None;
        // The table's own reference is the last one: nobody holds it, nobody waits for it.
        if locks.get(&self.address).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_nothing_left_behind() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
        let locks: Arc<KeyLocks> = Arc::default();
        let busy = Arc::new(std::sync::atomic::AtomicBool::new(false));
        runtime.block_on(async {
            let tasks = (0..200).map(|i| {
                let (locks, busy) = (locks.clone(), busy.clone());
                tokio::spawn(async move {
                    let waiting = locks.lock("memory:/c/0".to_owned());
                    if i % 5 == 0 {
                        // Some give up.
                        let _ = tokio::time::timeout(std::time::Duration::ZERO, waiting).await;
                        return;
                    }
                    let _guard = waiting.await;
                    assert!(!busy.swap(true, std::sync::atomic::Ordering::SeqCst));
                    tokio::task::yield_now().await;
                    busy.store(false, std::sync::atomic::Ordering::SeqCst);
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
        });
        assert!(locks.is_empty());
    }
}
