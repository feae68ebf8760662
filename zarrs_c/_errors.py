"""The exceptions of zarrs_c. Each is an `Error` and also what Python programmers catch for such a failure."""

import builtins
import errno

# The statuses of include/zarrs_c.h, which are permanent.
INVALID = 1
NOT_FOUND = 2
IO = 3
CODEC = 4
UNSUPPORTED = 5
BUFFER = 6
CANCELLED = 7
SHUTDOWN = 8
FORKED = 9
PANIC = 10
TIMEOUT = 11
MEMORY = 12
EXISTS = 13
CONFLICT = 14


class Error(Exception):
    """Base of every error that zarrs_c defines.

    `key` is the store key concerned, such as "t2m/c/0/3/1", or None; `code` is the status of the C ABI
    (`ZRC_E_*`, an int).
    """

    __module__ = "zarrs_c"
    code = 0
    key = None

    def __init__(self, message="", *, key=None, code=None):
        super().__init__(message)
        self.message = message
        self.key = key
        if code is not None:
            self.code = code

    def __reduce__(self):
        return _rebuild, (type(self), self.message, self.key, self.code)


class InvalidError(Error, ValueError):
    """An argument or the array's metadata is wrong."""

    __module__ = "zarrs_c"
    code = INVALID


class NotFoundError(Error, FileNotFoundError):
    """There is no array at that path: nothing, or a group."""

    __module__ = "zarrs_c"
    code = NOT_FOUND

    def __init__(self, message="", *, key=None, code=None):
        super().__init__(message, key=key, code=code)
        self.errno = errno.ENOENT


class StorageError(Error, OSError):
    """The store failed: permissions, network, disk."""

    __module__ = "zarrs_c"
    code = IO


class CodecError(Error, ValueError):
    """Stored bytes do not decode: truncated, corrupted, wrong checksum or length. `key` says which."""

    __module__ = "zarrs_c"
    code = CODEC


class UnsupportedError(Error, NotImplementedError):
    """A data type, codec, URL scheme or feature that this build does not have."""

    __module__ = "zarrs_c"
    code = UNSUPPORTED


class SelectionError(Error, IndexError):
    """A selection that is out of bounds, has too many indices, or is of a kind that is not supported."""

    __module__ = "zarrs_c"
    code = INVALID


class BufferMismatchError(Error, ValueError):
    """The buffer does not fit the selection: shape, data type, size, read-only, overlapping elements."""

    __module__ = "zarrs_c"
    code = BUFFER


class CancelledError(Error):
    """A blocking operation was stopped. (Awaiters get `asyncio.CancelledError`.)"""

    __module__ = "zarrs_c"
    code = CANCELLED


class ShutdownError(Error, RuntimeError):
    """The library has been shut down: the interpreter is exiting."""

    __module__ = "zarrs_c"
    code = SHUTDOWN


class ForkedError(Error, RuntimeError):
    """The operation was started by the parent process, before a fork, and goes on there only."""

    __module__ = "zarrs_c"
    code = FORKED


class PanicError(Error, RuntimeError):
    """A bug in the library, contained. Please report it."""

    __module__ = "zarrs_c"
    code = PANIC


class TimeoutError(Error, builtins.TimeoutError):
    """The store or a wait ran out of time."""

    __module__ = "zarrs_c"
    code = TIMEOUT


class MemoryError(Error, builtins.MemoryError):
    """An allocation failed, or metadata asks for more memory than there can be."""

    __module__ = "zarrs_c"
    code = MEMORY


class ExistsError(Error, FileExistsError):
    """There is an array or a group at that path already."""

    __module__ = "zarrs_c"
    code = EXISTS

    def __init__(self, message="", *, key=None, code=None):
        super().__init__(message, key=key, code=code)
        self.errno = errno.EEXIST


class ConflictError(StorageError):
    """Somebody else has changed a chunk since it was read to be changed in part: nothing was written to it."""

    __module__ = "zarrs_c"
    code = CONFLICT


_CLASSES = {
    INVALID: InvalidError,
    NOT_FOUND: NotFoundError,
    IO: StorageError,
    CODEC: CodecError,
    UNSUPPORTED: UnsupportedError,
    BUFFER: BufferMismatchError,
    CANCELLED: CancelledError,
    SHUTDOWN: ShutdownError,
    FORKED: ForkedError,
    PANIC: PanicError,
    TIMEOUT: TimeoutError,
    MEMORY: MemoryError,
    EXISTS: ExistsError,
    CONFLICT: ConflictError,
}


def from_status(status, message, key=None):
    """The exception for a status of the C ABI. A status of a newer library gives a plain `Error`."""
    return _CLASSES.get(status, Error)(message, key=key, code=status)


def _rebuild(cls, message, key, code):
    return cls(message, key=key, code=code)
