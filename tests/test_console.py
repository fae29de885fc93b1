"""What a person is told of work that goes on."""

import pytest

from latent_digits.console import ProgressDisplay


def test_what_is_left_follows_from_the_work_itself_not_from_waiting_for_a_worker(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[-1])
    with ProgressDisplay("stage") as progress:
        progress.begin("ae", 10)
        told = []
        for seconds, done in ((3600.0, 1), (3630.0, 2), (3660.0, 3)):
            clock.append(seconds)
            progress.advance("ae", done, 10, "note")
            told.append(capsys.readouterr().err.splitlines()[-1])
    assert told == [
        "stage ae: epoch 1/10  note",
        "stage ae: epoch 2/10  note  at most 4 min 0 s left",
        "stage ae: epoch 3/10  note  at most 3 min 30 s left",
    ]
