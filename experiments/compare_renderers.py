"""Render the same faces with every renderer that works here, and compare images, gradients and times.

    python experiments/compare_renderers.py                                    # two random faces into runs/renderers
    python experiments/compare_renderers.py --variants vertex cpu --differences   # also check derivatives
    python experiments/compare_renderers.py --device cuda                      # with nvdiffrast

Writes comparison.md, comparison.json and comparison.png into --out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torchvision.transforms.functional import gaussian_blur
from tqdm import tqdm

from mofa3d import Camera, Decoder, SemanticCode, load_model
from mofa3d.cli import program
from mofa3d.data.corpus.synthetic import SyntheticConfig, sample_codes, texture
from mofa3d.environment.machine import check_device, commit, machine
from mofa3d.errors import InputError
from mofa3d.evaluation import tables
from mofa3d.evaluation.renderer_agreement import (
    CodedFaces,
    Formed,
    derivative_agreement,
    form,
    gradient_agreement,
    image_agreement,
    median_times,
    vertex_agreement,
)
from mofa3d.evaluation.report import Report
from mofa3d.files.folders import take_folder
from mofa3d.files.whole_pictures import write_picture
from mofa3d.numeric_options import check_ranges
from mofa3d.pictures.views import to_bytes
from mofa3d.renderers import ENTRY_POINT_GROUP, make_renderer
from mofa3d.renderers.pytorch3d_rasterizer import Pytorch3dRasterizer
from mofa3d.scene import Renderer

VARIANTS = {
    "vertex": ("vertex", {}),
    "cpu": ("cpu", {}),
    "cpu, hard": ("cpu", {"antialias": False}),
    "pytorch3d": ("pytorch3d", {}),
    # A blur below one pixel: with more, alpha drops inside the face unless dozens of faces per pixel are blended.
    "pytorch3d, soft": ("pytorch3d", {"soft": True, "sigma": 1e-6}),
    "nvdiffrast": ("nvdiffrast", {}),
    "nvdiffrast, hard": ("nvdiffrast", {"antialias": False}),
    **{point.name: (point.name, {}) for point in entry_points(group=ENTRY_POINT_GROUP)},
}

EXPLANATION = """\
image: difference of color inside both faces, in 1/255, the worst of the three channels; silhouette overlap:
intersection over union of alpha. vertices: the same between visible vertices and the reference's image at their
projections. gradient cosine: of the photometric loss against smooth photographs, per block of the code, the least of
all faces. derivative over differences: autograd over central differences of the rendered image, 1 is exact; of the
covered area as the face comes nearer (silhouette), and of the colors inside the face along a random direction of
each block, where they change steadily. milliseconds: per face, from a scene to its loss, and to the gradient of all
that the scene is made of; medians.
"""
DIGITS = {
    "image": ".3f",
    "vertices": ".3f",
    "gradient cosine": ".4f",
    "derivative over differences": ".3f",
    "milliseconds": ".1f",
}
PICTURE_NAME = "comparison.png"
PICTURE = f"""\
![images, differences, silhouettes]({PICTURE_NAME})

Per face: the image; its difference from the reference, twenty times; silhouettes, white where both have one, red where
only the reference has one, cyan where only the variant has.
"""


@dataclass(frozen=True)
class Config:
    out: Path = Path("runs/renderers")
    variants: tuple[str, ...] = tuple(VARIANTS)
    """Renderers to compare; those that do not work here are listed with the reason."""
    reference: str = "pytorch3d"
    """The renderer that the others are compared with."""
    count: int = 2
    """Number of random faces."""
    image_size: int = 240
    model: str = "makehuman"
    model_path: str = ""
    differences: bool = False
    """Check the gradients of the first face against finite differences: 29 more images for each renderer, which takes
    minutes with PyTorch3D's rasterizer on a CPU."""
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_ranges(self, count=(1, 1000), image_size=(16, 4096))


def make_faces(config: Config) -> CodedFaces:
    model = load_model(config.model, path=config.model_path or None)
    decode = Decoder(model, Camera(config.image_size))
    generator = torch.Generator().manual_seed(config.seed)
    vectors = [sample_codes(SyntheticConfig(), config.count, model.sizes, generator).to_vector() for _ in range(2)]
    random = np.random.default_rng(config.seed)
    behind = torch.from_numpy(np.stack([texture(config.image_size, random) for _ in range(config.count)]))
    with torch.no_grad():
        target = SemanticCode.from_vector(vectors[0] + 0.3 * (vectors[1] - vectors[0]), model.sizes)
        rgba = make_renderer("cpu")(decode(target)).image
    photographs = rgba[:, :3] + (1 - rgba[:, 3:]) * behind.permute(0, 3, 1, 2)
    sigma = config.image_size / 60  # 4 px at 240
    photographs = gaussian_blur(photographs, 2 * round(3 * sigma) + 1, sigma)
    decode, device = decode.to(config.device), config.device
    return CodedFaces(decode, SemanticCode.from_vector(vectors[0].to(device), model.sizes), photographs.to(device))


