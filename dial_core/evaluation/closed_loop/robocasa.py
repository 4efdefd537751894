"""The original benchmark, robocasa-gr1-tabletop-tasks, as an arena where that package is installed.

Not run by us: its assets do not come with this project. Tested against a stand-in with the same observation and action
spaces; facts read from the package's source (environment names, camera, crop, 20 Hz) and from the authors' evaluation
(720 steps, 50 episodes, success at any control step).
"""

from __future__ import annotations

import hashlib
import importlib
from functools import cache
from typing import Any

import gymnasium
import numpy as np

from dial_core.config import Config, load_config
from dial_core.control.overlap import Strategy
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import EndState, StepObservation
from dial_core.robot.embodiment import load_embodiment

WAIST_PREFIX = "unlocked_waist: "  # the environment puts this before its instructions


class Names(Config):
    """Some environments: `pattern` with each name `of` the list in place of {}."""

    pattern: str
    of: tuple[str, ...]


class Benchmark(Config):
    """A benchmark from outside (`config/benchmarks/<name>.yaml`), with everything its protocol fixes."""

    package: str
    embodiment: str
    modules: tuple[str, ...]
    id: str  # of an environment, with {task}
    rate_hz: float
    max_steps: int  # control steps
    episodes: int
    hold_steps: int  # control steps
    execute_steps: int  # control steps
    strategy: Strategy
    image: str  # key of the image
    instruction: str  # key of the instruction
    groups: tuple[str, ...]  # joint groups: keys state.<group> and action.<group>
    suites: dict[str, tuple[Names, ...]]

    def tasks(self, suite: str) -> tuple[str, ...]:
        """The environments of a suite, without prefix and robot."""
        return tuple(names.pattern.format(name) for names in self.suites[suite] for name in names.of)

    @property
    def protocol(self) -> dict:
        """What the benchmark fixes of `Protocol`; the command line may choose another timing, and the hash tells."""
        return self.model_dump(include={"episodes", "hold_steps", "execute_steps", "strategy"})


class RobocasaArena:
    """One environment of the original benchmark."""

    def __init__(self, benchmark: Benchmark, task: str) -> None:
        """Makes the environment.

        Raises:
            DialError: the package is not installed, or its rate or spaces are not what the embodiment needs.
        """
        self.task = task
        self.embodiment, self.max_steps = load_embodiment(benchmark.embodiment), benchmark.max_steps
        self._benchmark = benchmark
        if self.embodiment.rate_hz != benchmark.rate_hz:
            name, rate_hz = self.embodiment.name, self.embodiment.rate_hz
            raise DialError(f"embodiment '{name}' runs at {rate_hz} Hz, the benchmark at {benchmark.rate_hz} Hz")
        self._env = _make(benchmark, task)
        offset = self.embodiment.joint_slice.start
        self._groups = {name: _moved(self.embodiment.group_slice(name), -offset) for name in benchmark.groups}
        self._check_spaces()
        self._seen: dict[str, Any] = {}
        self._inner: Any = self._env.unwrapped.env  # type: ignore[attr-defined]  # robosuite's
        self._done = False

    @property
    def steps(self) -> int:
        """Control steps run since the reset, as robosuite counts them."""
        return int(self._inner.timestep)

    @property
    def instruction(self) -> str:
        """What the scene asks for, without the environment's prefix about the waist."""
        return str(self._seen[self._benchmark.instruction]).removeprefix(WAIST_PREFIX)

    def reset(self, seed: int, other: bool = False) -> None:
        """Puts up the scene of `seed`. Raises DialError for `other`: its success is judged on one object only."""
        if other:
            raise DialError("the original benchmark judges the named object only; --instruct other is for our own tabletop")
        # The environment seeds numpy's global generator on a reset; robosuite has another one, seeded only when it is made.
        self._inner.rng = np.random.default_rng(seed)
        self._seen, _ = self._env.reset(seed=seed)
        self._done = False

    def observe(self, look: bool = True) -> StepObservation:
        """The environment's image, and the joints in vector order. A checkpoint crops and scales as its contract says."""
        joints = np.zeros(len(self.embodiment.joints))
        for name, place in self._groups.items():
            joints[place] = self._seen[f"state.{name}"]
        return StepObservation(self.video_frame(), joints, self.instruction)

    @property
    def set_points(self) -> np.ndarray:
        """The measured joints: the environment does not tell what it commands."""
        return self.observe(look=False).joints

    def advance(self, targets: np.ndarray) -> bool:
        """One control step towards the last row of `targets`; whether the environment calls it a success at its end."""
        targets = np.atleast_2d(targets)[-1]
        action = {f"action.{name}": np.asarray(targets[place], np.float32) for name, place in self._groups.items()}
        self._seen, _, _, _, info = self._env.step(action)
        self._done = bool(info["success"])
        return self._done

    def other_instruction(self) -> str:
        """Raises DialError: the environment does not tell which other objects there are."""
        raise DialError("the original benchmark does not name its distractors; probe wrong instructions on our own tabletop")

    def scene_id(self) -> str:
        """Of the first image, the joints and the instruction."""
        seen = self.observe()
        digest = hashlib.sha256(self.instruction.encode())
        digest.update(np.ascontiguousarray(self._seen[self._benchmark.image]).tobytes() + seen.joints.tobytes())
        return digest.hexdigest()[:12]

    def video_frame(self) -> np.ndarray:
        """The environment's own image."""
        return np.asarray(self._seen[self._benchmark.image], np.uint8)

    def outcome(self) -> EndState:
        """Whether the last step ended in success; other objects are not told apart."""
        return EndState(1, self._done, False)

    def close(self) -> None:
        """Frees the environment."""
        self._env.close()

    def _check_spaces(self) -> None:
        seen, moved = self._env.observation_space, self._env.action_space
        assert isinstance(seen, gymnasium.spaces.Dict)
        assert isinstance(moved, gymnasium.spaces.Dict)
        for name, place in self._groups.items():
            for space, key in ((seen, f"state.{name}"), (moved, f"action.{name}")):
                shape = space[key].shape if key in space.spaces else None
                if shape != (place.stop - place.start,):
                    raise DialError(
                        f"environment {self.task}: '{key}' has shape {shape}, embodiment '{self.embodiment.name}' has "
                        f"{place.stop - place.start} joints in group {name}; keys: {', '.join(space.spaces)}"
                    )


@cache
def load_benchmark(name: str) -> Benchmark:
    """The benchmark `name` from `config/benchmarks/`."""
    return load_config(Benchmark, "benchmarks", name)


def _make(benchmark: Benchmark, task: str) -> gymnasium.Env:
    try:
        for module in benchmark.modules:
            importlib.import_module(module)
    except ImportError as error:
        raise DialError(
            f"suite of package '{benchmark.package}': {error}. Install robosuite and robocasa-gr1-tabletop-tasks with its assets into this "
            "environment (docs/evaluation.md, 'The original benchmark'), or choose one of our own suites"
        ) from error
    return gymnasium.make(benchmark.id.format(task=task), enable_render=True)


def _moved(place: slice, by: int) -> slice:
    return slice(place.start + by, place.stop + by)
