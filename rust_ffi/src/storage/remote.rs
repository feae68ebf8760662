//! Object stores and HTTP servers, read by range without ever asking for a size first.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt};
use url::Url;

use super::clients::{ClientCache, ClientKey};
use super::host::Most;
use super::options::Client;
use crate::engine::buffers::{Buffer, BufferPool};
use crate::engine::error::{Error, Result, Status};
use crate::engine::runtime::Live;

/// A store across the network, or in memory.
pub struct RemoteStore {
    pub(super) url: Url,
    /// Where the store's root is, in the bucket or on the server.
    pub(super) root: Path,
    options: BTreeMap<String, String>,
    client: ClientKey,
    /// A store in memory or of the host's own is its own client; others share theirs, which do not survive a fork.
    own: Option<Arc<Client>>,
    /// The server has answered a range request with the whole object.
    ignores_ranges: AtomicBool,
}

/// Which bytes of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    All,
    Range(Range<u64>),
    /// The last so many.
    Suffix(u64),
}

/// What a request brought.
pub struct Fetched {
    pub buffer: Buffer,
    /// Where the bytes lie in the value.
    pub range: Range<u64>,
    /// Bytes of the whole value.
    pub len: u64,
    pub etag: Option<String>,
    /// What the store calls this version of the value, where it has a name besides the ETag.
    pub version: Option<String>,
}

/// Told of each request as it is made.
pub trait Observer: Sync {
    fn requested(&self, is_head: bool);

    /// The response says that so many bytes will come.
    fn announced(&mut self, bytes: u64);
}

impl RemoteStore {
    /// No I/O; but whatever can be known to be wrong with the options is.
    pub fn new(url: Url, options: &BTreeMap<String, String>, clients: &ClientCache) -> Result<Self> {
        let root = super::options::root(&url)?;
        let client = ClientKey::new(&url, options);
        let own = if url.scheme() == "memory" {
            Some(Arc::new(Client::new(&url, options)?))
        } else {
            clients.get(&client, &url, options)?;
            None
        };
        let ignores_ranges = AtomicBool::new(false);
        Ok(Self { url, root, options: options.clone(), client, own, ignores_ranges })
    }

    /// A store that `client` alone reaches; `url` is only shown.
    pub fn of_client(url: Url, client: Client) -> Self {
        let (root, options, own) = (Path::default(), BTreeMap::new(), Some(Arc::new(client)));
        let client = ClientKey::new(&url, &options);
        Self { url, root, options, client, own, ignores_ranges: AtomicBool::new(false) }
    }

    pub(super) fn client(&self, live: &Live) -> Result<Arc<Client>> {
        match &self.own {
            Some(client) => Ok(client.clone()),
            None => live.clients.get(&self.client, &self.url, &self.options),
        }
    }

    /// Whether ranges are of no use here: each costs the whole value.
    pub fn ignores_ranges(&self) -> bool {
        self.ignores_ranges.load(Ordering::Relaxed)
    }

    /// Get bytes of a value, at most `most` of them; `None` when there is no such value.
    ///
    /// # Errors
    /// [`Status::Io`], naming the URL and the key, when retries did not help; [`Status::Codec`] when the value has more
    /// than `most` bytes.
    pub async fn get(
        &self,
        key: &str,
        want: Want,
        most: u64,
        live: &Live,
        observer: &mut impl Observer,
    ) -> Result<Option<Fetched>> {
        let (client, buffers) = (self.client(live)?, &live.buffers);
        let failed = |error: object_store::Error| self.error(key, &error);
        let path = self.path(key)?;
        let range = match &want {
            _ if self.ignores_ranges() => None,
            Want::All => None,
            Want::Range(range) => Some(GetRange::Bounded(range.clone())),
            Want::Suffix(n) if client.takes_suffixes => Some(GetRange::Suffix(*n)),
            Want::Suffix(n) => {
                observer.requested(true);
                let Some(meta) = found(client.store.head(&path).await).map_err(failed)? else {
                    return Ok(None);
                };
                Some(GetRange::Bounded(meta.size.saturating_sub(*n)..meta.size))
            }
        };
        observer.requested(false);
        let mut options = GetOptions { range: range.clone(), ..Default::default() };
        options.extensions.insert(Most(most));
        let mut response = client.store.get_opts(&path, options).await;
        if range.is_some() && response.as_ref().is_err_and(is_whole_response) {
            self.ignores_ranges.store(true, Ordering::Relaxed);
            observer.requested(false);
            response = client.store.get_opts(&path, GetOptions::default()).await;
        }
        if matches!(want, Want::Range(_)) && response.as_ref().is_err_and(is_beyond_end) {
            let buffer = buffers.take(0)?;
            return Ok(Some(Fetched { buffer, range: 0..0, len: 0, etag: None, version: None }));
        }
        let Some(response) = found(response).map_err(failed)? else {
            return Ok(None);
        };
        self.receive(key, response, &want, most, buffers, observer).await.map(Some)
    }

