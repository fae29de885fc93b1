"""DVC's own files after a kill: it writes two of them in place, and may leave them torn.

`make repro` runs this first. A torn file is deleted; what is finished comes back from DVC's run
cache.
"""

import time
from pathlib import Path

import yaml

from latent_digits.console import run_stage, say

WRITTEN_IN_PLACE = {Path("dvc.lock"): "stages", Path(".dvc/tmp/rwlock"): "read"}
MOMENT = 1.0  # seconds: longer than DVC takes to write one, if it runs now


def is_torn(path: Path, key: str) -> bool:
    """Whether the file is there, and is not what DVC writes: a mapping with this key."""
    try:
        return key not in yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (yaml.YAMLError, TypeError, UnicodeDecodeError):
        return True


def main() -> None:
    for path, key in WRITTEN_IN_PLACE.items():
        if not is_torn(path, key):
            continue
        time.sleep(MOMENT)
        if is_torn(path, key):
            path.unlink()
            say(f"{path} was torn by a kill and is deleted; finished stages come back from cache.")


if __name__ == "__main__":
    run_stage(main)
