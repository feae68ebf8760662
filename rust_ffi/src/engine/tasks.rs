//! Tasks: what an operation does that waits. Those of local files run on the codec pool, others on the I/O runtime.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::error::{Error, Result, contain};
use super::pool::{CodecPool, Lane, Once};
use super::runtime::Live;

/// Where the tasks of an operation run.
#[derive(Clone)]
pub(super) struct Tasks {
    pub pool: Arc<CodecPool>,
    pub lane: Arc<Lane>,
    /// `None`: on the pool's own threads.
    pub io: Option<tokio::runtime::Handle>,
}

impl Tasks {
    /// Tasks of files run on the pool.
    pub fn new(live: &Live, remote: bool) -> Result<Self> {
        let io = remote.then(|| live.io()).transpose()?;
        Ok(Self { pool: live.pool()?, lane: Arc::default(), io })
    }

    /// Start a task, whose steps are as dear as decoding `bytes` where they run on the pool.
    pub fn spawn(&self, bytes: u64, task: impl Future<Output = ()> + Send + 'static) {
        match &self.io {
            None => self.pool.spawn(&self.lane, bytes, task),
            Some(io) => drop(io.spawn(task)),
        }
    }

    /// Run what may take long on the pool: at once, for a task that is there already.
    pub async fn on_pool<T: Send + 'static>(
        &self,
        bytes: u64,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.io.is_none() {
            return contain(work);
        }
        let (send, receive) = oneshot::channel();
        // Nobody receives when the task was cancelled meanwhile.
        let job = move || _ = send.send(contain(work));
        self.pool.submit(&self.lane, Arc::new(Once::decoding(bytes, job)), 1);
        receive.await.unwrap_or_else(|_| Err(Error::shutdown()))
    }
}
