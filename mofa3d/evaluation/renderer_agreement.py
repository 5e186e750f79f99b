"""How far renderers agree: images, gradients of the photometric loss, derivatives against differences, and times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mofa3d import losses
from mofa3d.camera import sample
from mofa3d.decoder import Decoder
from mofa3d.scene import Renderer, Scene
from mofa3d.semantic_code import CodeSizes, SemanticCode

DEPTH_SLACK = 2.0  # between a vertex and the surface at the centre of its pixel, in widths of a pixel on the face
EDGE, MARGIN = 2, 6  # px from the silhouette at which its inside begins: for colors, and for faces that move
# Of differences: 0.1 σ for all other blocks. Pose moves each pixel's triangle, so its steps are a tenth of a pixel.
STEPS = {"rotation": 0.001, "translation": 0.05, "illumination": 0.02}
SILHOUETTE_STEP = 8.0  # mm
DIFFERENTIABLE = ("vertices", "positions", "normals", "pixels", "reflectance", "colors")  # of a scene


@dataclass(frozen=True)
class CodedFaces:
    """What every renderer gets.

    Attributes:
        decode, codes: the faces.
        photographs: (B, 3, H, W) what the photometric loss compares them with.
    """

    decode: Decoder
    codes: SemanticCode
    photographs: Float[Tensor, "B 3 H W"]

    def __getitem__(self, index: slice) -> CodedFaces:
        return CodedFaces(self.decode, self.codes[index], self.photographs[index])


@dataclass(frozen=True)
class Formed:
    """What one renderer made of the faces.

    Attributes:
        scene: the decoded faces.
        image: RGBA, or ``None`` from a renderer that forms none.
        gradient: of each face's photometric loss with respect to its code.
    """

    scene: Scene
    image: Float[Tensor, "B 4 H W"] | None
    gradient: Float[Tensor, "B D"]


def form(render: Renderer, faces: CodedFaces) -> Formed:
    """Render the faces and differentiate their photometric losses."""
    vector = faces.codes.to_vector().requires_grad_()
    scene = faces.decode(SemanticCode.from_vector(vector, faces.codes.sizes))
    rendering = render(scene)
    losses.photometric(rendering, faces.photographs).sum().backward()
    image = None if rendering.image is None else rendering.image.detach()
    return Formed(scene, image, cast(Tensor, vector.grad))


def image_agreement(image: Float[Tensor, "B 4 H W"], reference: Float[Tensor, "B 4 H W"]) -> dict[str, float]:
    """Color differences inside the face (the worst channel, in 1/255), and alpha's intersection over union."""
    difference = (image - reference)[:, :3].abs().amax(dim=1)[interior(reference, EDGE)]
    alpha, expected = image[:, 3], reference[:, 3]
    overlap = torch.minimum(alpha, expected).sum() / torch.maximum(alpha, expected).sum()
    return {**_spread(difference), "silhouette overlap": float(overlap)}


def interior(image: Float[Tensor, "B 4 H W"], margin: int) -> Bool[Tensor, "B H W"]:
    """Pixels at least so far from any that is not mostly covered."""
    outside = (image[:, 3:] < 0.5).to(image.dtype)
    return nn.functional.max_pool2d(outside, 2 * margin + 1, stride=1, padding=margin)[:, 0] == 0


def vertex_agreement(
    scene: Scene, reference: Float[Tensor, "B 4 H W"], depth: Float[Tensor, "B H W"]
) -> dict[str, float]:
    """Differences in 1/255 between the colors of visible vertices and an image sampled at their projections.

    Args:
        scene: whose vertex colors are compared.
        reference: an image of it.
        depth: of the nearest surface at each pixel, mm; negative where there is none.
    """
    sampled = sample(reference[:, :3], scene.pixels.detach()).transpose(1, 2)
    difference = (sampled - scene.colors.detach().clamp(0, 1)).abs().amax(dim=-1)
    return _spread(difference[visible_vertices(scene, depth)])


def visible_vertices(scene: Scene, depth: Float[Tensor, "B H W"]) -> Bool[Tensor, "B N"]:
    """Frontal vertices of 𝒱 inside the image that no nearer surface hides; `depth` as in `vertex_agreement`."""
    pixels = scene.pixels.detach()
    size = scene.camera.image_size
    column, row = pixels.floor().long().clamp(0, size - 1).unbind(-1)
    nearest = depth[torch.arange(len(scene), device=depth.device)[:, None], row, column]
    slack = DEPTH_SLACK * scene.camera.rest_distance / scene.camera.focal
    seen = (scene.depth.detach() - nearest).abs() < slack
    return scene.frontal & scene.front_facing & ((pixels > 0) & (pixels < size)).all(dim=-1) & seen


def _spread(difference: Tensor) -> dict[str, float]:
    values = 255 * difference
    return {"mean": float(values.mean()), "median": float(values.median()), "max": float(values.max())}


