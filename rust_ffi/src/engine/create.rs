//! Making arrays, and changing their metadata.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::array::{Array, normalised_path};
use super::budget::{BytesPermit, Turn};
use super::error::{Error, Result, Status};
use super::open::{get_metadata, join, stored_metadata, without_bare_numbers};
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
/// outside are erased. What somebody else has changed of the three meanwhile stays, except for what is changed here.
/// Completes with the new [`Output::Array`].
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
    edit(store, array.path(), Change::Update { old: array.clone(), new }, on_complete)
}

/// The members of metadata that can be changed.
const CHANGEABLE: [&str; 3] = ["shape", "attributes", "dimension_names"];

/// What of the metadata cannot be changed.
fn fixed(json: &str) -> Result<Members> {
    let mut members = members(json)?;
    members.retain(|name, _| !CHANGEABLE.contains(&&**name));
    Ok(members)
}

type Members = Map<String, Value>;

fn members(json: &str) -> Result<Members> {
    serde_json::from_str(&without_bare_numbers(json)).map_err(Error::invalid)
}

/// What `old` becomes by the change from `old` to `new`, when it has become `stored` in the meantime: each member, and
/// each attribute, that `new` has otherwise than `old`.
fn merged(old: &Members, new: &Members, stored: Members) -> Members {
    let attributes = |members: &Members| members.get("attributes").and_then(Value::as_object).cloned();
    let (before, after) = (attributes(old).unwrap_or_default(), attributes(new).unwrap_or_default());
    let present = attributes(&stored).unwrap_or_default();
    let mut merged = changed(old, new, stored);
    merged.insert("attributes".to_owned(), changed(&before, &after, present).into());
    merged
}

/// `into` with every member that `new` has otherwise than `old`.
fn changed(old: &Members, new: &Members, mut into: Members) -> Members {
    for (name, value) in new.iter().filter(|(name, value)| old.get(*name) != Some(value)) {
        into.insert(name.clone(), value.clone());
    }
    into.retain(|name, _| new.contains_key(name) || !old.contains_key(name));
    into
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
    let mut zarray = members(json)?;
    let attributes = zarray.remove("attributes").unwrap_or_else(|| Map::new().into());
    let text = |value: &Value| serde_json::to_vec_pretty(value).map(Bytes::from).map_err(Error::invalid);
    Ok(vec![(".zattrs", text(&attributes)?), (".zarray", text(&zarray.into())?)])
}

/// The metadata objects of an array: names and contents.
type Documents = Vec<(&'static str, Bytes)>;

/// A change of the node at a path.
enum Change {
    Create { array: Arc<Array>, documents: Documents, overwrite: bool },
    Update { old: Arc<Array>, new: Arc<Array> },
}

/// A change under way.
struct Edit {
    store: Arc<Store>,
    path: String,
    turn: Turn,
    tasks: Tasks,
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
    let (store, path, turn) = (store.clone(), path.to_owned(), Turn::new(0, 0));
    let edit = Edit { store, path, turn, tasks: tasks.clone(), completer };
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
        let address = self.store.address(&join(&self.path, ""));
        let _lock = self.operation().live().locks.lock(address).await;
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
            Change::Update { old, new } => {
                let (old, new) = self.rebased(old, new).await?;
                self.put(documents(&new)?).await?;
                let mut sizes = old.grid_shape().iter().zip(new.grid_shape());
                if sizes.any(|(old, new)| new < old) {
                    self.erase(|key| is_outside(&old, &new, key)).await?;
                }
                Ok(new)
            }
        }
    }

    /// The array as it is now, and as it is to be by the change from `old` to `new`.
    async fn rebased(&self, old: Arc<Array>, new: Arc<Array>) -> Result<(Arc<Array>, Arc<Array>)> {
        let stored = stored_metadata(&self.store, &self.path, old.zarr_format(), self.operation()).await?;
        let (before, now) = (members(old.metadata_json())?, members(&stored)?);
        if now == before {
            return Ok((old, new));
        }
        if fixed(&stored)? != fixed(old.metadata_json())? {
            let text = "the array that is to be changed is another one by now";
            return Err(Error::new(Status::Conflict, text).with_key(self.store.url(), &self.path));
        }
        let merged = Value::from(merged(&before, &members(new.metadata_json())?, now)).to_string();
        let (store, path) = (self.store.clone(), self.path.clone());
        let array = move |json: &str| Array::from_metadata(&store, &path, json);
        self.tasks.on_pool(0, move || Ok((array(&stored)?, array(&merged)?))).await
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
                let request = Request::new(operation, BytesPermit::default(), request);
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
