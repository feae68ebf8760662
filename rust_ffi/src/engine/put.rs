//! Putting and removing one value, on behalf of an operation that counts it.

use bytes::Bytes;

use super::budget::{BytesPermit, Turn};
use super::error::Result;
use super::operation::Operation;
use super::remote::Request;
use super::stats::Counter;
use crate::storage::{Backend, Condition, LocalStore, Part, RemoteStore, Store};

/// See the module.
pub(super) struct Putter<'a> {
    pub operation: &'a Operation,
    pub turn: &'a Turn,
    pub key: &'a str,
    /// What was put is on the disk at the end.
    pub sync: bool,
}

impl Putter<'_> {
    /// Set the value, or remove it.
    pub async fn set(&self, store: &Store, value: Option<Bytes>) -> Result<()> {
        match store.backend() {
            Backend::Local(store) => {
                let part = value.as_ref().map(|bytes| Part::Bytes(bytes));
                self.put_file(store, part.as_ref().map(std::slice::from_ref))
            }
            Backend::Remote(store) => self.put(store, value.map(|bytes| vec![bytes]), Condition::None).await,
        }
    }

    /// Set a file to the concatenation of `parts`, or remove it.
    pub fn put_file(&self, store: &LocalStore, parts: Option<&[Part<'_>]>) -> Result<()> {
        let Some(parts) = parts else {
            self.count(Counter::Deletes, 1);
            self.count(Counter::Requests, 1);
            return store.delete(self.key, self.sync);
        };
        self.count(Counter::Puts, 1);
        self.count(Counter::Requests, 1);
        store.put(self.key, parts, self.sync)?;
        self.count(Counter::BytesWritten, parts.iter().map(Part::size).sum());
        Ok(())
    }

    /// Set the value of another store to the concatenation of `parts`, or remove it.
    pub async fn put(
        &self,
        store: &RemoteStore,
        parts: Option<Vec<Bytes>>,
        condition: Condition,
    ) -> Result<()> {
        let live = self.operation.live();
        let request = self.turn.wait_request(&live.budget).await;
        let request = Request::new(self.operation, BytesPermit::default(), request);
        let Some(parts) = parts else {
            self.count(Counter::Deletes, 1);
            return store.delete(self.key, live, &request).await;
        };
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        self.count(Counter::Puts, 1);
        store.put(self.key, parts, condition, live, &request).await?;
        self.count(Counter::BytesWritten, bytes);
        Ok(())
    }

    fn count(&self, counter: Counter, n: u64) {
        self.operation.count(counter, n);
    }
}
