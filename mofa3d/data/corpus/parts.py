"""What became of a few consecutive photographs, on the disk before their block is complete: a kill loses little."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mofa3d.data.corpus.shards import Face, checked
from mofa3d.files.given import read_json
from mofa3d.files.whole import write_text

PARTS = "parts"
PART = 16  # photographs


@dataclass(frozen=True)
class Examined:
    """What became of a photograph.

    Attributes:
        key, stamp: of the photograph; see `mofa3d.data.sources.Item`.
        faces: that are kept, with their JPEG crops.
        removed: pairs of rule and reason.
        shown: rule and JPEG crop of faces that were removed.
    """

    key: str
    stamp: str
    faces: list[tuple[Face, bytes]]
    removed: list[tuple[str, str]]
    shown: list[tuple[str, bytes]]

    @property
    def record(self) -> dict:
        """What its block says about it; see `mofa3d.data.corpus.blocks.write_block`."""
        return {"key": self.key, "stamp": self.stamp, "faces": len(self.faces), "removed": self.removed}


def part_path(folder: Path, fingerprint: str, photos: Sequence[tuple[str, str]]) -> Path:
    """Where a part is kept: its name changes with all that it depends on.

    Args:
        folder: of the corpus.
        fingerprint: of the settings.
        photos: key and stamp of each.
    """
    content = json.dumps([fingerprint, list(photos)])
    return folder / PARTS / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.json"


def write_part(path: Path, photos: Sequence[Examined]) -> None:
    """Write what became of some photographs, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps([_fields(photo) for photo in photos]))


def read_part(path: Path) -> list[Examined] | None:
    """What became of some photographs; ``None`` if it is not known, or the file is damaged."""
    try:
        return [_photo(fields) for fields in read_json(path)]
    except (ValueError, TypeError, KeyError):  # of a damaged file
        return None


def _fields(photo: Examined) -> dict:
    return {
        "key": photo.key,
        "stamp": photo.stamp,
        "faces": [[asdict(face), _text(jpeg)] for face, jpeg in photo.faces],
        "removed": photo.removed,
        "shown": [[rule, _text(jpeg)] for rule, jpeg in photo.shown],
    }


def _photo(fields: dict) -> Examined:
    faces = [(checked(Face(**face)), base64.b64decode(jpeg, validate=True)) for face, jpeg in fields["faces"]]
    removed = [(str(rule), str(reason)) for rule, reason in fields["removed"]]
    shown = [(str(rule), base64.b64decode(jpeg, validate=True)) for rule, jpeg in fields["shown"]]
    return Examined(str(fields["key"]), str(fields["stamp"]), faces, removed, shown)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
