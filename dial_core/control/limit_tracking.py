"""Motions inside the limits of position, velocity and acceleration at every moment, not only at the knots.

Between knots a controller plays cubics. What must hold of a cubic from (p0, v0) to (p1, v1) in h seconds, s = (p1 - p0) / h:

- position stays between its Bezier points p0, p0 + v0 h / 3, p1 - v1 h / 3, p1;
- velocity stays between those of its derivative: v0, 3 s - v0 - v1, v1;
- acceleration is linear, so its ends bound it: 2 (3 s - 2 v0 - v1) / h and 2 (v0 + 2 v1 - 3 s) / h.

A joint whose cubics keep all that passes unchanged. One that does not tracks them in small steps of constant
acceleration, which cubics reproduce exactly: then the knots' limits are the motion's.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dial_core.control.joint_limits import Guard
from dial_core.finiteness import require_finite

PIECE_S = 0.025  # longest step of constant acceleration
FIRST_PIECE_S = 0.001  # the first: a joint at its limit that still moves outwards is stopped at once, not over a whole piece
CATCH_UP_S = 0.05  # a joint that lags closes the gap with this time constant
SLACK = 1e-6  # of a limit: numerical
NEARLY_INSIDE_RAD = 1e-4  # not worth a motion
BEYOND_LIMIT_S = 2.0  # a joint far beyond its velocity limit is given so much longer to come to rest


class Knots(NamedTuple):
    """Times (K,) [s], positions (K, J) [rad], velocities (K, J) [rad/s]."""

    times_s: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray


def within_limits(knots: Knots, guard: Guard) -> np.ndarray:
    """True (J,) for the joints whose cubics between `knots` keep all limits, and that can stop in time after the last knot."""
    h = np.diff(knots.times_s)[:, None]
    (p0, p1), (v0, v1) = (knots.positions[:-1], knots.positions[1:]), (knots.velocities[:-1], knots.velocities[1:])
    slope = (p1 - p0) / h
    inside = np.ones(knots.positions.shape[1], dtype=bool)
    stop = p1[-1:] + v1[-1:] * np.abs(v1[-1:]) / (2 * guard.acceleration)
    for position in (p0, p0 + v0 * h / 3, p1 - v1 * h / 3, p1, stop):
        inside &= ((position >= guard.lower - SLACK) & (position <= guard.upper + SLACK)).all(axis=0)
    for velocity in (v0, 3 * slope - v0 - v1, v1):
        inside &= (np.abs(velocity) <= guard.velocity * (1 + SLACK)).all(axis=0)
    for acceleration in (2 * (3 * slope - 2 * v0 - v1) / h, 2 * (v0 + 2 * v1 - 3 * slope) / h):
        inside &= (np.abs(acceleration) <= guard.acceleration * (1 + SLACK)).all(axis=0)
    return inside


def finer(knots: Knots) -> Knots:
    """The same cubics with so many knots that none is farther than PIECE_S from the next, the second FIRST_PIECE_S from the first."""
    times, positions, velocities = [knots.times_s[:1]], [knots.positions[:1]], [knots.velocities[:1]]
    for k, gap_s in enumerate(np.diff(knots.times_s)):
        pieces = max(int(np.ceil(gap_s / PIECE_S - 1e-9)), 1)
        share = np.arange(1, pieces + 1)[:, None] / pieces
        if k == 0 and gap_s > 2 * FIRST_PIECE_S:
            share = np.concatenate([[[FIRST_PIECE_S / gap_s]], share])
        (p0, p1), (v0, v1) = knots.positions[k : k + 2], knots.velocities[k : k + 2]
        c2 = 3 * (p1 - p0) - (2 * v0 + v1) * gap_s
        c3 = 2 * (p0 - p1) + (v0 + v1) * gap_s
        times.append(knots.times_s[k] + share[:, 0] * gap_s)
        positions.append(p0 + share * (v0 * gap_s + share * (c2 + share * c3)))
        velocities.append(v0 + share * (2 * c2 + share * 3 * c3) / gap_s)
    return Knots(*(np.concatenate(parts) for parts in (times, positions, velocities)))


def track_within_limits(reference: Knots, guard: Guard) -> Knots:
    """Knots at the times of `reference` that start where it starts and follow it as closely as the limits allow."""
    positions, velocities = np.empty_like(reference.positions), np.empty_like(reference.velocities)
    position, velocity = positions[0], velocities[0] = reference.positions[0], reference.velocities[0]
    for k, step_s in enumerate(np.diff(reference.times_s), start=1):
        # At no more than the speed that half the acceleration can still brake on what is left of the gap.
        gap = reference.positions[k - 1] - position
        catch_up = np.sign(gap) * np.minimum(np.abs(gap) / CATCH_UP_S, np.sqrt(guard.acceleration * np.abs(gap)))
        position, velocity = _step((position, velocity), reference.velocities[k] + catch_up, step_s, guard)
        positions[k], velocities[k] = position, velocity
    return Knots(reference.times_s, positions, velocities)


def braking(start_s: float, start: tuple[np.ndarray, np.ndarray], guard: Guard) -> Knots:
    """Knots from `start`, position (J,) [rad] and velocity (J,) [rad/s] at `start_s` [s], until every joint rests.

    Each joint decelerates as hard as its limit allows, and does nothing else: one that stands outside of its position limits, or
    cannot be stopped inside, rests there until a chunk leads it back. The knots end after `longest_braking_s`, whatever the start.

    Raises:
        NotFiniteError: the start holds NaN or infinity.
    """
    for values, what in zip(start, ("positions", "velocities"), strict=True):
        require_finite(values, f"{what} from which a motion is to be braked")
    times, states, longest_s = [start_s], [start], longest_braking_s(guard)
    reach = _without_passed_limits(start, guard)
    while len(states) < 3 or states[-1][1].any():  # a whole piece at least: a stop that is a little late must not have ended
        elapsed_s = times[-1] - start_s
        if elapsed_s >= longest_s:
            states[-1] = states[-1][0], np.zeros_like(start[1])  # it was far beyond the velocity limit
            break
        piece_s = FIRST_PIECE_S if len(states) == 1 else PIECE_S
        times.append(times[-1] + piece_s)
        states.append(_step(states[-1], np.zeros_like(start[0]), piece_s, reach))
    positions, velocities = zip(*states, strict=True)
    return Knots(np.array(times), np.array(positions), np.array(velocities))


def longest_braking_s(guard: Guard) -> float:
    """Time within which `braking` ends [s]: that from twice the velocity limit, and BEYOND_LIMIT_S."""
    return BEYOND_LIMIT_S + 2 * float((guard.velocity / guard.acceleration).max())


def _without_passed_limits(start: tuple[np.ndarray, np.ndarray], guard: Guard) -> Guard:
    """`guard` without the position limits that a joint has passed, or must pass while it brakes: nothing leads it back then."""
    position, velocity = start
    stop = position + velocity * np.abs(velocity) / (2 * guard.acceleration)
    below = np.minimum(position, stop) < guard.lower - NEARLY_INSIDE_RAD
    above = np.maximum(position, stop) > guard.upper + NEARLY_INSIDE_RAD
    return replace(guard, lower=np.where(below, -np.inf, guard.lower), upper=np.where(above, np.inf, guard.upper))


def _step(state: tuple[np.ndarray, np.ndarray], wanted: np.ndarray, step_s: float, guard: Guard) -> tuple[np.ndarray, np.ndarray]:
    """Position and velocity (J,) after `step_s` [s] of constant acceleration towards the velocity `wanted` (J,) [rad/s].

    From a state that can be stopped before the position limits, the velocities that keep it so are always within reach
    of the acceleration limit. From others (the robot was found outside) the acceleration limit rules.
    """
    position, velocity = state
    change = guard.acceleration * step_s
    # Upwards and downwards at once: these few lines run for every step of every chunk.
    room = np.stack([guard.upper - position, position - guard.lower])
    upwards, downwards = _fastest(room, np.stack([velocity, -velocity]), step_s, guard.acceleration)
    allowed = np.minimum(np.maximum(wanted, -downwards), upwards)
    allowed = np.minimum(np.maximum(allowed, -guard.velocity), guard.velocity)  # last: one far outside is led back no faster
    after = np.minimum(np.maximum(allowed, velocity - change), velocity + change)
    return position + (velocity + after) * (step_s / 2), after


def _fastest(room: np.ndarray, velocity: np.ndarray, step_s: float, acceleration: np.ndarray) -> np.ndarray:
    """Greatest velocity w [rad/s] after the step from which a joint with `room` [rad] ahead can still stop in time; all (2, J).

    (v + w) h / 2 + w^2 / 2a = room, solved for w. With less room than v h / 2 it has to turn within the step: its
    farthest point, v^2 h / 2 (v - w), is at the room's end. Without room it is led back.
    """
    left = room - velocity * (step_s / 2)
    half_change = acceleration * (step_s / 2)
    stops_later = np.sqrt(half_change**2 + 2 * acceleration * np.maximum(left, 0.0)) - half_change
    turns = velocity - velocity**2 * (step_s / 2) / np.maximum(room, 1e-12)
    inside = np.where(left >= 0, stops_later, turns)
    led_back = np.where(room < -NEARLY_INSIDE_RAD, np.maximum(room / CATCH_UP_S, -np.sqrt(acceleration * np.abs(room))), 0.0)
    return np.where(room > 0, inside, led_back)
