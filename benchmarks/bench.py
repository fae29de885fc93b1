"""`make bench`: an epoch of training, this project's way and the usual ways, in turn.

Each round runs every way once, one after the other, so that a noisy neighbour meets them all; what
is reported is medians over rounds, with quartiles, and ratios within a round. Writes a file and a
plot of this kind of processor to `benchmarks/results`, and `benchmarks/README.md` of all kinds.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from safetensors import safe_open
from torch.utils.flop_counter import FlopCounterMode

from latent_digits import arithmetic
from latent_digits.arithmetic import VARIABLES
from latent_digits.console import UserError, run_stage, say
from latent_digits.training.workers import ALLOCATOR
from peers import BATCH, loss_of, plain_model

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
SPLIT = PROJECT / "data/split"
RESULTS = HERE / "results"
# By which vectors a processor has: what PyTorch is compared with depends on it.
PROCESSORS = {
    "avx2": "A processor without AVX-512",
    "avx512": "A processor with AVX-512",
}
ROUNDS = 5
KINDS = {"ae": "autoencoder", "denoiser": "denoiser", "vae": "VAE"}
OURS, HOST_VECTORS = "this project", "this project, the processor's own vectors"
ALONE = "this project, a training alone"
PORTABLE = (OURS, ALONE)  # with the bits that every processor gives
# name: (way, processes side by side, threads each; 0 is PyTorch's own choice)
WAYS = {
    "the original report's way": ("seed", 1, 0),
    "Pythae's trainer": ("pythae", 1, 0),
    "plain PyTorch": ("plain", 1, 0),
    "plain PyTorch, side by side": ("plain", 2, 1),
    HOST_VECTORS: ("ours", 2, 1),
    ALONE: ("ours", 1, 2),
    OURS: ("ours", 2, 1),
}
# All but this project's own way have whatever vectors the processor has, in PyTorch too.
HOST = {k: v for k, v in os.environ.items() if k not in VARIABLES} | {arithmetic.HOST: "1"}
Round = dict[str, Any]


def ways_of(kind: str) -> dict[str, tuple[str, int, int]]:
    """The ways to compare; Pythae knows VAEs only."""
    return {name: way for name, way in WAYS.items() if kind == "vae" or way[0] != "pythae"}


class Process:
    """A contender; see `contender.py`."""

    def __init__(self, way: str, kind: str, threads: int, portable: bool):
        self.name = f"{way} {kind} {threads} {SPLIT.relative_to(PROJECT)}"
        command = [sys.executable, HERE / "contender.py", way, kind, str(threads), SPLIT]
        self.popen = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=(os.environ if portable else HOST) | ALLOCATOR,
        )

    def ask(self) -> None:
        print(file=self.popen.stdin, flush=True)

    def answer(self, expected: str = "{") -> str:
        for line in self.popen.stdout or ():
            if line.startswith(expected):  # libraries print, too
                return line
        raise UserError(
            f"bench: a contender died; `python benchmarks/contender.py {self.name}` says why."
        )


@contextmanager
def contenders(kind: str) -> Iterator[dict[str, list[Process]]]:
    """All processes of a comparison, started and waiting."""
    ways = ways_of(kind) | {"rate": ("rate", 2, 1)}
    groups: dict[str, list[Process]] = {}
    with ExitStack() as stack:
        for name, (way, count, threads) in ways.items():
            groups[name] = [Process(way, kind, threads, name in PORTABLE) for _ in range(count)]
            for process in groups[name]:
                stack.callback(process.popen.kill)
        for process in [one for group in groups.values() for one in group]:
            process.answer("ready")
        yield groups


def one_round(groups: dict[str, list[Process]]) -> Round:
    """Every way once: wall seconds, epochs/min, and what its processes say of themselves."""
    found: Round = {}
    for name, group in groups.items():
        began = time.perf_counter()
        for process in group:
            process.ask()
        parts = [json.loads(process.answer()) for process in group]
        wall = time.perf_counter() - began
        if name == "the original report's way":  # the Trainer's set-up is not an epoch
            wall = parts[0]["train"] + parts[0]["val"]
        mean = {key: statistics.mean(part[key] for part in parts) for key in parts[0]}
        found[name] = {"epochs_a_minute": 60 * len(group) / wall, **mean}
    return found


def step_flops(kind: str) -> int:
    """The matrix work of a step, forwards and backwards, as PyTorch's own counter has it."""
    model, x = plain_model(kind), torch.rand(BATCH[kind], 1, 28, 28)
    with FlopCounterMode(display=False) as counter:
        loss_of(model, x, x).backward()
    return counter.get_total_flops()


