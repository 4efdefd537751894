"""Keys that move the teleoperated hand, as velocities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SPEED_M_PER_S, TURN_RAD_PER_S, GRIP_PER_S = 0.12, 0.5, 1.2
AXES = {  # key -> axis of (ahead, left, up) and its sign
    "w": (0, 1.0),
    "s": (0, -1.0),
    "a": (1, 1.0),
    "d": (1, -1.0),
    "r": (2, 1.0),
    "f": (2, -1.0),
}
TURNS, GRIPS = {"q": 1.0, "e": -1.0}, {"c": 1.0, "o": -1.0}
LEGEND = (("W S", "ahead, back"), ("A D", "left, right"), ("R F", "up, down"), ("Q E", "turn left, right"), ("C O", "close, open"))


@dataclass(frozen=True)
class JogKeys:
    """Velocities that pressed keys ask for: of the hand [m/s], of its heading [rad/s], of its fingers' closure [1/s]."""

    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn_rad_per_s: float = 0.0
    grip_per_s: float = 0.0

    @classmethod
    def of(cls, keys: Iterable[str]) -> JogKeys:
        """Of the keys that are down; opposite ones cancel, others are ignored."""
        pressed = {str(key).lower() for key in keys}
        velocity = [0.0, 0.0, 0.0]
        for key, (axis, sign) in AXES.items():
            velocity[axis] += sign * SPEED_M_PER_S * (key in pressed)
        turn = sum(sign for key, sign in TURNS.items() if key in pressed)
        grip = sum(sign for key, sign in GRIPS.items() if key in pressed)
        return cls((velocity[0], velocity[1], velocity[2]), TURN_RAD_PER_S * turn, GRIP_PER_S * grip)

    @property
    def still(self) -> bool:
        """Whether nothing moves."""
        return not any((*self.velocity, self.turn_rad_per_s, self.grip_per_s))
