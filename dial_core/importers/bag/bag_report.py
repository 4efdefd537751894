"""What a bag's conversion found: rates, gaps, ranges, and warnings of what would hurt training."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dial_core.bags.reader import Bag
from dial_core.control.motion import NANOSECONDS
from dial_core.importers.bag.resampling import OFFSET_S, Resampled, offset_words
from dial_core.importers.bag.timeline import Timeline
from dial_core.importers.bag.topic_streams import Streams
from dial_core.importers.job_reports import JobReport
from dial_core.robot.embodiment import Embodiment

STREAM_OFFSET_S = 0.2  # a stream whose stamps are this far from the recorder's clock is reported
AFTER_S = 0.075  # one step and a half: commands later than their joints by it are remarked
AGE_S = 0.05  # mean age of the frames at their steps
SAME_RAD = 1e-4
AT_LIMIT_RAD = 1e-3
SHARE = 0.02  # of the steps
FROZEN_RAD = 1e-5


@dataclass
class BagReport:
    """What became of one bag. Without `episodes` it gave none, and `reason` says why.

    Attributes:
        episodes: names of the episodes' files.
        lengths_s: of each [s].
        rates_hz: of each stream, by topic.
        gaps: [when after the first observation, how long] [s].
        idle_s: cut at the begin and at the end [s].
        lower, upper: of the measured joints [rad], in the embodiment's order.
        target_lower, target_upper: of the actions' joints [rad].
        warnings: sentences.
    """

    bag: str
    reason: str = ""
    episodes: list[str] = field(default_factory=list)
    instruction: str = ""
    outcome: str = "unknown"
    duration_s: float = 0.0
    lengths_s: list[float] = field(default_factory=list)
    rates_hz: dict[str, float] = field(default_factory=dict)
    gaps: list[tuple[float, float]] = field(default_factory=list)
    idle_s: tuple[float, float] = (0.0, 0.0)
    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    target_lower: list[float] = field(default_factory=list)
    target_upper: list[float] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The bag's own name."""
        return Path(self.bag).name

    @classmethod
    def of(cls, job: JobReport) -> BagReport:
        """The findings of a job; of one that gave nothing, its name and reason."""
        return cls(**job.details) if job.details else cls(job.name, reason=job.reason)


def examine(
    bag_path: str,
    episodes: list[str],
    instruction: str,
    bag: Bag,
    streams: Streams,
    timeline: Timeline,
    resampled: Resampled,
    embodiment: Embodiment,
    repeated: int,
) -> BagReport:
    """The report of a converted bag. `repeated`: steps whose image is bit by bit the one before."""
    joints = np.concatenate([piece.joints for piece in resampled.pieces])
    targets = np.concatenate([piece.targets for piece in resampled.pieces])
    stamps = timeline.stamps
    report = BagReport(
        bag=bag_path,
        episodes=episodes,
        instruction=instruction,
        outcome=bag.facts.get("outcome", "unknown"),
        duration_s=(max(max(s) for s in stamps.values() if s) - min(min(s) for s in stamps.values() if s)) / NANOSECONDS,
        lengths_s=[len(piece) / embodiment.rate_hz for piece in resampled.pieces],
        rates_hz={topic: rate_hz(stamps[topic]) for topic in sorted(stamps)},
        gaps=resampled.gaps,
        idle_s=resampled.idle_s,
        lower=joints.min(0).tolist(),
        upper=joints.max(0).tolist(),
        target_lower=targets.min(0).tolist(),
        target_upper=targets.max(0).tolist(),
    )
    report.warnings = [
        *_of_streams(bag, streams, timeline, resampled, embodiment, repeated / len(joints)),
        *_of_values(joints, targets, embodiment),
    ]
    return report


def not_used(bag: Bag, timeline: Timeline, resampled: Resampled) -> list[str]:
    """What of a converted bag is not in its episodes, a sentence each."""
    found = [*bag.missing, *(f"damaged: {text}" for text in bag.damage)]
    found += timeline.left_out.sentences()
    later = [epoch for epoch in timeline.epochs if epoch.sightings][1:]
    pauses_s = [epoch.paused_s for epoch in later if epoch.paused_s is not None]
    if jumps := len(later) - len(pauses_s):
        found.append(f"the clock was set {jumps} times: the recording is cut there")
    if pauses_s:
        found.append(f"the recording paused {len(pauses_s)} times, for up to {max(pauses_s):.0f} s: it is cut there")
    rejected: Counter[tuple[str, str]] = Counter()
    sent: Counter[str] = Counter()
    for part in resampled.commanded:
        sent.update(part.sent)
        rejected.update({(name, rule): n for name, rules in part.rejected.items() for rule, n in rules.items()})
    found += [f"{name} rejects {count} of {sent[name]} commands: {rule}" for (name, rule), count in rejected.items()]
    return found + list(dict.fromkeys(resampled.dropped))