def step_bytes(kind: str) -> int:
    """What the layers with weights give, and its gradients, each written once and read once."""
    model, x = plain_model(kind), torch.rand(BATCH[kind], 1, 28, 28)
    sizes: list[int] = []
    leaves = [m for m in model.modules() if list(m.parameters(recurse=False))]
    for leaf in leaves:
        leaf.register_forward_hook(lambda module, inputs, output: sizes.append(output.numel()))
    loss_of(model, x, x)
    return 4 * 4 * sum(sizes)


def machine() -> dict[str, Any]:
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
    )
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(names),
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "gpu": torch.cuda.is_available(),
        "commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
    }


def vectors() -> str:
    """The kind of this processor, of PROCESSORS."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return "avx512" if "avx512f" in flags else "avx2"


def images_in(name: str) -> int:
    with safe_open(SPLIT / f"{name}.safetensors", "pt") as file:
        return file.get_slice("images").get_shape()[0]


def measure() -> dict[str, Any]:
    if not (SPLIT / "train.safetensors").exists():
        raise UserError("bench needs data/split; `dvc repro prepare` makes it.")
    results: dict[str, Any] = {
        "machine": machine(),
        "images": {name: images_in(name) for name in ("train", "val")},
        "kinds": {},
    }
    for kind in KINDS:
        with contenders(kind) as groups:
            one_round(groups)  # warms up
            rounds = []
            for number in range(1, ROUNDS + 1):
                rounds.append(one_round(groups))
                say(f"bench {kind}: round {number}/{ROUNDS}")
        results["kinds"][kind] = {
            "rounds": rounds,
            "step_flops": step_flops(kind),
            "step_bytes": step_bytes(kind),
        }
    return results


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """median (lower to upper quartile)"""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def column(rounds: Sequence[Round], way: str, key: str) -> list[float]:
    return [one[way][key] for one in rounds]


def ratios(rounds: Sequence[Round], way: str) -> list[float]:
    return [one[OURS]["epochs_a_minute"] / one[way]["epochs_a_minute"] for one in rounds]


def step_ms(kind: str, results: dict[str, Any], way: str) -> list[float]:
    steps = -(-results["images"]["train"] // BATCH[kind])
    return [1e3 * t / steps for t in column(results["kinds"][kind]["rounds"], way, "train")]


def page(found: dict[str, dict[str, Any]]) -> str:
    """What `benchmarks/README.md` says, of the results of each kind of processor."""
    lines = [
        "# How fast",
        "",
        "Written by `make bench`, which measures on the kind of processor that it runs on. "
        "An epoch is the training images and a validation. Every number is the median of the "
        "rounds with its quartiles; a round runs each way once, one after the other, and ratios "
        "are taken within a round.",
        "",
        "- *the original report's way*: Lightning's Trainer, one image at a time through a "
        "`DataLoader`, all threads; its set-up is not counted.",
        "- *Pythae's trainer*: its VAE around the same networks.",
        "- *plain PyTorch*: its own layers, eager, a tensor sliced into batches, all threads.",
        "- *side by side*: two processes of one thread each, as this project trains.",
        "- *the processor's own vectors*: what results that are the same everywhere cost; all but "
        "*this project* have these. Its kernels have the widest that there are anyway.",
        "- *a training alone*: one process whose chains have two threads, as where a study has one "
        "training left.",
        "",
        "All have the same networks, batch sizes and settings of the allocator and of denormal "
        "numbers; all but the original report's way draw the validation noise once.",
        "",
        "The matrix limit of a step is its matrix work at the rate of a 1024³ product on one core, "
        "measured with both cores busy; the memory limit is what its layers with weights give, "
        "with the gradients, each written and read once, at the rate of a large copy.",
        "",
    ]
    for kind, results in found.items():
        lines += section(kind, results)
    return "\n".join(lines) + (HERE / "notes.md").read_text(encoding="utf-8")


def section(processor: str, results: dict[str, Any]) -> list[str]:
    """The part of the page for a kind of processor."""
    m, images = results["machine"], results["images"]
    rounds = min(len(found["rounds"]) for found in results["kinds"].values())
    all_rounds = {kind: results["kinds"][kind]["rounds"] for kind in KINDS}
    lines = [
        f"## {PROCESSORS[processor]}",
        "",
        f"{m['date']}, commit {m['commit']}: {m['cores']} cores of {m['cpu']}, "
        f"Python {m['python']}, PyTorch {m['torch']}, "
        + ("a GPU was there but not used" if m["gpu"] else "no GPU")
        + f"; {rounds} rounds; {images['train']} images and {images['val']}.",
        "",
        f"![Epochs/min](results/{processor}.svg)",
        "",
        "Epochs/min, whole machine",
        "",
        "| | " + " | ".join(KINDS.values()) + " |",
        "| --- |" + " ---: |" * len(KINDS),
    ]
    measured = [way for way in WAYS if way in all_rounds["vae"][0]]
    for way in measured:
        cells = [
            spread(column(rounds, way, "epochs_a_minute"), ".1f") if way in rounds[0] else "–"
            for rounds in all_rounds.values()
        ]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    lines += ["", "This project against", "", "| | " + " | ".join(KINDS.values()) + " |"]
    lines.append("| --- |" + " ---: |" * len(KINDS))
    for way in measured[:-1]:
        form = ".2f" if way in (HOST_VECTORS, ALONE) else ".1f"
        cells = [
            f"{spread(ratios(rounds, way), form)} ×" if way in rounds[0] else "–"
            for rounds in all_rounds.values()
        ]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| | step, ms | matrix limit, ms | ratio | memory limit, ms |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind, name in KINDS.items():
        found = results["kinds"][kind]
        steps = step_ms(kind, results, OURS)
        limits = [found["step_flops"] / r / 1e6 for r in column(found["rounds"], "rate", "gflops")]
        memory = [found["step_bytes"] / r / 1e6 for r in column(found["rounds"], "rate", "gbytes")]
        ratio = [step / limit for step, limit in zip(steps, limits, strict=True)]
        lines.append(
            f"| {name}, batch {BATCH[kind]} | {spread(steps)} | {spread(limits)} "
            f"| {spread(ratio)} | {spread(memory)} |"
        )
    return [*lines, ""]


def plot(results: dict[str, Any], path: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "speed"
    ways = [way for way in reversed(WAYS) if way in results["kinds"]["vae"]["rounds"][0]]
    figure, axes = plt.subplots(1, len(KINDS), figsize=(11, 2.6), sharey=True)
    for axis, (kind, name) in zip(axes, KINDS.items(), strict=True):
        rounds = results["kinds"][kind]["rounds"]
        for place, way in enumerate(ways):
            if way not in rounds[0]:
                continue
            low, middle, high = statistics.quantiles(column(rounds, way, "epochs_a_minute"), n=4)
            axis.barh(place, middle, color="#0072B2" if way == OURS else "#999999")
            axis.plot([low, high], [place, place], color="black", linewidth=1)
            axis.text(high, place, f" {middle:.1f}", va="center", fontsize=9)
        axis.set_yticks(range(len(ways)), ways)
        axis.set_title(name)
        axis.set_xlabel("epochs/min")
        axis.margins(x=0.18)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    if "--page" not in sys.argv:
        RESULTS.mkdir(exist_ok=True)
        here = RESULTS / f"{vectors()}.json"
        here.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    files = {kind: RESULTS / f"{kind}.json" for kind in PROCESSORS}
    found = {
        kind: json.loads(file.read_text(encoding="utf-8"))
        for kind, file in files.items()
        if file.exists()
    }
    for kind, results in found.items():
        plot(results, files[kind].with_suffix(".svg"))
    (HERE / "README.md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    run_stage(main)
