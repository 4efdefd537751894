"""Whether the joints went where their commands say: commands of another motion, unit, order or zero must not become actions.

The thresholds are in [rad]. For a joint whose range is less than 1, as of a finger that slides over 0.04 m, they are shares of its range.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LONGEST_LAG_S = 0.6  # of joints behind their set-points
MOVES_RAD = 0.1  # a joint that moves less proves nothing
ALONE_RAD = 0.2  # one that moves further must follow its own commands, whatever the others do
EXPLAINED = 0.5  # share of the joints' motion that their commands must explain
BEHIND, TELLING_RAD = 0.5, 1e-3  # set-points come late if, compared with earlier joints, they are apart by less than this share of that
BESIDE_RAD, STEADY_RAD = 0.2, 0.05  # no servo is so far from its set-point at all times, within so little
WIDE = 1.0  # range [rad or m] from which a joint is judged in [rad]


def contradiction(
    wanted: np.ndarray,
    measured: np.ndarray,
    names: Sequence[str],
    reach: np.ndarray,
    lags: Sequence[int],
    ranges: np.ndarray | None = None,
) -> str:
    """How measured joints (T, J) [rad, or m] contradict their set-points (T, J); empty if they do not.

    Args:
        reach: farthest position of each joint (J,); set-points beyond it are of another unit.
        lags: steps by which the joints may be behind.
        ranges: from each joint's lower to its upper limit (J,); None: all are wide.
    """
    ranges = np.full(len(names), WIDE) if ranges is None else ranges
    wide = ranges >= WIDE
    farthest = np.abs(wanted).max(0, initial=0.0)
    if (farthest > reach).any():
        worst = int(np.argmax(farthest / reach))
        if not wide[worst]:
            return f"its commands ask {names[worst]} for {farthest[worst] / ranges[worst]:.0f} times its range; are they of another unit?"
        return f"its commands ask {names[worst]} for {farthest[worst]:.1f} rad, beyond a full turn; are these degrees?"
    wanted, measured = comparable(wanted, ranges), comparable(measured, ranges)
    shares = {"their motion": _followed(wanted, measured, lags)}
    shares |= {f"the motion of {name}": share for name, share in followed_alone(wanted, measured, names, lags).items()}
    of, share = min(shares.items(), key=lambda item: item[1])
    if share < EXPLAINED:
        return f"its joints moved otherwise than its commands say ({100 * share:.0f} % of {of} agrees)"
    for joint in np.flatnonzero(np.ptp(measured, axis=0) > MOVES_RAD):
        beside = beside_rad(wanted[:, joint], measured[:, joint], lags)
        if abs(beside) > BESIDE_RAD:
            distance = f"{abs(beside):.2f} rad" if wide[joint] else f"{100 * abs(beside):.0f} % of its range"
            return f"{names[joint]} stays {distance} beside its commands all the time; have they another zero?"
    return ""


def comparable(values: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Values (T, J) of joints with these `ranges` (J,) in units for which the thresholds hold: [rad], or shares of a small range."""
    return values / np.minimum(ranges, WIDE)


def followed_alone(wanted: np.ndarray, measured: np.ndarray, names: Sequence[str], lags: Sequence[int]) -> dict[str, float]:
    """Share of the motion that agrees with the set-points, of each joint that moves by more than `ALONE_RAD`; arrays as `contradiction`."""
    moving = np.flatnonzero(np.ptp(measured, axis=0) > ALONE_RAD)
    return {names[joint]: _followed(wanted[:, [joint]], measured[:, [joint]], lags) for joint in moving}


def _followed(wanted: np.ndarray, measured: np.ndarray, lags: Sequence[int]) -> float:
    return min(explained(wanted, measured, lags), 1.0 - moved_away(wanted, measured))


def explained(wanted: np.ndarray, measured: np.ndarray, lags: Sequence[int]) -> float:
    """Share of the variance of measured joints (T, J) [rad] that a rising linear function of their set-points explains, at the best lag.

    1 if no joint moves, or what is left unexplained is less than an even motion by `MOVES_RAD`, as of fingers that touch something: then
    nothing contradicts the set-points.
    """
    moving = np.ptp(measured, axis=0) > MOVES_RAD
    if not moving.any() or len(measured) <= 2 * max(lags):
        return 1.0
    best = 0.0
    for lag in lags:
        x, y = wanted[: len(wanted) - lag, moving], measured[lag:, moving]
        x, y = x - x.mean(0), y - y.mean(0)
        spread = (x**2).sum(0)
        slope = np.maximum(np.divide((x * y).sum(0), spread, out=np.zeros_like(spread), where=spread > 1e-9), 0.0)
        total, left = (y**2).sum(), y - slope * x
        proves = bool((left.std(axis=0) > MOVES_RAD / np.sqrt(12)).any())
        best = max(best, 1.0 - float((left**2).sum() / total) if proves else 1.0)
    return best


def moved_away(wanted: np.ndarray, measured: np.ndarray) -> float:
    """Share of the joints' path (T, J) [rad] on which they moved away from a set-point that they were far from."""
    moving = np.ptp(measured, axis=0) > MOVES_RAD
    steps = np.diff(measured, axis=0)[:, moving]
    distance = (wanted - measured)[:-1, moving]
    away = (np.abs(distance) > MOVES_RAD) & (distance * steps < 0)
    path = np.abs(steps).sum()
    return float(np.abs(steps[away]).sum() / path) if path > 0 else 0.0


def beside_rad(wanted: np.ndarray, measured: np.ndarray, lags: Sequence[int]) -> float:
    """The distance (T,) [rad] at which a joint follows its set-points throughout, at the best lag; 0 if the distance varies."""
    usable = [lag for lag in lags if 2 * lag < len(measured)]
    apart = min((measured[lag:] - wanted[: len(wanted) - lag] for lag in usable), key=np.std)
    return float(np.median(apart)) if apart.std() < STEADY_RAD else 0.0


def behind_steps(wanted: np.ndarray, measured: np.ndarray, lags: Sequence[int]) -> int:
    """Steps by which set-points (T, J) [rad] come after the motion that they should command; 0 if they do not, or no joint moves far."""
    moving = np.ptp(measured, axis=0) > ALONE_RAD
    if not moving.any() or len(measured) <= 2 * max(lags):
        return 0
    wanted, measured = wanted[:, moving], measured[:, moving]
    late = {lag: _apart_rad(measured, wanted, lag) for lag in lags if lag}
    best = min(late, key=lambda lag: late[lag])
    in_time_rad = min(_apart_rad(wanted, measured, lag) for lag in lags)
    return best if in_time_rad > TELLING_RAD and late[best] < BEHIND * in_time_rad else 0


def _apart_rad(first: np.ndarray, second: np.ndarray, lag: int) -> float:
    """How much the distance of `second` from `first` (T, J) `lag` steps earlier varies [rad]."""
    return float((second[lag:] - first[: len(first) - lag]).std(axis=0).mean())


def error(wanted: np.ndarray, measured: np.ndarray, lags: Sequence[int]) -> float:
    """Mean square distance of the joints from their set-points (T, J), at the best lag [rad^2]."""
    usable = [lag for lag in lags if lag < len(measured)]
    return min(float(((wanted[: len(wanted) - lag] - measured[lag:]) ** 2).mean()) for lag in usable)
