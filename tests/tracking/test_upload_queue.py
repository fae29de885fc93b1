"""Journals of live, ended and killed processes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from latent_digits.tracking.upload_queue import begin_queue, left_behind
from smoke import PROJECT

WRITER = """
import os, signal, sys
from pathlib import Path
from latent_digits.tracking.upload_queue import begin_queue
queue = begin_queue(Path(sys.argv[1]), "dying", stage={"stage": "train"})
queue.add("metrics", values={"val_loss": 0.5})
queue.entries.write(b'{"kind": "half an en')
queue.entries.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_entries_come_back_in_order_and_once(tmp_path: Path) -> None:
    queue = begin_queue(tmp_path, "train", study={"state": "s"})
    queue.add("metrics", values={"val_loss": float("inf")}, step=3)
    assert [entry["kind"] for entry in queue.unsent()] == ["study", "metrics"]
    assert queue.unsent()[1]["values"] == {"val_loss": float("inf")}
    queue.ids["run"] = "abc"
    queue.sent()
    queue.close()
    (again,) = left_behind(tmp_path)
    assert [entry["kind"] for entry in again.unsent()] == ["metrics"]
    assert again.ids == {"run": "abc"}
    again.close()


def test_files_are_kept_as_they_were(tmp_path: Path) -> None:
    file, folder = tmp_path / "a.txt", tmp_path / "figures"
    file.write_text("as it was")
    folder.mkdir()
    (folder / "one.png").write_bytes(b"png")
    queue = begin_queue(tmp_path / "queues", "train")
    names = [queue.attach(file), queue.attach(folder)]
    file.write_text("as it is")
    assert queue.attachment(names[0]).read_text() == "as it was"
    assert (queue.attachment(names[1]) / "one.png").read_bytes() == b"png"
    queue.remove()
    assert not list((tmp_path / "queues").iterdir())


def test_a_copy_stays_as_it_is_when_the_same_name_is_kept_again(tmp_path: Path) -> None:
    """The writer's thread may be sending the first then."""
    file, folder = tmp_path / "a.txt", tmp_path / "code"
    folder.mkdir()
    queue = begin_queue(tmp_path / "queues", "train")
    kept = []
    for text in ("first", "second"):
        file.write_text(text)
        (folder / "code.py").write_text(text)
        kept.append([queue.attachment(queue.attach(path)) for path in (file, folder)])
    texts = [(one.read_text(), (many / "code.py").read_text()) for one, many in kept]
    assert texts == [("first", "first"), ("second", "second")]
    assert {(one.name, many.name) for one, many in kept} == {("a.txt", "code")}
    queue.close()


def test_nobody_finds_a_part_of_what_is_being_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path) -> None:
        (folder / "cursor.json").unlink()
        raise KeyboardInterrupt

    queue = begin_queue(tmp_path, "train", study={"state": "s"})
    queue.sent()
    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        queue.remove()
    queue.close()
    assert not list(left_behind(tmp_path))


def test_a_live_process_keeps_its_queue(tmp_path: Path) -> None:
    queue = begin_queue(tmp_path, "train")
    assert not list(left_behind(tmp_path))
    queue.close()
    (found,) = left_behind(tmp_path)
    found.close()


def test_a_killed_process_leaves_its_whole_entries(tmp_path: Path) -> None:
    path = {"PYTHONPATH": str(PROJECT / "src")}
    done = subprocess.run([sys.executable, "-c", WRITER, str(tmp_path)], env=path, check=False)
    assert done.returncode == -signal.SIGKILL
    (queue,) = left_behind(tmp_path)
    assert [entry["kind"] for entry in queue.read()] == ["stage", "metrics"]
    queue.add("end", status="KILLED")
    assert [entry["kind"] for entry in queue.read()] == ["stage", "metrics", "end"]
    queue.close()


def test_the_oldest_comes_first(tmp_path: Path) -> None:
    for name in ("tune", "train_ae", "plot"):
        begin_queue(tmp_path, name, stage={"stage": name}).close()
    order = []
    for queue in left_behind(tmp_path):
        order.append(queue.first("stage")["stage"])
        queue.close()
    assert order == ["tune", "train_ae", "plot"]


def test_the_order_stays_when_the_clock_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_queue(tmp_path, "tune").close()
    monkeypatch.setattr("time.time_ns", lambda: 1_000_000_000)
    for name in ("train_ae", "plot"):
        begin_queue(tmp_path, name).close()
    queues = list(left_behind(tmp_path))
    for queue in queues:
        queue.close()
    assert [queue.folder.name.split("-")[1] for queue in queues] == ["tune", "train_ae", "plot"]
