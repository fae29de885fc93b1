"""What the machine does while a stage runs, as MLflow's page of system metrics expects it."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

SECONDS = 10.0


class SystemMetrics:
    """Processor, memory, disk, network and GPU, measured now and then by a thread until `stop`."""

    def __init__(self, report: Callable[[Mapping[str, Any], int], None]):
        self.report = report
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.measure, name="machine", daemon=True)
        self.thread.start()

    def measure(self) -> None:
        monitors = monitors_here()
        step = 0
        while not self.stopped.wait(SECONDS):
            for monitor in monitors:
                monitor.collect_metrics()
                values = {f"system/{k}": v for k, v in monitor.aggregate_metrics().items()}
                monitor.clear_metrics()
                if values:
                    self.report(values, step)
            step += 1

    def stop(self) -> None:
        """Measure no more; nothing is reported after this."""
        self.stopped.set()
        self.thread.join()


def monitors_here() -> list[Any]:
    """MLflow's own monitors; that of the GPU where there is one."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with suppress(Exception):  # whatever its absent driver raises
        monitors.append(GPUMonitor())
    return monitors
