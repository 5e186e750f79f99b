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

from mofa3d.data.file_kind import (
    ARCHIVE_SUFFIXES,
    HEAD,
    PHOTO_SUFFIXES,
    VIDEO_SUFFIXES,
    Kind,
    kind_of,
    kind_of_head,
)
from mofa3d.data.folder import HIDDEN, OURS, LeftOut, look_into
from mofa3d.data.frame_picker import FramePicker, count_frames
from mofa3d.data.landmark_table import LANDMARKS_FILE
from mofa3d.data.photo import Photo, blaming, check_is_file, read_photo
from mofa3d.data.video import TimedFrame, VideoInfo, read_frames, read_info
from mofa3d.errors import InputError
from mofa3d.files.record import Results

__all__ = ["ARCHIVE_SUFFIXES", "VIDEO_SUFFIXES", "Item", "Reader", "find_items"]
WANTED: tuple[Kind, ...] = ("photo", "video", "archive")
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
        kind: of the file at `path`.
    """

    key: str
    path: Path
    root: Path
    frame: int | None = None
    offset: int | None = None
    size: int = 0
    problem: str = ""
    kind: Kind = "photo"

    @property
    def is_video(self) -> bool:
        """Whether it is a whole video."""
        return self.frame is None and self.kind == "video"

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
    """All photographs of the sources, in their order, sorted within each.

    What a file is, its content says (see `mofa3d.data.file_kind`). Other files, hidden ones, and what mofa3d wrote (see
    `Results`), are left out of folders and of what patterns match; the log tells how many and of which kinds. Files
    that are given themselves are taken; those of no known kind are a mistake. Links are followed, once.

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
        before, left_out = len(items), LeftOut()
        items += _distinct(_items_of(str(source), partial(_parts, left_out, every=every, count=count), left_out), taken)
        left_out.tell(source)
        if len(items) == before:
            raise InputError(
                f"{source} has nothing that can be used{f' ({left_out})' if str(left_out) else ''}; give photographs "
                f"({', '.join(PHOTO_SUFFIXES)}), videos ({', '.join(VIDEO_SUFFIXES)}), .tar archives, or folders of "
                "them; what mofa3d wrote is left out"
            )
    return items


Parts = Callable[[Path, Kind, Path, str], Iterator[Item]]


def _items_of(source: str, parts: Parts, left_out: LeftOut) -> Iterator[Item]:
    path = Path(os.path.expanduser(source))  # noqa: PTH111  (Path.expanduser fails on names like ~1.jpg)
    if path.is_dir():
        yield from _below(path, parts, left_out)
    elif path.is_file() or path.is_symlink():
        yield from parts(path, _known_kind(path), path.parent, path.name)
    else:
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  (Path.glob takes no absolute pattern)
        if not matches:
            raise InputError(
                f"there is no file or folder {source}, and nothing matches it as a pattern; check the path"
            )
        results = Results()
        for match in map(Path, matches):
            if match.is_dir():
                yield from _below(match, parts, left_out)
            elif match in results:
                left_out.add(match, OURS)
            elif (kind := kind_of(match)) in WANTED:
                yield from parts(match, kind, match.parent, match.name)
            else:
                left_out.add_file(match, kind)


def _known_kind(path: Path) -> Kind:
    """Of a file that was given itself."""
    kind = kind_of(path)
    if kind == "raw":
        raise InputError(f"{path} is a raw photograph, which must be developed first; give it as JPEG, PNG or TIFF")
    if not kind:
        raise InputError(
            f"{path} is not of a supported type; give a photograph ({', '.join(PHOTO_SUFFIXES)}), a video "
            f"({', '.join(VIDEO_SUFFIXES)}) or a .tar archive"
        )
    return kind


def _below(root: Path, parts: Parts, left_out: LeftOut) -> Iterator[Item]:
    """Items below a folder, sorted by path."""
    label = root.resolve().name or "root"
    found = look_into(root, WANTED, known=(LANDMARKS_FILE,))
    left_out.update(found.left_out)
    for relative, path, kind in sorted((path.relative_to(root).as_posix(), path, kind) for path, kind in found.files):
        yield from parts(path, kind, root, f"{label}/{relative}")
    for error in found.closed:
        closed_folder = Path(error.filename)
        name = f"{label}/{closed_folder.relative_to(root).as_posix()}"
        yield Item(name, closed_folder, root, problem=f"the folder {closed_folder} cannot be read ({error.strerror})")


def _parts(
    left_out: LeftOut, path: Path, kind: Kind, root: Path, name: str, every: int | None, count: Callable[[Path], int]
) -> Iterator[Item]:
    """The photographs that a file is or holds."""
    if kind == "video" and every is not None:
        yield from _frames(path, root, name, every, count)
    elif kind == "archive":
        yield from _members(path, root, name, left_out)
    else:
        yield Item(name, path, root, kind=kind)


def _frames(path: Path, root: Path, name: str, every: int, count: Callable[[Path], int]) -> Iterator[Item]:
    try:
        number, problem = count(path), ""
    except InputError as error:
        number, problem = 0, str(error)
    if problem:
        yield Item(name, path, root, problem=problem)
    for frame in range(0, number, every):
        yield Item(f"{name}#{frame:06d}", path, root, frame=frame)


def _members(path: Path, root: Path, name: str, left_out: LeftOut) -> Iterator[Item]:
    try:
        check_is_file(path, "archive")
    except InputError as error:
        yield Item(name, path, root, problem=str(error))
        return
    try:
        with tarfile.open(path, "r:") as archive:  # a compressed one could unpack to any size
            for member in archive:
                inside = PurePosixPath(member.name)
                if not member.isfile():
                    continue
                if inside.name.startswith("."):
                    left_out.add(inside, HIDDEN)
                elif (kind := kind_of_head(_head(archive, member), inside)) == "photo":
                    yield Item(f"{name}#{member.name}", path, root, offset=member.offset_data, size=member.size)
                else:
                    left_out.add_file(inside, kind)
    except Exception as error:  # damaged bytes lead tarfile to errors of any kind
        problem = f"{path} is damaged as an archive ({error}); what comes before is used"
        if _is_compressed(path):
            problem = f"{path} is a compressed archive; unpack it to a plain .tar, or to a folder"
        yield Item(name, path, root, problem=problem)


def _head(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    archive.fileobj.seek(member.offset_data)
    return archive.fileobj.read(min(HEAD, member.size))


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
        self._picker: FramePicker | None = None

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
        """See `mofa3d.data.frame_picker.count_frames`."""
        return count_frames(path)

    def info(self, path: Path) -> VideoInfo:
        """See `mofa3d.data.video.read_info`."""
        return read_info(path)

    def frames(self, path: Path) -> Iterator[TimedFrame]:
        """See `mofa3d.data.video.read_frames`."""
        return read_frames(path)

    def _frame(self, path: Path, frame: int) -> Photo:
        if self._picker is None or self._picker.path != path:
            self.close()
            self._picker = FramePicker(path)
        return self._picker(frame)

    def close(self) -> None:
        if self._picker is not None:
            self._picker.close()
            self._picker = None


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
