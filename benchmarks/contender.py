"""A process that trains one epoch for each line that it reads, and answers with the seconds.

`python benchmarks/contender.py WAY KIND THREADS FOLDER`: WAY is ours, plain, seed, pythae or rate
(a matrix product instead of a training), KIND is ae, denoiser or vae, THREADS 0 means PyTorch's
own choice, FOLDER holds the split.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from peers import BATCH, DROPOUT, LATENT_DIM, LR, Plain

Seconds = dict[str, float]


def ours(kind: str, train: torch.Tensor, val: torch.Tensor) -> Callable[[], Seconds]:
    """The study's own loop; see `latent_digits.training.loop.fit`. Its threads are the chains'."""
    from latent_digits import engine
    from latent_digits.models import objectives
    from latent_digits.models.networks import Autoencoder, VariationalAutoencoder
    from latent_digits.study.noise import Noise, corrupted
    from latent_digits.training.loop import Pairs, Steps
    from latent_digits.training.optimizers import Optimization

    engine.use_threads(torch.get_num_threads())
    torch.set_num_threads(1)
    model = (
        VariationalAutoencoder(LATENT_DIM) if kind == "vae" else Autoencoder(LATENT_DIM, DROPOUT)
    )
    engine.accelerate(model)
    objective = objectives.negative_elbo if kind == "vae" else objectives.reconstruction
    noise = Noise(0.5, 0.3, 0.05, 0.5) if kind == "denoiser" else None
    seen = corrupted(val, noise, 1) if noise else val
    optimization = Optimization(model, "adam", LR)
    steps = Steps(model, objective, Pairs(train, train), BATCH[kind], optimization, noise)

    def epoch() -> Seconds:
        began = time.perf_counter()
        steps.epoch()
        trained = time.perf_counter()
        with optimization.average.in_place():
            objectives.measure(model, objective, seen, val, seed=1)
        return {"train": trained - began, "val": time.perf_counter() - trained}

    return epoch


def plain(kind: str, train: torch.Tensor, val: torch.Tensor) -> Callable[[], Seconds]:
    peer = Plain(kind, train, val)

    def epoch() -> Seconds:
        began = time.perf_counter()
        peer.train_epoch()
        trained = time.perf_counter()
        peer.validate()
        return {"train": trained - began, "val": time.perf_counter() - trained}

    return epoch


def seed(kind: str, train: torch.Tensor, val: torch.Tensor) -> Callable[[], Seconds]:
    from seed_way import Seed

    return Seed(kind, train, val).epoch


def pythae(kind: str, train: torch.Tensor, val: torch.Tensor) -> Callable[[], Seconds]:
    from pythae_way import Pythae

    return Pythae(train, val).epoch


def rate(kind: str, train: torch.Tensor, val: torch.Tensor) -> Callable[[], Seconds]:
    """What the machine can do: GFLOP/s of a matrix product, GB/s read and written by a copy."""
    a, big = torch.randn(1024, 1024), torch.randn(2**24)
    copy = big.clone()

    def measure() -> Seconds:
        began = time.perf_counter()
        for _ in range(50):
            a @ a
        products = time.perf_counter() - began
        began = time.perf_counter()
        for _ in range(20):
            copy.copy_(big)
        copies = time.perf_counter() - began
        return {
            "gflops": 50 * 2 * 1024**3 / products / 1e9,
            "gbytes": 20 * 2 * 2**26 / copies / 1e9,
        }

    return measure


WAYS: dict[str, Any] = {"ours": ours, "plain": plain, "seed": seed, "pythae": pythae, "rate": rate}


def main() -> None:
    way, kind, threads, folder = sys.argv[1:]
    torch.set_flush_denormal(True)
    if int(threads):
        torch.set_num_threads(int(threads))
    sets = [load_file(Path(folder) / f"{name}.safetensors")["images"] for name in ("train", "val")]
    epoch = WAYS[way](kind, *(images[:, None] for images in sets))
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(epoch()), flush=True)


if __name__ == "__main__":
    main()
