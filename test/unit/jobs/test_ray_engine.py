"""Jobs over a real Ray cluster on this machine. `make ray` (installs the extra)"""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.policies import PolicySource
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import run_cases
from dial_core.jobs import ray_engine, workers
from dial_core.jobs.workers import run_jobs, use_ray
from dial_core.training import mapped_dataset
from dial_core.training.mapped_dataset import MappedDataset

JOBS = """
import os
from pathlib import Path

def square(job):
    if isinstance(job, Path):  # ends its worker the first time
        if not job.exists():
            job.touch()
            os._exit(7)
        return "second time"
    if job == 3:
        raise ValueError("three is not allowed")
    if job == 4:
        os._exit(7)
    return job * job
"""


@pytest.fixture(scope="module")
def square(tmp_path_factory):
    """A job function in a module that workers can import."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "ray_jobs.py").write_text(JOBS)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("ray_jobs").square
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def cluster(square):
    """A local cluster of two cores."""
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    ray_engine.connect("local", workers=2)
    yield
    ray.shutdown()


@pytest.fixture
def on_cluster(cluster):
    """`run_jobs` uses the cluster."""
    use_ray("local")
    yield
    use_ray("")


@pytest.mark.slow
def test_jobs_give_what_one_process_gives_and_a_dead_worker_is_tried_again(on_cluster, square, tmp_path):
    results = {result.job: result for result in run_jobs(square, [1, 2, 3, 4, 5, tmp_path / "seen"], workers=2)}
    assert {job: result.value for job, result in results.items() if not result.error} == {
        1: 1,
        2: 4,
        5: 25,
        tmp_path / "seen": "second time",
    }
    assert "three is not allowed" in (results[3].error or "")
    assert "died 4 times" in (results[4].error or "")


@pytest.mark.slow
def test_without_retries_a_dead_worker_is_a_result_at_once(on_cluster, square, tmp_path):
    results = {result.job: result for result in run_jobs(square, [2, tmp_path / "seen"], workers=2, retries=0)}
    assert results[2].value == 4
    assert "its worker died: " in (results[tmp_path / "seen"].error or "")


@pytest.mark.slow
def test_jobs_are_drawn_only_when_a_worker_is_free(on_cluster, square):
    seen = []

    def until_enough():
        job = 10
        while len(seen) < 2:
            yield (job := job + 10)

    for result in run_jobs(square, until_enough(), workers=1):
        seen.append(result.value)
    assert seen[:2] == [400, 900]


@pytest.fixture
def started_cluster(square, monkeypatch):
    """A cluster as `ray start --head` makes it: processes of its own, which `auto` finds. It ends with the process that started it."""
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    ray.shutdown()
    folders = [str(Path(square.__code__.co_filename).parent), *(path for path in sys.path if path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    start = "import sys; from ray.scripts.scripts import main; sys.exit(main())"
    options = ["--head", "--block", "--num-cpus", "2", "--port", "0", "--include-dashboard", "false", "--disable-usage-stats"]
    with subprocess.Popen(
        [sys.executable, "-c", start, "start", *options], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as head:
        printed = []
        for line in head.stdout:
            printed.append(line)
            if "Ray runtime started" in line:
                break
        assert head.poll() is None, "".join(printed)
        use_ray("auto")
        yield
        use_ray("")
        ray.shutdown()
        head.terminate()
        head.communicate(timeout=60)


@pytest.mark.slow
def test_a_started_cluster_is_found_retries_dead_workers_and_writes_the_same_bytes(
    started_cluster, square, tmp_path, fake_dataset, monkeypatch
):
    results = {result.job: result for result in run_jobs(square, [2, tmp_path / "seen", 4], workers=2)}
    assert (results[2].value, results[tmp_path / "seen"].value) == (4, "second time")
    assert "died 4 times" in (results[4].error or "")

    monkeypatch.setattr(mapped_dataset, "_EPISODES_PER_JOB", 1)
    folder = fake_dataset(tmp_path / "dataset").folder
    spread = MappedDataset(folder, workers=2).actions.tobytes()
    shutil.rmtree(folder / "features")
    use_ray("")
    assert spread == MappedDataset(folder).actions.tobytes()


def test_without_ray_the_error_says_what_to_install(monkeypatch, square):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DialError, match=r"\.\[ray\]"):
        list(ray_engine.run_on_ray(square, [1], "auto", 0))


def test_the_engine_is_chosen_by_the_address(monkeypatch, square):
    asked = []
    monkeypatch.setattr(workers, "run_on_ray", lambda function, jobs, *how: asked.append(how) or iter(()))
    use_ray("10.0.0.1:6379")
    try:
        assert list(run_jobs(square, [1], workers=3)) == []
        run_cases(Protocol(policy="random"), PolicySource("random"), [Case("PlacematToPlate", 100_000)], 2, lambda result: None)
    finally:
        use_ray("")
    assert asked == [("10.0.0.1:6379", 3, 3), ("10.0.0.1:6379", 2, 0)]  # a crashed episode is a failure, and not tried again
    assert [result.value for result in run_jobs(square, [2], workers=0)] == [4]
