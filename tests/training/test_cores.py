"""A training uses the cores that no other one keeps busy."""

import errno
import multiprocessing
from typing import Any
from unittest.mock import Mock

import pytest

from latent_digits import engine
from latent_digits.training import cores
from latent_digits.training.cores import seated, taken


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that were asked for, on a machine of four cores, of a user of its own."""
    counts: list[int] = []
    monkeypatch.setattr(engine, "use_threads", counts.append)
    monkeypatch.setattr("os.getuid", lambda: id(counts))
    monkeypatch.setattr(cores, "cpu_count", lambda: 4)
    monkeypatch.setattr(cores, "LOOK_EACH", 0.0)
    return counts


def test_who_trains_alone_has_all_cores_and_one_at_the_end(used: list[int]) -> None:
    with seated() as seat:
        seat.share()
    assert used == [4, 1]


@pytest.mark.parametrize(
    ("trainings", "expected"), [(2, [2, 2]), (3, [2, 1, 1]), (4, [1] * 4), (9, [1] * 9)]
)
def test_cores_are_divided_among_the_trainings(
    trainings: int, expected: list[int], used: list[int]
) -> None:
    seats = [cores.Cores() for _ in range(trainings)]
    for seat in seats:
        seat.share()
    assert used == expected
    for seat in seats:
        seat.leave()


def test_more_cores_than_a_training_can_use(
    used: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "cpu_count", lambda: 64)
    with seated() as seat:
        seat.share()
    assert used[0] == cores.MOST


def test_it_looks_around_seldom(used: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]  # of a machine that has just begun
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(cores, "LOOK_EACH", 10.0)
    with seated() as seat:
        seat.share()
        now[0] += 9.0
        seat.share()
        assert used == [4]
        now[0] += 2.0
        seat.share()
    assert used == [4, 4, 1]


@pytest.mark.parametrize("fault", [errno.EACCES, errno.EMFILE])
def test_where_there_are_no_seats_a_training_has_one_thread(
    fault: int, used: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with seated() as seat:
        monkeypatch.setattr("socket.socket", Mock(side_effect=OSError(fault, "no")))
        seat.share()
        with seated() as another:
            another.share()
    assert used == [1, 1]


def test_trainings_on_other_cores_are_not_counted(
    used: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with seated(), monkeypatch.context() as patch:
        patch.setattr("os.sched_getaffinity", lambda _: {90, 91})
        with seated() as seat:
            seat.share()
    assert used[0] == 4


def take_and_wait(number: int, ready: Any) -> None:
    seat = taken(number)
    ready.put(seat is not None)
    multiprocessing.Event().wait()


def test_a_killed_process_leaves_its_seat(used: list[int]) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.SimpleQueue()
    child = context.Process(target=take_and_wait, args=(0, ready))
    child.start()
    assert ready.get()
    with seated() as seat:
        seat.share()
        child.kill()
        child.join()
        seat.share()
    assert used[:2] == [2, 4]
