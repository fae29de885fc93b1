"""The upload queue: what MLflow is to get, kept on disk until MLflow has it.

A run's queue is a folder: `entries.jsonl`, an entry a line; `files/`,
copies of what the entries name; `cursor.json`, how far it was sent and the ids that MLflow gave.
Its owner holds a lock, which the system releases when the process ends, however it ends: so an
unlocked one is a dead process's.
"""

import fcntl
import json
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal

from latent_digits.data.storage import write_json

Entry = dict[str, Any]
Kind = Literal[
    "study", "stage", "elsewhere", "metrics", "history", "files", "model", "trial", "trials", "end"
]


class RunQueue:
    """A folder of entries, open for adding and for sending by its owner alone."""

    def __init__(self, folder: Path, lock: IO[str]):
        self.folder = folder
        self.lock = lock
        self.entries = (folder / "entries.jsonl").open("ab")
        cursor = folder / "cursor.json"
        known = json.loads(cursor.read_text()) if cursor.exists() else {"sent": 0, "ids": {}}
        self.count: int = known["sent"]
        self.ids: dict[str, str] = known["ids"]

    def add(self, kind: Kind, **values: Any) -> None:
        """Append an entry, with the time in ms since 1970: now, unless `values` has another."""
        entry = {"kind": kind, "time": time.time_ns() // 1_000_000, **values}
        self.entries.write(json.dumps(entry).encode() + b"\n")
        self.entries.flush()

    def attach(self, path: Path) -> str:
        """Copy a file or folder as it is now; returns the name to give to an entry.

        Each copy has a folder of its own, since another thread may be sending the one before.
        """
        name = f"{uuid.uuid4().hex}/{path.name}"
        copy = self.attachment(name)
        copy.parent.mkdir(parents=True)
        if path.is_dir():
            shutil.copytree(path, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, copy)
        return name

    def attachment(self, name: str) -> Path:
        return self.folder / "files" / name

    def publish(self) -> None:
        """Let others find a draft: from now on it is sent, by whoever comes first."""
        self.folder = self.folder.rename(self.folder.with_name(self.folder.name.lstrip(".")))

    def read(self) -> list[Entry]:
        """All whole entries: a process that dies may leave half of one."""
        lines = (self.folder / "entries.jsonl").read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def unsent(self) -> list[Entry]:
        return self.read()[self.count :]

    def sent(self) -> None:
        """Note that one more entry was sent."""
        self.count += 1
        write_json(self.folder / "cursor.json", {"sent": self.count, "ids": self.ids})

    def rewind(self) -> None:
        """Note that nothing was sent: the server is another, or has lost what it got."""
        self.count, self.ids = 0, {}

    def first(self, kind: Kind) -> Entry:
        """The first entry of this kind; nothing when there is none."""
        return next((entry for entry in self.read() if entry["kind"] == kind), {})

    def drop_half_an_entry(self) -> None:
        content = (self.folder / "entries.jsonl").read_bytes()
        self.entries.truncate(content.rfind(b"\n") + 1)

    def remove(self) -> None:
        """Delete what MLflow has, still locked and out of sight: nobody may find a part of it."""
        shutil.rmtree(self.folder.rename(self.folder.with_name(f".{self.folder.name}")))
        self.close()

    def close(self) -> None:
        """Leave the rest to whoever comes next."""
        self.entries.close()
        self.lock.close()


def draft_queue(folder: Path, name: str) -> RunQueue:
    """A new queue in `folder`, with a key that no other has and that sorts after all others.

    That is the time, unless the clock was set back. Nobody finds it before it is published, so a
    process that dies leaves no half of one.
    """
    begun = [one.name.partition("-")[0] for one in folder.glob("[!.]*/")]
    latest = max((int(key) for key in begun if key.isdecimal()), default=0)
    draft = folder / f".{max(time.time_ns(), latest + 1)}-{name}-{uuid.uuid4().hex[:8]}"
    draft.mkdir(parents=True)
    lock = (draft / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return RunQueue(draft, lock)


def begin_queue(
    folder: Path, name: str, study: Entry | None = None, stage: Entry | None = None
) -> RunQueue:
    """A queue that holds the entries of a study and of a stage, and that others may find."""
    queue = draft_queue(folder, name)
    if study:
        queue.add("study", **study)
    if stage:
        queue.add("stage", **stage)
    queue.publish()
    return queue


def left_behind(folder: Path) -> Iterator[RunQueue]:
    """The queues whose owners have ended, oldest first; each is the caller's to close."""
    for one in sorted(folder.glob("[!.]*/")):
        with suppress(FileNotFoundError, BlockingIOError):  # sent by another, or of a live process
            lock = (one / "lock").open("r+")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                queue = RunQueue(one, lock)
            except OSError:
                lock.close()
                raise
            queue.drop_half_an_entry()
            yield queue
