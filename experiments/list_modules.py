"""Print the modules of mofa3d that are loaded from a photograph to face.glb, one a line.

python experiments/list_modules.py portrait.jpg
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro
from tyro.conf import Positional

import mofa3d


@dataclass(frozen=True)
class Config:
    photo: Positional[Path]
    """A photograph with a face."""


def main(config: Config) -> None:
    with tempfile.TemporaryDirectory() as folder:
        mofa3d.reconstruct(config.photo).save(Path(folder) / "face.glb")
    print("\n".join(sorted(name for name in sys.modules if name.partition(".")[0] == "mofa3d")))


if __name__ == "__main__":
    main(tyro.cli(Config, description=__doc__))  # `mofa3d.cli` would be among the modules
