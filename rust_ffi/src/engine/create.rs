//! Making arrays, and changing their metadata.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::array::{Array, normalised_path};
use super::budget::{BytesPermit, Turn};
use super::error::{Error, Result, Status};
use super::open::{get_metadata, join, without_bare_numbers};
use super::operation::{Completer, OnComplete, Operation, Output};
use super::put::Putter;
use super::remote::Request;
use super::stats::Counter;
use super::tasks::Tasks;
use crate::storage::{Backend, Store};

/// The objects that make a path an array or a group, of either format.
const NODES: [&str; 3] = ["zarr.json", ".zarray", ".zgroup"];

/// Make the array that `json` (of zarr.json; or of .zarray, with "attributes" added) describes. Completes with
/// [`Output::Array`].
///
/// # Errors
/// When the metadata is wrong, or the store is read-only. Later [`Status::Exists`], unless `overwrite` says that
/// whatever is at the path may be erased.
pub fn create_array(
    store: &Arc<Store>,
    path: &str,
    json: &str,
    overwrite: bool,
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    store.check_writable()?;
    let path = normalised_path(path)?;
    let array = Array::from_metadata(store, &path, json)?;
    let documents = documents(&array)?;
    edit(store, &path, Change::Create { array, documents, overwrite }, on_complete)
}

/// Give an array other metadata, which may differ in shape, attributes and names of dimensions. Chunks that then lie
/// outside are erased. Completes with the new [`Output::Array`].
///
/// # Errors
/// When the metadata is wrong or differs in anything else, or the store is read-only.
pub fn update_array(
    array: &Arc<Array>,
    json: &str,
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    let store = array.store();
    store.check_writable()?;
    let new = Array::from_metadata(store, array.path(), json)?;
    if fixed(array.metadata_json())? != fixed(json)? {
        return Err(Error::invalid(format_args!(
            "{}: only the shape, the attributes and the names of dimensions of an array can be changed",
            array.name()
        )));
    }
    let documents = documents(&new)?;
    edit(store, array.path(), Change::Update { old: array.clone(), new, documents }, on_complete)
}

/// What of the metadata cannot be changed.
fn fixed(json: &str) -> Result<Value> {
    let mut value: Value = serde_json::from_str(&without_bare_numbers(json)).map_err(Error::invalid)?;
    for name in ["shape", "attributes", "dimension_names"] {
        value.as_object_mut().and_then(|object| object.remove(name));
    }
    Ok(value)
}

/// Whether `key` is that of a chunk of `old` which has no place in `new`.
fn is_outside(old: &Array, new: &Array, key: &str) -> bool {
    let ndim = old.shape().len();
    let mut cell: Vec<u64> = key.rsplit(['/', '.']).map_while(|part| part.parse().ok()).take(ndim).collect();
    cell.reverse();
    cell.len() == ndim
        && old.chunk_key(&cell) == key
        && cell.iter().zip(new.grid_shape()).any(|(index, count)| index >= count)
}

/// The metadata objects of an array, the one that makes it an array last.
fn documents(array: &Array) -> Result<Documents> {
    let json = array.metadata_json();
    if array.zarr_format() == 3 {
        return Ok(vec![("zarr.json", Bytes::from(json.to_owned()))]);
    }
    let mut zarray: Map<String, Value> =
        serde_json::from_str(&without_bare_numbers(json)).map_err(Error::invalid)?;
    let attributes = zarray.remove("attributes").unwrap_or_else(|| Map::new().into());
    let text = |value: &Value| serde_json::to_vec_pretty(value).map(Bytes::from).map_err(Error::invalid);
    Ok(vec![(".zattrs", text(&attributes)?), (".zarray", text(&zarray.into())?)])
}

