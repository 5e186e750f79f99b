"""``mofa3d examples``: inputs to try everything with; imports what it needs when it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from mofa3d.cli.program import Flag

PORTRAIT, FILM = "portrait.jpg", "talk.mp4"


@dataclass(frozen=True)
class Examples:
    """Write a portrait and a short film to try everything with."""

    out: Annotated[Positional[Path], arg(metavar="FOLDER")] = Path("examples")
    """Folder to write."""
    force: Flag = False
    """Replace the files if they are there."""

    def __call__(self) -> str:
        import shutil

        from matplotlib import cbook

        from mofa3d.export.video import write_video
        from mofa3d.files.folders import refuse_existing
        from mofa3d.pictures.talking_face import RATE, talking_face
        from mofa3d.renderers import make_renderer

        portrait, film = self.out / PORTRAIT, self.out / FILM
        for path in (portrait, film):
            refuse_existing(path, self.force)
        self.out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False), portrait)
        write_video(film, talking_face(make_renderer("cpu")), RATE)
        return (
            f"{portrait}: Grace Hopper, by the US Navy (public domain)\n{film}: a face of the default model\n"
            f"Next: mofa3d reconstruct {portrait} {film} --out faces"
        )
