"""An array's metadata with changes, as text."""

import json
import operator
from collections.abc import Mapping

from zarrs_c._errors import InvalidError


def with_shape(array, shape):
    """The metadata of `array` with another shape."""
    try:
        lengths = (
            [operator.index(shape)] if hasattr(shape, "__index__") else [operator.index(n) for n in shape]
        )
    except TypeError:
        raise TypeError(f"shape must be integers, one for each dimension, not {shape!r}") from None
    if len(lengths) != array.ndim or any(n < 0 for n in lengths):
        raise InvalidError(
            f"shape must be {array.ndim} lengths of at least 0, as {array!r} has, not {shape!r}"
        )
    return _text({**array.metadata, "shape": lengths})


def with_attributes(array, attributes):
    """The metadata of `array` with more, or other, attributes."""
    if not isinstance(attributes, Mapping) or not all(isinstance(name, str) for name in attributes):
        raise TypeError(f"attributes must be a mapping of strings to values, not {attributes!r}")
    return _text({**array.metadata, "attributes": {**array.attrs, **attributes}})


def _text(metadata):
    try:
        return json.dumps(metadata, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidError(f"attributes: {error}") from None
