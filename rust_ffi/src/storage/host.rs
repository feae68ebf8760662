//! A store of the host's own: whoever embeds the library is asked for values, and answers now or later.
//!
//! [`HostStore`] is an [`ObjectStore`], so that such a store is read and written as every other one. Each request of it
//! is an [`Ask`] with a [`Reply`], which waits in a task until the host has answered. A request that nobody waits for any
//! more, since its operation was cancelled, tells the host so.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryFutureExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, UploadPart,
};
use tokio::sync::oneshot;

use crate::engine::error::{Error, Result, Status};
use crate::engine::fork;

/// Erasures under way at once for one list of keys.
const ERASED_AT_ONCE: usize = 16;

/// What a host is asked for.
#[derive(Clone, Debug)]
pub enum Ask {
    Get {
        key: String,
        range: Option<GetRange>,
    },
    Size {
        key: String,
    },
    /// Every key that starts with `prefix`, which is empty or ends with a `/`.
    List {
        prefix: String,
    },
    Put {
        key: String,
        value: Bytes,
    },
    Erase {
        key: String,
    },
}

/// What a host answers. Only what belongs to the request counts.
#[derive(Debug, Default)]
pub struct Answer {
    pub data: Bytes,
    /// Bytes of the whole value.
    pub size: Option<u64>,
    pub etag: Option<String>,
    /// Keys and sizes of values.
    pub entries: Vec<(String, u64)>,
}

/// Whoever keeps the values.
pub trait Host: fmt::Debug + Send + Sync + 'static {
    /// Whether it takes such a request at all.
    fn takes(&self, ask: &Ask) -> bool;

    /// Ask. What this returns is called when nobody waits for the answer any more.
    fn ask(&self, ask: Ask, reply: Reply) -> Box<dyn FnOnce() + Send>;
}

/// The most bytes that a get may bring, on their way through object_store.
#[derive(Clone, Copy)]
pub struct Most(pub u64);

/// Where an answer goes. Dropping it is an answer, too: a failure.
pub struct Reply {
    to: oneshot::Sender<Result<Answer>>,
    /// Bytes that the answer may have.
    most: u64,
}

impl Reply {
    /// A copy of the bytes of an answer, whose memory is the host's.
    ///
    /// # Errors
    /// When there are more than can be needed, or no memory for them.
    pub fn copy(&self, data: &[u8]) -> Result<Bytes> {
        let (n, most) = (data.len(), self.most);
        if n as u64 > most {
            return Err(Error::codec(format_args!(
                "the host answered with {n} bytes, more than the {most} that were asked for"
            )));
        }
        let mut copy = Vec::new();
        copy.try_reserve_exact(n).map_err(|_| Error::memory(n, "an answer of the host"))?;
        copy.extend_from_slice(data);
        Ok(copy.into())
    }

