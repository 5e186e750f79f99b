"""The default model as the package ships it: what `mofa3d.models.makehuman.build` makes, in half precision.

Nothing is built and nothing else has to be installed. ``experiments/build_default_model.py`` writes the three files
from MakeHuman's data; the reflectance is a file of its own (`mofa3d.models.makehuman.learned`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mofa3d.environment.torch_settings import plain_settings
from mofa3d.errors import InputError
from mofa3d.files.given import read_tensors
from mofa3d.files.whole import write_tensors
from mofa3d.models.makehuman.learned import learned_reflectance
from mofa3d.morphable_model import LandmarkBarycentric, MorphableModel

if TYPE_CHECKING:
    from mofa3d.models.makehuman.build import Built
    from mofa3d.models.makehuman.units import ExpressionUnits

FOLDER = Path(__file__).parent
GEOMETRY, UNITS, DENSE = "geometry.safetensors", "units.safetensors", "dense.safetensors"
HALF = ("shape_basis", "expression_basis")  # mm; the mean, whose numbers are larger, keeps its 24 bits
INDICES = ("faces", "landmark_faces")


def load(reflectance: Literal["learned", "pigment"] = "learned") -> MorphableModel:
    """The default model, from the files of the package.

    Args:
        reflectance: learned from photographs, or the pigment model of skin, lips, hair and eyes that learning started
            from, which is built from MakeHuman's data (about half a minute) and cached.

    Raises:
        InputError: a file is missing or damaged, or there is no such reflectance; for pigments, the package ``anny`` is
            not installed, or the cache folder cannot be written.
    """
    if reflectance not in ("learned", "pigment"):
        raise InputError(f"unknown reflectance {reflectance!r}; choose learned or pigment")
    if reflectance == "pigment":
        from mofa3d.models.makehuman.cache import load_built

        return with_halves(load_built().model)
    return read_geometry(FOLDER / GEOMETRY)


@plain_settings()
def load_units() -> ExpressionUnits:
    """The units that the default model's expressions were made of.

    Raises:
        InputError: the file is missing or damaged.
    """
    from mofa3d.models.makehuman.units import read_units_file

    return read_units_file(FOLDER / UNITS)


@plain_settings()
def dense_landmarks() -> LandmarkBarycentric:
    """MediaPipe's 478 points on the default model.

    They index the triangles of ``load_model("makehuman")``, as its 68 landmarks do: 0 to 467 lie on the skin and lips,
    468 to 477 on the eyeballs (see `mofa3d.data.face_landmarker`).

    Raises:
        InputError: the file is missing or damaged.
    """
    from mofa3d.models.makehuman.dense import read_barycentric

    return read_barycentric(FOLDER / DENSE)


def with_halves(model: MorphableModel) -> MorphableModel:
    """A model that was built, with the geometry that the package can have of it."""
    tensors = model.state_dict()
    rounded = {name: tensors[name].half().float() for name in HALF}
    landmarks = LandmarkBarycentric(tensors.pop("landmark_faces"), tensors.pop("landmark_weights"))
    return MorphableModel(**{**tensors, **rounded}, landmark_barycentric=landmarks, name=model.name)


def write_package(built: Built, folder: Path) -> None:
    """Write what the package ships of a built model, all but its reflectance, into a folder."""
    from mofa3d.models.makehuman.dense import save_barycentric
    from mofa3d.models.makehuman.units import save_units

    tensors = built.model.state_dict()
    del tensors["reflectance_basis"]
    tensors |= {name: tensors[name].half() for name in HALF} | {name: tensors[name].int() for name in INDICES}
    write_tensors(folder / GEOMETRY, tensors, {"mofa3d": json.dumps({"name": built.model.name})})
    save_units(built.units, folder / UNITS)
    save_barycentric(built.dense, folder / DENSE)


@plain_settings()
def read_geometry(path: Path) -> MorphableModel:
    """The model of a file that `write_package` wrote, with the learned reflectance.

    Raises:
        InputError: the file is missing or damaged, or the reflectance belongs to another mesh.
    """
    try:
        tensors, metadata = read_tensors(path)
        name = str(json.loads(metadata["mofa3d"])["name"])
        tensors |= {key: tensors[key].float() for key in HALF} | {key: tensors[key].long() for key in INDICES}
        landmarks = LandmarkBarycentric(tensors.pop("landmark_faces"), tensors.pop("landmark_weights"))
        painted = tensors.pop("mean_reflectance")
    except (ValueError, KeyError, TypeError) as error:  # of read_tensors, the dictionary and json
        raise InputError(f"{path} contains no valid face model ({error}); install mofa3d again") from error
    mean, basis = learned_reflectance(tensors["faces"], painted)
    return MorphableModel(
        **tensors, mean_reflectance=mean, reflectance_basis=basis, landmark_barycentric=landmarks, name=name
    )
