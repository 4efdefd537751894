"""The images of one camera of a bag, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dial_core.bags.layout import BagError
from dial_core.bags.reader import Bag
from dial_core.datasets.video import encode
from dial_core.errors import DialError
from dial_core.importers.bag.resampling import Piece
from dial_core.observation.readings import UnreadableMessageError, image_from_message
from dial_core.robot.embodiment import Camera

FIRST_FRAMES, SPREAD_FRAMES = 5, 20  # tried before a camera is refused: at the begin, and over the whole bag
DARK = 32  # of 255


class Film:
    """One camera's images of a bag, decoded in order and only where a step needs them.

    Attributes:
        topic: of the camera.
        thumbnails: the last piece's first, middle and last image, (3, H, W, 3) uint8.
        repeated: steps of the last piece whose image is, bit by bit, the one of the message before.
        brightest: the largest value of any pixel in the thumbnails so far.
        complete: whether every image could be used so far; where not, the image before stood in.
    """

    def __init__(self, bag: Bag, topic: str, camera: Camera) -> None:
        self.topic = topic
        self._bag, self._size = bag, (camera.height, camera.width)
        self._messages = _numbered(bag, topic)
        self._number, self.repeated = -1, 0
        self._pixels = np.zeros((camera.height, camera.width, 3), np.uint8)
        self.brightest = 0
        self.complete = True
        self.thumbnails: np.ndarray = np.empty(0)

    def encode(self, piece: Piece, place: int, rate_hz: float) -> bytes:
        """The piece's images as an mp4; `place`: of this camera in `piece.frames`. Pieces are taken in order."""
        return encode(self._images([frames[place] for frames in piece.frames]), rate_hz)

    def _images(self, numbers: list[int]) -> Iterator[np.ndarray]:
        shown, self.repeated = [], 0
        for step, number in enumerate(numbers):
            if number != self._number:
                before, first = self._pixels, self._number < 0
                try:
                    self.repeated += int(np.array_equal(before, self.image(number)) and not first)
                except (UnreadableMessageError, BagError):
                    self.complete = False
            if step in (0, len(numbers) // 2, len(numbers) - 1):
                shown.append(self._pixels.copy())
            yield self._pixels
        self.thumbnails = np.stack(shown)
        self.brightest = max(self.brightest, int(self.thumbnails.max()))

    def image(self, number: int) -> np.ndarray:
        """The image of message `number`, not before one asked for earlier: (H, W, 3) uint8.

        Raises:
            DialError: it cannot be decoded, or is not there any more.
        """
        if number == self._number:
            return self._pixels
        for at, data in self._messages:
            if at == number:
                self._number = at
                self._pixels = image_from_message(self._bag.decode(self.topic, data), self._size)
                return self._pixels
        raise DialError(f"image {number} of {self.topic} was there and is gone; did the bag change meanwhile?")


def remarks_on_films(films: Sequence[Film]) -> list[str]:
    """Which cameras show next to nothing, a sentence each."""
    return [
        f"{film.topic} is dark: no pixel is above {film.brightest} of 255; is the lens covered, or do its 16 bits hold a sensor's 10 or 12?"
        for film in films
        if film.brightest < DARK
    ]


def require_images(bag: Bag, topics: Sequence[str], cameras: Sequence[Camera]) -> None:
    """Checks that some image of every camera, at the begin or spread over the bag, can be decoded and has the embodiment's size.

    Raises:
        DialError: none can; the message says why.
    """
    for topic, camera in zip(topics, cameras, strict=True):
        spread = np.linspace(0, max(bag.counts.get(topic, 0) - 1, 0), SPREAD_FRAMES).astype(int)
        tried = {*range(FIRST_FRAMES), *spread.tolist()}
        reasons = (_unusable(bag, topic, camera, data) for number, data in _numbered(bag, topic) if number in tried)
        wrong = ""
        for reason in reasons:
            if not reason:
                break
            wrong = wrong or reason
        else:
            raise BagError(f"topic {topic}: {wrong or 'it has no message'}")


def unusable_images(bag: Bag, topic: str, camera: Camera) -> dict[int, str]:
    """Numbers of all images of a topic that cannot be used, with the reason; each of them is decoded for this."""
    reasons = ((number, _unusable(bag, topic, camera, data)) for number, data in _numbered(bag, topic))
    return {number: reason for number, reason in reasons if reason}


def _numbered(bag: Bag, topic: str) -> Iterator[tuple[int, bytes]]:
    return ((number, data) for number, (_, _, data) in enumerate(bag.messages([topic])))


def _unusable(bag: Bag, topic: str, camera: Camera, data: bytes) -> str:
    """What is wrong with an image message, without bag and topic, which whoever reports it names; empty if it can be used."""
    try:
        image_from_message(bag.decode(topic, data), (camera.height, camera.width))
    except (UnreadableMessageError, BagError) as error:
        return str(error).removeprefix(f"{bag.folder}: topic {topic}: ")
    return ""
