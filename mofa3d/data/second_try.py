"""Opens what Pillow refuses, but for its pixels could be read: unknown depths, and damaged notes beside good pixels."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable, Sequence

from PIL import Image

from mofa3d.data.file_kind import HEAD, is_avif, is_tiff

PNG = b"\x89PNG\r\n\x1a\n"
NOTES = (
    b"iCCP",
    b"tEXt",
    b"zTXt",
    b"iTXt",
    b"pHYs",
    b"cHRM",
    b"gAMA",
    b"sRGB",
    b"tIME",
)  # of PNG, not needed for pixels
EXIF_ITEM = re.compile(rb"(infe.{8})Exif", re.DOTALL)  # in the table of contents of an AVIF file


def open_differently(
    file: io.BufferedIOBase, formats: Sequence[str] | None, check: Callable[[tuple[int, int]], None]
) -> Image.Image | None:
    """An image that Pillow does not take as it is; ``None`` if nothing can be done about it.

    Args:
        file: open for reading.
        formats: that may be read, or ``None`` for all.
        check: refuses widths and heights, before anything is unpacked.

    Raises:
        Exception: it is damaged in another way.
    """

    def whole() -> bytes:
        file.seek(0)
        return file.read()

    file.seek(0)
    head = file.read(HEAD)
    if is_tiff(head) and (formats is None or "TIFF" in formats):
        from mofa3d.data.pixel_depth import open_tiff

        return open_tiff(whole(), check)
    if head.startswith(PNG) and (formats is None or "PNG" in formats):
        return Image.open(io.BytesIO(_without_notes(whole())), formats=("PNG",))
    if is_avif(head) and (formats is None or "AVIF" in formats):
        content, number = EXIF_ITEM.subn(rb"\1skip", whole())
        return Image.open(io.BytesIO(content), formats=("AVIF",)) if number else None
    return None


def _without_notes(content: bytes) -> bytes:
    """A PNG file with the chunks that its pixels need, and the others that are whole and small."""
    kept, at = [PNG], len(PNG)
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        name, chunk = content[at + 4 : at + 8], content[at:end]
        needed = name[:1].isupper()
        if needed or (name not in NOTES and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")):
            kept.append(chunk)
        at = end
    return b"".join(kept)
