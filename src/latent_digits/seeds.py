"""Named seeds: every random draw has a seed and a position, never a running state."""

import hashlib


def seed_for(seed: int, *position: str | int) -> int:
    """The seed of one draw, in [0, 2^63): a hash of the study's seed and the draw's position.

    A position is a path such as ("train_ae", "ae_2d", "epoch", 3). Two positions share no stream,
    and an epoch's draws are the same whether or not the epochs before it ran in this process.
    """
    name = "/".join(str(part) for part in (seed, *position))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1
