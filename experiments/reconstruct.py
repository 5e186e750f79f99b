"""Reconstruct the faces of photographs: a code, an overlay and textured meshes for each, as `mofa3d reconstruct` does.

python experiments/reconstruct.py PHOTO... --checkpoint runs/default --out reconstructions
python experiments/reconstruct.py PHOTO... --checkpoint runs/default --texture model --turntable
"""

from __future__ import annotations

from mofa3d.cli import program
from mofa3d.cli.reconstruct import Reconstruct as Config


def main(config: Config) -> None:
    print(config())


if __name__ == "__main__":
    program.run(main, Config, __doc__)
