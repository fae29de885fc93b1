"""Worker processes for trainings and trials: this machine's, or those of any Dask scheduler.

Work runs side by side, since two trainings on a core each are done sooner than one after the other
on both; what is alone has both, see `latent_digits.training.cores`.
Results do not depend on the workers: every call is a pure function of its arguments, and is made
again elsewhere when its worker dies.
"""

import hashlib
import logging
import os
import platform
import queue
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache, partial
from importlib.util import find_spec
from itertools import chain, count
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

import dask.config
import torch
from distributed import Client, KilledWorker, LocalCluster, get_worker
from distributed.client import FutureCancelledError
from distributed.comm.addressing import get_address_host
from distributed.protocol.pickle import dumps, loads
from distributed.utils import get_mp_context

from latent_digits import arithmetic
from latent_digits.console import UserError, say
from latent_digits.starting import SIGNALS
from latent_digits.training.ranks import Meeting, RankLostError, Spread, run_rank

SETTINGS = {
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.logging.distributed": "critical",
    "distributed.comm.timeouts.connect": "60 s",
    # Who ends is missed at once; who is silent for minutes is on a machine that slept.
    "distributed.scheduler.worker-ttl": None,
    "distributed.admin.low-level-log-length": 20,  # the scheduler's copies of what calls report
    # What it measures of itself meanwhile takes a twentieth of each core from the trainings.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "1 m",
    "distributed.admin.tick.interval": "1 s",
    "distributed.admin.large-graph-warning-threshold": "1 GB",  # the data are meant to go with it
}
# Freed memory stays with the process: a step's tensors are as large as the step's before, and
# giving them back costs 250 page faults a step. In huge pages a step takes up to a tenth less.
TUNABLES = "GLIBC_TUNABLES"
ALLOCATOR = {
    TUNABLES: "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "1000000000",
    "MALLOC_TOP_PAD_": "67108864",
}
# Semaphores of a stage that ends at once: they are removed, and need no warning.
WARNINGS, UNCLOSED = "PYTHONWARNINGS", "ignore:resource_tracker"
LOOK_IN = 2.0  # seconds without a word from any rank before a look whether all live
WAIT_FOR_WORKERS = 60  # seconds
STARTS = 3  # of this machine's workers
LONGEST_SOCKET = 107  # bytes of a Unix socket's path, on Linux
ONE_AT_A_TIME = threading.Lock()  # torch's random state belongs to the process, not to a thread
Call = tuple[Any, ...]  # a function and its arguments, without the last one: `report`


class CallError(Exception):
    """A call's exception is the cause of this one; `name` is the call's."""

    def __init__(self, name: str):
        super().__init__(f"{name} failed in its worker")
        self.name = name


