"""Workers: reports arrive, exceptions come back whole, one import of torch serves all."""

from typing import Any

import pytest

from latent_digits.workers import CallError, workers
from remote import double, fail


def test_results_reports_and_exceptions() -> None:
    heard: list[tuple[str, Any]] = []
    with workers(2) as crew:
        shared = crew.share([1, 2, 3])
        calls = {"a": (double, shared), "b": (double, "x")}
        results = dict(crew.run(calls, lambda name, event: heard.append((name, event))))
        assert results == {"a": [1, 2, 3, 1, 2, 3], "b": "xx"}
        assert sorted(heard) == [("a", "doubling"), ("b", "doubling")]
        with pytest.raises(CallError, match="c failed in its worker") as error:
            list(crew.run({"c": (fail,)}, lambda name, event: None))
        cause = error.value.__cause__
        assert isinstance(cause, ZeroDivisionError)
        assert "in the worker that ran c" in cause.__notes__[0]
        again = dict(crew.run({"d": (double, 2)}, lambda name, event: None))
        assert again == {"d": 4}
