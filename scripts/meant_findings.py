"""What lerobot-doctor and lerobot-lint report although it is meant. Each rule holds only where the dataset's numbers justify it."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

STATE, ACTION, MASK = "observation.state", "action", "action_mask"
STILL = 5e-3  # [m], [rad] or of a rotation matrix: the range of a dimension that a task does not need
SERVO_ERROR = 0.25  # of a rotation matrix: how far an arm that moves leaves a wrist's commanded rotation
KEPT_ROTATION = 0.1  # of a rotation matrix, 6 degrees: the range of a wrist that keeps its rotation while a finger moves by 1 rad
REST_INSIDE = 0.1  # share of an episode in which all targets may rest between its first and last motion
MANY_EPISODES, LONG_STEPS = 30, 100  # from which the tools call a dataset large, and an episode long
FINGER = re.compile(r"pinky|ring|middle|index|thumb")
WRIST_ROTATION = re.compile(r"wrist_r\d\d$")


@dataclass(frozen=True)
class Vectors:
    """The vectors of a dataset: `columns` (T, D) by name, `names` of their dimensions, the episode of each row."""

    columns: dict[str, np.ndarray]
    names: tuple[str, ...]
    episodes: np.ndarray

    def of(self, column: str, dimension: int, episode: int | None = None) -> np.ndarray:
        """Values of one dimension, of one episode if it is given (T,)."""
        rows = slice(None) if episode is None else self.episodes == episode
        return self.columns[column][rows, dimension]

    def still(self, dimension: int, episode: int | None = None) -> bool:
        """Whether a dimension is commanded to stand still."""
        return float(np.ptp(self.of(ACTION, dimension, episode))) < STILL


def reason_of(finding: dict, vectors: Vectors) -> str:
    """Why a finding of the linter (`check`, `data`) or the doctor (`message` alone) is meant; empty if it is not."""
    if "check" in finding:
        rule = LINT_RULES.get(finding["check"])
        return rule(finding, vectors) if rule else ""
    for pattern, rule in DOCTOR_RULES.items():
        if match := re.search(pattern, finding["message"]):
            return rule(match, vectors)
    return ""


def _dead(finding: dict, vectors: Vectors) -> str:
    joint, episode = finding["data"]["joint_index"], finding["episode"]
    if WRIST_ROTATION.search(vectors.names[joint]) and float(np.ptp(vectors.of(ACTION, joint, episode))) < KEPT_ROTATION:
        return "a wrist that keeps its rotation moves less than a finger"
    return "joints that a task does not need stand still" if vectors.still(joint, episode) else ""


def _diverging(finding: dict, vectors: Vectors) -> str:
    joint, episode = finding["data"]["joint_index"], finding["episode"]
    if vectors.still(joint, episode) and not WRIST_ROTATION.search(vectors.names[joint]):
        return "joints that are commanded to stand still track nothing"
    error = np.abs(vectors.of(STATE, joint, episode) - vectors.of(ACTION, joint, episode)).max()
    if WRIST_ROTATION.search(vectors.names[joint]) and error < SERVO_ERROR:
        return "a wrist that is to keep its rotation shows the servos' error"
    return "fingers are commanded to close further than an object permits" if FINGER.search(vectors.names[joint]) else ""


def _jump(finding: dict, vectors: Vectors) -> str:
    return "joints that stand still have no spread" if abs(finding["data"]["delta"]) < STILL else ""


def _small(finding: dict, vectors: Vectors) -> str:
    return "the judged datasets are small on purpose" if len(np.unique(vectors.episodes)) < MANY_EPISODES else ""


def _units(finding: dict, vectors: Vectors) -> str:
    if not any("wrist" not in name for name in vectors.names):
        return "wrist poses alone, in metres" if finding["data"]["units"] == "normalized" else ""
    return "radians, rightly inferred" if finding["data"]["units"] == "radians" else ""


LINT_RULES: dict[str, Callable[[dict, Vectors], str]] = {
    "DEAD_JOINT": _dead,
    "ACTION_STATE_DIVERGENCE": _diverging,
    "DISCONTINUITY": _jump,
    "LOW_DIVERSITY": _small,
    "TOO_FEW_EPISODES": _small,
    "UNITS_INFERRED": _units,
}


def _constant(match: re.Match, vectors: Vectors) -> str:
    if match["column"] == MASK:
        return "nothing is masked" if match["value"].startswith("1.0") else ""
    return "joints that a task does not need stand still" if vectors.still(int(match["dimension"])) else ""


def _constants(match: re.Match, vectors: Vectors) -> str:
    """Of several dimensions at once, of which the message gives the number."""
    if match["column"] == MASK:
        return "nothing is masked"
    still = sum(vectors.still(dimension) for dimension in range(len(vectors.names)))
    return "joints that a task does not need stand still" if int(match["count"]) <= still else ""


def _resting(match: re.Match, vectors: Vectors) -> str:
    name = vectors.names[int(match["dimension"])]
    return "open fingers rest at their limit" if FINGER.search(name) or vectors.still(int(match["dimension"])) else ""


def _frozen(match: re.Match, vectors: Vectors) -> str:
    if match["column"] == MASK:
        return "nothing is masked"
    rows = vectors.columns[ACTION][vectors.episodes == int(match["episode"])]
    moves = np.flatnonzero((np.diff(rows, axis=0) != 0).any(1))
    inside = 1 - len(moves) / (moves[-1] - moves[0] + 1) if len(moves) else 1.0
    return "a demonstration begins and ends at rest" if inside <= REST_INSIDE else ""


def _outlier(match: re.Match, vectors: Vectors) -> str:
    values = vectors.of(match["column"], int(match["dimension"]))
    return "joints that stand still have no spread" if float(np.ptp(values)) < STILL else ""


def _wide(match: re.Match, vectors: Vectors) -> str:
    return "wrist poses and joints of a humanoid" if int(match["count"]) == len(vectors.names) else ""


def _short(match: re.Match, vectors: Vectors) -> str:
    lengths = np.unique(vectors.episodes, return_counts=True)[1]
    return "the judged datasets are small on purpose" if lengths.min() < LONG_STEPS else ""


def _duplicates(match: re.Match, vectors: Vectors) -> str:
    for one, other in re.findall(r"\((\d+), (\d+)\)", match["pairs"]):
        first, second = (vectors.columns[ACTION][vectors.episodes == int(number)] for number in (one, other))
        if first.shape != second.shape or np.abs(first - second).max() > STILL:
            return ""
    return "the judged bag was recorded twice"


_PLACE = r"^(?P<column>[\w.]+)\[(?P<dimension>\d+)\]: "
DOCTOR_RULES: dict[str, Callable[[re.Match, Vectors], str]] = {
    _PLACE + r"zero variance \(constant value (?P<value>-?[\d.]+)\)$": _constant,
    r"^stats\.json\[(?P<column>[\w.]+)\]: (?P<count>\d+) dimension\(s\) have zero std": _constants,
    r"^(?P<column>[\w.]+): (?P<count>\d+) constant dimension\(s\) across ALL episodes": _constants,
    _PLACE + r"[\d.]+% of values at m(inimum|aximum)": _resting,
    _PLACE + r"stuck/static in \d+/\d+ episodes": _resting,
    r"^(?P<column>[\w.]+): \d+% of episode (?P<episode>\d+) is consecutive identical": _frozen,
    r"^Episode (?P<episode>\d+): \d+% of (?P<column>[\w.]+) frozen": _frozen,
    _PLACE + r"\d+ extreme outlier": _outlier,
    r"^[\w.]+: (?P<count>\d+) dimensions is unusually large": _wide,
    r"episodes shorter than chunk_size=100": _short,
    r"near-duplicate episode pair\(s\) detected: (?P<pairs>.*)$": _duplicates,
    r"^\d+/\d+ episode\(s\) flagged$": lambda match, vectors: "the sum of the other findings",
}
