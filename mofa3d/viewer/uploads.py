"""What visitors may upload, and why something is refused."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import PurePosixPath

from mofa3d.data.photo import Photo, read_photo
from mofa3d.errors import InputError

# Other formats that Pillow knows are read with parsers that few people test, and EPS with a program of its own.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "BMP", "GIF", "TIFF")
LONGEST_NAME = 60


@dataclass(frozen=True)
class Limits:
    """The largest photograph that is taken, how slowly it may come, and how many at once.

    Attributes:
        megabytes: of the file (1 MB is 1,000,000 bytes).
        megapixels: of the picture.
        patience: seconds that a request may take to come, and
        slowest: one more for every so many bytes of it.
        uploads: on the server at once.
        waiting: of one session at once.
        sessions: open pages.
        connections: of all browsers.
        faces: of a photograph that a session keeps.
        frames: of a video.
        kept: seconds for which a session stays after its page has ended, for a page that is loaded again.
    """

    megabytes: float = 20.0
    megapixels: float = 50.0
    patience: float = 20.0
    slowest: float = 20_000.0
    uploads: int = 16
    waiting: int = 2
    sessions: int = 50
    connections: int = 250
    faces: int = 30
    frames: int = 3000
    kept: float = 120.0

    @property
    def bytes(self) -> int:
        return round(1e6 * self.megabytes)


def read_upload(content: bytes, name: str, limits: Limits) -> Photo:
    """Read a photograph that somebody sent.

    Args:
        name: what the sender calls it; only used in messages.

    Raises:
        InputError: the file or the picture is too large, no image, or damaged.
    """
    name = plain_name(name)
    if not content:
        raise InputError(f"{name} is empty; choose a photograph")
    if len(content) > limits.bytes:
        raise InputError(too_large(name, len(content), limits))
    return read_photo(io.BytesIO(content), name, round(1e6 * limits.megapixels), FORMATS)


def too_large(name: str, size: int, limits: Limits) -> str:
    """The message about a file of so many bytes."""
    return (
        f"{plain_name(name)} has {size / 1e6:.1f} MB, more than the {limits.megabytes:g} MB that are taken; "
        "make it smaller"
    )


def plain_name(name: str) -> str:
    """A file's name without folders and control characters, short enough to be shown."""
    last = PurePosixPath(name.replace("\\", "/")).name
    shown = "".join(character for character in last if character.isprintable()).strip()
    if len(shown) > LONGEST_NAME:
        shown = f"{shown[: LONGEST_NAME // 2]}…{shown[-LONGEST_NAME // 2 :]}"
    return shown or "the file"
