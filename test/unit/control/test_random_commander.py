"""Whatever a commander sends in whatever order, the set-points that controllers execute behind the guard keep every limit.

And the guard knows in the end where each controller is.

60 sequences of offers on processors of different speed, always the same ones; 10,000 random ones with `make nightly`.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import strategies as st

from dial_core.control.motion import JointMotion
from dial_core.control.possible_motions import SAME_SHARE, STEP_SHARE
from dial_core.control.splice import ChunkTooLateError, hold, splice
from dial_core.control.trajectory_checks import Tolerances

from ..mutations import both
from .guard_rig import GR1, LIMITS, MS, PERIOD_S, Rig, request_of

# Twice the guard's tolerance: 2 % of a limit, and four differences of 0.5 % between trajectories that may run (docs/results/guard.md).
WORST = 1.05
CONTROLLERS = GR1.controllers[:2]  # the arms


@dataclass(frozen=True)
class Offer:
    """One act of a commander.

    Fields:
        kind: swing: from the set-points, whatever runs; follow, stop: spliced into what the guard takes to be executed; again: another
            swing from the first point of the offer before; short: two points near what the guard takes to be executed, or one.
        controller: of CONTROLLERS.
        repeats: of the offer, each time with what is executed by then.
        delta: how far a swing goes [rad]; of `follow` the seed of its targets too; of `short` in smallest steps.
        over_s: in what time [s].
        begins_s: first point of a swing, or of `short`, after now [s].
        offset: of all points [rad].
        velocity: of the first point of a swing, added to all others but the last [rad/s].
        lead_ms: until the splice [ms].
        phase_ms: since the controllers' last update [ms].
        transport_ms: from the guard to the controller [ms].
        judging_ms: for which the guard's process is not scheduled between reading the clock and publishing [ms].
        periods: of the controllers until the next offer.
        reset: of the guard, before.
    """

    kind: str = "swing"
    controller: int = 0
    repeats: int = 1
    delta: float = 0.3
    over_s: float = 1.0
    begins_s: float = 0.1
    offset: float = 0.0
    velocity: float = 0.0
    lead_ms: int = 50
    phase_ms: int = 0
    transport_ms: int = 0
    judging_ms: int = 0
    periods: int = 0
    reset: bool = True


def small(largest):
    return st.one_of(st.just(0.0), st.sampled_from([1e-6, 1e-5, 1e-4, 1e-3]), st.floats(-largest, largest))


def offers(kind, **fields):
    timing = {
        "controller": st.sampled_from([0, 0, 0, 1]),
        "phase_ms": st.integers(0, 9),
        "transport_ms": st.integers(0, round(1000 * Tolerances.transport_s)),
        "judging_ms": st.one_of(st.just(0), st.integers(0, 80)),
        "periods": st.one_of(st.integers(0, 3), st.integers(0, 40)),
        "reset": st.sampled_from([True, True, True, False]),
    }
    return st.builds(Offer, kind=st.just(kind), **timing, **fields)


MOSTLY_GOOD = {"delta": st.floats(-0.5, 0.5), "over_s": st.floats(0.3, 1.5)}
SPLICED = {"delta": st.floats(-1.5, 1.5), "lead_ms": st.integers(0, 120), "offset": small(0.003), "velocity": small(0.3)}
OFFERS = st.lists(
    st.one_of(
        offers("swing", **MOSTLY_GOOD, begins_s=st.floats(-0.1, 0.3), offset=small(0.05)),
        offers(
            "swing",
            delta=st.floats(-1.5, 1.5),
            over_s=st.floats(0.05, 2.0),
            begins_s=st.floats(-0.3, 0.3),
            offset=small(0.1),
            velocity=small(3.0),
        ),
        offers("follow", **SPLICED),
        offers("stop", **SPLICED),
        offers("again", **MOSTLY_GOOD, offset=small(0.001)),
        offers(
            "short",
            repeats=st.integers(1, 40),
            delta=st.one_of(st.sampled_from([0.0, 0.01, 0.9, -0.9]), st.floats(-2.0, 2.0)),
            over_s=st.one_of(st.just(0.0), st.floats(0.001, 0.05)),
            begins_s=st.floats(-0.05, 0.05),
        ),
    ),
    min_size=1,
    max_size=12,
)


class RandomCommander:
    """Makes the trajectories that the offers describe. It knows what the guard takes to be executed."""

    def __init__(self, rig):
        self.rig, self._before = rig, {}

    def request(self, offer):
        motion = self._motion(offer)
        positions, velocities = motion.positions + every_other(motion, offer.offset), motion.velocities.copy()
        velocities[:-1] += offer.velocity
        motion = replace(motion, positions=positions, velocities=velocities)
        self._before[offer.controller] = motion
        return request_of(CONTROLLERS[offer.controller].name, motion)

    def _motion(self, offer):
        now_ns = self.rig.now_ns + offer.phase_ms * MS
        controller = CONTROLLERS[offer.controller]
        motions, columns = self.rig.guard._controlled[controller.name].motions, GR1.indices(controller.joints)
        limits = LIMITS.of(columns)
        if offer.kind == "again" and (before := self._before.get(offer.controller)) is not None:
            return self._swing(before.origin_ns, before.offset_s(before.begin_ns), before.positions[0], offer)
        if offer.kind == "short" and motions is not None:
            return short(motions.newest, now_ns, offer, limits)
        if offer.kind not in {"follow", "stop"} or motions is None:
            origin_ns = now_ns - 300 * MS
            return self._swing(origin_ns, offer.begins_s + 0.3, self.rig.set_points[-1][columns], offer)
        origin_ns, splice_ns = now_ns - 100 * MS, now_ns + offer.lead_ms * MS
        if offer.kind == "stop":
            return hold(motions.newest, origin_ns, splice_ns, limits)
        rng = np.random.default_rng(int(1e6 * (offer.delta + 2)))
        targets = motions.newest.sample(splice_ns)[0] + np.cumsum(rng.normal(0, 0.1, (8, len(columns))), axis=0)
        try:
            return splice(motions.newest, targets, origin_ns, splice_ns, 0.05, limits)[0]
        except ChunkTooLateError:
            return hold(motions.newest, origin_ns, splice_ns, limits)

    def _swing(self, origin_ns, begins_s, start, offer):
        shares, over_s = np.array([0.0, 0.5, 1.0]), offer.over_s or 1.0
        rows = start + shares[:, None] * offer.delta
        velocities = np.zeros_like(rows)
        velocities[1] = 1.5 * offer.delta / over_s
        return JointMotion(origin_ns, begins_s + shares * over_s, rows, velocities)


def short(running, now_ns, offer, limits):
    """What runs from `begins_s` on, for `over_s`, and a little beside it; at rest at the end, where `running` may be at rest or not."""
    times_s = offer.begins_s + np.array([0.0, offer.over_s] if offer.over_s else [0.0])
    positions, velocities = running.sample_offsets(times_s + running.offset_s(now_ns))
    velocities[-1] = 0.0
    beside = offer.delta * STEP_SHARE * limits.acceleration * Tolerances.period_s**2
    return JointMotion(now_ns - 100 * MS, 0.1 + times_s, positions + beside, velocities)


def every_other(motion, offset):
    """The offset for every other joint, so that joints differ."""
    return np.where(np.arange(motion.positions.shape[1]) % 2, offset, 0.0)


def _keeps_every_limit(offers, judgement_ms):
    rig = Rig(judgement_ns=round(judgement_ms * MS))
    commander = RandomCommander(rig)
    for offer in offers:
        if offer.reset:
            rig.guard.reset()
        for _ in range(offer.repeats):
            name = CONTROLLERS[offer.controller].name
            rig.offer(name, commander.request(offer), None, offer.phase_ms * MS, offer.transport_ms * MS, offer.judging_ms * MS)
            rig.run(0.01 * offer.periods)
    rig.run(0.3)
    assert rig.worst <= WORST
    for controller in CONTROLLERS:
        motions, columns = rig.guard._controlled[controller.name].motions, GR1.indices(controller.joints)
        if motions is not None and not motions.approaching(rig.now_ns):
            off_rad = np.abs(motions.newest.sample(rig.now_ns)[0] - rig.set_points[-1][columns])
            assert (off_rad <= 2 * SAME_SHARE * LIMITS.of(columns).acceleration * PERIOD_S**2).all(), "the guard has lost the controller"


test_whatever_is_offered_the_controllers_keep_every_limit, test_whatever_is_offered_the_controllers_keep_every_limit_nightly = both(
    _keeps_every_limit, quick=60, offers=OFFERS, judgement_ms=st.sampled_from([0.0, 0.0, 0.5, 2.5, 3.0, 4.5, 6.0])
)

# What was found, by random search: 5.4 times the acceleration limit by first points ahead in neighbouring periods; and by review.
FOUND = [
    [
        Offer(delta=-0.43, over_s=0.37, begins_s=0.033, offset=-0.04, periods=2),
        Offer(delta=-0.02, over_s=1.18, begins_s=0.086, offset=0.041, periods=2),
        Offer(delta=-0.05, over_s=0.45, begins_s=0.143, offset=0.017, periods=1),
        Offer(delta=3.0, over_s=0.05),
    ],
    [  # each of the short ones has ended when it arrives
        Offer(delta=0.01, periods=130),
        *[Offer("short", repeats=40, delta=0.9, over_s=0.0, begins_s=0.0, transport_ms=20, periods=4)] * 6,
        Offer("follow", delta=0.5, lead_ms=40, periods=3),
    ],
    [  # the guard's process was not scheduled for 45 ms while it judged: published after the splice
        Offer(delta=0.5, periods=50),
        Offer("stop", lead_ms=40, judging_ms=45, periods=30),
    ],
]


@pytest.mark.parametrize("judgement_ms", [0.0, 3.0])
@pytest.mark.parametrize("offers", FOUND)
def test_what_broke_a_limit_once_does_not(offers, judgement_ms):
    _keeps_every_limit(offers, judgement_ms)