class Workers:
    """Runs functions in worker processes and passes on what they report meanwhile."""

    def __init__(self, client: Client):
        self.client = client
        self.shared: list[Any] = []
        self.events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.starts = count()
        self.topic = f"progress-{client.id}"
        self.modules = tuple(sorted(n for n in sys.modules if n.startswith("latent_digits.")))
        client.subscribe_topic(self.topic, lambda event: self.events.put(loads(event[1])))

    def share(self, value: Any) -> Any:
        """`value` on every worker; pass the result as an argument in its place.

        It is the result of a call, not scattered: so it survives the loss of every worker.
        """
        self.shared.append(self.client.submit(same, value, pure=False))
        return self.shared[-1]

    def run(
        self,
        calls: Mapping[str, Call],
        on_report: Callable[[str, Any], Any],
    ) -> Iterator[tuple[str, Any]]:
        """(name, result) of `function(*arguments, report)` for each call, as they finish.

        What a call gives to `report` reaches `on_report(name, …)` in this thread. The exception of
        a call is raised here as the cause of a CallError, and the calls not yet finished are given
        up. Raises UserError when a call has cost several workers their life.
        """
        self.bring_data()
        futures = {name: self.submit(name, call) for name, call in calls.items()}
        waiting = set(futures)
        try:
            while waiting:
                name, event = self.events.get()
                if name not in waiting:
                    continue  # the last words of a call that was given up
                if event is not futures[name]:
                    on_report(name, event)
                    continue
                waiting.remove(name)
                yield name, result_of(name, event)
        finally:
            self.client.cancel([futures[name] for name in waiting])

    def run_spread(
        self, name: str, spread: Spread, call: Call, on_report: Callable[[str, Any], Any]
    ) -> Any:
        """The result of one call, made by several workers at once, each a rank of `spread`.

        Reports and exceptions are passed on as by `run`. Raises RankLostError when a worker is
        lost, after which the call may be made again, and UserError when there are too few workers.
        """
        self.bring_data()
        addresses = self.seats(spread)
        start = next(self.starts)
        futures: list[Any] = []
        ended: dict[int, Any] = {}  # results and losses by rank

        def key_of(rank: int) -> str:
            return f"{name}, rank {rank} of start {start}"

        def submit(rank: int, meeting: Meeting | None) -> None:
            host = get_address_host(addresses[rank])
            rank_call = (run_rank, spread, rank, meeting, host, *call)
            futures.append(self.submit(key_of(rank), rank_call, addresses[rank]))

        ranks = {key_of(rank): rank for rank in range(spread.processes)}
        submit(0, None)
        try:
            while len(ended) < len(futures):
                key, event = self.next_event(name, addresses)
                rank = ranks.get(key)
                if rank is None:
                    continue
                if isinstance(event, Meeting):
                    for other in range(1, spread.processes):
                        submit(other, event)
                elif event is not futures[rank]:
                    on_report(name, event)
                else:
                    ended[rank] = self.rank_result(name, event)
        except RankLostError:
            self.free(addresses)
            raise
        finally:
            with explained(name):
                self.client.cancel(futures)
        for outcome in ended.values():
            if isinstance(outcome, RankLostError):
                raise outcome
        return ended[0]

    def next_event(self, name: str, addresses: list[str]) -> tuple[str, Any]:
        """The next report or end; raises RankLostError when none can come from all of them."""
        while True:
            try:
                return self.events.get(timeout=LOOK_IN)
            except queue.Empty:
                with explained(name):
                    living = self.addresses()
                if set(addresses) - set(living):
                    raise RankLostError("a worker has ended") from None

    def rank_result(self, name: str, future: Any) -> Any:
        """A rank's result, or its RankLostError: to all others, a rank that fails is lost."""
        try:
            return result_of(name, future)
        except CallError as error:
            if isinstance(error.__cause__, RankLostError):
                return error.__cause__
            raise

    def free(self, addresses: list[str]) -> None:
        """Restart those of our own workers that may wait for minutes for a rank that is lost."""
        if not foreign_scheduler():
            for address in set(addresses) & set(self.addresses()):
                with suppress(KeyError):  # it has ended meanwhile
                    self.client.restart_workers([address], raise_for_error=False)

    def seats(self, spread: Spread) -> list[str]:
        """The address of each rank's worker: so many on each of so many hosts, idle ones first."""
        if spread.num_nodes > 1 and not foreign_scheduler():
            raise UserError(
                f"fabric.num_nodes is {spread.num_nodes}, but this machine's workers are on one "
                "host; set DASK_SCHEDULER_ADDRESS to a scheduler that has workers on others."
            )
        deadline = time.monotonic() + WAIT_FOR_WORKERS
        while True:
            hosts: dict[str, list[str]] = {}
            busy: Any = self.client.processing()
            for address in sorted(self.addresses(), key=lambda one: len(busy.get(one, ()))):
                hosts.setdefault(get_address_host(address), []).append(address)
            full = [found[: spread.devices] for found in hosts.values()]
            full = [found for found in full if len(found) == spread.devices]
            if len(full) >= spread.num_nodes:
                return list(chain(*full[: spread.num_nodes]))
            if time.monotonic() > deadline:
                found = ", ".join(f"{len(found)} on {host}" for host, found in hosts.items())
                raise UserError(
                    f"fabric asks for {spread.devices} workers on each of {spread.num_nodes} hosts;"
                    f" found: {found or 'none'}."
                )
            time.sleep(0.2)

    def addresses(self) -> list[str]:
        """Those of all workers that there are now."""
        return sorted(self.client.scheduler_info(n_workers=-1)["workers"])

    def bring_data(self) -> None:
        """Shared values to every worker: Dask sends work to data, and workers may have come."""
        for future in self.shared:
            with explained("the data's copying"):
                if error := future.exception():
                    raise error
                self.client.replicate(future)

    def submit(self, name: str, call: Call, worker: str | None = None) -> Any:
        """Start a call, at one worker or at any; its end is an event of `name`."""
        function, *arguments = call
        expected = software(self.modules)
        future = self.client.submit(
            report_back,
            self.topic,
            self.modules,
            expected,
            function,
            name,
            *arguments,
            pure=False,
            workers=worker and [worker],
        )
        future.add_done_callback(partial(self.finished, name))
        return future

    def finished(self, name: str, future: Any) -> None:
        self.events.put((name, future))


