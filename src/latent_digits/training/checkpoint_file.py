"""How far a training came: its latest checkpoint, at hand and in a file for the next run."""

from latent_digits.data.resume_cache import Slot
from latent_digits.data.storage import Arrays, Row
from latent_digits.training.checkpoint import Checkpoint


class CheckpointFile:
    """The latest checkpoint of one training; None before its first epoch."""

    def __init__(self, slot: Slot):
        self.slot = slot
        found = slot.load()
        self.latest = found and checkpoint_of(*found)

    def save(self, checkpoint: Checkpoint) -> bool:
        """Keep a checkpoint, unless it is no news: after a worker's death epochs are done again."""
        if self.latest and checkpoint.position <= self.latest.position:
            return False
        self.slot.save(checkpoint.arrays, about(checkpoint))
        self.latest = checkpoint
        return True


def about(checkpoint: Checkpoint) -> Row:
    """What is not an array; the history as a table, since its columns have an order."""
    history = checkpoint.history
    rows = [list(row.values()) for row in history]
    return {"attempt": checkpoint.attempt, "columns": list(history[0]), "rows": rows}


def checkpoint_of(arrays: Arrays, about: Row) -> Checkpoint:
    """The inverse of `about`."""
    history = [dict(zip(about["columns"], row, strict=True)) for row in about["rows"]]
    return Checkpoint(arrays, history, about["attempt"])