def measure(label: str, faces: CodedFaces, reference: Formed, config: Config) -> tuple[dict, Formed]:
    """All figures of one variant, and what it formed.

    Raises:
        InputError: the variant does not work here.
    """
    render = make_variant(label)
    formed = form(render, faces)
    figures = {
        "gradient cosine": gradient_agreement(formed.gradient, reference.gradient, faces.codes.sizes),
        "milliseconds": median_times(render, faces),
    }
    if formed.image is None:
        depth = Pytorch3dRasterizer()(formed.scene).zbuf[..., 0]
        figures["vertices"] = vertex_agreement(formed.scene, reference.image, depth)
    else:
        figures["image"] = image_agreement(formed.image, reference.image)
        if config.differences:
            figures["derivative over differences"] = derivative_agreement(render, faces[:1], config.seed)
    return figures, formed


def make_variant(label: str) -> Renderer:
    name, options = VARIANTS[label]
    return make_renderer(name, **options)


def draw(formed: dict[str, Formed], reference: Formed, path: Path) -> None:
    """Three rows per face, one column per variant: image, twenty times its difference, and silhouettes.

    Silhouettes are white where variant and reference agree, red where only the reference has one, cyan where only the
    variant has.
    """
    columns = []
    pictured = {label: result.image.cpu() for label, result in formed.items() if result.image is not None}
    for label, images in pictured.items():
        rows = []
        for image, expected in zip(images, reference.image.cpu(), strict=True):
            difference = 20 * (image - expected)[:3].abs()
            silhouettes = torch.stack([expected[3], image[3], image[3]])
            rows.append(torch.cat([image[:3], difference, silhouettes], dim=1))
        column = Image.fromarray(to_bytes(torch.cat(rows, dim=1)[None])[0])
        ImageDraw.Draw(column).text((4, 4), label, fill="white")
        columns.append(np.asarray(column))
    if columns:
        write_picture(path, np.concatenate(columns, axis=1))


def table(kind: str, figures: dict[str, dict], digits: str) -> str:
    """One kind of figures as Markdown, a row per variant."""
    rows = {label: values[kind] for label, values in figures.items() if kind in values}
    if not rows:
        return ""
    names = list(dict.fromkeys(name for values in rows.values() for name in values))
    cells = [
        [label, *(format(values[name], digits) if name in values else "" for name in names)]
        for label, values in rows.items()
    ]
    return tables.table([kind, *names], cells)


def write(config: Config, figures: dict[str, dict], missing: dict[str, str], facts: dict[str, str]) -> str:
    """Write comparison.json and comparison.md; returns the latter's tables."""
    shown = "\n\n".join(filter(None, (table(kind, figures, digits) for kind, digits in DIGITS.items())))
    numbers = {"config": {**asdict(config), "out": str(config.out)}, "figures": figures, "not available": missing}
    title, sections = f"Renderers against {config.reference}", [EXPLANATION, shown, PICTURE]
    Report(title, {**facts, **missing}, sections, numbers).write(config.out, "comparison")
    return shown


def main(config: Config) -> None:
    unknown = {config.reference, *config.variants} - VARIANTS.keys()
    if unknown:
        raise InputError(f"unknown variant {sorted(unknown)[0]!r}; there are {', '.join(map(repr, VARIANTS))}")
    check_device(config.device)
    torch.manual_seed(config.seed)
    faces = make_faces(config)
    reference = form(make_variant(config.reference), faces)
    if reference.image is None:
        raise InputError(f"--reference {config.reference} forms no image; choose a raster backend")
    take_folder(config.out, "compare_renderers.py")
    figures, missing, formed = {}, {}, {}
    for label in tqdm(config.variants, desc="comparing", dynamic_ncols=True):
        try:
            figures[label], formed[label] = measure(label, faces, reference, config)
        except InputError as error:
            missing[label] = f"not available here: {error}"
    facts = {
        "faces": f"{config.count} random ones of {config.model}, {len(faces.decode.model.mean_shape)} vertices, "
        f"{len(faces.decode.model.faces)} triangles, {config.image_size} px",
        "machine": machine(),
        "commit": commit(),
    }
    draw(formed, reference, config.out / PICTURE_NAME)
    print(write(config, figures, missing, facts))
    for label, reason in missing.items():
        print(f"{label}: {reason}")


if __name__ == "__main__":
    program.run(main, Config, __doc__)
