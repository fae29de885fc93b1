"""One training on several processes: each learns from its slice of every batch.

The global batch stays what the hyperparameters say, and so do all random draws (`engine.draws`), so
the training is that of one process up to rounding. After each step's backward pass the gradients
are added up, as one vector, and every process takes the same step.

Lightning Fabric knows the accelerators, nodes and number formats; the processes are workers
(`latent_digits.training.workers`), on whichever host these run.
"""

import logging
import os
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psutil
import torch
from torch import Tensor, distributed
from torch.distributed import Store, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from latent_digits.console import UserError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

TIMEOUT = timedelta(minutes=5)  # without a word from another process


@dataclass(frozen=True)
class Spread:
    """How a training is spread, in Fabric's words; the section `fabric` of `params.yaml`."""

    accelerator: str
    devices: int
    num_nodes: int
    strategy: str
    precision: str

    @property
    def processes(self) -> int:
        return self.devices * self.num_nodes


DEFAULT = Spread("auto", 1, 1, "auto", "32-true")  # as without Fabric


@dataclass(frozen=True)
class Meeting:
    """Where the processes of a training find each other: rank 0's address."""

    host: str
    port: int


class RankLostError(Exception):
    """Another process of this training has ended, or does not answer."""


@contextmanager
def needing_the_others() -> Iterator[None]:
    """What torch's communication raises within the block is the loss of another process."""
    try:
        yield
    except RuntimeError as error:
        minutes = TIMEOUT.total_seconds() / 60
        raise RankLostError(f"one ended, or was silent for {minutes:.0f} minutes") from error


def device_of_process() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Ranks:
    """The processes of a training, as one of them sees them; alone by default.

    `autocast` makes the context of a forward and backward pass.
    """

    rank: int = 0
    processes: int = 1
    device: torch.device = field(default_factory=device_of_process)
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext

    def slice(self, batch: int) -> slice:
        """This process's part of a batch; the parts differ by one image at most."""
        return slice(batch * self.rank // self.processes, batch * (self.rank + 1) // self.processes)

    def add_up(self, vector: Tensor) -> None:
        """In place: the sum over all processes, the same bits in each.

        Raises RankLostError when one of them has ended.
        """
        if self.processes > 1:
            with needing_the_others():
                # Not `Fabric.all_reduce`, which waits for all processes once more before each sum.
                distributed.all_reduce(vector)

    def average(self, vector: Tensor) -> None:
        """In place: the mean over all processes, the same bits in each."""
        if self.processes > 1:
            self.add_up(vector)
            vector.div_(self.processes)

    def sums(self, parts: Mapping[str, Tensor], names: Collection[str]) -> dict[str, float]:
        """The sums over all processes by name; a process without images has no parts."""
        zero = torch.zeros((), dtype=torch.float64, device=self.device)
        vector = torch.stack([parts.get(name, zero).double() for name in names])
        self.add_up(vector)
        return dict(zip(names, vector.tolist(), strict=True))


_current: Ranks | None = None  # of this process, as torch's process group is


def current() -> Ranks:
    """Who shares the training that runs in this process."""
    return _current or Ranks()


def run_rank(
    spread: Spread,
    rank: int,
    meeting: Meeting | None,
    host: str,
    function: Callable[..., Any],
    *arguments: Any,
) -> Any:
    """In a worker: `function` as one of a training's processes. The last argument is `report`.

    Rank 0 opens the meeting point at its own `host` and reports it; only it reports what the
    function does. Raises UserError when Fabric does not take the parameters here.
    """
    *inputs, report = arguments
    store = None
    if spread.processes > 1:
        store = meeting_store(meeting, host, report)
    with joined(spread, rank, store):
        return function(*inputs, report if rank == 0 else unheard)


def unheard(event: Any) -> None:
    pass


def meeting_store(meeting: Meeting | None, host: str, report: Callable[[Any], Any]) -> Store:
    """The store over which the process group is made; without a meeting, its server.

    That, and the connections that follow, use the worker's own interface and no other.
    """
    interface = interface_of(host)
    os.environ.update(GLOO_SOCKET_IFNAME=interface, NCCL_SOCKET_IFNAME=interface)
    if meeting:
        with needing_the_others():
            return TCPStore(meeting.host, meeting.port, timeout=TIMEOUT)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, 0), family=family)
    port = server.getsockname()[1]
    store = TCPStore(
        host,
        port,
        is_master=True,
        timeout=TIMEOUT,
        wait_for_workers=False,
        master_listen_fd=server.detach(),
    )
    report(Meeting(host, port))
    return store


def interface_of(host: str) -> str:
    """The name of the network interface that has the address `host`."""
    if host.startswith("127."):
        host = "127.0.0.1"  # all of these are this one's
    for name, addresses in psutil.net_if_addrs().items():
        if any(address.address == host for address in addresses):
            return name
    raise UserError(f"no network interface of this machine has the worker's address {host}.")


@contextmanager
def joined(spread: Spread, rank: int, store: Store | None) -> Iterator[None]:
    """This process is one of the training's within the block."""
    global _current
    if store:
        with needing_the_others():
            distributed.init_process_group(
                store=store, rank=rank, world_size=spread.processes, timeout=TIMEOUT
            )
    try:
        fabric = launched(spread, rank)
        torch.set_num_threads(1)  # Fabric gives each of its processes several
        _current = Ranks(rank, spread.processes, fabric.device, fabric.autocast)
        # Connections are made by the first sum: from here on the end of one is noticed by all.
        _current.add_up(torch.zeros(1, device=fabric.device))
        yield
    finally:
        _current = None
        if store:
            distributed.destroy_process_group()


def launched(spread: Spread, rank: int) -> "Fabric":
    """Fabric, for this process; it takes over the process group that there is."""
    # Here, since its import takes seconds and few studies need it.
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)

    class Worker(LightningEnvironment):
        """A process that others have started."""

        @property
        def creates_processes_externally(self) -> bool:
            return True

        def node_rank(self) -> int:
            return rank // spread.devices

        def local_rank(self) -> int:
            return rank % spread.devices

    alone = spread.processes == 1
    on_gpu = alone and spread.accelerator != "cpu" and torch.cuda.is_available()
    try:
        fabric = Fabric(
            accelerator=spread.accelerator,
            # Alone on the GPU that this worker was given; else as many as there are ranks here.
            devices=[torch.cuda.current_device()] if on_gpu else spread.devices,
            num_nodes=spread.num_nodes,
            # Alone "ddp" would be a group of one, with a port that is open to all.
            strategy="auto" if alone else spread.strategy,
            precision=spread.precision,  # type: ignore[arg-type]
            plugins=[Worker()],
        )
        fabric.launch()
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        found = " ".join(str(error).split())
        raise UserError(
            f"Lightning Fabric does not take the section `fabric` here: {found}"
        ) from None
    return fabric
