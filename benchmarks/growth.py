"""`make growth`: what grows with the number of images, trials and workers, and why it bends.

Writes `benchmarks/results/growth.json`, a plot, and `benchmarks/growth.md`.
"""

import json
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from safetensors.torch import load_file

from bench import HERE, SPLIT, machine
from latent_digits.console import run_stage, say
from latent_digits.models.networks import Autoencoder
from latent_digits.models.objectives import reconstruction
from latent_digits.project.params import load_params
from latent_digits.search.sampler import PlannedTrial, Trial, final_state, search
from latent_digits.training.loop import Pairs, Steps
from latent_digits.training.optimizers import Optimization
from latent_digits.training.workers import workers

RESULTS = HERE / "results/growth.json"
IMAGES = (48_000, 240_000, 960_000, 3_840_000)
TRIALS = 10_000
WORKERS = (1, 2, 4, 8)
CALLS = 400


def enlarged(path: Path, count: int) -> None:
    """`count` images in a file: the training set again and again, each time shifted a little."""
    images = load_file(SPLIT / "train.safetensors")["images"].numpy()
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for left in range(count, 0, -len(images)):
            shift = tuple(int(n) for n in rng.integers(-2, 3, 2))
            file.write(np.roll(images[:left], shift, axis=(1, 2)).tobytes())


def status(key: str) -> float:
    """A line of this process's status, MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1e3
    return float("nan")


def one_pass(path: Path) -> dict[str, float]:
    """An epoch over the images in the file, mapped, not read: seconds, and memory at its end."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    count = path.stat().st_size // 784
    images = torch.from_file(str(path), shared=False, size=count * 784, dtype=torch.uint8)
    images = images.view(count, 1, 28, 28)
    model = Autoencoder(33, 1.19e-3)
    optimization = Optimization(model, "adam", 1e-3)
    steps = Steps(model, reconstruction, Pairs(images, images), 128, optimization)
    began = time.perf_counter()
    steps.epoch()
    seconds = time.perf_counter() - began
    return {
        "images": count,
        "seconds": seconds,
        "private_mb": status("RssAnon"),
        "mapped_mb": status("RssFile"),
    }


def by_images() -> list[dict[str, float]]:
    found = []
    for count in IMAGES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "images"
            enlarged(path, count)
            command = [sys.executable, __file__, "--pass", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
        say(f"growth: {found[-1]}")
    return found


def by_trials() -> list[dict[str, float]]:
    """Seconds that the sampler takes for a trial, from trials whose values are invented."""
    params = load_params().tune.model_copy(update={"trials": TRIALS})
    marks: list[tuple[int, float]] = []

    def evaluate(planned: list[PlannedTrial]) -> list[Trial]:
        marks.append((planned[0].number, time.perf_counter()))
        return [invented(one) for one in planned]

    search(evaluate, params, 1e9, 1)  # type: ignore[arg-type]
    chosen = [marks[n] for n in sorted({0, 1, 3, 10, 30, 100, 200, 300, 500, 750, len(marks) - 1})]
    return [
        {"trials": after, "seconds_a_trial": (there - then) / (after - before)}
        for (before, then), (after, there) in pairwise(chosen)
    ]


def invented(planned: PlannedTrial) -> Trial:
    hparams = planned.hparams
    final = abs(hparams.dropout - 0.1) + abs(np.log10(hparams.lr) + 2.5) + 1 / hparams.latent_dim
    best: list[float] = []
    for epoch, bar in enumerate(planned.bars):
        best.append(float(final * (1 + 1 / (epoch + 1))))
        if best[-1] > bar:
            break
    state = final_state(best, planned.bars, 1e9)
    return Trial(planned.number, planned.generation, hparams, state, tuple(best))


def nothing(seconds: float, report: Any) -> None:
    time.sleep(seconds)


def by_workers() -> list[dict[str, float]]:
    """Calls a second: of nothing, where the scheduler is the limit, and of a tenth of a second."""
    found = []
    for count in WORKERS:
        row: dict[str, float] = {"workers": count}
        with workers(count) as pool:
            for name, seconds in (("empty_calls", 0.0), ("tenths", 0.1)):
                calls = {str(n): (nothing, seconds) for n in range(CALLS)}
                began = time.perf_counter()
                for _ in pool.run(calls, lambda name, event: None):
                    pass
                row[f"{name}_a_second"] = CALLS / (time.perf_counter() - began)
        found.append(row)
        say(f"growth: {row}")
    return found


def page(results: dict[str, Any]) -> str:
    m = results["machine"]
    lines = [
        "# What grows",
        "",
        f"Written by `make growth` on {m['date']} at commit {m['commit']}: {m['cores']} cores of "
        f"{m['cpu']}" + (", a GPU not used." if m["gpu"] else ", no GPU."),
        "",
        "![Growth](results/growth.svg)",
        "",
        "| images, mapped from a file | seconds an epoch | µs an image | private memory, MB "
        "| mapped memory, MB |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {r['images']:,} | {r['seconds']:.1f} | {1e6 * r['seconds'] / r['images']:.0f} "
        f"| {r['private_mb']:.0f} | {r['mapped_mb']:.0f} |"
        for r in results["images"]
    ]
    lines += ["", "| trials so far | ms of the sampler a trial |", "| ---: | ---: |"]
    lines += [f"| {r['trials']:,} | {1e3 * r['seconds_a_trial']:.1f} |" for r in results["trials"]]
    lines += [
        "",
        "| workers | empty calls a second | calls of 0.1 s a second |",
        "| ---: | ---: | ---: |",
    ]
    lines += [
        f"| {r['workers']} | {r['empty_calls_a_second']:.0f} | {r['tenths_a_second']:.1f} |"
        for r in results["workers"]
    ]
    return "\n".join(lines) + "\n" + (HERE / "growth_notes.md").read_text(encoding="utf-8")


def plot(results: dict[str, Any], path: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "growth"
    figure, (images, trials, workers) = plt.subplots(1, 3, figsize=(11, 3))
    x = [r["images"] for r in results["images"]]
    images.loglog(x, [r["seconds"] for r in results["images"]], "o-", label="seconds an epoch")
    images.loglog(x, [r["private_mb"] for r in results["images"]], "s-", label="private MB")
    images.loglog(x, [r["mapped_mb"] for r in results["images"]], "^-", label="mapped MB")
    images.set_xlabel("images")
    images.legend(fontsize=8)
    trials.loglog(
        [r["trials"] for r in results["trials"]],
        [1e3 * r["seconds_a_trial"] for r in results["trials"]],
        "o-",
    )
    trials.set_xlabel("trials so far")
    trials.set_ylabel("ms of the sampler a trial")
    x = [r["workers"] for r in results["workers"]]
    for key, label in (("empty_calls_a_second", "empty"), ("tenths_a_second", "of 0.1 s")):
        workers.loglog(x, [r[key] for r in results["workers"]], "o-", label=label)
    workers.set_xticks(x, [str(count) for count in x])
    workers.minorticks_off()
    workers.set_xlabel("workers")
    workers.set_ylabel("calls a second")
    workers.legend(fontsize=8)
    for axis in (images, trials, workers):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    if sys.argv[1:2] == ["--pass"]:
        print(json.dumps(one_pass(Path(sys.argv[2]))))
        return
    if "--page" not in sys.argv:
        RESULTS.parent.mkdir(exist_ok=True)
        results = {
            "machine": machine(),
            "workers": by_workers(),
            "trials": by_trials(),
            "images": by_images(),
        }
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    plot(results, RESULTS.with_suffix(".svg"))
    (HERE / "growth.md").write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    run_stage(main)
