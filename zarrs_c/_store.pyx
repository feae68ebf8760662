"""Stores: where arrays are."""

import os

cimport cython
from zarrs_c._capi cimport zrc_error, zrc_status, zrc_store_open, zrc_store_release, zrc_store_url
from zarrs_c._runtime cimport runtime
from zarrs_c._status cimport check, text

cdef object _GIVEN = object()  # known to `wrap_store` alone


@cython.final
cdef class Store:
    """A store, opened by URL without any I/O, to be shared by many arrays. Made by `open_store`.

    Safe to share between loops and threads, and picklable (with its options, secrets included).
    """

    def __cinit__(self, url, storage_options=None):
        cdef zrc_error *error = NULL
        cdef zrc_status status
        if url is _GIVEN:
            return
        if not isinstance(url, (str, bytes, os.PathLike)):
            self._open_object(url, storage_options)
            return
        self._address = _address(url)
        self._options = _options_json(storage_options)
        address = _utf8(self._address, "a store's URL or path")
        cdef const char *c_address = address
        cdef const char *c_options = NULL
        if self._options is not None:
            c_options = self._options
        status = zrc_store_open(runtime(), c_address, c_options, &self.ptr, &error)
        check(status, error)

    cdef int _open_object(self, object store, object storage_options) except -1:
        from zarrs_c._host_objects import adapt

        adapter = adapt(store)
        if adapter is None:
            raise TypeError(
                "a store is a URL, a path, a zarrs_c.Store or an object with a method `get` (see open_store), "
                f"not {type(store).__name__}"
            )
        if storage_options is not None:
            raise TypeError("storage_options belong to a URL: a Python object is a store as it is")
        from zarrs_c._host import host_store

        name = "".join([c if c.isalnum() and c.isascii() or c in "._-" else "-" for c in type(store).__name__])
        self._address, self._is_object = store, True
        self.ptr = <zrc_store *><size_t>host_store(adapter, f"python:{name}")
        return 0

    def __dealloc__(self):
        zrc_store_release(self.ptr)

    @property
    def url(self):
        """The store's URL, normalised, without any secret."""
        return text(zrc_store_url(self.ptr))

    def __repr__(self):
        return f"<zarrs_c.Store {self.url}>"

    def __reduce__(self):
        if self._address is None:
            raise TypeError(f"{self!r} was opened by another library: it cannot be pickled")
        return _rebuild, (self._address, self._options)


def _rebuild(address, options):
    import json

    return Store(address, None if options is None else json.loads(options))


cdef Store wrap_store(zrc_store *ptr):
    """A Store that owns `ptr`, which something other than Python has opened."""
    cdef Store store = Store.__new__(Store, _GIVEN)
    store.ptr = ptr
    return store


cdef object _address(object url):
    """A URL as it is; a path made absolute, since the store may outlive the current folder."""
    if isinstance(url, bytes):
        url = os.fsdecode(url)
    if not isinstance(url, str):
        return os.path.abspath(os.fsdecode(url))
    if "://" in url:
        return url
    if not url:
        raise ValueError("a store's URL or path must not be empty")
    return os.path.abspath(url)


cdef bytes _options_json(object options):
    if options is None:
        return None
    import json

    options = dict(options)
    for key, value in options.items():
        if not isinstance(key, str) or not isinstance(value, str):
            # The value may be a secret: only its type is told.
            raise TypeError(
                f"storage_options must map strings to strings, not {key!r} to {type(value).__name__}"
            )
    return json.dumps(options).encode("ascii")


cdef bytes _utf8(str given, str what):
    try:
        encoded = given.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{what} must be valid Unicode, not {ascii(given)}") from None
    if b"\0" in encoded:
        raise ValueError(f"{what} must not contain a NUL character")
    return encoded


cdef Store as_store(object store, object storage_options):
    if not isinstance(store, Store):
        return Store(store, storage_options)
    if storage_options is not None:
        raise TypeError("storage_options belong to open_store: an open Store has its own")
    return store


def open_store(url, storage_options=None):
    """Open a store, without any I/O.

    url: a path, `file:///folder`, `s3://bucket/prefix`, `gs://`, `az://`, `abfs(s)://`, `http(s)://`,
    `memory://name`, as far as this build knows the scheme.
    storage_options: a mapping of strings to strings, keyed as object_store's own configuration keys.

    A Python object can stand instead of a URL: a store of obstore's, or whatever has these methods, each plain
    or `async`. Plain ones are called on threads of their own, async ones on one loop of a thread that all such
    stores share, never on yours.

    - `get(key)`: the value's bytes, in anything with the buffer protocol; None or KeyError for none;
    - `get_range(key, *, start, end)` or `get_ranges(key, *, starts, ends)`, and `head(key)`, which gives the
      size (an int, or a mapping with "size"): so that parts of a value can be read without the whole;
    - `put(key, data)`, `delete(key)` and `list(prefix)`, which gives keys, or pairs of a key and a size, in an
      iterable, also an asynchronous one.

    What a method raises is the read's StorageError. Such a store works in the process that made it; it can be
    pickled if the object can.

    Raises InvalidError (malformed URL or option), UnsupportedError (scheme).
    """
    return Store(url, storage_options)


cdef int check_blocking(Store store) except -1:
    """A blocking call on the thread that answers for Python's stores would wait for itself."""
    if store._is_object:
        from zarrs_c._host import check_thread

        check_thread()
    return 0