def result_of(name: str, future: Any) -> Any:
    """The result of a call that ended; see `Workers.run` for what is raised."""
    with explained(name):
        result = future.result()
    if isinstance(result, UserError):
        raise result
    if isinstance(result, Exception):
        raise CallError(name) from result
    return result


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn what Dask raises for a call into a sentence; a call returns exceptions of its own."""
    try:
        yield
    except KilledWorker as error:
        raise UserError(
            f"{name} was given up: {error.allowed_failures + 1} workers died while they ran it. "
            "Memory is the usual reason; what was finished is kept."
        ) from None
    except FutureCancelledError:
        raise UserError(
            f"{name} was lost with Dask's scheduler; what was finished is kept."
        ) from None
    except Exception as error:
        raise UserError(
            f"{name} failed in Dask ({type(error).__name__}: {' '.join(str(error).split())}); "
            "scheduler and workers need this commit and requirements.lock."
        ) from None


def same(value: Any) -> Any:
    return value


def report_back(
    topic: str,
    modules: tuple[str, ...],
    expected: str,
    function: Callable[..., Any],
    name: str,
    *arguments: Any,
) -> Any:
    """In a worker: `function` on one thread, its reports sent to whoever listens to `topic`.

    An exception is returned, since Dask would print it too; whoever waits raises it.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    worker = get_worker()
    if (found := software(modules)) != expected:
        return UserError(f"worker {worker.address} has {found}, this process {expected}.")
    with ONE_AT_A_TIME, arithmetic.one_thread(flush_denormals=True):
        if torch.cuda.is_available() and isinstance(worker.name, int):
            torch.cuda.set_device(worker.name % torch.cuda.device_count())
        try:
            return function(*arguments, lambda event: worker.log_event(topic, dumps((name, event))))
        except Exception as error:
            error.add_note(f"in the worker that ran {name}:\n{traceback.format_exc()}")
            return error


@cache
def software(modules: tuple[str, ...]) -> str:
    """What must be equal for two machines to give the same results: these modules, for one."""
    code = hashlib.sha256()
    for module in modules:
        found = find_spec(module)
        if found and found.origin:
            code.update(Path(found.origin).read_bytes())
    python, torch_version = platform.python_version(), torch.__version__
    return (
        f"Python {python}, torch {torch_version}, latent_digits {code.hexdigest()[:12]} and "
        f"arithmetic of {arithmetic.kind()}"
    )


def side_by_side(most: int) -> int:
    """How many workers this machine feeds: one a GPU, else one a core, but no more than `most`."""
    return max(1, min(most, torch.cuda.device_count() or len(os.sched_getaffinity(0))))


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """`count` workers of this machine, on loopback, which end with the block.

    If Dask's configuration names a scheduler (DASK_SCHEDULER_ADDRESS), its workers instead, however
    many these are.
    """
    with dask.config.set(SETTINGS):
        if address := foreign_scheduler():
            with connected(address) as client:
                yield Workers(client)
            return
        fork_from_one_import()
        # In a thread of its own, where no signal leaves half of Dask started and the rest waiting.
        cluster, client = ThreadPoolExecutor(1).submit(local_cluster, count).result()
        with cluster, client:
            yield Workers(client)


def local_cluster(count: int) -> tuple[LocalCluster, Client]:
    """This machine's workers. Raises UserError when one ends in each of several starts."""
    for _ in range(STARTS):
        try:
            cluster = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                memory_limit=0,
            )
            return cluster, Client(cluster)
        except RuntimeError as error:
            say(f"a worker did not start ({innermost(error)}).")
    raise UserError(
        f"no {count} workers could be started: one ended in each of {STARTS} attempts. Memory is "
        "the usual reason: free some, and the same command goes on."
    )


def innermost(error: BaseException) -> str:
    """Why, at the bottom of what each of Dask's layers has made of it."""
    while error.__cause__:
        error = error.__cause__
    return " ".join(str(error).split())


def foreign_scheduler() -> str | None:
    """The scheduler that Dask's configuration names, if it does."""
    return dask.config.get("scheduler-address", None)


def connected(address: str) -> Client:
    """A client of the scheduler at `address`. Raises UserError when none answers."""
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Dask scheduler answers at {address} ({error}); start `dask scheduler` there, or "
            "unset DASK_SCHEDULER_ADDRESS to work on this machine."
        ) from None
    if not client.scheduler_info()["workers"]:
        say(f"the scheduler at {address} has no worker yet; waiting for one.")
    return client


def with_ours(variable: str, separator: str, ours: str) -> str:
    """A variable's value: the user's own settings, and ours."""
    found = os.environ.get(variable, "").split(separator)
    return separator.join([*(one for one in found if one not in ("", ours)), ours])


def fork_from_one_import() -> None:
    """Let workers be forks of a process that has imported torch, the slowest part, once.

    Signals that a terminal or a cluster sends to all processes are for the stage, with which its
    workers end: they never see them.
    """
    os.environ.update(ALLOCATOR)
    os.environ[TUNABLES] = with_ours(TUNABLES, ":", ALLOCATOR[TUNABLES])
    os.environ[WARNINGS] = with_ours(WARNINGS, ",", UNCLOSED)
    get_mp_context().set_forkserver_preload(["latent_digits.training.loop"])
    resource_tracker.ensure_running()  # else started by the next, and it unblocks signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        with short_paths():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def short_paths() -> Iterator[None]:
    """Within the block, a temporary folder whose path leaves room for those of sockets in it."""
    before = tempfile.gettempdir()
    if len(os.fsencode(before)) > LONGEST_SOCKET - len("/pymp-01234567/listener-01234567"):
        tempfile.tempdir = "/tmp"  # noqa: S108  (multiprocessing makes a folder of its own there)
    try:
        yield
    finally:
        tempfile.tempdir = before
