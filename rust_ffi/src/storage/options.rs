//! URLs and options of remote stores, as object_store names them, turned into its clients.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig};
use url::{Position, Url};

use crate::engine::error::{Error, Result};

/// A connection pool to one store.
pub struct Client {
    pub store: Arc<dyn ObjectStore>,
    /// Whether a range may be counted from the value's end.
    pub takes_suffixes: bool,
}

/// The part of a URL's path that lies in the bucket, or on the server.
pub fn root(url: &Url) -> Result<Path> {
    if url.query().is_some() || url.fragment().is_some() {
        let shown = super::display_url(url);
        return Err(Error::invalid(format_args!("{shown}: a store's URL cannot have a query or a fragment")));
    }
    if url.scheme() == "memory" {
        return Ok(Path::default());
    }
    let (_, path) = ObjectStoreScheme::parse(url).map_err(|e| invalid(url, &e))?;
    Ok(path)
}

fn invalid(url: &Url, error: &dyn std::fmt::Display) -> Error {
    Error::invalid(format_args!("{}: {error}", super::display_url(url)))
}

/// The environment's variables that concern stores of this scheme.
pub fn environment(url: &Url) -> impl Iterator<Item = (String, String)> {
    let prefixes: &[&str] = match url.scheme() {
        "s3" | "s3a" => &["AWS_"],
        "gs" => &["GOOGLE_", "SERVICE_ACCOUNT"],
        "az" | "adl" | "azure" | "abfs" | "abfss" => &["AZURE_", "MSI_ENDPOINT", "IDENTITY_"],
        _ => &[],
    };
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os()
        .filter_map(text)
        .filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)))
}

/// Apply the environment's options, then the user's, then what is ours.
macro_rules! configured {
    ($builder:expr, $url:expr, $options:expr) => {{
        let options: &Options<'_> = $options;
        let mut builder = $builder.with_retry(options.retry.clone());
        if let Some(client) = &options.client {
            builder = builder.with_client_options(client.clone());
        }
        for (name, value) in environment($url) {
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        for (name, value) in &options.rest {
            let key = name.to_ascii_lowercase().parse().map_err(|_| unknown($url, name))?;
            builder = builder.with_config(key, *value);
        }
        builder
    }};
}

impl Client {
    /// Make a client. No I/O.
    ///
    /// # Errors
    /// When an option is unknown or its value is wrong.
    pub fn new(url: &Url, options: &BTreeMap<String, String>) -> Result<Self> {
        if url.scheme() == "memory" {
            if let Some(name) = options.keys().next() {
                return Err(unknown(url, name));
            }
            return Ok(Self { store: memory(url.host_str().unwrap_or_default()), takes_suffixes: true });
        }
        let options = Options::new(url, options)?;
        let (scheme, _) = ObjectStoreScheme::parse(url).map_err(|e| invalid(url, &e))?;
        let failed = |e| invalid(url, &e);
        let store: Arc<dyn ObjectStore> = match scheme {
            ObjectStoreScheme::AmazonS3 => {
                let builder = AmazonS3Builder::new().with_url(url.as_str());
                Arc::new(configured!(builder, url, &options).build().map_err(failed)?)
            }
            ObjectStoreScheme::GoogleCloudStorage => {
                let builder = GoogleCloudStorageBuilder::new().with_url(url.as_str());
                Arc::new(configured!(builder, url, &options).build().map_err(failed)?)
            }
            ObjectStoreScheme::MicrosoftAzure => {
                let builder = MicrosoftAzureBuilder::new().with_url(url.as_str());
                let store = configured!(builder, url, &options).build().map_err(failed)?;
                return Ok(Self { store: Arc::new(store), takes_suffixes: false });
            }
            ObjectStoreScheme::Http => {
                let allow_http = object_store::ClientConfigKey::AllowHttp;
                let builder = HttpBuilder::new().with_url(&url[..Position::BeforePath]);
                let builder = configured!(builder, url, &options);
                Arc::new(builder.with_config(allow_http, "true").build().map_err(failed)?)
            }
            other => {
                return Err(Error::unsupported(format_args!("{url}: no store for {other:?}")));
            }
        };
        Ok(Self { store, takes_suffixes: true })
    }
}

/// In-memory stores are shared by name within a process; the nameless one is always new.
fn memory(name: &str) -> Arc<InMemory> {
    static NAMED: Mutex<Option<HashMap<String, Arc<InMemory>>>> = Mutex::new(None);
    if name.is_empty() {
        return Arc::default();
    }
    let mut named = NAMED.lock().unwrap();
    named.get_or_insert_default().entry(name.to_owned()).or_default().clone()
}

/// A user's options, sorted.
struct Options<'a> {
    retry: RetryConfig,
    /// With headers for every request, if there are any.
    client: Option<ClientOptions>,
    /// object_store's.
    rest: Vec<(&'a str, &'a str)>,
}

impl<'a> Options<'a> {
    fn new(url: &Url, options: &'a BTreeMap<String, String>) -> Result<Self> {
        let mut sorted = Self { retry: RetryConfig::default(), client: None, rest: vec![] };
        let mut headers = HeaderMap::new();
        for (name, value) in options {
            let wrong = |what: &str| {
                let url = super::display_url(url);
                Error::invalid(format_args!("{url}: option {name:?} must be {what}, not {value:?}"))
            };
            let seconds = || {
                let text = value.trim().trim_end_matches('s');
                text.parse()
                    .ok()
                    .and_then(|s| Duration::try_from_secs_f64(s).ok())
                    .ok_or_else(|| wrong("seconds"))
            };
            match name.as_str() {
                "max_retries" => sorted.retry.max_retries = value.parse().map_err(|_| wrong("a number"))?,
                "retry_timeout" => sorted.retry.retry_timeout = seconds()?,
                "init_backoff" => sorted.retry.backoff.init_backoff = seconds()?,
                "max_backoff" => sorted.retry.backoff.max_backoff = seconds()?,
                _ => match name.strip_prefix("header.") {
                    Some(header) => {
                        let header: HeaderName = header.parse().map_err(|_| unknown(url, name))?;
                        let value: HeaderValue = value.parse().map_err(|_| {
                            // Without the value: headers are where tokens go.
                            let url = super::display_url(url);
                            Error::invalid(format_args!("{url}: the value of {name:?} cannot be in a header"))
                        })?;
                        headers.insert(header, value);
                    }
                    None => sorted.rest.push((name, value)),
                },
            }
        }
        sorted.client = (!headers.is_empty()).then(|| ClientOptions::new().with_default_headers(headers));
        Ok(sorted)
    }
}

fn unknown(url: &Url, name: &str) -> Error {
    let url = super::display_url(url);
    Error::invalid(format_args!(
        "{url}: unknown option {name:?}; known are object_store's configuration keys for this scheme, max_retries, \
         retry_timeout, init_backoff, max_backoff and header.NAME"
    ))
}