    pub fn send(self, answer: Result<Answer>) {
        // Nobody may be waiting any more.
        let _ = self.to.send(answer);
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct HostStore {
    host: Arc<dyn Host>,
    /// Of the process that the host lives in.
    generation: u64,
}

impl HostStore {
    pub fn new(host: Arc<dyn Host>) -> Self {
        fork::watch();
        Self { host, generation: fork::generation() }
    }

    async fn ask(&self, ask: Ask, most: u64) -> Result<Answer> {
        if self.generation != fork::generation() {
            return Err(Error::forked("the host's store"));
        }
        if !self.host.takes(&ask) {
            let what = match ask {
                Ask::Get { .. } => "get",
                Ask::Size { .. } => "size",
                Ask::List { .. } => "list",
                Ask::Put { .. } => "put",
                Ask::Erase { .. } => "erase",
            };
            return Err(Error::unsupported(format_args!("the host's store has no {what:?}")));
        }
        let (to, answer) = oneshot::channel();
        let mut asked = Asked { cancel: Some(self.host.ask(ask, Reply { to, most })) };
        let answer = answer.await;
        asked.cancel = None;
        answer.unwrap_or_else(|_| {
            Err(Error::new(Status::Io, "the host let go of the request without an answer"))
        })
    }

    async fn size(&self, location: &Path) -> object_store::Result<ObjectMeta> {
        let answer =
            self.ask(Ask::Size { key: location.to_string() }, 0).await.map_err(|e| wrapped(location, e))?;
        let size = answer.size.unwrap_or(0);
        Ok(meta(location.clone(), size, answer.etag))
    }
}

/// A request under way, which is cancelled when dropped.
struct Asked {
    cancel: Option<Box<dyn FnOnce() + Send>>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(cancel) = self.cancel.take() {
            cancel();
        }
    }
}

/// Our error as object_store's; [`super::remote`] takes it out again.
fn wrapped(location: &Path, error: Error) -> object_store::Error {
    match error.status {
        Status::NotFound => {
            object_store::Error::NotFound { path: location.to_string(), source: Box::new(error) }
        }
        _ => object_store::Error::Generic { store: "host", source: Box::new(error) },
    }
}

fn meta(location: Path, size: u64, e_tag: Option<String>) -> ObjectMeta {
    ObjectMeta { location, last_modified: Default::default(), size, e_tag, version: None }
}

/// Where an answer's `n` bytes lie in the value, and how long that is.
fn placed(range: Option<&GetRange>, n: u64, size: Option<u64>) -> Result<(Range<u64>, u64)> {
    let wrong =
        |text: fmt::Arguments<'_>| Err(Error::new(Status::Io, format_args!("the host answered {text}")));
    let (start, len) = match range {
        None => (0, size.unwrap_or(n)),
        // A range says by itself what it may contain; whoever wants the whole value's size does not ask for one.
        Some(GetRange::Bounded(range)) => (range.start, size.unwrap_or(u64::MAX)),
        Some(GetRange::Offset(start)) => (*start, size.unwrap_or(start.saturating_add(n))),
        Some(GetRange::Suffix(_)) => match size {
            Some(size) => (size.saturating_sub(n), size),
            None => return wrong(format_args!("for the end of a value without its size")),
        },
    };
    let expected = match range {
        None => len,
        Some(GetRange::Bounded(range)) => range.end.min(len).saturating_sub(range.start),
        Some(GetRange::Offset(start)) => len.saturating_sub(*start),
        Some(GetRange::Suffix(suffix)) => len.min(*suffix),
    };
    // Of a value whose size is not known, a range may end early.
    if n != expected && (size.is_some() || n > expected) {
        return wrong(format_args!("with {n} bytes where {expected} were asked for, of a value of {len}"));
    }
    Ok((start..start.saturating_add(n), len))
}

impl fmt::Display for HostStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a store of the host's own")
    }
}

