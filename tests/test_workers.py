"""Workers: reports arrive, exceptions come back whole, one import of torch serves all."""

from typing import Any

import pytest

from latent_digits.workers import local_workers
from remote import double, fail


def test_results_reports_and_exceptions() -> None:
    heard: list[tuple[str, Any]] = []
    with local_workers(most=2) as workers:
        shared = workers.share([1, 2, 3])
        calls = {"a": (double, shared), "b": (double, "x")}
        results = dict(workers.run(calls, lambda name, event: heard.append((name, event))))
        assert results == {"a": [1, 2, 3, 1, 2, 3], "b": "xx"}
        assert sorted(heard) == [("a", "doubling"), ("b", "doubling")]
        with pytest.raises(ZeroDivisionError) as error:
            list(workers.run({"c": (fail,)}, lambda name, event: None))
        assert "in the worker that ran c" in error.value.__notes__[0]
        again = dict(workers.run({"d": (double, 2)}, lambda name, event: None))
        assert again == {"d": 4}
