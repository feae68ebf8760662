//! Stores of the host's own: its callbacks as a [`Host`], and the requests that it answers.

use std::ffi::{CStr, CString, c_char, c_void};
use std::fmt;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use object_store::GetRange;

use super::completion::{
    ZRC_COMPLETION_CANCEL_REQUESTED, ZRC_COMPLETION_REQUEST, ZRC_COMPLETION_STORE_END, zrc_completion,
};
use super::error::{ZRC_OK, zrc_error, zrc_status, zrc_str};
use super::layout::{self, versioned};
use super::pointers::{self, Place};
use super::queue::Queue;
use super::runtime::zrc_runtime;
use super::store::zrc_store;
use super::{guard, io};
use crate::engine::error::{Error, Result, Status};
use crate::engine::fork;
use crate::storage::{Answer, Ask, Host, Reply, Store};

pub const ZRC_REQUEST_GET: u32 = 1;
pub const ZRC_REQUEST_SIZE: u32 = 2;
pub const ZRC_REQUEST_LIST: u32 = 3;
pub const ZRC_REQUEST_PUT: u32 = 4;
pub const ZRC_REQUEST_ERASE: u32 = 5;

pub const ZRC_REQUEST_SUFFIX: u32 = 1;

pub const ZRC_STORE_NO_SUFFIX: u32 = 1;

/// What the host may read of a request.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_request {
    pub struct_size: usize,
    pub kind: u32,
    pub flags: u32,
    pub tag: u64,
    pub key: zrc_str,
    pub offset: u64,
    pub length: u64,
    pub data: *const c_void,
    pub nbytes: usize,
}

pub type zrc_request_fn = Option<unsafe extern "C" fn(ctx: *mut c_void, request: *mut zrc_request)>;
pub type zrc_drop_fn = Option<unsafe extern "C" fn(ctx: *mut c_void)>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_store_callbacks {
    pub struct_size: usize,
    pub tag: u64,
    pub ctx: *mut c_void,
    pub get: zrc_request_fn,
    pub size: zrc_request_fn,
    pub list: zrc_request_fn,
    pub put: zrc_request_fn,
    pub erase: zrc_request_fn,
    pub cancel: zrc_request_fn,
    pub drop: zrc_drop_fn,
    pub url: *const c_char,
    pub flags: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_entry {
    pub key: *const c_char,
    pub size: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct zrc_answer {
    pub struct_size: usize,
    pub status: zrc_status,
    pub flags: u32,
    pub message: *const c_char,
    pub data: *const c_void,
    pub nbytes: usize,
    pub size: u64,
    pub etag: *const c_char,
    pub entries: *const zrc_entry,
    pub count: usize,
}
versioned!(zrc_answer);
// SAFETY: `repr(C)`; integers, raw pointers, and function pointers that may be NULL.
unsafe impl layout::Plain for zrc_store_callbacks {}
// SAFETY: as above, and `struct_size` is the first field (asserted below).
unsafe impl layout::Versioned for zrc_store_callbacks {}
const _: () = assert!(std::mem::offset_of!(zrc_store_callbacks, struct_size) == 0);

/// The host's callbacks. The last request or store that lets go of them drops the host's `ctx`.
struct Callbacks {
    table: zrc_store_callbacks,
    generation: u64,
    /// The store was made: before, the host's `ctx` is not ours to drop.
    made: AtomicBool,
    /// Keeps the queue that `ctx` points to.
    queue: Option<Arc<Queue>>,
}

// SAFETY: the header says that the callbacks are called with `ctx` on threads of the library (the rule *lending*); no
// other pointer of the table is used after `zrc_store_from_callbacks`.
unsafe impl Send for Callbacks {}
// SAFETY: as above: several at once.
unsafe impl Sync for Callbacks {}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host's callbacks")
    }
}

impl Callbacks {
    fn of(&self, ask: &Ask) -> zrc_request_fn {
        match ask {
            Ask::Get { .. } => self.table.get,
            Ask::Size { .. } => self.table.size,
            Ask::List { .. } => self.table.list,
            Ask::Put { .. } => self.table.put,
            Ask::Erase { .. } => self.table.erase,
        }
    }
}

impl Drop for Callbacks {
    fn drop(&mut self) {
        // What a child inherits is a copy: the original is the parent's to drop.
        if !*self.made.get_mut() || self.generation != fork::generation() {
            return;
        }
        if let Some(queue) = &self.queue {
            let end = zrc_completion::of_request(ptr::null_mut(), self.table.tag, ZRC_COMPLETION_STORE_END);
            let _ = queue.push(end);
        }
        if let Some(drop) = self.table.drop {
            // SAFETY: the rule *lending*: `ctx` lives until this call.
            unsafe { drop(self.table.ctx) };
        }
    }
}

/// A request in the host's hands. What C sees of it comes first, so a pointer to one is a pointer to the other.
#[repr(C)]
struct Request {
    public: zrc_request,
    reply: Mutex<Option<Reply>>,
    /// `zrc_queue_request` has had it: the next time, it is to be cancelled.
    queued: AtomicBool,
    cancelled: AtomicBool,
    callbacks: Arc<Callbacks>,
    /// What `public` points to.
    _key: CString,
    _value: Bytes,
}