#[async_trait]
impl ObjectStore for HostStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        if options.head {
            let meta = self.size(location).await?;
            let payload = GetResultPayload::Stream(stream::empty().boxed());
            let range = 0..0;
            return Ok(GetResult {
                payload,
                meta,
                range,
                attributes: Default::default(),
                extensions: Default::default(),
            });
        }
        let asked = match &options.range {
            Some(GetRange::Bounded(range)) => range.end.saturating_sub(range.start),
            Some(GetRange::Suffix(n)) => *n,
            Some(GetRange::Offset(_)) | None => u64::MAX,
        };
        let most = options.extensions.get::<Most>().map_or(u64::MAX, |most| most.0).min(asked);
        let ask = Ask::Get { key: location.to_string(), range: options.range.clone() };
        let failed = |e| wrapped(location, e);
        let answer = self.ask(ask, most).await.map_err(failed)?;
        let (range, size) =
            placed(options.range.as_ref(), answer.data.len() as u64, answer.size).map_err(failed)?;
        let payload = GetResultPayload::Stream(stream::once(async move { Ok(answer.data) }).boxed());
        let meta = meta(location.clone(), size, answer.etag);
        Ok(GetResult { payload, meta, range, attributes: Default::default(), extensions: Default::default() })
    }

    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        if options.mode != PutMode::Overwrite {
            let error = Error::unsupported("conditional puts into a store of the host's own");
            return Err(wrapped(location, error));
        }
        let ask = Ask::Put { key: location.to_string(), value: payload.into() };
        let answer = self.ask(ask, 0).await.map_err(|e| wrapped(location, e))?;
        Ok(PutResult { e_tag: answer.etag, version: None, extensions: Default::default() })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Parts { store: self.clone(), location: location.clone(), parts: vec![] }))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let store = self.clone();
        let erase = move |location: object_store::Result<Path>| {
            let store = store.clone();
            async move {
                let location = location?;
                let ask = Ask::Erase { key: location.to_string() };
                match store.ask(ask, 0).await {
                    Ok(_) => Ok(location),
                    Err(error) => Err(wrapped(&location, error)),
                }
            }
        };
        locations.map(erase).buffered(ERASED_AT_ONCE).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (store, location) = (self.clone(), prefix.cloned().unwrap_or_default());
        let prefix = if location.as_ref().is_empty() { String::new() } else { format!("{location}/") };
        let listed = async move {
            let answer =
                store.ask(Ask::List { prefix }, 0).await.map_err(|error| wrapped(&location, error))?;
            let entry = |(key, size): (String, u64)| Ok(meta(Path::parse(key)?, size, None));
            Ok(stream::iter(answer.entries.into_iter().map(entry)))
        };
        listed.try_flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> object_store::Result<ListResult> {
        Err(not_implemented("list_with_delimiter"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(not_implemented("copy"))
    }
}

fn not_implemented(operation: &str) -> object_store::Error {
    object_store::Error::NotImplemented { operation: operation.into(), implementer: "a host's store".into() }
}

/// An upload in parts, which the host gets as one.
#[derive(Debug)]
struct Parts {
    store: HostStore,
    location: Path,
    parts: Vec<PutPayload>,
}

#[async_trait]
impl MultipartUpload for Parts {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        self.parts.push(payload);
        std::future::ready(Ok(())).boxed()
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let parts = std::mem::take(&mut self.parts);
        let whole: PutPayload = parts.into_iter().flatten().collect();
        self.store.put_opts(&self.location, whole, PutOptions::default()).await
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.parts.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(range: Option<GetRange>, n: u64, size: Option<u64>) -> String {
        placed(range.as_ref(), n, size).unwrap_err().message.to_string()
    }

    #[test]
    fn an_answer_says_where_it_lies() {
        let bounded = Some(GetRange::Bounded(10..20));
        assert_eq!(placed(None, 7, None).unwrap(), (0..7, 7));
        assert_eq!(placed(bounded.as_ref(), 10, Some(100)).unwrap(), (10..20, 100));
        assert_eq!(placed(bounded.as_ref(), 5, Some(15)).unwrap(), (10..15, 15));
        assert_eq!(placed(bounded.as_ref(), 0, Some(3)).unwrap(), (10..10, 3));
        assert_eq!(placed(bounded.as_ref(), 4, None).unwrap(), (10..14, u64::MAX));
        assert_eq!(placed(Some(&GetRange::Suffix(8)), 8, Some(100)).unwrap(), (92..100, 100));
        assert_eq!(placed(Some(&GetRange::Suffix(8)), 3, Some(3)).unwrap(), (0..3, 3));
    }

    #[test]
    fn an_answer_that_cannot_be_is_refused() {
        assert!(refused(None, 7, Some(8)).contains("with 7 bytes where 8 were asked for"));
        assert!(refused(Some(GetRange::Bounded(10..20)), 5, Some(100)).contains("5 bytes where 10"));
        assert!(refused(Some(GetRange::Bounded(10..20)), 11, None).contains("11 bytes where 10"));
        assert!(refused(Some(GetRange::Suffix(8)), 8, None).contains("without its size"));
    }
}
