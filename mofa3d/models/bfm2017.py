"""The Basel Face Model 2017, and what it shares with the one of 2019: files of statistical mesh models in HDF5.

Millimetres, colors from 0 to 1, the three models over one mesh. Needs the package h5py.

Reference: Gerig et al. 2018, *Morphable Face Models – An Open Framework*.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mofa3d.errors import InputError
from mofa3d.files.given import check_file, check_unpacked
from mofa3d.models.assembly import FaceData, assemble, first_columns, given_landmarks
from mofa3d.models.formats.source_file import SourceFile
from mofa3d.morphable_model import MorphableModel

if TYPE_CHECKING:
    import h5py


SOURCE = SourceFile(
    "model2017-1_face12_nomouth.h5", "the Basel Face Model 2017", "https://faces.dmi.unibas.ch/bfm/bfm2017.html"
)
INSTALL = "install it with: pip install mofa3d[bfm]"
FIELDS = ("model/mean", "model/pcaBasis", "model/pcaVariance", "representer/cells")
GROUPS = ("shape", "expression", "color")
SCALED = (0, 8)  # the version of the files whose basis carries the standard deviation already
TIP_OF_NOSE = "center.nose.tip"


def load(
    path: str | Path | None = None,
    *,
    landmarks: Sequence[int] | None = None,
    shape_count: int | None = None,
    expression_count: int | None = None,
    reflectance_count: int | None = None,
    reference: MorphableModel | None = None,
    source: SourceFile = SOURCE,
    name: str = "bfm2017",
) -> MorphableModel:
    """Read ``model2017-1_face12_nomouth.h5`` or another mesh of the release (``bfm``, ``fullHead``).

    The mean shape is that of the identities plus that of the expressions.

    Args:
        path: the file or its folder.
        landmarks: 68 vertices of the file, counted from 0; by default guessed by shape from the default model.
        shape_count, expression_count, reflectance_count: how many modes to keep; all by default.
        reference: as `mofa3d.models.assembly.assemble` takes it.
        source, name: of the release; `mofa3d.models.bfm2019` gives its own.

    Raises:
        InputError: the file is missing or damaged, or h5py is not installed.
    """
    file = source.locate(path)
    content = _content(file, source)
    mean, shape_basis = _model(file, source, content, "shape", shape_count, "shape_count")
    count = len(mean)
    offset, expression_basis = _model(file, source, content, "expression", expression_count, "expression_count")
    color, color_basis = _model(file, source, content, "color", reflectance_count, "reflectance_count")
    for group, values in (("expression", offset), ("color", color)):
        if len(values) != count:
            raise source.damaged(file, f"{group!r} has {len(values)} vertices, 'shape' has {count}")
    cells = source.array(file, content, "shape/representer/cells", (3, None)).astype(np.int64).T
    vertices = mean + offset
    _check_nose(file, source, content, vertices)
    data = FaceData(
        name=name,
        vertices=vertices,
        faces=source.in_range(file, "shape/representer/cells", cells, count),
        shape_basis=shape_basis,
        expression_basis=expression_basis,
        reflectance=(color, color_basis),
        landmarks=given_landmarks(landmarks, count),
    )
    return assemble(data, reference)


def _content(file: Path, source: SourceFile) -> dict[str, object]:
    """The contents of a file that matter, by their paths."""
    try:
        import h5py
    except ImportError:
        raise InputError(f"reading {file.name} needs the package h5py; {INSTALL}") from None
    wanted = [f"{group}/{field}" for group in GROUPS for field in FIELDS]
    wanted += [f"{group}version/{part}Version" for group in ("", "shape/") for part in ("major", "minor")]
    wanted += [f"metadata/landmarks/{form}" for form in ("json", "text")]
    try:
        size = check_file(file)
        with h5py.File(file, "r") as archive:
            found = {key: dataset for key in wanted if (dataset := _dataset(archive, key)) is not None}
            check_unpacked(sum(dataset.nbytes for dataset in found.values()), size)
            return {key: dataset[()] for key, dataset in found.items()}
    except Exception as error:  # damaged bytes lead h5py to errors of any kind
        raise source.damaged(file, f"it cannot be read as an HDF5 file ({error})") from error


def _dataset(archive: h5py.File, path: str, links: int = 8) -> h5py.Dataset | None:
    """What lies at a path inside the file itself, and nothing that it takes from elsewhere.

    Raises:
        InputError: a link to another file, or a virtual or external data set, which can name any file and any size.
    """
    import h5py

    place, parts = archive, path.strip("/").split("/")
    for number, name in enumerate(parts):
        if not isinstance(place, h5py.Group) or (link := place.get(name, getlink=True)) is None:
            return None
        if isinstance(link, h5py.SoftLink) and links:
            above = [] if link.path.startswith("/") else parts[:number]
            return _dataset(archive, "/".join([*above, link.path.strip("/"), *parts[number + 1 :]]), links - 1)
        if not isinstance(link, h5py.HardLink):
            raise InputError(f"{path!r} leads elsewhere ({type(link).__name__})")
        place = place[name]
    if not isinstance(place, h5py.Dataset):
        return None
    if place.is_virtual or place.external:
        raise InputError(f"{path!r} refers to data outside the file")
    return place


def _model(
    file: Path, source: SourceFile, content: Mapping, group: str, modes: int | None, option: str
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (N, 3) and basis (N, 3, K), scaled with the standard deviation."""
    mean = source.array(file, content, f"{group}/model/mean", (None,)).astype(np.float64)
    if len(mean) % 3:
        raise source.damaged(file, f"'{group}/model/mean' has {len(mean)} numbers, not three for each vertex")
    basis = source.array(file, content, f"{group}/model/pcaBasis", (len(mean), None))
    variance = source.array(file, content, f"{group}/model/pcaVariance", (basis.shape[1],))
    if (variance < 0).any():
        raise source.damaged(file, f"'{group}/model/pcaVariance' has negative values")
    basis, variance = first_columns(basis, modes, option), first_columns(variance, modes, option)
    if _version(content) != SCALED:
        basis = basis * np.sqrt(variance)
    return mean.reshape(-1, 3), basis.reshape(len(mean) // 3, 3, -1)


def _version(content: Mapping) -> tuple[int, int] | None:
    for group in ("", "shape/"):
        numbers = [content.get(f"{group}version/{part}Version") for part in ("major", "minor")]
        flat = [np.ravel(number) for number in numbers if number is not None]
        if len(flat) == 2 and all(number.size and number.dtype.kind in "iu" for number in flat):
            major, minor = (int(number[0]) for number in flat)
            return major, minor
    return None


def _check_nose(file: Path, source: SourceFile, content: Mapping, vertices: np.ndarray) -> None:
    """The named landmarks say where the tip of the nose is: far from the mesh, unit or order are not as published."""
    stored = content.get("metadata/landmarks/json", content.get("metadata/landmarks/text"))
    if stored is None:
        return
    text = stored.tobytes() if isinstance(stored, np.ndarray) else stored
    try:
        points = {point["id"]: point["coordinates"] for point in json.loads(text)}
        tip = np.array(points[TIP_OF_NOSE], dtype=np.float64).reshape(3)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):  # of json and NumPy
        return  # older files hold them in another form, and nothing depends on them
    distance = np.linalg.norm(vertices - tip, axis=1).min()
    if not distance < 10:
        raise source.damaged(file, f"its landmark {TIP_OF_NOSE!r} is {distance:.0f} mm away from its mesh")
