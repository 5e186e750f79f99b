"""Give eyes, lids and the inside of the mouth a color each in a reflectance that was learned from photographs.

    python experiments/color_parts.py runs/reflectance/reflectance.safetensors --out mofa3d/models/makehuman/reflectance.safetensors --force

`experiments/learn_reflectance.py` does this with what it learns; this program does it with a file that was written
without.
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from mofa3d import load_model
from mofa3d.cli import program
from mofa3d.cli.program import Flag
from mofa3d.files.folders import refuse_existing
from mofa3d.models.makehuman.learned import known_count, save_reflectance, with_learned_reflectance
from mofa3d.models.makehuman.parts import colored_by_part


@dataclass(frozen=True)
class Config:
    reflectance: Positional[Path]
    """A file of `learn_reflectance.py`."""
    out: Path
    """The file to write."""
    force: Flag = False
    """Replace the file if it is there."""


def main(config: Config) -> None:
    refuse_existing(config.out, config.force)
    painted = load_model("makehuman", reflectance="pigment")
    model = colored_by_part(with_learned_reflectance(painted, config.reflectance), painted)
    save_reflectance(model, config.out, known_count(config.reflectance))
    print(config.out)


if __name__ == "__main__":
    program.run(main, Config, __doc__)
