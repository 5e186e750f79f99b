"""A visitor's photograph and the faces in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from mofa3d.data.photo import Photo
from mofa3d.errors import InputError
from mofa3d.reconstruction.reconstructor import Reconstruction
from mofa3d.viewer.drawing import shown_size
from mofa3d.viewer.uploads import Limits, plain_name, read_upload


@dataclass(frozen=True)
class Upload:
    """A photograph with at least one face.

    Attributes:
        name: what the visitor calls it.
        content: of the file; an unpacked photograph takes ten times the memory, and many pages may be open.
        limits: it was read within these.
        width, height: pixels.
        shown: as large as the page shows it.
        faces: the best first.
        left_out: how many more faces were found.
    """

    name: str
    content: bytes
    limits: Limits
    width: int
    height: int
    shown: UInt8[np.ndarray, "height width 3"]
    faces: tuple[Reconstruction, ...]
    left_out: int = 0

    @property
    def photo(self) -> Photo:
        """The whole of it, unpacked again at every call."""
        return read_upload(self.content, self.name, self.limits)

    def notice(self, warning: str) -> str:
        """What to know about the result for one of the faces, or "".

        Args:
            warning: of its reconstruction.
        """
        parts = [f"This face {warning}; the result may be poor."] if warning else []
        if self.left_out:
            more = "1 more face was" if self.left_out == 1 else f"{self.left_out} more faces were"
            parts.append(f"{more} found and left out.")
        return " ".join(parts)


def open_upload(
    content: bytes, name: str, limits: Limits, reconstruct: Callable[[Photo, bool], list[Reconstruction]]
) -> Upload:
    """Read a photograph and reconstruct its faces.

    Raises:
        InputError: it cannot be read, or shows no face.
    """
    photo = read_upload(content, name, limits)
    try:
        faces = reconstruct(photo, True)
    except InputError as error:
        raise InputError(f"{plain_name(name)}: {error}") from None
    height, width = photo.shape[:2]
    kept = tuple(faces[: limits.faces])
    return Upload(
        plain_name(name), content, limits, width, height, shown_size(photo), kept, left_out=len(faces) - len(kept)
    )
