"""Find scans and photographs in a folder: a simple layout, or that of the NoW challenge.

    DIR/anna/scan.obj             or scan.ply, scan.stl
    DIR/anna/landmarks.json       or landmarks.txt, landmarks.pp; may be absent
    DIR/anna/1.jpg ...            photographs
    DIR/anna/outdoors/2.jpg ...   photographs that are reported by themselves, as outdoors

    DIR/imagepathsvalidation.txt                     lines SUBJECT/CHALLENGE/IMAGE.jpg
    DIR/iphone_pictures/SUBJECT/CHALLENGE/IMAGE.jpg
    DIR/detected_face/SUBJECT/CHALLENGE/IMAGE.npy    box; see `mofa3d.evaluation.scans.face_boxes`
    DIR/scans/SUBJECT/*.obj                          millimetres
    DIR/scans_lmks_onlypp/SUBJECT/*.pp

Of NoW's parts, each may also lie in DIR/final_release_version.

Reference: Sanyal et al. 2019, and the programs of the NoW challenge, github.com/soubhiksanyal/now_evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mofa3d.data.failures import Failure
from mofa3d.data.file_kind import kind_of
from mofa3d.data.folder import LeftOut
from mofa3d.data.photo import find_photos
from mofa3d.errors import InputError

SCAN_SUFFIXES = (".obj", ".ply", ".stl")
LANDMARK_SUFFIXES = (".json", ".txt", ".pp")
RELEASE = "final_release_version"
PICTURES, BOXES, SCANS, LANDMARKS, LIST = (
    "iphone_pictures", "detected_face", "scans", "scans_lmks_onlypp", "imagepathsvalidation.txt",
)  # fmt: skip
HELP = (
    f"expected a folder for each person with scan{'|'.join(SCAN_SUFFIXES)} and photographs, or the NoW challenge's "
    f"{PICTURES}, {SCANS} and {LANDMARKS}"
)


@dataclass(frozen=True)
class ScanFiles:
    """One person's scan.

    Attributes:
        mesh: its file.
        landmarks: of it, or ``None``.
    """

    mesh: Path
    landmarks: Path | None


@dataclass(frozen=True)
class ScannedPhoto:
    """A photograph of a person with a scan.

    Attributes:
        path: its file.
        person: whose scan it is compared with.
        group: photographs that are reported together; may be empty.
        box: file with the box of the face, or ``None``.
    """

    path: Path
    person: str
    group: str
    box: Path | None = None


@dataclass(frozen=True)
class ScanFolder:
    """What a folder holds.

    Attributes:
        people: scan of each.
        photos: in the order in which they are measured.
        failures: what cannot be used, and why.
    """

    people: dict[str, ScanFiles]
    photos: list[ScannedPhoto]
    failures: list[Failure] = field(default_factory=list)


def find_scans(root: Path) -> ScanFolder:
    """Find scans and their photographs, of either layout.

    Raises:
        InputError: no such folder, or no scan with a photograph in it.
    """
    if not root.is_dir():
        raise InputError(f"there is no folder {root}; {HELP}")
    found = _now(root) if _part(root, PICTURES).is_dir() else _simple(root)
    if not found.photos:
        reasons = "".join(f"; {failure.photo}: {failure.reason}" for failure in found.failures[:3])
        raise InputError(f"{root} contains no scan with a photograph{reasons}; {HELP}")
    return found


def _simple(root: Path) -> ScanFolder:
    found = ScanFolder({}, [])
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        mesh = _only(folder, "scan", SCAN_SUFFIXES)
        if mesh is None:
            found.failures.append(Failure(folder.name, f"it holds no scan{'|'.join(SCAN_SUFFIXES)}"))
            continue
        try:
            known = {path.name for path in folder.iterdir() if path.stem in (mesh.stem, "landmarks")}
            # A picture of the scan's name is its texture.
            photos = [path for path in find_photos(folder, known) if path.stem != mesh.stem]
        except InputError as error:
            found.failures.append(Failure(folder.name, str(error)))
            continue
        found.people[folder.name] = ScanFiles(mesh, _only(folder, "landmarks", LANDMARK_SUFFIXES))
        for photo in photos:
            inside = photo.relative_to(folder).parts
            found.photos.append(ScannedPhoto(photo, folder.name, inside[0] if len(inside) > 1 else ""))
    return found


def _only(folder: Path, stem: str, suffixes: tuple[str, ...]) -> Path | None:
    return next((path for suffix in suffixes if (path := folder / f"{stem}{suffix}").is_file()), None)


def _now(root: Path) -> ScanFolder:
    pictures, boxes = _part(root, PICTURES), _part(root, BOXES)
    found, lost = ScanFolder({}, []), set()
    for person, group, name in _listed(root, pictures):
        if person not in found.people and person not in lost:
            mesh = next(iter(sorted((_part(root, SCANS) / person).glob("*.obj"))), None)
            points = next(iter(sorted((_part(root, LANDMARKS) / person).glob("*.pp"))), None)
            if mesh is None or points is None:
                lost.add(person)
                place = f"{SCANS}/{person}/*.obj" if mesh is None else f"{LANDMARKS}/{person}/*.pp"
                found.failures.append(Failure(person, f"there is no {place}, so its photographs are left out"))
            else:
                found.people[person] = ScanFiles(mesh, points)
        if person in lost:
            continue
        photo = pictures / person / group / name
        if not photo.is_file():
            found.failures.append(Failure(f"{person}/{group}/{name}", f"it is listed, but there is no {photo}"))
            continue
        box = (boxes / person / group / name).with_suffix(".npy")
        found.photos.append(ScannedPhoto(photo, person, group, box if box.is_file() else None))
    return found


def _listed(root: Path, pictures: Path) -> list[tuple[str, ...]]:
    """Subject, challenge and image of each photograph; without NoW's list, of all there are."""
    file = _part(root, LIST)
    if file.is_file():
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        parts = [tuple(line.split("/")[-3:]) for line in lines if line]
        if wrong := next((part for part in parts if len(part) != 3 or ".." in part), None):
            raise InputError(f"{file} has the line {'/'.join(wrong)!r}; expected SUBJECT/CHALLENGE/IMAGE.jpg")
        return parts
    photos, left_out = [], LeftOut()
    for path in sorted(path for path in pictures.glob("*/*/*") if path.is_file()):
        if (kind := kind_of(path)) == "photo":
            photos.append(path)
        else:
            left_out.add_file(path, kind)
    left_out.tell(pictures)
    return [path.relative_to(pictures).parts for path in photos]


def _part(root: Path, name: str) -> Path:
    inside = root / RELEASE / name
    return inside if inside.exists() else root / name
