//! Clients of remote stores, shared by all stores of a process that say the same: connections and DNS answers are used
//! again, and TLS roots are loaded once.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use lru::LruCache;
use url::Url;

use super::options::Client;
use crate::engine::error::Result;

/// Clients kept although no store uses them at the moment.
const KEPT: usize = 64;

/// The clients of one process.
pub struct ClientCache(Mutex<LruCache<ClientKey, Arc<Client>>>);

/// What makes two stores' clients the same: the server or bucket, and everything that configures it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientKey {
    bucket: String,
    options: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

impl ClientKey {
    pub fn new(url: &Url, options: &BTreeMap<String, String>) -> Self {
        let mut environment: Vec<_> = super::options::environment(url).collect();
        environment.sort();
        let bucket = url[..url::Position::BeforePath].to_owned();
        Self { bucket, options: options.clone().into_iter().collect(), environment }
    }
}

impl Default for ClientCache {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(NonZeroUsize::new(KEPT).expect("not 0"))))
    }
}

impl ClientCache {
    /// The client for `key`, made from `url` and `options` if there is none.
    pub fn get(&self, key: &ClientKey, url: &Url, options: &BTreeMap<String, String>) -> Result<Arc<Client>> {
        if let Some(client) = self.0.lock().unwrap().get(key) {
            return Ok(client.clone());
        }
        // Without the lock: loading TLS roots takes milliseconds. Two threads may both make one.
        let client = Arc::new(Client::new(url, options)?);
        Ok(self.0.lock().unwrap().get_or_insert(key.clone(), || client).clone())
    }
}
