"""Reconstruct the faces of many files: what is done already is skipped, and what cannot be done is listed.

Each photograph has a folder, and in it each of its faces if they are several: face_1, face_2. The folder's record names
the photograph, which finds it again and owns it (`mofa3d.data.input_folders`); while all is there and was made from the
same file, encoder and options, nothing is done again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, count, groupby
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from tqdm import tqdm

from mofa3d.data.failures import FAILURES, Failure, is_failure_list, list_failures
from mofa3d.data.file_kind import head_of, kind_of_head
from mofa3d.data.input_folders import InputFolders, Source
from mofa3d.data.photo import Photo
from mofa3d.data.sources import Item, Reader, find_items
from mofa3d.errors import InputError
from mofa3d.files.folders import make_folder
from mofa3d.files.names import printable, safe_name
from mofa3d.files.record import Results, read_record, unfinished

if TYPE_CHECKING:  # a batch that is done already needs neither PyTorch nor an encoder
    from mofa3d.reconstruction.reconstructor import Reconstruction

_LOG = logging.getLogger(__name__)
FACE = "face_"
VERSION = 5  # of what is done to a photograph


class BatchTools(NamedTuple):
    """What works on the files of a batch.

    Attributes:
        reconstruct: a photograph's faces.
        write: a face's files into a folder; see `ReconstructionWriter`.
        film: reconstructs a video (first argument) and writes into a folder (second).
    """

    reconstruct: Callable[[Photo], list[Reconstruction]]
    write: Callable[[Path, str, Photo, Reconstruction], None]
    film: Callable[[Path, Path], None]


@dataclass(frozen=True)
class Summary:
    """What became of a batch.

    Attributes:
        written: folders of the files that were done now.
        skipped: number of files that were done before.
        failures: what could not be done, and why.
        listed: the file that lists the failures, if there are any.
    """

    written: list[Path]
    skipped: int
    failures: list[Failure]
    listed: Path | None = None


_Left = tuple[Item, Path | None]  # a file that is to be done, and the folder that it has already


@dataclass(frozen=True)
class _Done:
    """What was written for a file, which goes when this is closed.

    Attributes:
        folder: that it lies in for the time being.
        warnings: what is doubtful about it.
        stack: removes the folder.
    """

    folder: Path
    warnings: list[str]
    stack: ExitStack

    def close(self) -> None:
        self.stack.close()


@dataclass(frozen=True)
class BatchReconstruction:
    """Reconstructs every file by itself.

    Attributes:
        open: gives the tools; called once there is something to do. What it raises ends the batch.
        about: everything that the result depends on besides the file; as JSON takes it.
        reader: reads photographs.
    """

    open: Callable[[], BatchTools]
    about: dict
    reader: Reader = field(default_factory=Reader)
    _reading: Lock = field(default_factory=Lock, init=False, repr=False)  # a reader reads one file at a time

    def __call__(self, inputs: Sequence[str | Path], out: Path) -> Summary:
        """Reconstruct what the inputs hold.

        Args:
            inputs: photographs, videos, .tar archives, folders, glob patterns; see `mofa3d.data.sources`.
            out: folder that holds all that is written; ``failures.csv`` is there if there are failures.

        Raises:
            InputError: there is no input, or `out` cannot be a folder.
        """
        if not inputs:
            raise InputError("there is nothing to reconstruct; give photographs, folders of them, or videos")
        items, failures = find_inputs(inputs, out)
        # A mistake that it tells leaves no folder.
        tools = self.open() if not out.exists() and any(map(_looks_readable, items)) else None
        folders = InputFolders.open(out, reserved=(FAILURES,))
        written, skipped = [], 0
        for failure in failures:
            _report(failure)
        left = []
        for item in items:
            with _listed(item, failures):
                folder = folders.find(_stem(item), _source(item))
                if folder is not None and self._done(item, folder):
                    skipped += 1
                else:
                    left.append((item, folder))
        if not any(_looks_readable(item) for item, _ in left):  # opening the tools takes seconds
            left = [(item, folder) for item, folder in left if self._can_read(item, failures)]
        if left:
            written = self._all(left, folders, tools or self.open(), failures)
        self.reader.close()
        return Summary(written, skipped, failures, _list(out, failures))

    def _all(self, left: list[_Left], folders: InputFolders, tools: BatchTools, failures: list[Failure]) -> list[Path]:
        """Reconstruct files into their folders, or new ones; returns these."""
        written = []
        with closing(self._results(left, folders.out, tools)) as results:
            shown = tqdm(results, "reconstructing", len(left), unit="file", dynamic_ncols=True, disable=len(left) < 2)
            for (item, folder), attempt in shown:
                with _listed(item, failures), closing(attempt()) as done:
                    for warning in done.warnings:
                        _LOG.warning(printable(f"{_label(item)}: {warning}"))
                    about = {"made_from": self._digest(item), "warnings": done.warnings}
                    written.append(folders.keep(done.folder, _stem(item), _source(item), folder, about))
        return written

    def _results(
        self, left: list[_Left], out: Path, tools: BatchTools
    ) -> Generator[tuple[_Left, Callable[[], _Done]], None, None]:
        """What becomes of each file; of photographs, several at once."""
        write = partial(self._write, tools, out)
        # Tools load the rest of what they need, and numba compiles, at the first one.
        for alone, entries in groupby(left, lambda entry: entry is left[0] or entry[0].is_video):
            if alone:
                for entry in entries:
                    yield entry, partial(write, entry)
                continue
            from mofa3d.environment.ahead import ahead, one_thread_each

            with (
                one_thread_each() as threads,
                closing(ahead(write, entries, threads, discard=_Done.close)) as results,
            ):
                for entry, future in results:
                    yield entry, future.result

    def _write(self, tools: BatchTools, out: Path, entry: _Left) -> _Done:
        """Write a file's results into a folder for the time being."""
        item = entry[0]
        with ExitStack() as stack:
            folder = stack.enter_context(unfinished(out, safe_name(_stem(item))))
            warnings: list[str] = []
            if item.is_video:
                tools.film(item.path, folder)
            else:
                with self._reading:
                    photo = self.reader.read(item)
                warnings = _write_photo(item, photo, folder, tools)
            return _Done(folder, warnings, stack.pop_all())

    def _can_read(self, item: Item, failures: list[Failure]) -> bool:
        """Whether a photograph can be read, or a video be tried; what cannot is listed."""
        if not item.is_video:
            with _listed(item, failures):
                self.reader.read(item)
                return True
        return item.is_video

    def _done(self, item: Item, folder: Path) -> bool:
        record = read_record(folder)
        if record is None or record.unfinished or record.about.get("made_from") != self._digest(item):
            return False
        return all((folder / file).is_file() for file in record.files)

    def _digest(self, item: Item) -> str:
        content = [VERSION, item.stamp, item.offset, self.about]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def find_inputs(inputs: Sequence[str | Path], out: Path) -> tuple[list[Item], list[Failure]]:
    """The files that inputs hold, each once, and the inputs that hold none; what was written to `out` is left out."""
    items: dict[tuple, Item] = {}
    failures = []
    below, results = Path(os.path.realpath(out)), Results()
    for source in inputs:
        try:
            found = find_items([source], every=None)
        except (InputError, OSError) as error:
            failures.append(Failure(str(source), str(error)))
            continue
        for item in found:
            path = Path(os.path.realpath(item.path))
            if not (path.is_relative_to(below) and path in results):
                items.setdefault((item.path.absolute(), item.offset, item.problem), item)
    return list(items.values()), failures


