"""Environments of the GR1 benchmarks as an arena: the original, robocasa-gr1-tabletop-tasks, and the GR1 of robosuite.

The simulator runs in an environment server with its own packages. Facts on the original are read from its source and from
the authors' evaluation; it was not run by us, as its assets do not come with this project (docs/robocasa.md).
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import NOT_SEEN, EndState, StepObservation
from dial_core.evaluation.closed_loop.benchmark import Benchmark
from dial_core.robot.embodiment import EEF_DIM, load_embodiment
from dial_core.robot.vector_layout import LayoutConverter, load_layout


class RobocasaArena:
    """One environment of a benchmark, in a server of its own."""

    def __init__(self, benchmark: Benchmark, task: str, settle_steps: int = 0) -> None:
        """Starts the server and makes the environment.

        Args:
            settle_steps: control steps for which the robot stands still after a reset.

        Raises:
            DialError: the benchmark is not installed, or its rate or spaces are not what the embodiment needs.
        """
        self.task = task
        self.embodiment, self.max_steps = load_embodiment(benchmark.embodiment), benchmark.max_steps
        self._benchmark, self._settle_steps = benchmark, settle_steps
        if self.embodiment.rate_hz != benchmark.rate_hz:
            name, rate_hz = self.embodiment.name, self.embodiment.rate_hz
            raise DialError(f"embodiment '{name}' runs at {rate_hz} Hz, the benchmark at {benchmark.rate_hz} Hz")
        self._units = LayoutConverter(load_layout(benchmark.layout), self.embodiment)
        places = {name: self.embodiment.group_slice(name) for name in benchmark.groups}
        self._groups = {name: slice(place.start - EEF_DIM, place.stop - EEF_DIM) for name, place in places.items()}
        self._server = benchmark.start()
        try:
            made, _ = self._server.call(
                "make",
                modules=benchmark.module_names(),
                id=benchmark.id.format(task=task),
                options=benchmark.options,
                image=benchmark.image,
                instruction=benchmark.instruction,
            )
            self._check_shapes(made["shapes"])
        except DialError:
            self._server.close()
            raise
        self._seen: dict[str, Any] = {}
        self._arrays: dict[str, np.ndarray] = {}

    @property
    def steps(self) -> int:
        """Control steps of the policy since the reset, by the simulator's own count."""
        return int(self._seen["steps"]) - self._begun

    @property
    def instruction(self) -> str:
        """What the scene asks for, without what the environment puts before it."""
        return str(self._seen["instruction"]).removeprefix(self._benchmark.prefix)

    def reset(self, seed: int, other: bool = False) -> None:
        """Sets up the scene of `seed` and lets it settle. Raises DialError for `other`: success is judged on one object only."""
        if other:
            raise DialError("this benchmark judges the named object only; --instruct other is for our own tabletop")
        limits = self._benchmark.start_limits.model_dump()
        self._keep(self._server.call("reset", seed=seed, settle_steps=self._settle_steps, limits=limits))
        self._begun, self._faults = int(self._seen["steps"]), tuple(self._seen["faults"])

    def observe(self, look: bool = True) -> StepObservation:
        """The measured joints, the pose of the base, and, if asked for (`look`), the image as the simulation stands now."""
        if look and "image" not in self._arrays:
            self._keep(self._server.call("look"))
        joints = np.zeros(len(self.embodiment.joints))
        for name, place in self._groups.items():
            joints[place] = self._arrays[f"state.{name}"]
        image = self._arrays["image"] if look else NOT_SEEN
        return StepObservation(image, self._units.joints_to_ours(joints), self.instruction, self._arrays.get("base"))

    @property
    def set_points(self) -> np.ndarray:
        """The measured joints: the environment does not report what it commands."""
        return self.observe(look=False).joints

    def advance(self, targets: np.ndarray) -> bool:
        """One control step towards the last row of `targets`; whether the environment calls it a success at its end."""
        converted = self._units.joints_from_ours(np.atleast_2d(targets)[-1])
        actions = {f"action.{name}": np.asarray(converted[place], np.float32) for name, place in self._groups.items()}
        self._keep(self._server.call("step", actions))
        return bool(self._seen["success"])

    def other_instruction(self) -> str:
        """Raises DialError: the environment does not report which other objects there are."""
        raise DialError("this benchmark does not name its distractors; probe wrong instructions on our own tabletop")

    def scene_id(self) -> str:
        """Of the image, the joints and the instruction as they stand."""
        seen = self.observe()
        digest = hashlib.sha256(self.instruction.encode())
        digest.update(np.ascontiguousarray(seen.image).tobytes() + seen.joints.tobytes())
        return digest.hexdigest()[:12]

    def video_frame(self) -> np.ndarray:
        """The environment's own image."""
        return self.observe().image

    def outcome(self) -> EndState:
        """Whether the last step ended in success, and what was wrong with the scene before the first; other objects are not identified."""
        return EndState(1, bool(self._seen["success"]), False, self._faults)

    def close(self) -> None:
        """Ends the server."""
        self._server.close()

    def _keep(self, answer: tuple[dict[str, Any], dict[str, np.ndarray]]) -> None:
        success = self._seen.get("success", False)
        self._seen, self._arrays = answer
        if "image" in self._arrays and "faults" not in self._seen:
            self._seen["success"] = success  # looking judges nothing

    def _check_shapes(self, shapes: dict[str, list[int]]) -> None:
        for name, place in self._groups.items():
            for key in (f"state.{name}", f"action.{name}"):
                if shapes.get(key) != [place.stop - place.start]:
                    raise DialError(
                        f"environment {self.task}: '{key}' has shape {shapes.get(key)}, embodiment '{self.embodiment.name}' has "
                        f"{place.stop - place.start} joints in group {name}; keys: {', '.join(shapes)}"
                    )
