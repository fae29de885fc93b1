"""How far a training came: its latest checkpoint, at hand and in a file for the next run."""

from latent_digits.checkpoint import Checkpoint
from latent_digits.store import Slot


class Resuming:
    """The latest checkpoint of one training; None before its first epoch."""

    def __init__(self, slot: Slot):
        self.slot = slot
        found = slot.load()
        self.latest = found and Checkpoint(found[0], **found[1])

    def save(self, checkpoint: Checkpoint) -> bool:
        """Keep a checkpoint, unless it is no news: after a worker's death epochs are done again."""
        if self.latest and checkpoint.position <= self.latest.position:
            return False
        about = {"attempt": checkpoint.attempt, "history": checkpoint.history}
        self.slot.save(checkpoint.arrays, about)
        self.latest = checkpoint
        return True
