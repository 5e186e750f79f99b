"""Reconstruct the faces of many files: what is done already is skipped, and what cannot be done is listed.

Each photograph has a folder, and in it each of its faces if they are several: face_1, face_2. A record is written last;
while it is there and was made from the same file, encoder and options, and all files are there, nothing is done again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from mofa3d.data.corpus import FAILURES, Failure, list_failures
from mofa3d.data.photo import Photo
from mofa3d.data.sources import Item, Reader, find_items
from mofa3d.inference import Reconstruction
from mofa3d.output_folder import make_folder
from mofa3d.output_names import folder_names, printable
from mofa3d.reconstruction_writer import WRITTEN, clear
from mofa3d.whole_files import write_text

RECORD = "reconstruction.json"
FACE = "face_"
VERSION = 1  # of what is done to a photograph

Reconstruct = Callable[[Photo], list[Reconstruction]]
Write = Callable[[Path, str, Photo, Reconstruction], None]
Film = Callable[[Path, Path], None]


@dataclass(frozen=True)
class Summary:
    """What became of a batch.

    Attributes:
        written: folders of the files that were done now.
        skipped: number of files that were done before.
        failures: what could not be done, and why.
    """

    written: list[Path]
    skipped: int
    failures: list[Failure]


@dataclass(frozen=True)
class BatchReconstruction:
    """Reconstructs every file by itself.

    Attributes:
        reconstruct: a photograph's faces.
        write: a face's files into a folder; see `ReconstructionWriter`.
        film: reconstructs a video (first argument) and writes into a folder (second).
        about: everything that the result depends on besides the file; as JSON takes it.
    """

    reconstruct: Reconstruct
    write: Write
    film: Film
    about: dict

    def __call__(self, inputs: Sequence[str | Path], out: Path) -> Summary:
        """Reconstruct what the inputs hold.

        Args:
            inputs: photographs, videos, .tar archives, folders, glob patterns; see `mofa3d.data.sources`.
            out: folder that holds all that is written; ``failures.csv`` is there if there are failures.

        Raises:
            ValueError: there is no input, or `out` cannot be a folder.
        """
        if not inputs:
            raise ValueError("there is nothing to reconstruct; give photographs, folders of them, or videos")
        make_folder(out)
        items, failures = find_inputs(inputs, out)
        reader, written, skipped = Reader(), [], 0
        names = folder_names(_stem(item) for item in items)
        for failure in failures:
            _report(failure)
        bar = tqdm(items, desc="reconstructing", unit="file", dynamic_ncols=True, disable=len(items) < 2)
        for item, name in zip(bar, names, strict=True):
            try:
                if self._done(item, out / name):
                    skipped += 1
                    continue
                self._one(item, reader, out / name)
                written.append(out / name)
            except (ValueError, OSError) as error:  # the others are still worth doing
                failures.append(Failure(_label(item), str(error)))
                _report(failures[-1])
        reader.close()
        _list(out / FAILURES, failures)
        return Summary(written, skipped, failures)

    def _one(self, item: Item, reader: Reader, folder: Path) -> None:
        video = item.is_video
        if not video:
            photo = reader.read(item)
            faces = self.reconstruct(photo)
        _own_folder(folder)
        (folder / RECORD).unlink(missing_ok=True)
        clear(folder)
        for old in folder.glob(f"{FACE}*"):
            if old.is_dir() and not old.is_symlink():
                clear(old)
        if video:
            self.film(item.path, folder)
        elif len(faces) == 1:
            self.write(folder, _label(item), photo, faces[0])
        else:
            for number, face in enumerate(faces, start=1):
                _own_folder(folder / f"{FACE}{number}")
                self.write(folder / f"{FACE}{number}", _label(item), photo, face)
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        record = {"file": str(item.path), "made_from": self._digest(item), "files": files}
        write_text(folder / RECORD, json.dumps(record, indent=1) + "\n")

    def _done(self, item: Item, folder: Path) -> bool:
        try:
            record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            there = all((folder / file).is_file() for file in record["files"])
            return there and record["made_from"] == self._digest(item)
        except (OSError, ValueError, KeyError, TypeError):  # missing, cut off, or somebody else's
            return False

    def _digest(self, item: Item) -> str:
        content = [VERSION, str(item.path.absolute()), item.stamp, item.offset, self.about]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def find_inputs(inputs: Sequence[str | Path], out: Path) -> tuple[list[Item], list[Failure]]:
    """The files that inputs hold, each once, and the inputs that hold none; what was written to `out` is left out."""
    items: dict[tuple, Item] = {}
    failures = []
    below = Path(os.path.realpath(out))
    for source in inputs:
        try:
            found = find_items([source], every=None)
        except (ValueError, OSError) as error:
            failures.append(Failure(str(source), str(error)))
            continue
        for item in found:
            path = Path(os.path.realpath(item.path))
            ours = path.name in WRITTEN or (path.parent / RECORD).exists()
            if not (ours and path.is_relative_to(below)):
                items.setdefault((item.path.absolute(), item.offset, item.problem), item)
    return list(items.values()), failures


def _member(item: Item) -> str:
    """The name of an archive's member inside it, or ""."""
    return "" if item.offset is None else item.key.partition("#")[2]


def _stem(item: Item) -> str:
    return PurePosixPath(_member(item)).stem or item.path.stem


def _label(item: Item) -> str:
    return f"{item.path}#{_member(item)}" if _member(item) else str(item.path)


def _own_folder(folder: Path) -> None:
    """Make a folder, which must be one and not lead elsewhere."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ValueError(f"{folder} is there already and is no folder; move it away, or choose another --out")
    make_folder(folder)


def _report(failure: Failure) -> None:
    reason = failure.reason if failure.photo in failure.reason else f"{failure.photo}: {failure.reason}"
    tqdm.write(printable(f"error: {reason}"), file=sys.stderr)


def _list(path: Path, failures: list[Failure]) -> None:
    if not failures:
        path.unlink(missing_ok=True)
        return
    list_failures(path, failures)
