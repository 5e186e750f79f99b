"""What a file is: a photograph, a video or an archive, by what its first bytes say and not by its name.

The name decides only where the bytes say nothing: a damaged ``.jpg`` is a photograph that cannot be read, and is listed
as such, but a text is nothing that anybody meant to give.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path, PurePosixPath
from typing import Literal

PHOTO_SUFFIXES = (
    ".jpg", ".jpeg", ".jfif", ".png", ".webp", ".avif", ".heic", ".heif", ".tif", ".tiff", ".bmp", ".gif", ".jp2",
    ".ppm", ".pgm",
)  # fmt: skip
# Not .ts, which programs have too: transport streams are known by their content.
VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".3gp", ".3g2", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob", ".wmv",
    ".flv", ".ogv",
)  # fmt: skip
ARCHIVE_SUFFIXES = (".tar",)
RAW_SUFFIXES = (
    ".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".kdc", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef",
    ".raf", ".raw", ".rw2", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
HEAD = 512  # bytes that tell

Kind = Literal["photo", "video", "archive", "raw", ""]

_STARTS: dict[bytes, Kind] = {
    b"\xff\xd8\xff": "photo",  # JPEG, also as JFIF, MPO and so on
    b"\x89PNG\r\n\x1a\n": "photo",
    b"GIF87a": "photo",
    b"GIF89a": "photo",
    b"II*\0": "photo",  # TIFF, of either byte order, and BigTIFF
    b"MM\0*": "photo",
    b"II+\0": "photo",
    b"MM\0+": "photo",
    b"\0\0\0\x0cjP  \r\n\x87\n": "photo",  # JPEG 2000, and its bare codestream
    b"\xff\x4f\xff\x51": "photo",
    b"IIU\0": "raw",  # Panasonic
    b"IIRO": "raw",  # Olympus
    b"IIRS": "raw",
    b"MMOR": "raw",
    b"FUJIFILMCCD-RAW": "raw",
    b"FOVb": "raw",  # Sigma
    b"\x1a\x45\xdf\xa3": "video",  # Matroska and WebM
    b"FLV\x01": "video",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "video",  # ASF: WMV
    b"\0\0\x01\xba": "video",  # MPEG, as a program stream and bare
    b"\0\0\x01\xb3": "video",
}
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}
_AUDIO = {b"M4A ", b"M4B ", b"M4P "}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # bytes
_PNM = re.compile(rb"P[1-6]\s+[#\d]")
_PACKET, _SYNC = 188, 0x47  # of an MPEG transport stream


def kind_of(path: Path) -> Kind:
    """What a file is; "" for everything else. What cannot be opened is what its name says."""
    return kind_of_head(head_of(path), path)


def head_of(path: Path) -> bytes:
    """The first bytes of a file; none of what is no file, or may not be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            return b""
        with open(path, "rb", buffering=0) as file:
            return file.read(HEAD)
    except (OSError, ValueError):  # of names that cannot be
        return b""


def kind_of_head(head: bytes, name: PurePosixPath | Path) -> Kind:
    """What a file is, by its first `HEAD` bytes, and by its name where they do not tell."""
    suffix = name.suffix.lower()
    kind = _kind_of_content(head)
    if kind == "photo" and head.startswith(_TIFF) and (suffix in RAW_SUFFIXES or head[8:10] == b"CR"):
        return "raw"  # most are TIFF files of a thumbnail and of what Pillow does not know
    if kind:
        return kind
    kinds: dict[Kind, tuple[str, ...]] = {
        "photo": PHOTO_SUFFIXES, "video": VIDEO_SUFFIXES, "archive": ARCHIVE_SUFFIXES, "raw": RAW_SUFFIXES,
    }  # fmt: skip
    return next((each for each, suffixes in kinds.items() if suffix in suffixes), "")


def is_heif(head: bytes) -> bool:
    """Whether a file holds an HEIC picture, or another of HEIF's that is no AVIF."""
    brands = _brands(head)
    return not brands.isdisjoint(_HEIF) and brands.isdisjoint(_AVIF)


def is_avif(head: bytes) -> bool:
    return not _brands(head).isdisjoint(_AVIF)


def is_tiff(head: bytes) -> bool:
    return head.startswith(_TIFF)


def _kind_of_content(head: bytes) -> Kind:
    for length in (3, 4, 6, 8, 12, 15):
        if kind := _STARTS.get(head[:length]):
            return kind
    if head[:4] == b"RIFF":
        return {b"WEBP": "photo", b"AVI ": "video"}.get(head[8:12], "")  # type: ignore[return-value]
    if brands := _brands(head):
        if head[8:12] == b"crx ":  # Canon
            return "raw"
        if not brands.isdisjoint(_HEIF | _AVIF):
            return "photo"
        return "" if head[8:12] in _AUDIO else "video"
    if head[4:8] in (b"moov", b"mdat", b"wide"):  # QuickTime as it was before it had brands
        return "video"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "photo"
    if _PNM.match(head):
        return "photo"
    if head[:4] == b"OggS" and b"theora" in head:
        return "video"
    if head[257:262] == b"ustar":
        return "archive"
    return "video" if _is_transport_stream(head) else ""


def _brands(head: bytes) -> set[bytes]:
    """What an ISO base media file says it is: all that its first box names."""
    if head[4:8] != b"ftyp":
        return set()
    size = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))}


def _is_transport_stream(head: bytes) -> bool:
    """With or without the four bytes of time that Blu-ray puts before each packet."""
    plain = [head[at] for at in range(0, len(head), _PACKET)]
    timed = [head[at] for at in range(4, len(head), _PACKET + 4)]
    return any(len(marks) > 1 and set(marks) == {_SYNC} for marks in (plain, timed))
