"""Worker processes for trainings and trials: a Dask cluster on this machine, a thread a worker.

One thread a training is as fast as two for these networks, so work runs side by side instead.
Results do not depend on the number of workers: every call is a pure function of its arguments.
"""

import logging
import os
import queue
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import dask.config
import torch
from distributed import Client, LocalCluster, get_worker
from distributed.utils import get_mp_context

TOPIC = "progress"
SETTINGS = {
    "distributed.worker.multiprocessing-method": "forkserver",
    "distributed.logging.distributed": "critical",
    "distributed.comm.timeouts.connect": "60s",
}
Call = tuple[Any, ...]  # a function and its arguments, without the last one: `report`


class Workers:
    """Runs functions in worker processes and passes on what they report meanwhile."""

    def __init__(self, client: Client):
        self.client = client
        self.events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        client.subscribe_topic(TOPIC, lambda event: self.events.put(event[1]))

    def share(self, value: Any) -> Any:
        """`value` on every worker, sent once; pass the result as an argument in its place."""
        return self.client.scatter(value, broadcast=True, hash=False)

    def run(
        self,
        calls: Mapping[str, Call],
        on_report: Callable[[str, Any], None],
    ) -> Iterator[tuple[str, Any]]:
        """(name, result) of `function(*arguments, report)` for each call, as they finish.

        What a call gives to `report` reaches `on_report(name, …)` in this thread. The exception of
        a call is raised here, and the calls not yet finished are given up.
        """
        futures = {
            name: self.client.submit(report_back, function, name, *arguments, pure=False)
            for name, (function, *arguments) in calls.items()
        }
        for name, future in futures.items():
            future.add_done_callback(partial(self.finished, name))
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
                result = futures[name].result()
                if isinstance(result, Exception):
                    raise result
                yield name, result
        finally:
            self.client.cancel([futures[name] for name in waiting])

    def finished(self, name: str, future: Any) -> None:
        self.events.put((name, future))


def report_back(function: Callable[..., Any], name: str, *arguments: Any) -> Any:
    """In a worker: `function` on one thread, its reports sent to whoever waits for `name`.

    An exception is returned, since Dask would print it too; whoever waits raises it.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # a collapsing network makes denormals, at ten times the cost
    worker = get_worker()
    try:
        return function(*arguments, lambda event: worker.log_event(TOPIC, (name, event)))
    except Exception as error:
        error.add_note(f"in the worker that ran {name}:\n{traceback.format_exc()}")
        return error


@contextmanager
def local_workers(most: int) -> Iterator[Workers]:
    """One worker a core, but no more than `most`, on loopback; they end with the block."""
    count = max(1, min(most, len(os.sched_getaffinity(0))))
    fork_from_one_import()
    with (
        dask.config.set(SETTINGS),
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield Workers(client)


def fork_from_one_import() -> None:
    """Let workers be forks of a process that has imported torch, the slowest part, once."""
    # Freed memory stays with the process: a step's tensors are as large as the step's before, and
    # giving them back costs 250 page faults a step.
    os.environ.update(
        MALLOC_MMAP_THRESHOLD_="1000000000",
        MALLOC_TRIM_THRESHOLD_="1000000000",
        MALLOC_TOP_PAD_="67108864",
    )
    with dask.config.set(SETTINGS):
        get_mp_context().set_forkserver_preload(["latent_digits.training"])