/// The metadata objects of an array: names and contents.
type Documents = Vec<(&'static str, Bytes)>;

/// A change of the node at a path.
enum Change {
    Create { array: Arc<Array>, documents: Documents, overwrite: bool },
    Update { old: Arc<Array>, new: Arc<Array>, documents: Documents },
}

/// A change under way.
struct Edit {
    store: Arc<Store>,
    path: String,
    turn: Turn,
    completer: Completer,
}

fn edit(
    store: &Arc<Store>,
    path: &str,
    change: Change,
    on_complete: Option<OnComplete>,
) -> Result<Arc<Operation>> {
    let live = store.runtime().live();
    let tasks = Tasks::new(&live, store.is_remote())?;
    let (operation, completer) = Operation::start(live, on_complete)?;
    let edit = Edit { store: store.clone(), path: path.to_owned(), turn: Turn::new(0, 0), completer };
    tasks.spawn(0, async move {
        let token = edit.operation().token().clone();
        let changed = token.run_until_cancelled(edit.make(change)).await;
        let changed = changed.map(|made| made.map(|array| edit.completer.set_output(Output::Array(array))));
        edit.operation().settle(changed, |error| error.with_key(edit.store.url(), &edit.path));
    });
    Ok(operation)
}

impl Edit {
    fn operation(&self) -> &Arc<Operation> {
        self.completer.operation()
    }

    async fn make(&self, change: Change) -> Result<Arc<Array>> {
        // One change of a node at a time.
        let (locks, key) = (&self.operation().live().locks, join(&self.path, ""));
        let _lock = locks.lock(self.store.url(), &key).await;
        match change {
            Change::Create { array, documents, overwrite } => {
                match self.existing().await? {
                    Some(key) if !overwrite => {
                        let text = "there is an array or a group already";
                        return Err(Error::new(Status::Exists, text).with_key(self.store.url(), &key));
                    }
                    _ if overwrite => self.erase(|_| true).await?,
                    _ => {}
                }
                self.put(documents).await?;
                Ok(array)
            }
            Change::Update { old, new, documents } => {
                self.put(documents).await?;
                let mut sizes = old.grid_shape().iter().zip(new.grid_shape());
                if sizes.any(|(old, new)| new < old) {
                    self.erase(|key| is_outside(&old, &new, key)).await?;
                }
                Ok(new)
            }
        }
    }

    /// The key of the object that makes the path an array or a group.
    async fn existing(&self) -> Result<Option<String>> {
        for name in NODES {
            let key = join(&self.path, name);
            if get_metadata(&self.store, &key, self.operation()).await?.is_some() {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    async fn put(&self, documents: Documents) -> Result<()> {
        for (name, bytes) in documents {
            let key = join(&self.path, name);
            let putter = Putter { operation: self.operation(), turn: &self.turn, key: &key, sync: false };
            let put = putter.set(&self.store, Some(bytes)).await;
            put.map_err(|error| error.with_key(self.store.url(), &key))?;
        }
        Ok(())
    }

    /// Erase what is under the path and `chosen`.
    async fn erase(&self, chosen: impl Fn(&str) -> bool) -> Result<()> {
        let (operation, live) = (self.operation(), self.operation().live());
        match self.store.backend() {
            Backend::Local(store) => {
                let keys = store.list(&self.path)?;
                for key in metadata_first(keys.into_iter().filter(|key| chosen(key)).collect()) {
                    if operation.skip() {
                        return Err(Error::cancelled());
                    }
                    operation.count(Counter::Deletes, 1);
                    store.delete(&key, false)?;
                }
                store.prune(&self.path);
                Ok(())
            }
            Backend::Remote(store) => {
                let request = self.turn.wait_request(&live.budget).await;
                let request = Request::new(operation, BytesPermit::default(), request, 0);
                let keys = store.list(&self.path, live, &request).await?;
                let keys = metadata_first(keys.into_iter().filter(|key| chosen(key)).collect());
                operation.count(Counter::Deletes, keys.len() as u64);
                for key in &keys {
                    live.indexes.forget(self.store.id(), key);
                }
                if keys.is_empty() { Ok(()) } else { store.delete_all(keys, live, &request).await }
            }
        }
    }
}

/// Metadata goes first: who reads meanwhile finds no array rather than a part of one.
fn metadata_first(mut keys: Vec<String>) -> Vec<String> {
    keys.sort_by_key(|key| !NODES.iter().any(|name| key.ends_with(name)));
    keys
}
