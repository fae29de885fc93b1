"""A study that is killed at random moments ends with the bytes of one that is left alone."""

from pathlib import Path

from kills import Smoke, kill_loop


def test_a_study_whose_stages_are_killed_ends_with_the_same_bytes(
    smoke: Smoke, tmp_path: Path
) -> None:
    """A kill whose stage is just over hits none, or the next: so a quarter of them may miss."""
    killed, printed = kill_loop(tmp_path, smoke.run, smoke.outputs, kills=6)
    assert killed.total() >= 6
    assert len(killed) >= 5
    assert "going on after epoch" in printed
    assert "damaged" not in printed
    tops = (other / top for other in tmp_path.iterdir() for top in ("data", "reports"))
    assert {path.name for top in tops for path in top.rglob(".*")} <= {".gitignore"}