    async fn receive(
        &self,
        key: &str,
        response: GetResult,
        want: &Want,
        most: u64,
        buffers: &Arc<BufferPool>,
        observer: &mut impl Observer,
    ) -> Result<Fetched> {
        let (len, sent) = (response.meta.size, response.range.clone());
        let (etag, version) = (response.meta.e_tag.clone(), response.meta.version.clone());
        let (start, end) = match want {
            Want::All => (0, len),
            // Never more than the server says that it sends: a value that is shorter now is the caller's to judge.
            Want::Range(range) => (range.start.max(sent.start), range.end.min(sent.end)),
            Want::Suffix(n) => (len.saturating_sub(*n).max(sent.start), len.min(sent.end)),
        };
        let n = end.saturating_sub(start);
        if n > most {
            let text = format!("{n} bytes are stored, more than the {most} that can be needed");
            return Err(self.failure(Status::Codec, key, &text));
        }
        observer.announced(n);
        let mut buffer = buffers.take(n as usize)?;
        let out = buffer.bytes_mut();
        let (mut at, mut stream) = (sent.start, response.into_stream());
        while at < end {
            let Some(frame) = stream.next().await else {
                let text = format!("the response ends after {at} bytes, {end} were announced");
                return Err(self.failure(Status::Io, key, &text));
            };
            let frame = frame.map_err(|e| self.error(key, &e))?;
            let next = at + frame.len() as u64;
            // Of a whole value that came instead of a range, only the wanted part is kept.
            let (from, to) = (at.max(start), next.min(end));
            if from < to {
                let part = &frame[(from - at) as usize..(to - at) as usize];
                out[(from - start) as usize..(to - start) as usize].copy_from_slice(part);
            }
            at = next;
        }
        Ok(Fetched { buffer, range: start..end.max(start), len, etag, version })
    }

    pub(super) fn path(&self, key: &str) -> Result<Path> {
        let text =
            if self.root.as_ref().is_empty() { key.to_owned() } else { format!("{}/{key}", self.root) };
        Path::parse(&text).map_err(|e| Error::invalid(format_args!("{text:?} is not a key: {e}")))
    }

    fn failure(&self, status: Status, key: &str, text: &str) -> Error {
        let url = super::display_url(&self.url);
        let mut error = Error::new(status, format_args!("{url}/{key}: {text}"));
        error.key = Some(key.into());
        error
    }

    pub(super) fn error(&self, key: &str, error: &object_store::Error) -> Error {
        if let object_store::Error::Generic { source, .. } = error
            && let Some(ours) = source.downcast_ref::<Error>()
        {
            return self.failure(ours.status, key, &ours.message);
        }
        self.described(Status::Io, key, error)
    }

    /// An error of object_store's, said to be of `status`.
    pub(super) fn described(&self, status: Status, key: &str, error: &object_store::Error) -> Error {
        // Each layer's message, unless the one above has said it already.
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            let message = inner.to_string();
            if !text.contains(&message) {
                text = format!("{text}: {message}");
            }
            source = inner.source();
        }
        self.failure(status, key, &self.without_secrets(text))
    }

    /// `text` with the values of options that may be secret struck out, should a server have sent one back.
    fn without_secrets(&self, mut text: String) -> String {
        const SECRET: [&str; 6] = ["secret", "token", "key", "password", "sas", "header"];
        for (name, value) in &self.options {
            if value.len() > 3 && SECRET.iter().any(|word| name.to_ascii_lowercase().contains(word)) {
                text = text.replace(value.as_str(), "…");
            }
        }
        text
    }
}

/// A missing value is not an error.
fn found<T>(result: object_store::Result<T>) -> object_store::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        // object_store's HTTP client calls a method that is not allowed "not found", too.
        Err(object_store::Error::NotFound { source, .. }) if !source.to_string().contains(" 405 ") => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Whether a range request was answered with the whole value. object_store has no type for that.
fn is_whole_response(error: &object_store::Error) -> bool {
    use object_store::Error::{Generic, NotSupported};
    let (Generic { source, .. } | NotSupported { source }) = error else { return false };
    let text = source.to_string();
    text.contains("non-partial response") || text.contains("Range request not supported")
}

/// Whether the value ends before the range that was asked for.
fn is_beyond_end(error: &object_store::Error) -> bool {
    let text = error.to_string();
    text.contains("416 Range Not Satisfiable") || text.contains("but object was only")
}
