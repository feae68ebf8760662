//! Encoded chunks: the bytes as they are stored, no decoding.

use std::sync::Arc;

use super::array::Array;
use super::budget::Turn;
use super::error::{Result, contain};
use super::operation::{Completer, OnComplete, Operation, Output};
use super::pool::{Lane, Once};
use super::remote::{self, Fetcher};
use super::scratch::zeroed;
use super::stats::Counter;
use super::{Dims, local};
use crate::storage::{Backend, LocalStore, RemoteStore, Want};

/// Read one chunk's bytes as stored, or, with `inner`, those of an inner chunk, whose index counts inner chunks over the
/// whole array. Completes with [`Output::Bytes`], or [`Output::Nothing`] when it is missing.
pub fn read_encoded_chunk(
    array: &Arc<Array>,
    index: &[u64],
    inner: bool,
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    let chunk = Chunk::new(array, index, inner)?;
    let live = array.store().runtime().live();
    let pool = live.pool()?;
    let io = array.store().is_remote().then(|| live.io()).transpose()?;
    let (operation, completer) = Operation::start(live, on_complete)?;
    match io {
        None => {
            let job = move || {
                let Backend::Local(store) = chunk.array.store().backend() else {
                    unreachable!("looked above")
                };
                chunk.finish(&completer, contain(|| chunk.read_file(store, completer.operation())));
            };
            pool.submit(&Arc::new(Lane::default()), Arc::new(Once::new(job)), 1);
        }
        Some(io) => drop(io.spawn(async move {
            let Backend::Remote(store) = chunk.array.store().backend() else { unreachable!("looked above") };
            let token = completer.operation().token().clone();
            // None: cancelled.
            let fetched = token.run_until_cancelled(chunk.fetch(store, completer.operation())).await;
            chunk.finish(&completer, fetched.unwrap_or(Ok(None)));
        })),
    }
    Ok(operation)
}

/// The chunk that is wanted.
struct Chunk {
    array: Arc<Array>,
    key: String,
    /// The stored object's place in the grid.
    cell: Dims<u64>,
    /// Of an inner chunk, its place in the shard.
    inner: Option<Dims<u64>>,
}

impl Chunk {
    fn new(array: &Arc<Array>, index: &[u64], inner: bool) -> Result<Self> {
        let (cell, inner) = if inner {
            let (cell, inner) = array.locate_inner_chunk(index)?;
            (cell, Some(inner))
        } else {
            array.check_chunk_index(index)?;
            (index.into(), None)
        };
        Ok(Self { array: array.clone(), key: array.chunk_key(&cell), cell, inner })
    }

    fn finish(&self, completer: &Completer, outcome: Result<Option<Vec<u8>>>) {
        let operation = completer.operation();
        match outcome {
            _ if operation.skip() => {}
            Ok(None) => {}
            Ok(Some(bytes)) => completer.set_output(Output::Bytes(bytes)),
            Err(error) => operation.fail(error.with_key(self.array.store().url(), &self.key)),
        }
    }

    fn read_file(&self, store: &LocalStore, operation: &Operation) -> Result<Option<Vec<u8>>> {
        if operation.skip() {
            return Ok(None);
        }
        match &self.inner {
            None => local::get_value(store, &self.key, operation, self.array.most_stored(&self.cell)?),
            Some(inner) => self.read_inner(store, inner, operation),
        }
    }

    fn read_inner(
        &self,
        store: &LocalStore,
        inner: &[u64],
        operation: &Operation,
    ) -> Result<Option<Vec<u8>>> {
        operation.count(Counter::Requests, 1);
        let Some(file) = store.open(&self.key)? else { return Ok(None) };
        let layout = self.array.shard_layout(&self.cell)?.expect("located in a shard");
        let index = local::read_index(&file, &layout)?;
        let Some(range) = index.range(inner)? else { return Ok(None) };
        let mut bytes = zeroed((range.end - range.start) as usize)?;
        file.read_at(&mut bytes, range.start)?;
        operation.count(Counter::BytesFetched, bytes.len() as u64);
        Ok(Some(bytes))
    }

    async fn fetch(&self, store: &RemoteStore, operation: &Operation) -> Result<Option<Vec<u8>>> {
        let fetched = match &self.inner {
            None => {
                let most = self.array.most_stored(&self.cell)?;
                remote::get_value(store, &self.key, operation, most).await?
            }
            Some(inner) => {
                let fetcher =
                    Fetcher { store, key: &self.key, operation, turn: &Turn::new(0, 0), decoded: 0 };
                let layout = self.array.shard_layout(&self.cell)?.expect("located in a shard").into_owned();
                let Some(cached) = fetcher.index(self.array.store().id(), &layout).await? else {
                    return Ok(None);
                };
                let Some(range) = cached.index.range(inner)? else { return Ok(None) };
                let n = range.end - range.start;
                fetcher.get(Want::Range(range), n, n).await?.map(|(fetched, _)| fetched)
            }
        };
        Ok(fetched.map(|fetched| fetched.buffer.bytes().to_vec()))
    }
}