// SAFETY: the pointers of `public` lead to what the request owns and nobody changes.
unsafe impl Send for Request {}
// SAFETY: as above.
unsafe impl Sync for Request {}

impl Request {
    fn new(ask: Ask, reply: Reply, callbacks: Arc<Callbacks>) -> Result<Self> {
        let (mut flags, mut offset, mut length, mut value) = (0, 0, 0, Bytes::new());
        let (kind, key) = match ask {
            Ask::Get { key, range } => {
                (flags, offset, length) = match range {
                    None => (0, 0, u64::MAX),
                    Some(GetRange::Offset(start)) => (0, start, u64::MAX - start),
                    Some(GetRange::Bounded(range)) => (0, range.start, range.end.saturating_sub(range.start)),
                    Some(GetRange::Suffix(n)) => (ZRC_REQUEST_SUFFIX, 0, n),
                };
                (ZRC_REQUEST_GET, key)
            }
            Ask::Size { key } => (ZRC_REQUEST_SIZE, key),
            Ask::List { prefix } => (ZRC_REQUEST_LIST, prefix),
            Ask::Put { key, value: bytes } => {
                value = bytes;
                (ZRC_REQUEST_PUT, key)
            }
            Ask::Erase { key } => (ZRC_REQUEST_ERASE, key),
        };
        let len = key.len();
        let key = CString::new(key).map_err(|_| Error::invalid("a key with a NUL in it"))?;
        let public = zrc_request {
            struct_size: size_of::<zrc_request>(),
            kind,
            flags,
            tag: callbacks.table.tag,
            key: zrc_str { ptr: key.as_ptr(), len },
            offset,
            length,
            data: value.as_ptr().cast(),
            nbytes: value.len(),
        };
        Ok(Self {
            public,
            reply: Mutex::new(Some(reply)),
            queued: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            callbacks,
            _key: key,
            _value: value,
        })
    }

    fn take_reply(&self) -> Option<Reply> {
        self.reply.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Tell the host, if it cares, that nobody waits for the answer.
    fn cancel(self: &Arc<Self>) {
        self.cancelled.store(true, Ordering::Release);
        if let Some(cancel) = self.callbacks.table.cancel {
            // SAFETY: the rule *lending*; the request lives for the call.
            unsafe { cancel(self.callbacks.table.ctx, Arc::as_ptr(self).cast_mut().cast()) };
        }
    }
}

/// As [`Host::ask`] needs it: with the references that requests take.
#[derive(Debug)]
struct CHost(Arc<Callbacks>);

impl Host for CHost {
    fn takes(&self, ask: &Ask) -> bool {
        self.0.of(ask).is_some()
    }

