"""Names for inputs: equal inputs have equal names, different ones different names."""

import hashlib
import json
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def fingerprint(*values: Any) -> str:
    """sha256 of the values: numbers, text, arrays, functions, dataclasses, lists, dicts of them."""
    text = json.dumps(values, sort_keys=True, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """What JSON does not know, as what it knows. A function or class is its name alone."""
    if isinstance(value, np.ndarray):
        return [value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    if is_dataclass(value) and not isinstance(value, type):
        found = {field.name: getattr(value, field.name) for field in fields(value)}
        return [plain(type(value)), found]
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    raise TypeError(f"no fingerprint of a {type(value).__name__}: {value!r:.80}")
