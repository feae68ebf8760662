//! Stores: where the bytes are. A URL becomes a [`Store`], without any I/O.

mod local;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use url::Url;

use crate::engine::error::{Error, Result};
use crate::engine::runtime::Runtime;

pub use local::{LocalFile, LocalStore};

/// A place with keys and values, opened by URL.
pub struct Store {
    runtime: Arc<Runtime>,
    url: String,
    backend: Backend,
}

/// How a store is read.
pub enum Backend {
    /// By threads that wait for the file system.
    Local(LocalStore),
}

impl Store {
    /// Open the store that `url` (or a plain path) names. No I/O.
    ///
    /// # Errors
    /// When the URL or an option is not understood.
    pub fn open(runtime: &Arc<Runtime>, url: &str, options: &BTreeMap<String, String>) -> Result<Arc<Self>> {
        let parsed = parse(url)?;
        let backend = match parsed.scheme() {
            "file" => local(&parsed, options)?,
            scheme => {
                return Err(Error::unsupported(format_args!("{url}: no store for URL scheme {scheme:?}; known: file")));
            }
        };
        Ok(Arc::new(Self { runtime: runtime.clone(), url: parsed.as_str().trim_end_matches('/').to_owned(), backend }))
    }

    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }

    /// The normalised URL, without secrets.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn backend(&self) -> &Backend {
        &self.backend
    }
}

/// A URL as it is, a plain path as a `file:` URL.
fn parse(text: &str) -> Result<Url> {
    if text.is_empty() {
        return Err(Error::invalid("a store needs a URL or a path, not an empty string"));
    }
    if text.contains("://") {
        return Url::parse(text).map_err(|e| Error::invalid(format_args!("{text}: not a URL: {e}")));
    }
    let path = std::path::absolute(Path::new(text))
        .map_err(|e| Error::invalid(format_args!("{text}: cannot be made an absolute path: {e}")))?;
    Url::from_file_path(&path).map_err(|()| Error::invalid(format_args!("{text}: not a path that has a URL")))
}

fn local(url: &Url, options: &BTreeMap<String, String>) -> Result<Backend> {
    if let Some(option) = options.keys().next() {
        return Err(Error::invalid(format_args!("{url}: unknown option {option:?}: file stores have none")));
    }
    let root = url
        .to_file_path()
        .map_err(|()| Error::invalid(format_args!("{url}: not an absolute path on this machine")))?;
    Ok(Backend::Local(LocalStore::new(root)))
}
