"""Where photographs come from: folders, files, glob patterns, videos and .tar shards, as one list of items.

Every item has a key that is its name for good: ``faces/Ann_Lee/Ann_Lee_0001.jpg`` in the folder ``faces``,
``talk.mp4#000120`` for a frame, ``shard-0003.tar#000042.jpg`` for a member of an archive.
"""

from __future__ import annotations

import glob
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import cv2

from mofa3d.data.photo import PHOTO_SUFFIXES, Photo, blaming, check_is_file, read_photo
from mofa3d.data.video import VideoInfo, as_photo, blaming_video, count_frames, open_video, read_frames, read_info
from mofa3d.errors import InputError
from mofa3d.files.folders import is_taken
from mofa3d.files.record import Results

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")
ARCHIVE_SUFFIXES = (".tar",)
MAX_BYTES = 200_000_000  # of a photograph in an archive


@dataclass(frozen=True)
class Item:
    """One photograph, not yet read.

    Attributes:
        key: its name in the corpus, unique.
        path: the file it is, or is in.
        root: the folder that was given, or the one that holds the file that was given.
        frame: number of a video's frame.
        offset, size: bytes of an archive's member.
        problem: why it cannot be read, known already; or "".
    """

    key: str
    path: Path
    root: Path
    frame: int | None = None
    offset: int | None = None
    size: int = 0
    problem: str = ""

    @property
    def is_video(self) -> bool:
        """Whether it is a whole video."""
        return self.frame is None and _kind(self.path) == "video"

    @property
    def stamp(self) -> str:
        """Tells whether the file is still the same: its size and modification time."""
        try:
            status = self.path.stat()
        except OSError:
            return ""
        return f"{status.st_size}-{status.st_mtime_ns}"


def find_items(
    sources: Sequence[str | Path], every: int | None = 30, count: Callable[[Path], int] = count_frames
) -> list[Item]:
    """All photographs of the sources, in their order, sorted within each; hidden files are left out.

    Files without a known suffix, and what mofa3d wrote (see `Results`), are left out of folders and of what patterns
    match. Files that are given themselves are taken; without a known suffix they are a mistake. Links are followed,
    once.

    Args:
        sources: folders, files, or glob patterns.
        every: take every so many frames of a video; ``None`` leaves a video whole, as one item.
        count: gives a video's number of frames, as `count_frames` does.

    Raises:
        InputError: a source that does not exist, is of no known kind, or in which there is nothing.
    """
    if every is not None and every < 1:
        raise InputError(f"every must be at least 1 frame, got {every}")
    if not sources:
        raise InputError("there is no source; give folders, photographs, videos, .tar archives or glob patterns")
    items: list[Item] = []
    taken: set[str] = set()
    for source in sources:
        if not str(source).strip():
            raise InputError("a source is empty, which would mean the current folder; give a path, or . for it")
        before = len(items)
        items += _distinct(_items_of(str(source), partial(_parts, every=every, count=count)), taken)
        if len(items) == before:
            raise InputError(
                f"{source} has nothing that can be used; give photographs ({', '.join(PHOTO_SUFFIXES)}), videos "
                f"({', '.join(VIDEO_SUFFIXES)}), .tar archives, or folders of them; what mofa3d wrote is left out"
            )
    return items


def _items_of(source: str, parts: Callable[[Path, Path, str], Iterator[Item]]) -> Iterator[Item]:
    path = Path(os.path.expanduser(source))  # noqa: PTH111  (Path.expanduser fails on names like ~1.jpg)
    if path.is_dir():
        yield from _walk(path, parts)
    elif path.is_file() or path.is_symlink():
        _check_suffix(path)
        yield from parts(path, path.parent, path.name)
    else:
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  (Path.glob takes no absolute pattern)
        if not matches:
            raise InputError(
                f"there is no file or folder {source}, and nothing matches it as a pattern; check the path"
            )
        results = Results()
        for match in map(Path, matches):
            if match.is_dir():
                yield from _walk(match, parts)
            elif _kind(match) and match not in results:
                yield from parts(match, match.parent, match.name)


def _check_suffix(path: Path) -> None:
    if not _kind(path):
        raise InputError(
            f"{path} is not of a supported type; give a photograph ({', '.join(PHOTO_SUFFIXES)}), a video "
            f"({', '.join(VIDEO_SUFFIXES)}) or a .tar archive"
        )


def _kind(path: Path | PurePosixPath) -> str:
    suffix = path.suffix.lower()
    kinds = {"photo": PHOTO_SUFFIXES, "video": VIDEO_SUFFIXES, "archive": ARCHIVE_SUFFIXES}
    return next((kind for kind, suffixes in kinds.items() if suffix in suffixes), "")


