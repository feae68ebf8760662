"""An array's metadata with changes, as text."""

import json
from collections.abc import Mapping

from zarrs_c._create import lengths, plain_json
from zarrs_c._errors import InvalidError


def with_shape(array, shape):
    """The metadata of `array` with another shape."""
    found = lengths("shape", shape)
    if len(found) != array.ndim:
        raise InvalidError(f"shape {found} has {len(found)} dimensions, {array!r} has {array.ndim}")
    return _text({**array.metadata, "shape": found})


def with_attributes(array, attributes):
    """The metadata of `array` with more, or other, attributes."""
    added = plain_json("attributes", attributes, Mapping)
    return _text({**array.metadata, "attributes": {**array.attrs, **added}})


def _text(metadata):
    # What was there before may have the NaN that other writers put into JSON.
    return json.dumps(metadata, indent=2)