def gradient_agreement(
    gradient: Float[Tensor, "B D"], reference: Float[Tensor, "B D"], sizes: CodeSizes
) -> dict[str, float]:
    """Cosine of two gradients with respect to the code, per block, the least of all faces."""
    return {
        name: float(torch.cosine_similarity(gradient[:, where], reference[:, where]).min())
        for name, where in sizes.slices.items()
    }


def derivative_agreement(render: Renderer, faces: CodedFaces, seed: int = 0) -> dict[str, float]:
    """Derivatives by autograd over central differences of rendered images; 1 is exact, the mean of all faces.

    "silhouette": of the covered area, as the face comes nearer. The blocks of the code: of the colors inside the face
    along a random direction, where the image is `differentiable`: the part of the pixels' differences that their
    derivatives make up, ⟨derivatives, differences⟩ / ⟨differences, differences⟩. Colors weighted by their own
    differences cannot cancel, as they do in sums with other weights.
    """
    generator = torch.Generator().manual_seed(seed)
    ratios = [_derivative_ratios(render, faces[i : i + 1], generator) for i in range(len(faces.codes))]
    return {name: sum(ratio[name] for ratio in ratios) / len(ratios) for name in ratios[0]}


def _derivative_ratios(render: Renderer, face: CodedFaces, generator: torch.Generator) -> dict[str, float]:
    vector, slices = face.codes.to_vector(), face.codes.sizes.slices
    with torch.no_grad():
        inside = interior(render(face.decode(face.codes)).require_image(), MARGIN)[0]

    def image_at(direction: Tensor, amount: Tensor | float) -> Float[Tensor, "4 H W"]:
        code = SemanticCode.from_vector(vector + amount * direction, face.codes.sizes)
        return render(face.decode(code)).require_image()[0].double()

    def ratio(direction: Tensor, step: float, weigh: Callable[[Tensor, Tensor], Tensor]) -> float:
        with torch.no_grad():
            before, here, after = (image_at(direction, amount) for amount in (-step, 0.0, step))
            differences = (after - before) / (2 * step)
            weights = weigh(differences, differentiable(before, here, after))
        amount = torch.zeros((), dtype=vector.dtype, device=vector.device, requires_grad=True)
        value = (image_at(direction, amount) * weights).sum()
        derivative = float(torch.autograd.grad(value, amount)[0]) if value.requires_grad else 0.0
        return derivative / float((differences * weights).sum())

    def covered(differences: Tensor, _: Tensor) -> Tensor:
        return torch.zeros_like(differences).index_fill_(0, torch.tensor(3, device=differences.device), 1.0)

    def colors(differences: Tensor, smooth: Tensor) -> Tensor:
        return differences * (smooth & inside) * (1 - covered(differences, smooth))

    nearer = torch.zeros_like(vector)
    nearer[:, slices["translation"].stop - 1] = -1
    ratios = {"silhouette": ratio(nearer, SILHOUETTE_STEP, covered)}
    for name, where in slices.items():
        direction = torch.zeros_like(vector)
        direction[:, where] = torch.randn(vector[:, where].shape, generator=generator, dtype=torch.float32).to(vector)
        direction /= direction.norm()
        ratios[name] = ratio(direction, STEPS.get(name, 0.1), colors)
    return ratios


def differentiable(
    before: Float[Tensor, "4 H W"], here: Float[Tensor, "4 H W"], after: Float[Tensor, "4 H W"]
) -> Bool[Tensor, "H W"]:
    """Pixels that change steadily from one image over the next to the last, so that differences mean something.

    Where the border of a lid or of a lip passes, colors jump: no image is differentiable there.
    """
    change, bend = (after - before).abs(), (after - 2 * here + before).abs()
    return (bend <= 0.2 * change + 1e-5).all(dim=0)


def median_times(render: Renderer, faces: CodedFaces) -> dict[str, float]:
    """Milliseconds per face from a scene to its photometric loss, and on to the gradient of all it is made of."""
    with torch.no_grad():
        scene = faces.decode(faces.codes)

    def forward() -> None:
        with torch.no_grad():
            losses.photometric(render(scene), faces.photographs)

    def forward_and_backward() -> None:
        leaves = {name: getattr(scene, name).clone().requires_grad_() for name in DIFFERENTIABLE}
        losses.photometric(render(replace(scene, **leaves)), faces.photographs).sum().backward()

    medians = {"forward": median_time(forward), "forward and backward": median_time(forward_and_backward)}
    return {name: 1e3 * seconds / len(scene) for name, seconds in medians.items()}


def median_time(work: Callable[[], object], at_least: float = 1.0, at_most: float = 10.0) -> float:
    """Median seconds of a piece of work after a first run: of three or a second's worth, or what ten seconds allow."""
    work()  # compiles and allocates
    times: list[float] = []
    while (len(times) < 3 or sum(times) < at_least) and sum(times) < at_most:
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()  # kernels run on after the call that started them
        times.append(time.perf_counter() - start)
    return statistics.median(times)
