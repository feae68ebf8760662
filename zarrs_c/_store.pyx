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
        self._address = _address(url)
        self._options = _options_json(storage_options)
        address = _utf8(self._address, "a store's URL or path")
        cdef const char *c_address = address
        cdef const char *c_options = NULL
        if self._options is not None:
            c_options = self._options
        status = zrc_store_open(runtime(), c_address, c_options, &self.ptr, &error)
        check(status, error)

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
    if not isinstance(url, (str, os.PathLike)):
        raise TypeError(f"a store is a URL, a path or a zarrs_c.Store, not {type(url).__name__}")
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

    url: a path, or `file:///folder`, `s3://bucket/prefix`, `gs://`, `az://`, `abfs(s)://`, `http(s)://`,
    `memory://name`, as far as this build knows the scheme.
    storage_options: a mapping of strings to strings, keyed as object_store's own configuration keys.

    Raises InvalidError (malformed URL or option), UnsupportedError (scheme).
    """
    return Store(url, storage_options)
