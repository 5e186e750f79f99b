"""What a face model can do, on one sheet: its mean, its strongest modes, and random faces."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa3d import harmonics
from mofa3d.data.corpus.synthetic import SyntheticConfig, sample_codes
from mofa3d.morphable_model import MorphableModel
from mofa3d.pictures import views
from mofa3d.pictures.contact_sheet import Row
from mofa3d.pictures.portraits import ASPECT, Studio, turned
from mofa3d.pictures.preview_config import PreviewConfig
from mofa3d.scene import Renderer, Scene
from mofa3d.semantic_code import SemanticCode

STRENGTH = 2.0  # of single modes, standard deviations
TURN = 40.0  # degrees to either side, of the side views
LARGE_PICTURES = 4  # of the mean face, which take the width of the sheet
DOT_COLOR = (20, 90, 230)


@torch.no_grad()
def model_rows(model: MorphableModel, render: Renderer, config: PreviewConfig) -> list[Row]:
    """The mean with its landmarks, the first modes at ±2 standard deviations, and random faces in three views.

    Args:
        model: a whole one, not a restricted one.
        render: a raster backend with a black background.
        config: what to draw.
    """
    studio = Studio(model, render, config.image_size)
    rows = [_mean_row(model, render, config)]
    for block, kind, draw in (
        ("shape", "Shape", views.geometry),
        ("expression", "Expression", lit),
        ("reflectance", "Reflectance", views.reflectance),
    ):
        shown = min(config.count, getattr(model.sizes, block))
        for sign, sign_text in ((-1.0, "−"), (1.0, "+")) if shown else ():
            codes = single_modes(model, block, sign * STRENGTH, shown)
            caption = f"{kind} modes 1 to {shown}, each at {sign_text}{STRENGTH:g}σ"
            rows.append(Row(caption, studio.draw(codes, draw)))
    faces = random_faces(model, config)
    for angle, view in ((0.0, "from the front"), (TURN, f"turned by {TURN:g}°"), (-TURN, f"turned by −{TURN:g}°")):
        rows.append(Row(f"Random faces {view}", studio.draw(turned(faces, angle), lit, angle)))
    return rows


@torch.no_grad()
def sample_rows(model: MorphableModel, render: Renderer, config: PreviewConfig) -> list[Row]:
    """Random faces in random poses: lit, as clay, and their reflectance."""
    studio, codes = Studio(model, render, config.image_size), random_faces(model, config)
    return [
        Row("Random faces in random light", studio.draw(codes, _on_white)),
        Row("Their geometry", studio.draw(codes, views.geometry)),
        Row("Their reflectance", studio.draw(codes, views.reflectance)),
    ]


def single_modes(model: MorphableModel, block: str, value: float, count: int) -> SemanticCode:
    """One code for each of the first columns of a block, all else at its mean."""
    code = SemanticCode.zeros(count, model.sizes)
    return code.replace(**{block: value * torch.eye(count, getattr(model.sizes, block), dtype=torch.float32)})


def random_faces(model: MorphableModel, config: PreviewConfig) -> SemanticCode:
    """Codes as synthetic faces have them, but in the middle of the picture."""
    spreads = {name: getattr(config, name) for name in ("shape", "expression", "reflectance", "yaw", "pitch", "roll")}
    spread = SyntheticConfig(**spreads, shift=0.0, depth=0.0)
    return sample_codes(spread, config.count, model.sizes, torch.Generator().manual_seed(config.seed))


def _mean_row(model: MorphableModel, render: Renderer, config: PreviewConfig) -> Row:
    width = config.count * Studio(model, render, config.image_size).width
    studio = Studio(model, render, max(1, int(width / LARGE_PICTURES / ASPECT)))
    front, *sides = (studio.draw(turned(studio.mean, angle), lit, angle) for angle in (0.0, TURN, -TURN))
    dotted = mark_points(front[0], studio.landmarks(studio.mean))
    caption = f"Mean face of {model.name or 'the model'}: with its landmarks, from the front, turned by ±{TURN:g}°"
    return Row(caption, np.concatenate([dotted[None], front, *sides]))


def mark_points(picture: UInt8[np.ndarray, "H W 3"], points: Float[np.ndarray, "K 2"]) -> UInt8[np.ndarray, "H W 3"]:
    """A copy with a dot at each point (pixels, the centre of the top-left one is (0.5, 0.5))."""
    marked, shift = picture.copy(), 4  # bits of a pixel's fraction, which OpenCV takes
    radius = max(1.2, 0.006 * len(picture))
    for point in points:
        centre = tuple(int(c) for c in np.round((point - 0.5) * 2**shift))
        cv2.circle(marked, centre, round(radius * 2**shift), DOT_COLOR, cv2.FILLED, cv2.LINE_AA, shift)
    return marked


def _on_white(scene: Scene, render: Renderer) -> Float[Tensor, "B 3 H W"]:
    size = scene.camera.image_size
    return views.overlay(scene, render, scene.positions.new_ones(len(scene), 3, size, size))


def lit(scene: Scene, render: Renderer) -> Float[Tensor, "B 3 H W"]:
    """On white under a soft lamp from above: even light would hide the shape."""
    lamp = torch.nn.functional.normalize(scene.positions.new_tensor([[0.35, 0.55, 1.0]]), dim=-1)
    light = 0.22 * harmonics.basis(lamp).transpose(0, 1).expand(9, 3)
    light = light + scene.illumination.new_tensor([-0.2] + [0.0] * 8)[:, None]
    return _on_white(views.recolored(scene, scene.reflectance, light), render)
