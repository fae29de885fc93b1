"""Put on a stage's path by test_pipeline.py: notes every project file that the stage opens."""

import os
import sys
from pathlib import Path

ROOT, LOG = os.environ.get("DVC_ROOT"), os.environ.get("WATCH_LOG")
WRITING = os.O_WRONLY | os.O_RDWR


def note(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open" or not isinstance(arguments[0], str):
        return
    path, mode, flags = os.path.abspath(arguments[0]), arguments[1], arguments[2]  # noqa: PTH100
    if path.startswith(f"{ROOT}{os.sep}"):
        writes = set(mode) & set("wax+") if isinstance(mode, str) else flags & WRITING  # type: ignore[operator]
        if not writes and not Path(path).is_file():
            return  # a folder; shutil opens those by names that are relative to another
        name = Path(path).relative_to(f"{ROOT}")
        line = f"{os.environ.get('DVC_STAGE')}\t{'w' if writes else 'r'}\t{name}\n"
        descriptor = os.open(f"{LOG}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)


if ROOT and LOG:
    sys.addaudithook(note)