def _walk(root: Path, parts: Callable[[Path, Path, str], Iterator[Item]]) -> Iterator[Item]:
    """Items below a folder, sorted by path; a folder is visited once, whatever links lead to it."""
    label = root.resolve().name or "root"
    seen: set[tuple[int, int]] = set()
    found: list[tuple[str, Path]] = []
    closed: list[OSError] = []
    results = Results()
    for folder, folders, files in os.walk(root, followlinks=True, onerror=closed.append):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        if Path(folder) != root and is_taken(Path(folder)):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            path = Path(folder) / name
            if not name.startswith(".") and _kind(path) and path not in results:
                found.append((path.relative_to(root).as_posix(), path))
    for relative, path in sorted(found):
        yield from parts(path, root, f"{label}/{relative}")
    for error in closed:
        closed_folder = Path(error.filename)
        name = f"{label}/{closed_folder.relative_to(root).as_posix()}"
        yield Item(name, closed_folder, root, problem=f"the folder {closed_folder} cannot be read ({error.strerror})")


def _parts(path: Path, root: Path, name: str, every: int | None, count: Callable[[Path], int]) -> Iterator[Item]:
    """The photographs that a file is or holds."""
    kind = _kind(path)
    if kind == "video" and every is not None:
        yield from _frames(path, root, name, every, count)
    elif kind == "archive":
        yield from _members(path, root, name)
    else:
        yield Item(name, path, root)


def _frames(path: Path, root: Path, name: str, every: int, count: Callable[[Path], int]) -> Iterator[Item]:
    try:
        number = count(path)
        problem = "" if number else f"{path} is not a readable video; give an MP4 file with H.264"
    except InputError as error:
        number, problem = 0, str(error)
    if problem:
        yield Item(name, path, root, problem=problem)
    for frame in range(0, number, every):
        yield Item(f"{name}#{frame:06d}", path, root, frame=frame)


def _members(path: Path, root: Path, name: str) -> Iterator[Item]:
    try:
        check_is_file(path, "archive")
    except InputError as error:
        yield Item(name, path, root, problem=str(error))
        return
    try:
        with tarfile.open(path, "r:") as archive:  # a compressed one could unpack to any size
            for member in archive:
                inside = PurePosixPath(member.name)
                if member.isfile() and _kind(inside) == "photo" and not inside.name.startswith("."):
                    yield Item(f"{name}#{member.name}", path, root, offset=member.offset_data, size=member.size)
    except Exception as error:  # damaged bytes lead tarfile to errors of any kind
        problem = f"{path} is damaged as an archive ({error}); what comes before is used"
        if _is_compressed(path):
            problem = f"{path} is a compressed archive; unpack it to a plain .tar, or to a folder"
        yield Item(name, path, root, problem=problem)


def _is_compressed(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(6).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"(\xb5/\xfd"))


def _distinct(items: Iterator[Item], taken: set[str]) -> Iterator[Item]:
    """The items with keys that no other has: two folders may have the same name."""
    for item in items:
        key, number = item.key, 2
        while key in taken:
            key, number = f"{item.key}~{number}", number + 1
        taken.add(key)
        yield replace(item, key=key)


class Reader:
    """Reads items, and whole videos; quick for neighbouring frames of a video, which stays open in between."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._video: cv2.VideoCapture | None = None
        self._next = 0

    def read(self, item: Item) -> Photo:
        """Raises InputError with the reason when it cannot be used, whatever a decoder raised."""
        if item.problem:
            raise InputError(item.problem)
        if item.frame is not None:
            return self._frame(item.path, item.frame)
        if item.offset is not None:
            return _read_member(item)
        return read_photo(item.path)

    def count_frames(self, path: Path) -> int:
        """See `mofa3d.data.video.count_frames`."""
        return count_frames(path)

    def info(self, path: Path) -> VideoInfo:
        """See `mofa3d.data.video.read_info`."""
        return read_info(path)

    def frames(self, path: Path) -> Iterator[Photo]:
        """See `mofa3d.data.video.read_frames`."""
        return read_frames(path)

    def _frame(self, path: Path, frame: int) -> Photo:
        if self._path != path or frame < self._next:
            self.close()
            self._path, self._video, self._next = path, open_video(path), 0
        with blaming_video(path):
            while self._next < frame and self._video.grab():
                self._next += 1
            done, pixels = self._video.read() if self._next == frame else (False, None)
        if not done:
            raise InputError(f"frame {frame} of {path} cannot be decoded; the video is shorter or damaged")
        self._next += 1
        return as_photo(pixels, path)

    def close(self) -> None:
        if self._video is not None:
            self._video.release()
        self._path = self._video = None


def _read_member(item: Item) -> Photo:
    if item.size > MAX_BYTES:
        raise InputError(f"{item.key} has {item.size} bytes, more than {MAX_BYTES}; make it smaller")
    check_is_file(item.path, "archive")
    with blaming(item.key), open(item.path, "rb") as file:
        file.seek(item.offset)
        data = file.read(item.size)
    if len(data) < item.size:
        raise InputError(f"{item.key} is cut off; replace {item.path}")
    return read_photo(io.BytesIO(data), item.key)
