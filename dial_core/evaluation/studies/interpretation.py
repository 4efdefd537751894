"""What System-2 expects, made visible (paper Sec. 5.6, Fig. 12): current view, true future and foresight in one colour basis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dial_core.datasets.video import write_video
from dial_core.errors import DialError
from dial_core.evaluation.closed_loop.arena import Case
from dial_core.evaluation.closed_loop.dial_policy import DialPolicy
from dial_core.evaluation.closed_loop.policies import ExpertPolicy, Policy
from dial_core.evaluation.closed_loop.protocol import Protocol
from dial_core.evaluation.closed_loop.rollout import Verdicts
from dial_core.evaluation.closed_loop.suites import make_arena
from dial_core.inference.policy_loop import ChunkSource, ForesightSource
from dial_core.observation.camera_view import fit_view
from dial_core.viz import PcaColours, change_map, heat
from dial_core.viz.panels import Panel, compose

VIDEO_CELL = 224  # side of one panel [px]


@dataclass(frozen=True)
class Watched:
    """One episode with everything System-2 saw and expected.

    Attributes:
        case, instruction: the scene, and what was asked.
        frames: uint8 (T, H, W, 3), one a control step.
        tokens: Enc_ViT of every frame, float32 (T, N, d).
        foresights: control step of the observation -> (N, d).
        horizon: control steps that a foresight predicts ahead.
        rate_hz: of the control steps.
        success: how the episode ended.
        misnamed: as `foresights`, had the instruction named the other object in view; empty without one.
    """

    case: Case
    instruction: str
    frames: np.ndarray
    tokens: np.ndarray
    foresights: dict[int, np.ndarray]
    horizon: int
    rate_hz: float
    success: bool
    misnamed: dict[int, np.ndarray] = field(default_factory=dict)

    def future_of(self, step: int) -> int:
        """The frame that the foresight of `step` means: one horizon later, at most the last one (as in training)."""
        return min(step + self.horizon, len(self.frames) - 1)


def watch(protocol: Protocol, sessions: tuple[ForesightSource, ChunkSource], driver: str, case: Case) -> Watched:
    """Runs one episode, asks System-2 for a foresight every period, and encodes every frame.

    Args:
        protocol: its timing and camera.
        sessions: of the checkpoint.
        driver: `expert`, or `own` for the checkpoint itself.
        case: the scene.
    """
    system2, system1 = sessions
    arena = make_arena(protocol.suite, case.task, protocol.camera, protocol.image_px)
    try:
        arena.reset(case.seed)
        policy: Policy = ExpertPolicy() if driver == "expert" else DialPolicy(system2, system1, protocol)
        policy.begin(arena, case.seed, arena.instruction)
        frames: list[np.ndarray] = []
        foresights: dict[int, np.ndarray] = {}
        misnamed: dict[int, np.ndarray] = {}
        other = arena.other_instruction() if arena.outcome().objects > 1 else None
        verdicts = Verdicts(protocol.hold_steps)
        while not verdicts.success and len(frames) < arena.max_steps:
            seen = arena.observe()
            view = fit_view(seen.image, system2.contract.views[0])
            if len(frames) % protocol.system2_period_steps == 0:
                foresights[len(frames)] = system2.foresight(view, seen.instruction)
                if other is not None:
                    misnamed[len(frames)] = system2.foresight(view, other)
            frames.append(view)
            verdicts.add(len(frames), arena.advance(policy.targets(seen)))
        return Watched(
            case=case,
            instruction=arena.instruction,
            frames=np.stack(frames),
            tokens=np.stack([system2.image_tokens(frame) for frame in frames]),
            foresights=foresights,
            horizon=system2.contract.horizon,
            rate_hz=arena.embodiment.rate_hz,
            success=verdicts.success,
            misnamed=misnamed,
        )
    finally:
        arena.close()


class Interpreter:
    """Draws a watched episode in one PCA basis and one scale of change, so that all its images compare."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.colours = PcaColours.fit([*watched.tokens[::5], *watched.foresights.values()])
        changes = [change_map(tokens, watched.tokens[step]) for step, tokens in watched.foresights.items()]
        self.full_scale = float(np.quantile(np.stack(changes), 0.99))

    def panels(self, step: int) -> dict[str, np.ndarray]:
        """The images of the foresight made at `step`, uint8 each, by what they show."""
        watched, foresight = self.watched, self.watched.foresights[step]
        now, later = watched.tokens[step], watched.tokens[watched.future_of(step)]
        return {
            "current view": watched.frames[step],
            "current, PCA": self.colours.colours(now),
            "true future, PCA": self.colours.colours(later),
            "foresight, PCA": self.colours.colours(foresight),
            "expected change": self._change(foresight, now),
            "true change": self._change(later, now),
            "true future": watched.frames[watched.future_of(step)],
        }

    def moments(self, count: int) -> list[int]:
        """`count` evenly spread steps with a foresight whose true future was seen in full, if there are as many."""
        steps = [step for step in self.watched.foresights if step + self.watched.horizon < len(self.watched.frames)]
        steps = steps or list(self.watched.foresights)
        places = np.linspace(0, len(steps) - 1, min(count, len(steps))).round().astype(int)
        return [steps[place] for place in dict.fromkeys(places.tolist())]

    def figure(self, file: Path, moments: Sequence[int]) -> None:
        """One row a moment, one column a panel; the last column's scale is that of the cosine change.

        Raises:
            DialError: a moment without a foresight; the message says where there are some.
        """
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        for step in moments:
            if step not in self.watched.foresights:
                known = list(self.watched.foresights)
                period_s = (known[1] - known[0]) / self.watched.rate_hz if len(known) > 1 else 0.0
                raise DialError(
                    f"no foresight was made at {step / self.watched.rate_hz:.2f} s; there is one every {period_s:.2f} s "
                    f"until {known[-1] / self.watched.rate_hz:.2f} s"
                )
        rows = [self.panels(step) for step in moments]
        names = list(rows[0])
        figure, grid = pyplot.subplots(len(rows), len(names), figsize=(1.9 * len(names) + 0.9, 1.95 * len(rows) + 0.6), squeeze=False)
        for row, step, axes in zip(rows, moments, grid, strict=True):
            for name, ax in zip(names, axes, strict=True):
                ax.imshow(row[name], interpolation="nearest")
                ax.set(xticks=[], yticks=[])
            axes[0].set_ylabel(f"{step / self.watched.rate_hz:.2f} s", fontsize=9)
        for name, ax in zip(names, grid[0], strict=True):
            ax.set_title(name, fontsize=9)
        figure.suptitle(f"“{self.watched.instruction}”", fontsize=10)
        figure.subplots_adjust(left=0.03, right=0.93, bottom=0.02, top=1 - 0.65 / figure.get_figheight(), wspace=0.05, hspace=0.05)
        scale = pyplot.cm.ScalarMappable(pyplot.Normalize(0, self.full_scale), "magma")
        figure.colorbar(scale, cax=figure.add_axes((0.94, 0.1, 0.01, 0.7)), label="1 - cosine")
        figure.savefig(file, dpi=130)
        pyplot.close(figure)

    def video(self, path: Path) -> None:
        """An mp4 at the speed of the episode, with the newest foresight beside what is seen."""
        write_video(path, self._frames(), self.watched.rate_hz)

    def _frames(self) -> Iterator[np.ndarray]:
        made: dict[str, np.ndarray] = {}
        for step, frame in enumerate(self.watched.frames):
            if step in self.watched.foresights:
                made = self.panels(step)
            shown = {**made, "current view": frame}
            panels = [Panel(name, pixels, smooth=name in ("current view", "true future")) for name, pixels in shown.items()]
            clock = f"{step / self.watched.rate_hz:4.1f} s"
            yield np.asarray(compose(panels, self.watched.instruction, clock, VIDEO_CELL))

    def _change(self, tokens_ND: np.ndarray, against_ND: np.ndarray) -> np.ndarray:
        return heat(change_map(tokens_ND, against_ND), self.full_scale)
