//! Encoded chunks, stored as they are given; and chunks erased.

use std::sync::Arc;

use bytes::Bytes;

use super::array::Array;
use super::budget::Turn;
use super::error::{Error, Result};
use super::operation::{Completer, OnComplete, Operation};
use super::put::Putter;
use super::tasks::Tasks;
use super::write::kept;
use crate::storage::{Backend, Part};

/// The caller's bytes, lent until the completion.
#[derive(Clone, Copy)]
pub struct Lent {
    data: *const u8,
    len: usize,
}

// SAFETY: whoever submits a write promises that the bytes stay valid, and do not change, until the completion.
unsafe impl Send for Lent {}
// SAFETY: as above.
unsafe impl Sync for Lent {}

impl Lent {
    /// # Safety
    /// `len` bytes at `data` must be valid for reads, and not change, until the operation that uses this is final.
    pub unsafe fn new(data: *const u8, len: usize) -> Self {
        Self { data, len }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the promise given at `new`.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

/// Store `data` as the chunk (or shard) at a grid index, or erase the chunk (`None`).
pub fn write_encoded_chunk(
    array: &Arc<Array>,
    index: &[u64],
    data: Option<Lent>,
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    array.check_chunk_index(index)?;
    array.store().check_writable()?;
    let live = array.store().runtime().live();
    let tasks = Tasks::new(&live, array.store().is_remote())?;
    let (operation, completer) = Operation::start(live, on_complete)?;
    let (array, key, completer) = (array.clone(), array.chunk_key(index), Arc::new(completer));
    tasks.clone().spawn(0, async move {
        let operation = completer.operation();
        let writing = write(&completer, &tasks, &array, &key, data);
        operation.settle(operation.token().run_until_cancelled(writing).await, |error: Error| {
            error.with_key(array.store().url(), &key)
        });
    });
    Ok(operation)
}

async fn write(
    completer: &Arc<Completer>,
    tasks: &Tasks,
    array: &Arc<Array>,
    key: &str,
    data: Option<Lent>,
) -> Result<()> {
    let (operation, store) = (completer.operation(), array.store());
    let _lock = operation.live().locks.lock(store.address(key)).await;
    if operation.skip() {
        return Ok(());
    }
    let putter = Putter { operation, turn: &Turn::new(0, 0), key, sync: false };
    match (store.backend(), data) {
        (_, None) => putter.set(store, None).await?,
        (Backend::Local(store), Some(data)) => putter.put_file(store, Some(&[Part::Bytes(data.bytes())]))?,
        (Backend::Remote(_), Some(data)) => {
            // What a request is made of may outlive the operation when that is cancelled: a copy.
            // And it is made from memory that is lent until the completion, perhaps after this task was cancelled.
            let lending = completer.clone();
            let copy = move || {
                let copy = kept(data.bytes());
                drop(lending);
                copy
            };
            let copy: Bytes = tasks.on_pool(0, copy).await?;
            putter.set(store, Some(copy)).await?;
        }
    }
    operation.live().indexes.forget(store.id(), key);
    Ok(())
}
