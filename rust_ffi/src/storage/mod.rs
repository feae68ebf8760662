//! Stores: where the bytes are. A URL becomes a [`Store`], without any I/O.

mod clients;
mod host;
mod local;
mod local_write;
mod options;
mod remote;
mod remote_write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use url::Url;

use crate::engine::error::{Error, Result};
use crate::engine::runtime::Runtime;
use host::HostStore;
use options::Client;

pub use clients::ClientCache;
pub use host::{Answer, Ask, Host, Reply};
pub use local::{LocalFile, LocalStore};
pub use local_write::Part;
pub use remote::{Fetched, Observer, RemoteStore, Want};
pub use remote_write::Condition;

/// A place with keys and values, opened by URL.
pub struct Store {
    /// Different for each store of the process.
    id: u64,
    runtime: Arc<Runtime>,
    url: Arc<str>,
    backend: Backend,
}

/// How a store is read.
pub enum Backend {
    /// By threads that wait for the file system.
    Local(LocalStore),
    /// By tasks that wait for the network.
    Remote(RemoteStore),
}

impl Store {
    /// Open the store that `url` (or a plain path) names. No I/O.
    ///
    /// # Errors
    /// When the URL or an option is not understood.
    pub fn open(runtime: &Arc<Runtime>, url: &str, options: &BTreeMap<String, String>) -> Result<Arc<Self>> {
        let (parsed, path) = parse(url)?;
        let backend = match parsed.scheme() {
            "file" => local(&parsed, path, options)?,
            "s3" | "s3a" | "gs" | "az" | "adl" | "azure" | "abfs" | "abfss" | "http" | "https" | "memory" => {
                Backend::Remote(RemoteStore::new(parsed.clone(), options, &runtime.live().clients)?)
            }
            scheme => {
                return Err(Error::unsupported(format_args!(
                    "{}: no store for URL scheme {scheme:?}; known: file, s3, gs, az, abfs, abfss, http, https, memory",
                    display_url(&parsed)
                )));
            }
        };
        Ok(Self::of(runtime, display_url(&parsed), backend))
    }

    /// Make a store that asks `host` for its values. `url`, of any scheme, names it in messages.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn of_host(
        runtime: &Arc<Runtime>,
        url: &str,
        host: Arc<dyn Host>,
        takes_suffixes: bool,
    ) -> Result<Arc<Self>> {
        let url = Url::parse(url).map_err(|e| Error::invalid(format_args!("not a URL: {e}: {url:?}")))?;
        let (shown, client) =
            (display_url(&url), Client { store: Arc::new(HostStore::new(host)), takes_suffixes });
        Ok(Self::of(runtime, shown, Backend::Remote(RemoteStore::of_client(url, client))))
    }

    fn of(runtime: &Arc<Runtime>, url: String, backend: Backend) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { id, runtime: runtime.clone(), url: url.into(), backend })
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// The normalised URL, without secrets.
    pub fn url(&self) -> &Arc<str> {
        &self.url
    }

    /// What tells an object from all others, however the store that it is in was addressed.
    pub fn address(&self, key: &str) -> String {
        match &self.backend {
            Backend::Local(store) => store.root.join(key).to_string_lossy().into_owned(),
            Backend::Remote(store) => {
                let (url, root) = (&store.url, store.root.as_ref());
                let slash = if root.is_empty() { "" } else { "/" };
                format!("{}://{}/{root}{slash}{key}", url.scheme(), url.authority())
            }
        }
    }

    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Refuse a store that only reads.
    pub fn check_writable(&self) -> Result<()> {
        if self.url.starts_with("http:") || self.url.starts_with("https:") {
            return Err(Error::unsupported(format_args!("{}: HTTP stores are read-only", self.url)));
        }
        Ok(())
    }

    /// Whether reading waits for the network.
    pub fn is_remote(&self) -> bool {
        matches!(self.backend, Backend::Remote(_))
    }
}

/// A URL without what may be secret, and without the last `/`.
fn display_url(url: &Url) -> String {
    let mut shown = url.clone();
    // Neither can fail for URLs that have such parts. Azure's container stands where others have a user.
    let _ = shown.set_password(None);
    if matches!(url.scheme(), "http" | "https") {
        let _ = shown.set_username("");
    }
    shown.set_query(None);
    shown.as_str().trim_end_matches('/').to_owned()
}

/// A URL as it is, a plain path as a `file:` URL, besides the path itself.
fn parse(text: &str) -> Result<(Url, Option<PathBuf>)> {
    if text.is_empty() {
        return Err(Error::invalid("a store needs a URL or a path, not an empty string"));
    }
    if text.contains("://") {
        let url = Url::parse(text).map_err(|e| Error::invalid(format_args!("not a URL: {e}: {text:?}")))?;
        return Ok((url, None));
    }
    let path = std::path::absolute(Path::new(text))
        .map_err(|e| Error::invalid(format_args!("{text}: cannot be made an absolute path: {e}")))?;
    let url = Url::from_file_path(&path)
        .map_err(|()| Error::invalid(format_args!("{text}: not a path that has a URL")))?;
    Ok((url, Some(path)))
}

fn local(url: &Url, path: Option<PathBuf>, options: &BTreeMap<String, String>) -> Result<Backend> {
    if let Some(option) = options.keys().next() {
        return Err(Error::invalid(format_args!("{url}: unknown option {option:?}: file stores have none")));
    }
    let from_url = |()| Error::invalid(format_args!("{url}: not an absolute path on this machine"));
    let root = path.map_or_else(|| url.to_file_path().map_err(from_url), Ok)?;
    Ok(Backend::Local(LocalStore::new(root)))
}
