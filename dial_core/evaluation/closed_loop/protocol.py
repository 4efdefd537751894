"""How an evaluation is run, and its hash: two results compare only if their protocols agree."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

import dial_core
from dial_core.config import Config, config_root
from dial_core.control.motion_plan import SPLICE_LEAD_S
from dial_core.control.overlap import Strategy
from dial_core.files.code_digest import code_digest, code_of
from dial_core.inference.programs import Runtime
from dial_core.jobs.results import EndOfJobsError
from dial_core.sim.task import EVALUATION_SEEDS_FROM

PolicyKind = Literal["checkpoint", "peer", "expert", "random", "replay"]
Judged = Literal["every_step", "chunk_end"]
Execution = Literal["robot", "direct"]
ForesightKind = Literal["own", "wrong_instruction", "zeros", "first_frame", "expert_future"]

# Success counts when it lasted this many control steps in a row (0.5 s): a toppling object passes through.
HOLD_STEPS = 10

# What a result depends on beside its protocol: the code that runs an episode with all it imports, and data of these kinds.
_ENTRY = "dial_core.evaluation.closed_loop.rollout"
_SERVED = ("evaluation", "environments")
_KINDS = ("benchmarks", "embodiments", "families", "layouts", "appearances", "objects", "settings", "suites", "tasks")

# Policies without a model command their targets as they are, and peers the rows of their chunks: the rest of the loop does nothing there.
WITHOUT_MODEL = ("expert", "random", "replay")
_FORESIGHT_AND_SPLICE = (
    *("strategy", "system2_period_steps", "system2_delay_steps", "system1_delay_s", "splice_lead_s", "controller_period_s"),
    *("flow_steps", "noise_seed", "foresight", "runtime"),
)

_UNREPORTED = {"device": ("", "cpu"), "precision": ("", "float32")}


class Protocol(Config):
    """One evaluation. The defaults are the timing of the ROS loop: chunks at 6.7 Hz, foresights at 4 Hz, and both late.

    Attributes:
        policy: `checkpoint`, `expert`, `random` (a floor), or `replay` (the actions of a dataset's episodes, open loop).
        model_id: id of the checkpoint (`checkpoint/identity.py`), or hash of the replayed dataset; empty for the others.
        suite: which scenes; see `suites`.
        tasks: what is asked, in this order.
        episodes, seed: of every task the scenes `seed` .. `seed + episodes - 1`; never trained on, but for `replay`.
        seeds: those of a replay, which has gaps where the expert failed; empty otherwise.
        rules: name of the benchmark's protocol that fixed the following, with its timing; empty for our own suites.
        environment: hash of the versions and assets of a benchmark's own environment; see `benchmark.environment_facts`.
        judged: when success is judged: at `every_step`, or only where a chunk ends (`chunk_end`), as the authors' evaluation does.
        settle_steps: control steps for which a benchmark's robot stands still before the first image.
        hold_steps: success counts when it lasted this many control steps in a row; a toppling object passes through.
        execution: `robot`: chunks are spliced, limited and played by emulated controllers, late, as on a robot; `direct`: the rows of
            a chunk are the commands, from the very control step of its image, as benchmarks run a policy. Policies without chunks
            (`expert`, `random`, `replay`) command their targets directly, and so do peers.
        strategy: what is done where chunks overlap; see `control.overlap`.
        execute_steps: control steps from one chunk to the next.
        system2_period_steps: control steps between two foresights.
        system2_delay_steps: control steps until a foresight reaches System-1.
        system1_delay_s: from a frame to the moment its chunk is sent [s]; 0.07 is what the ROS loop measured on two cores.
        splice_lead_s: from the moment a chunk is sent until it takes over [s]; see `control.motion_plan`.
        controller_period_s: between two updates of the emulated controllers [s].
        flow_steps: Euler steps of the action decoder.
        noise_seed: of the decoder's fixed initial noise; -1: none, see `flow_matching.initial_noise`.
        instruct: `scene`: the object that the seed names; `other`: another one in view, and success is judged on that one.
        foresight: what System-1 gets; see `probes`.
        camera: which camera the policy sees through.
        image_px: side of its image in our own tabletop [px]; a checkpoint's own size.
        runtime: what a checkpoint's sessions compute with; see `dial export`.
        device, precision: where a checkpoint computes (`cpu`, `cuda`) and in which dtype, where the runtime does not say it; empty where
            that is not known (a server's), or nothing is computed.
    """

    policy: PolicyKind = "checkpoint"
    model_id: str = ""
    suite: str = "in_distribution"
    tasks: tuple[str, ...] = Field(default=("PlacematToPlate",), min_length=1)
    episodes: int = Field(default=100, gt=0)
    seed: int = Field(default=EVALUATION_SEEDS_FROM, ge=0)
    seeds: tuple[int, ...] = ()
    rules: str = ""
    environment: str = ""
    judged: Judged = "every_step"
    settle_steps: int = Field(default=0, ge=0)
    hold_steps: int = Field(default=HOLD_STEPS, gt=0)
    execution: Execution = "robot"
    strategy: Strategy = "ensemble"
    execute_steps: int = Field(default=3, gt=0)
    system2_period_steps: int = Field(default=5, gt=0)
    system2_delay_steps: int = Field(default=1, ge=0)
    system1_delay_s: float = Field(default=0.07, ge=0)
    splice_lead_s: float = Field(default=SPLICE_LEAD_S, ge=0)
    controller_period_s: float = Field(default=0.01, gt=0)
    flow_steps: int = Field(default=4, gt=0)
    noise_seed: int = Field(default=-1, ge=-1)
    instruct: Literal["scene", "other"] = "scene"
    foresight: ForesightKind = "own"
    camera: str = "ego"
    image_px: int = Field(default=96, gt=0)
    runtime: Runtime = "eager"
    device: str = ""
    precision: str = ""

    @model_validator(mode="after")
    def _fair(self):
        if self.policy != "replay" and self.seed < EVALUATION_SEEDS_FROM:
            raise ValueError(f"seed {self.seed} is for training; evaluate on seeds from {EVALUATION_SEEDS_FROM}")
        repeated = sorted({task for task in self.tasks if self.tasks.count(task) > 1})
        if repeated:
            raise ValueError(f"tasks listed twice: {', '.join(repeated)}")
        if self.judged == "chunk_end" and self.hold_steps != 1:
            raise ValueError(f"hold_steps {self.hold_steps} with judged chunk_end: chunk ends are not consecutive steps; expected 1")
        return self

    @property
    def judging_steps(self) -> int:
        """Control steps from one judgement of success to the next."""
        return self.execute_steps if self.judged == "chunk_end" else 1

    def require_model(self, model_id: str, location: str) -> None:
        """Checks that `location` still holds what the evaluation was started with; a protocol without an id takes anything.

        Raises:
            EndOfJobsError: it holds another: it was written over, or what is served there was replaced.
        """
        if self.model_id and model_id != self.model_id:
            raise EndOfJobsError(
                f"{location} now holds {model_id}, this evaluation was started with {self.model_id}; its results would be of two policies. "
                "Put the first one back to resume it, or start another evaluation"
            )

    @property
    def hash(self) -> str:
        """12 hex digits of all of the above, of what tasks named by a file say, and of the code version.

        The device and precision that all results had before they could say so do not count.
        """
        usual = {name for name, values in _UNREPORTED.items() if getattr(self, name) in values}
        files = [Path(task).read_text() for task in self.tasks if Path(task).is_file()]
        content = "".join([self.model_dump_json(exclude=usual), dial_core.__version__, *files])
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def without_effect(protocol: Mapping[str, Any]) -> frozenset[str]:
    """The settings of a protocol, as JSON values, that do nothing, since its policy has no foresight, no splice, or no model at all."""
    policy = protocol["policy"]
    if policy == "peer":
        return frozenset(_FORESIGHT_AND_SPLICE)
    if policy not in WITHOUT_MODEL:
        return frozenset()
    chunks = () if protocol.get("judged") == "chunk_end" else ("execute_steps",)  # judged where a chunk would end, if it had any
    return frozenset((*_FORESIGHT_AND_SPLICE, *chunks, "device", "precision"))


@cache
def sources_hash() -> str:
    """12 hex digits of the code and the data files that an evaluation's outcome depends on, see `code_digest`."""
    data = [path for kind in _KINDS for path in sorted((config_root() / kind).rglob("*.yaml"))]
    return code_digest(code_of(_ENTRY) | _served(), data)


def _served() -> dict[str, Path]:
    """The environments that an environment server imports by file: name -> file."""
    return {path.stem: path for path in Path(dial_core.__file__).parent.joinpath(*_SERVED).glob("*.py")}
