//! Encoded chunks: the bytes as they are stored, no decoding.

use std::sync::Arc;

use super::array::Array;
use super::error::{Result, contain};
use super::operation::{Completer, OnComplete, Operation, Output};
use super::pool::{Lane, Once};
use super::remote;
use super::stats::Counter;
use crate::storage::{Backend, LocalStore, RemoteStore};

/// Read one chunk's bytes as stored. Completes with [`Output::Bytes`], or [`Output::Nothing`] when it is missing.
pub fn read_encoded_chunk(
    array: &Arc<Array>,
    index: &[u64],
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    array.check_chunk_index(index)?;
    let live = array.store().runtime().live();
    let pool = live.pool()?;
    let io = matches!(array.store().backend(), Backend::Remote(_)).then(|| live.io()).transpose()?;
    let (operation, completer) = Operation::start(live, on_complete)?;
    let (array, key) = (array.clone(), array.chunk_key(index));
    match io {
        None => {
            let job = move || {
                let Backend::Local(store) = array.store().backend() else { unreachable!("looked above") };
                finish(&completer, contain(|| from_file(store, &key, &completer)));
            };
            pool.submit(&Arc::new(Lane::default()), Arc::new(Once::new(job)), 1);
        }
        Some(io) => drop(io.spawn(async move {
            let Backend::Remote(store) = array.store().backend() else { unreachable!("looked above") };
            let token = completer.operation().token().clone();
            // None: cancelled.
            let fetched = token.run_until_cancelled(from_network(store, &key, completer.operation())).await;
            finish(&completer, fetched.unwrap_or(Ok(None)));
        })),
    }
    Ok(operation)
}

fn finish(completer: &Completer, outcome: Result<Option<Vec<u8>>>) {
    let operation = completer.operation();
    match outcome {
        _ if operation.skip() => {}
        Ok(None) => {}
        Ok(Some(bytes)) => completer.set_output(Output::Bytes(bytes)),
        Err(error) => operation.fail(error),
    }
}

fn from_file(store: &LocalStore, key: &str, completer: &Completer) -> Result<Option<Vec<u8>>> {
    let operation = completer.operation();
    if operation.skip() {
        return Ok(None);
    }
    operation.count(Counter::Requests, 1);
    let bytes = store.get(key)?;
    operation.count(Counter::BytesFetched, bytes.as_ref().map_or(0, Vec::len) as u64);
    Ok(bytes)
}

async fn from_network(store: &RemoteStore, key: &str, operation: &Operation) -> Result<Option<Vec<u8>>> {
    let value = remote::get_value(store, key, operation).await?;
    Ok(value.map(|value| value.buffer.bytes().to_vec()))
}