    fn ask(&self, ask: Ask, reply: Reply) -> Box<dyn FnOnce() + Send> {
        let call = self.0.of(&ask).expect("asked only for what it takes");
        // A key with a NUL drops the reply, which is an answer.
        let Ok(request) = Request::new(ask, reply, self.0.clone()) else { return Box::new(|| ()) };
        let request = Arc::new(request);
        // Weak, since the host's letting go of the request must be noticed.
        let known = Arc::downgrade(&request);
        // SAFETY: the rule *lending*: `ctx` lives until `drop`. The host gets the reference.
        unsafe { call(self.0.table.ctx, pointers::give(request).cast()) };
        Box::new(move || {
            if let Some(request) = known.upgrade() {
                request.cancel();
            }
        })
    }
}

/// Copy what the host answers.
///
/// # Safety
/// The rules *pointers*, *strings* and *structs*.
unsafe fn answer(request: &Request, reply: &Reply, answer: *const zrc_answer) -> Result<Answer> {
    // SAFETY: the caller's promises.
    unsafe {
        pointers::borrow(answer, "answer")?;
        let answer = layout::options(answer, "answer")?;
        io::check_flags(answer.flags, 0, "answer.flags")?;
        if answer.status != ZRC_OK {
            let status = Status::of_number(answer.status).unwrap_or(Status::Io);
            let message = match answer.message.is_null() {
                true => format!("the host answered {}", super::error::name(answer.status).to_string_lossy()),
                false => CStr::from_ptr(answer.message).to_string_lossy().into_owned(),
            };
            return Err(Error::new(status, message));
        }
        let mut copied = Answer::default();
        if !answer.etag.is_null() {
            copied.etag = Some(pointers::text(answer.etag, "answer.etag")?.to_owned());
        }
        match request.public.kind {
            ZRC_REQUEST_GET => {
                let data = pointers::vector(answer.data.cast::<u8>(), answer.nbytes, "answer.data")?;
                copied.data = reply.copy(data)?;
                copied.size = (answer.size != 0).then_some(answer.size);
            }
            ZRC_REQUEST_SIZE => copied.size = Some(answer.size),
            ZRC_REQUEST_LIST => {
                for entry in pointers::vector(answer.entries, answer.count, "answer.entries")? {
                    let key = pointers::text(entry.key, "answer.entries[].key")?;
                    copied.entries.push((key.to_owned(), entry.size));
                }
            }
            _ => {}
        }
        Ok(copied)
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_store_from_callbacks(
    runtime: *mut zrc_runtime,
    callbacks: *const zrc_store_callbacks,
    out: *mut *mut zrc_store,
    error: *mut *mut zrc_error,
) -> zrc_status {
    let body = || {
        // SAFETY: the rules *handles*, *pointers* and *structs*.
        let (runtime, table, out) = unsafe {
            let runtime = pointers::share(runtime, "runtime")?;
            pointers::borrow(callbacks, "callbacks")?;
            (runtime, layout::options(callbacks, "callbacks")?, Place::required(out, "out")?)
        };
        if table.flags & !u64::from(ZRC_STORE_NO_SUFFIX) != 0 {
            return Err(Error::invalid(format_args!("callbacks.flags has unknown bits: {:#x}", table.flags)));
        }
        if table.get.is_none() {
            return Err(Error::invalid("callbacks.get must not be NULL"));
        }
        let takes_suffixes = table.flags & u64::from(ZRC_STORE_NO_SUFFIX) == 0;
        if !takes_suffixes && table.size.is_none() {
            return Err(Error::invalid("callbacks.size must not be NULL with ZRC_STORE_NO_SUFFIX"));
        }
        let url = match table.url.is_null() {
            true => "host:",
            // SAFETY: the rule *strings*.
            false => unsafe { pointers::text(table.url, "callbacks.url") }?,
        };
        let mut all = [table.get, table.size, table.list, table.put, table.erase, table.cancel].into_iter();
        let queue = match all.any(is_queue) {
            false => None,
            // SAFETY: the header asks for a queue as the `ctx` of this function; the rule *handles*.
            true => Some(unsafe { pointers::share(table.ctx.cast::<Queue>(), "callbacks.ctx (the queue)") }?),
        };
        let generation = fork::generation();
        let callbacks = Arc::new(Callbacks { table, generation, made: AtomicBool::new(false), queue });
        let store = Store::of_host(&runtime, url, Arc::new(CHost(callbacks.clone())), takes_suffixes)?;
        callbacks.made.store(true, Ordering::Release);
        out.put(pointers::give(store));
        Ok(())
    };
    // SAFETY: the rule *pointers*.
    unsafe { guard::status(error, body) }
}

fn is_queue(call: zrc_request_fn) -> bool {
    let ours: unsafe extern "C" fn(*mut c_void, *mut zrc_request) = zrc_queue_request;
    call.is_some_and(|call| ptr::fn_addr_eq(call, ours))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_request_retain(request: *mut zrc_request) {
    // SAFETY: the rule *handles*.
    guard::value((), || unsafe { pointers::retain(request.cast::<Request>()) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_request_release(request: *mut zrc_request) {
    // SAFETY: the rule *handles*.
    guard::value((), || unsafe { pointers::release(request.cast::<Request>()) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_request_cancelled(request: *const zrc_request) -> u32 {
    guard::value(0, || {
        // SAFETY: the rule *handles*.
        let request = unsafe { pointers::borrow(request.cast::<Request>(), "request") };
        request.map_or(0, |request| request.cancelled.load(Ordering::Acquire).into())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_request_answer(
    request: *mut zrc_request,
    answer: *const zrc_answer,
) -> zrc_status {
    guard::bare_status(|| {
        // SAFETY: the rule *handles*.
        unsafe { pointers::borrow(request, "request") }?;
        // SAFETY: the rule *handles*: takes the caller's reference over.
        let request = unsafe { Arc::from_raw(request.cast::<Request>()) };
        let reply = request.take_reply().ok_or_else(|| Error::invalid("the request has been answered"))?;
        // SAFETY: the rules *pointers*, *strings* and *structs*.
        let answer = unsafe { self::answer(&request, &reply, answer) };
        let refused = answer.as_ref().err().filter(|e| e.status == Status::Invalid).cloned();
        reply.send(answer);
        refused.map_or(Ok(()), Err)
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn zrc_queue_request(queue: *mut c_void, request: *mut zrc_request) {
    guard::value((), || {
        // SAFETY: the rule *handles*: a callback gets its `ctx`, a queue, and a request.
        let (Ok(queue), Ok(given)) = (unsafe {
            let given = pointers::borrow(request.cast::<Request>(), "request");
            (pointers::borrow(queue.cast::<Queue>(), "queue"), given)
        }) else {
            return;
        };
        let is_cancel = given.queued.swap(true, Ordering::AcqRel);
        if is_cancel {
            // SAFETY: the rule *handles*; `cancel` only lends the request.
            unsafe { pointers::retain(request.cast::<Request>()) };
        }
        let cancelled = if is_cancel { ZRC_COMPLETION_CANCEL_REQUESTED } else { 0 };
        let item =
            zrc_completion::of_request(request.cast(), given.public.tag, cancelled | ZRC_COMPLETION_REQUEST);
        if queue.push(item).is_err() {
            item.discard();
        }
    });
}
