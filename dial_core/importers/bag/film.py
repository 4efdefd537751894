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

TRIED_FRAMES = 5
DARK = 32  # of 255


class Film:
    """One camera's images of a bag, decoded in order and only where a step needs them.

    Attributes:
        topic: of the camera.
        thumbnails: the last piece's first, middle and last image, (3, H, W, 3) uint8.
        repeated: steps of the last piece whose image is, bit by bit, the one of the message before.
        brightest: the largest value of any pixel in the thumbnails so far.
        bad: reason by number of the messages that could not be used while encoding; the image before stood in.
    """

    def __init__(self, bag: Bag, topic: str, camera: Camera) -> None:
        self.topic = topic
        self._bag, self._size = bag, (camera.height, camera.width)
        self._messages = enumerate(bag.messages([topic]))
        self._number, self.repeated = -1, 0
        self._pixels = np.zeros((camera.height, camera.width, 3), np.uint8)
        self.brightest = 0
        self.bad: dict[int, str] = {}
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
                except UnreadableMessageError as error:
                    self.bad[number] = str(error)
                except BagError as error:
                    self.bad[number] = _reason(error, self._bag, self.topic)
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
        for at, (_, _, data) in self._messages:
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
    """Checks that one of the first images of every camera can be decoded and has the embodiment's size.

    Raises:
        DialError: none can; the message says why.
    """
    for topic, camera in zip(topics, cameras, strict=True):
        error: DialError = BagError("it has no message")
        for number, (_, _, data) in enumerate(bag.messages([topic])):
            try:
                image_from_message(bag.decode(topic, data), (camera.height, camera.width))
                break
            except (UnreadableMessageError, BagError) as unreadable:
                error = unreadable
            if number + 1 == TRIED_FRAMES:
                raise BagError(f"topic {topic}: {_reason(error, bag, topic)}") from error
        else:
            raise BagError(f"topic {topic}: {_reason(error, bag, topic)}")


def _reason(error: DialError, bag: Bag, topic: str) -> str:
    """What is wrong, without bag and topic, which whoever reports it names."""
    return str(error).removeprefix(f"{bag.folder}: topic {topic}: ")