def _write_photo(item: Item, photo: Photo, folder: Path, tools: BatchTools) -> list[str]:
    """Write the results of a photograph; returns what is doubtful about them."""
    warnings = []
    faces = tools.reconstruct(photo)
    for number, face in enumerate(faces, start=1):
        own = folder if len(faces) == 1 else folder / f"{FACE}{number}"
        make_folder(own)
        tools.write(own, _label(item), photo, face)
        if face.warning:
            which = "the face" if len(faces) == 1 else f"face {number}"
            warnings.append(f"{which} {face.warning}; the result may be poor")
    return warnings


def _looks_readable(item: Item) -> bool:
    """Whether the content, and not only the name, is that of a photograph or a video."""
    return not item.problem and (item.offset is not None or bool(kind_of_head(head_of(item.path), PurePosixPath())))


@contextmanager
def _listed(item: Item, failures: list[Failure]) -> Iterator[None]:
    """Say and list what goes wrong with a file: the others are still worth doing."""
    try:
        yield
    except (InputError, OSError) as error:
        failures.append(Failure(_label(item), str(error)))
        _report(failures[-1])
    except Exception as error:  # a fault of ours, to be seen, but no reason to lose the others
        failures.append(Failure(_label(item), f"{type(error).__name__}: {error}"))
        _LOG.exception(printable(_label(item)))


def _member(item: Item) -> str:
    """The name of an archive's member inside it, or ""."""
    return "" if item.offset is None else item.key.partition("#")[2]


def _stem(item: Item) -> str:
    return PurePosixPath(_member(item)).stem or item.path.stem


def _source(item: Item) -> Source:
    return Source.of(item.path, _member(item))


def _label(item: Item) -> str:
    return f"{item.path}#{_member(item)}" if _member(item) else str(item.path)


def _report(failure: Failure) -> None:
    reason = failure.reason if failure.photo in failure.reason else f"{failure.photo}: {failure.reason}"
    _LOG.error(printable(reason))


def _list(out: Path, failures: list[Failure]) -> Path | None:
    """List the failures in place of those of the run before; a file of that name which is no such list stays."""
    numbered = chain([FAILURES], (f"{PurePosixPath(FAILURES).stem}-{number}.csv" for number in count(2)))
    path = next(out / name for name in numbered if not os.path.lexists(out / name) or is_failure_list(out / name))
    if not failures:
        path.unlink(missing_ok=True)
        return None
    list_failures(path, failures)
    return path
