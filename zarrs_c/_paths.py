"""Where the header and the library are, for those who build on the C ABI."""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_LIBRARY = {"darwin": "libzarrs_c.dylib", "win32": "libzarrs_c.dll"}.get(sys.platform, "libzarrs_c.so")


def get_include():
    """The folder of `zarrs_c.h`, for a compiler's include path."""
    return os.path.join(_HERE, "include")


def get_libraries():
    """The names of the libraries to link with, as for `setuptools.Extension(libraries=...)`."""
    return ["zarrs_c"]


def get_library_dirs():
    """The folders of the libraries to link with, as for `setuptools.Extension(library_dirs=...)`."""
    return [os.path.join(_HERE, "lib")]


def get_library_path():
    """The shared library itself, for dlopen, ctypes or cffi."""
    return os.path.join(_HERE, "lib", _LIBRARY)
