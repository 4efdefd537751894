"""A person's view of a task, made in our world: the scripted motion with hands of skin and nothing else of the robot.

What human video is to a real robot (Sec. 4.1, "Learning from Human Data"): the same things happen, seen alike, but the body is
another one and only its wrist poses are known. The action is the next state.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from shutil import rmtree

import numpy as np

from dial_core.datasets.dataset_writer import write_dataset
from dial_core.datasets.episodes import StoredEpisode, store_episode
from dial_core.datasets.video import encode
from dial_core.demonstrations.collection_plan import contents_of, sources_of
from dial_core.demonstrations.demonstration import demonstrate
from dial_core.errors import DialError
from dial_core.files.fingerprint import require_same
from dial_core.importers.egodex.egodex_conversion import HUMAN, with_next_as_action
from dial_core.jobs.progress import progress_bar
from dial_core.jobs.workers import run_jobs
from dial_core.robot.embodiment import EEF_DIM, load_embodiment
from dial_core.sim.task import load_task, require_training_seed
from dial_core.sim.world import World

SKIN_RGB = (0.86, 0.63, 0.5)
HOPELESS_ATTEMPTS = 30

_worlds: dict[str, World] = {}


@dataclass(frozen=True)
class HandJob:
    """One attempt on the scene of `seed`, kept in `file` if it succeeds."""

    task: str
    seed: int
    file: str


def film_hands(task: str, episodes: int, seed: int, out: Path, workers: int) -> int:
    """A dataset of the embodiment `human` at `out` with the first `episodes` scenes from `seed` on that succeed; how many.

    Interrupted, it resumes where it stopped: finished episodes lie in `<out>.attempts/` until the dataset is written.

    Raises:
        DialError: `out` exists, the seeds reach those reserved for evaluation, or nothing succeeds.
    """
    if out.exists():
        raise DialError(f"{out} exists already; choose another folder, or delete it to film again.")
    folder = out.with_name(f"{out.name}.attempts")
    stated_later = {"contents": contents_of([load_task(task)]), "sources": sources_of(__name__)}
    require_same(folder, {"task": task, "seed": seed, **stated_later}, defaults=stated_later)
    done = {int(file.stem) for file in folder.glob("*.npz")}
    failed: list[str] = []

    def jobs():
        for at in count(seed):
            if len(done) >= episodes and at > sorted(done)[episodes - 1]:  # a scene in flight when it was killed is tried again
                return
            require_training_seed(at)
            if at not in done:
                yield HandJob(task, at, str(folder / f"{at:06d}.npz"))

    with progress_bar(f"film hands at {task}", episodes, min(episodes, len(done))) as advance:
        for result in run_jobs(film, jobs(), workers):
            reason = result.reason or result.value
            if reason:
                failed.append(reason)
            else:
                done.add(result.job.seed)
            advance(int(not reason), f"{len(failed)} failed")
            if not done and len(failed) >= HOPELESS_ATTEMPTS:
                raise DialError(f"not one of the first {HOPELESS_ATTEMPTS} scenes succeeded, the last: {failed[-1]}")
    chosen = sorted(done)[:episodes]
    size = _world(task).image_size
    write_dataset(out, [folder / f"{at:06d}.npz" for at in chosen], load_embodiment(HUMAN), (size, size))
    rmtree(folder)
    return len(chosen)


def film(job: HandJob) -> str | None:
    """Runs one attempt and stores it if it succeeds; returns what ended it otherwise."""
    world = _world(job.task)
    episode, reason = demonstrate(world, job.seed)
    if episode is None:
        return reason
    wrists = episode.states[:, :EEF_DIM]
    states, actions, mask = with_next_as_action(wrists, np.ones((len(wrists), 2), bool))
    coded = encode(episode.frames[: len(states)], world.embodiment.rate_hz)
    facts = {**episode.facts, "frame": "robot"}
    store_episode(Path(job.file), StoredEpisode(coded, states, actions, episode.instruction, job.seed, facts, action_mask=mask))
    return None


class HandsWorld(World):
    """A task's world as a person sees it: hands of skin, arms and torso invisible. The physics is the robot's."""

    def reset(self, seed: int, target: int | None = None) -> None:
        """As `World`, and paints the model, which may be another one for each scene."""
        super().reset(seed, target)
        palms = {self.model.body(f"{side}_palm").id for side in ("l", "r")}
        robot = self.model.body(self.embodiment.base).id
        for geom in range(self.model.ngeom):
            line = _ancestors(self.model, int(self.model.geom_bodyid[geom]))
            if robot in line:
                self.model.geom_rgba[geom] = (*SKIN_RGB, 1.0) if line & palms else (0.0, 0.0, 0.0, 0.0)


def _ancestors(model, body: int) -> set[int]:
    line = {body}
    while body > 0:
        body = int(model.body_parentid[body])
        line.add(body)
    return line


def _world(task: str) -> World:
    if task not in _worlds:
        _worlds[task] = HandsWorld(task)
    return _worlds[task]
