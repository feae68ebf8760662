//! Shard indexes of remote stores: each fetched once at a time, and kept up to a limit in bytes.

use std::sync::Arc;

use lru::LruCache;
use tokio::sync::OnceCell;

use super::error::Result;
use super::shard::ShardIndex;
use crate::sync::Mutex;

/// A shard as its index describes it.
pub struct CachedIndex {
    pub index: Arc<ShardIndex>,
    /// Of the shard that the index was read from.
    pub etag: Option<String>,
}

/// What an entry takes besides its index, roughly.
const ENTRY: u64 = 256;
/// So many entries at the most, those included that are being fetched or that nobody waits for any more.
const ENTRIES: usize = 1 << 20;

type Key = (u64, String);
type Cell = Arc<OnceCell<Arc<CachedIndex>>>;

/// Indexes by store and key.
pub struct IndexCache {
    state: Mutex<State>,
    most: u64,
}

struct State {
    cells: LruCache<Key, (Cell, u64)>,
    bytes: u64,
}

impl State {
    fn pop_oldest(&mut self) {
        let (_, (_, bytes)) = self.cells.pop_lru().expect("what there is too much of");
        self.bytes -= bytes;
    }
}

impl IndexCache {
    pub fn new(most: u64) -> Self {
        // One with a bound takes the memory for all of its entries at once.
        Self { state: Mutex::new(State { cells: LruCache::unbounded(), bytes: 0 }), most }
    }

    /// The index of a shard: a kept one, or what `fetch` gives. Whoever asks meanwhile waits for the same fetch.
    /// `Ok(None)`: there is no shard, which is not kept.
    pub async fn get(
        &self,
        store: u64,
        key: &str,
        fetch: impl AsyncFnOnce() -> Result<Option<CachedIndex>>,
    ) -> Result<Option<Arc<CachedIndex>>> {
        let key = (store, key.to_owned());
        let cell = self.cell(&key);
        let mut fetched = false;
        let found = cell
            .get_or_try_init(async || {
                fetched = true;
                fetch().await.map_err(Some)?.map(Arc::new).ok_or(None)
            })
            .await;
        match found {
            Ok(index) => {
                if fetched {
                    self.charge(&key, &cell, index);
                }
                Ok(Some(index.clone()))
            }
            Err(failure) => {
                self.forget_cell(&key, &cell);
                failure.map_or(Ok(None), Err)
            }
        }
    }

    fn cell(&self, key: &Key) -> Cell {
        let mut state = self.state.lock().unwrap();
        let cell = state.cells.get_or_insert_ref(key, Default::default).0.clone();
        if state.cells.len() > ENTRIES {
            state.pop_oldest();
        }
        cell
    }

    /// Drop an index that has turned out to be stale.
    pub fn forget(&self, store: u64, key: &str) {
        let mut state = self.state.lock().unwrap();
        if let Some((_, bytes)) = state.cells.pop(&(store, key.to_owned())) {
            state.bytes -= bytes;
        }
    }

    /// How many entries there are, those being fetched included, and what they are charged.
    pub fn held(&self) -> (usize, u64) {
        let state = self.state.lock().unwrap();
        (state.cells.len(), state.bytes)
    }

    fn forget_cell(&self, key: &Key, cell: &Cell) {
        let mut state = self.state.lock().unwrap();
        if state.cells.peek(key).is_some_and(|(kept, _)| Arc::ptr_eq(kept, cell) && !kept.initialized()) {
            state.cells.pop(key);
        }
    }

    fn charge(&self, key: &Key, cell: &Cell, index: &CachedIndex) {
        let mut state = self.state.lock().unwrap();
        let bytes = index.index.bytes() + ENTRY;
        match state.cells.get_mut(key) {
            Some((kept, charged)) if Arc::ptr_eq(kept, cell) && *charged == 0 => *charged = bytes,
            _ => return,
        }
        state.bytes += bytes;
        while state.bytes > self.most {
            state.pop_oldest();
        }
    }
}
