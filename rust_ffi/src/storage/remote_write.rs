//! Writing to object stores: a value is put by one request, or in parts above a size, and is there as a whole or as it
//! was before.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{
    Error as StoreError, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    UpdateVersion,
};

use super::remote::{Fetched, Observer, RemoteStore};
use crate::engine::error::{Error, Result, Status};
use crate::engine::runtime::Live;

/// Values of more than so many parts are put in parts.
const PARTS_AT_ONCE: u64 = 4;

/// What must be true of the present value for a put to replace it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    None,
    /// There is none.
    Missing,
    /// It is still this version.
    Version {
        etag: Option<String>,
        version: Option<String>,
    },
}

impl Condition {
    /// That the value is still what `fetched` was.
    pub fn unchanged(fetched: Option<&Fetched>) -> Self {
        fetched.map_or(Self::Missing, |fetched| Self::Version {
            etag: fetched.etag.clone(),
            version: fetched.version.clone(),
        })
    }

    fn mode(self) -> PutMode {
        match self {
            Self::None => PutMode::Overwrite,
            Self::Missing => PutMode::Create,
            Self::Version { etag, version } => PutMode::Update(UpdateVersion { e_tag: etag, version }),
        }
    }
}

impl RemoteStore {
    /// Set the value of `key` to the concatenation of `parts`.
    ///
    /// # Errors
    /// [`Status::Conflict`] when the condition does not hold, [`Status::Io`] when retries did not help.
    pub async fn put(
        &self,
        key: &str,
        parts: Vec<Bytes>,
        condition: Condition,
        live: &Live,
        observer: &impl Observer,
    ) -> Result<()> {
        let (client, path) = (self.client(live)?, self.path(key)?);
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let part_bytes = live.config().put_part_bytes;
        let put = if condition == Condition::None && bytes > part_bytes.saturating_mul(PARTS_AT_ONCE) {
            put_in_parts(&*client.store, &path, parts, part_bytes as usize, observer).await
        } else {
            observer.requested(false);
            let options = PutOptions { mode: condition.mode(), ..Default::default() };
            client.store.put_opts(&path, PutPayload::from_iter(parts), options).await.map(drop)
        };
        put.map_err(|error| self.put_error(key, &error))
    }

    fn put_error(&self, key: &str, error: &StoreError) -> Error {
        match error {
            StoreError::Precondition { .. } | StoreError::AlreadyExists { .. } => {
                self.described(Status::Conflict, key, error).prefixed("changed by somebody else meanwhile: ")
            }
            StoreError::NotImplemented { .. } | StoreError::NotSupported { .. } => {
                self.described(Status::Unsupported, key, error)
            }
            _ => self.error(key, error),
        }
    }

    /// Remove the value of `key`, if there is one.
    pub async fn delete(&self, key: &str, live: &Live, observer: &impl Observer) -> Result<()> {
        let (client, path) = (self.client(live)?, self.path(key)?);
        observer.requested(false);
        match client.store.delete(&path).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(key, &error)),
        }
    }

    /// Every key that begins with `prefix` and a `/` (every key at all, for the empty prefix).
    pub async fn list(&self, prefix: &str, live: &Live, observer: &impl Observer) -> Result<Vec<String>> {
        let (client, path) = (self.client(live)?, self.path(prefix)?);
        observer.requested(false);
        let root = if self.root.as_ref().is_empty() { 0 } else { self.root.as_ref().len() + 1 };
        let under = (!path.as_ref().is_empty()).then_some(&path);
        let keys = client.store.list(under).map_ok(|meta| meta.location.as_ref()[root..].to_owned());
        keys.try_collect().await.map_err(|error| self.error(prefix, &error))
    }

    /// Remove the values of `keys`, in as few requests as the store has for that.
    pub async fn delete_all(&self, keys: Vec<String>, live: &Live, observer: &impl Observer) -> Result<()> {
        let client = self.client(live)?;
        let paths = keys.iter().map(|key| self.path(key)).collect::<Result<Vec<_>>>()?;
        observer.requested(false);
        let mut deleted = client.store.delete_stream(stream::iter(paths).map(Ok).boxed());
        while let Some(one) = deleted.next().await {
            match one {
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(self.error("", &error)),
            }
        }
        Ok(())
    }
}

/// Put a large value in parts of `part_bytes`, some at once. Nothing is left of it when that fails or is given up.
async fn put_in_parts(
    store: &dyn ObjectStore,
    path: &Path,
    parts: Vec<Bytes>,
    part_bytes: usize,
    observer: &impl Observer,
) -> object_store::Result<()> {
    observer.requested(false);
    let mut upload = Upload(Some(store.put_multipart(path).await?));
    // The futures are made in order, which is that of the parts; only their work is done at once.
    let mut puts: Vec<BoxFuture<'_, object_store::Result<()>>> = vec![];
    for part in cut(parts, part_bytes) {
        let put = upload.get().put_part(part);
        let counted = async move {
            observer.requested(false);
            put.await
        };
        puts.push(counted.boxed());
    }
    let put: object_store::Result<()> =
        stream::iter(puts).buffer_unordered(PARTS_AT_ONCE as usize).try_collect().await;
    if let Err(error) = put {
        upload.abort().await;
        return Err(error);
    }
    observer.requested(false);
    let completed = upload.get().complete().await;
    match completed {
        Ok(_) => {
            upload.0 = None;
            Ok(())
        }
        Err(error) => {
            upload.abort().await;
            Err(error)
        }
    }
}

/// An upload in parts, which is aborted if it is dropped before its end.
struct Upload(Option<Box<dyn MultipartUpload>>);

impl Upload {
    fn get(&mut self) -> &mut Box<dyn MultipartUpload> {
        self.0.as_mut().expect("not ended yet")
    }

    async fn abort(&mut self) {
        if let Some(mut upload) = self.0.take() {
            // There is another error to report already; what stays is what the store keeps of such uploads.
            let _ = upload.abort().await;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // A cancelled write cannot wait here: the runtime goes on with it, as long as there is one.
        if let Some(mut upload) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            drop(runtime.spawn(async move { upload.abort().await }));
        }
    }
}

/// Cut a value that comes in pieces into parts of `bytes` each, but for the last, without copying.
fn cut(pieces: Vec<Bytes>, bytes: usize) -> Vec<PutPayload> {
    let (mut parts, mut part, mut room) = (vec![], vec![], bytes);
    for mut piece in pieces {
        while !piece.is_empty() {
            let taken = piece.split_to(room.min(piece.len()));
            room -= taken.len();
            part.push(taken);
            if room == 0 {
                parts.push(std::mem::take(&mut part).into_iter().collect());
                room = bytes;
            }
        }
    }
    if !part.is_empty() {
        parts.push(part.into_iter().collect());
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_one_size_and_all_the_bytes_in_order() {
        for part in [1, 3, 7, 100] {
            let pieces: Vec<Bytes> =
                [0usize, 5, 1, 10, 0, 7].iter().map(|n| Bytes::from(vec![*n as u8; *n])).collect();
            let whole = pieces.concat();
            let parts = cut(pieces, part);
            assert!(parts[..parts.len() - 1].iter().all(|p| p.content_length() == part));
            let joined: Vec<u8> = parts.into_iter().flat_map(|p| Bytes::from(p).to_vec()).collect();
            assert_eq!(joined, whole);
        }
    }
}
