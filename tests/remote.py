"""Functions that test_workers.py sends to worker processes: they must be importable there."""

from collections.abc import Callable
from typing import Any


def double(value: Any, report: Callable[[Any], None]) -> Any:
    report("doubling")
    return value * 2


def fail(report: Callable[[Any], None]) -> None:
    raise ZeroDivisionError("as asked")
