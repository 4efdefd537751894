"""Jobs over a Ray cluster: `run_jobs` on many machines. Needs the extra: `pip install -e ".[ray]"`.

Every machine sees the same files (a shared folder) and has this package installed. What a job returns or writes does not depend
on where it runs, so the results are those of one process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from dial_core.errors import DialError
from dial_core.jobs.results import JobResult, call

RETRIES = 3  # of a job whose worker process or machine died, unless the caller sets another number
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MUJOCO_GL": "egl"}  # one thread a job: jobs fill the cores


def run_on_ray(
    function: Callable[[Any], Any], jobs: Iterable[Any], address: str, workers: int, retries: int = RETRIES
) -> Iterator[JobResult]:
    """Yields the result of `function(job)` for each job, in the order in which jobs end.

    As `workers.run_jobs`, but a job whose worker dies is tried again, up to `retries` times.

    Args:
        address: of the cluster, `auto` for the one that this machine belongs to, or `local` to start one here.
        workers: jobs at the same time; 0: as many as the cluster has cores.

    Raises:
        DialError: Ray is not installed, or there is no cluster at `address`.
    """
    ray = connect(address, workers)
    limit = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    task = ray.remote(num_cpus=1, max_retries=retries)(call)
    waiting = iter(jobs)
    running = {task.remote(function, job): job for job in islice(waiting, limit)}
    try:
        while running:
            (ready,), _ = ray.wait(list(running), num_returns=1)
            yield _result(ray, ready, running.pop(ready), retries)
            for job in islice(waiting, 1):
                running[task.remote(function, job)] = job
    finally:
        for left in running:
            ray.cancel(left, force=True)


def connect(address: str, workers: int = 0) -> Any:
    """The `ray` module, connected to the cluster at `address`; see `run_on_ray`."""
    try:
        import ray
    except ImportError as error:
        raise DialError('--ray needs the package ray: pip install -e ".[ray]"; without it use --workers, or --shard K/N') from error
    if not ray.is_initialized():
        try:
            if address == "local":
                here = {"env_vars": ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}}
                ray.init("local", num_cpus=workers or None, include_dashboard=False, log_to_driver=False, runtime_env=here)
            else:
                ray.init(address=address, log_to_driver=False, runtime_env={"env_vars": ENVIRONMENT})
        except ConnectionError as error:
            raise DialError(
                f"no Ray cluster at '{address}'; start one (`ray start --head`, and `ray start --address=HOST:6379` on the other "
                "machines), or give --ray local"
            ) from error
    return ray


def _result(ray: Any, ready: Any, job: Any, retries: int) -> JobResult:
    try:
        value, error = ray.get(ready)
        return JobResult(job, value, error)
    except ray.exceptions.RayTaskError as error:  # before the job began: a module that is missing on that machine
        return JobResult(job, error=f"its worker could not begin it: {error}")
    except ray.exceptions.RayError as died:
        times = f" {retries + 1} times" if retries else ""
        return JobResult(job, error=f"its worker died{times}: {str(died).splitlines()[0]}")