def remarks_on(timeline: Timeline, resampled: Resampled) -> list[str]:
    """How a bag was understood where that is not evident, a sentence each."""
    found = [
        f"the stamps of {topic} are zero: its times of receipt were used (System-1 refuses such messages on the robot)"
        for topic in sorted(timeline.unstamped)
    ]
    judged = {name: why for part in resampled.commanded for name, why in part.judged.items()}
    found += [
        f"{name} moved as commanded although its default settings reject that ({why}): such commands were taken; "
        "--controllers FILE names its settings"
        for name, why in judged.items()
    ]
    offsets_s = [part.offset_s for part in resampled.commanded if part.shifted]
    if offsets_s:
        found.append(f"{offset_words(max(offsets_s, key=abs))}: commands were dated by that of the stamps; synchronise the machines")
    late_s = {name: s for part in resampled.commanded for name, s in part.late_s.items() if s > AFTER_S}
    found += [
        f"the commands of {name} come {s:.2f} s after its joints' own motion; do they repeat what was measured? "
        "--actions next takes the next states"
        for name, s in late_s.items()
    ]
    return found


def rate_hz(stamps: list[int]) -> float:
    """Messages a second by the median distance of their stamps [ns]; 0 with fewer than two."""
    steps = np.diff(sorted(set(stamps)))
    return float(NANOSECONDS / np.median(steps)) if len(steps) else 0.0


def _of_streams(
    bag: Bag, streams: Streams, timeline: Timeline, resampled: Resampled, embodiment: Embodiment, repeated_share: float
) -> list[str]:
    found = []
    if not bag.whole:
        found.append("the bag was never closed (killed recorder): what could be read was taken")
    for topic in (*streams.images, streams.joints):
        offset_s = float(np.median(timeline.delays[topic]))
        if abs(offset_s) > STREAM_OFFSET_S:
            found.append(f"clock offset: stamps of {topic} are {offset_s:+.2f} s off the recorder's clock; synchronise the machines")
    unproven_s = max((part.offset_s for part in resampled.commanded if not part.shifted), default=0.0)
    if unproven_s > OFFSET_S:
        found.append(
            f"clock offset or latency: joints and cameras were received {unproven_s:.2f} s after their stamps; if the recorder's clock is "
            "ahead, actions are late by that. Synchronise the machines"
        )
    for topic in streams.images:
        if (rate := rate_hz(timeline.stamps[topic])) < 0.95 * embodiment.rate_hz:
            found.append(f"{topic} has {rate:.1f} Hz, less than the control rate of {embodiment.rate_hz:g} Hz: frames repeat")
    ages_s = np.concatenate([piece.ages_s for piece in resampled.pieces])
    if ages_s.mean() > AGE_S:
        found.append(f"frames are {ages_s.mean():.3f} s old at their steps on average, {ages_s.max():.3f} s at most")
    if repeated_share > SHARE:
        found.append(f"frozen camera: {100 * repeated_share:.0f} % of the frames are, bit by bit, the one before")
    if timeline.incomplete:
        found.append(f"{timeline.incomplete} frames had no joints, or no frame of a further camera, of their moment")
    found += not_used(bag, timeline, resampled)
    found += remarks_on(timeline, resampled)
    if resampled.uncommanded:
        found.append(f"no commands for {', '.join(resampled.uncommanded)}: their actions are the measured positions of the next step")
    found += [
        f"no command to {name} is known in part {' and '.join(map(str, parts))} of {len(resampled.commanded)}: "
        "its actions there are the measured positions of the next step"
        for name, parts in resampled.uncommanded_parts.items()
    ]
    if resampled.gaps:
        found.append(f"{len(resampled.gaps)} gaps, the longest {max(length for _, length in resampled.gaps):.2f} s")
    return found


def _of_values(joints: np.ndarray, targets: np.ndarray, embodiment: Embodiment) -> list[str]:
    """Warnings of measured and wanted joints (T, J) [rad]."""
    names = np.array(embodiment.joint_names)
    found = []
    moving = np.ptp(joints, axis=0) > FROZEN_RAD
    if np.abs(targets - joints).max() < SAME_RAD:
        found.append("action equals state at every step: commands that only repeat what was measured teach a robot to stand still")
    stuck = names[~moving & (np.ptp(targets, axis=0) > SAME_RAD)]
    if len(stuck):
        found.append(f"frozen joints: {', '.join(stuck)} were commanded and never moved; is their state published?")
    for limit, word in ((embodiment.lower, "lower"), (embodiment.upper, "upper")):
        at_limit = (np.abs(targets - limit) < AT_LIMIT_RAD).mean(0)
        by_design = np.abs(embodiment.home_position - limit) < AT_LIMIT_RAD  # an open hand rests at its limit
        cut = names[(at_limit > SHARE) & moving & ~by_design]
        if len(cut):
            found.append(f"clipped ranges: {', '.join(cut)} stand at their {word} limit in more than {100 * SHARE:.0f} % of the steps")
    beyond = names[((targets < embodiment.lower - AT_LIMIT_RAD) | (targets > embodiment.upper + AT_LIMIT_RAD)).any(0)]
    if len(beyond):
        found.append(f"actions beyond the joint limits: {', '.join(beyond)}; check the limits in the embodiment, or the units")
    return found
