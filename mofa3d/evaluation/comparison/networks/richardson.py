"""A network that regresses a face step by step, each time from the photograph and a drawing of its last answer.

Trained on synthetic faces only, for it needs their true codes. It estimates pose, shape and expression; reflectance
and light stay at zero.

Reference: Richardson et al. 2016, "3D Face Reconstruction by Learning from Synthetic Data"; 2017, "Learning Detailed
Face Reconstruction from a Single Image" (the coarse network).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mofa3d import harmonics
from mofa3d.decoder import Decoder
from mofa3d.encoders.backbones import IMAGENET_MEAN, IMAGENET_STD, make_backbone
from mofa3d.encoders.folding import fold_frozen_norms
from mofa3d.errors import InputError
from mofa3d.morphable_model import MorphableModel
from mofa3d.numeric_options import check_kinds, check_ranges
from mofa3d.pictures.views import recolored
from mofa3d.scene import Renderer, Scene
from mofa3d.semantic_code import POSE_SIZE, CodeSizes, OutputScales, SemanticCode

NEAR_AND_FAR = 100.0  # mm before and behind the origin that a drawing of depth tells apart


def normal_colors(scene: Scene) -> Float[Tensor, "B N 3"]:
    """Camera-space normals as colors in 0 to 1."""
    return (scene.normals + 1) / 2


def depth_colors(scene: Scene) -> Float[Tensor, "B N 3"]:
    """Camera-space z as grey: 0 at 100 mm behind the origin, 1 at 100 mm before it."""
    grey = (scene.positions[..., 2:] / NEAR_AND_FAR + 1) / 2
    return grey.clamp(0, 1).expand(-1, -1, 3)


FEEDBACK: dict[str, Callable[[Scene], Tensor]] = {"normals": normal_colors, "depth": depth_colors}


def draw_feedback(kind: str, decode: Decoder, render: Renderer) -> Callable[[SemanticCode], Tensor]:
    """A function from codes to drawings (B, 4, H, W) in 0 to 1: three channels of geometry on black, and its mask.

    Args:
        kind: "normals" or "depth".
        decode: its camera says how large drawings are.
        render: a raster backend with a black background.

    Raises:
        InputError: unknown kind.
    """
    if kind not in FEEDBACK:
        raise InputError(f"unknown feedback {kind!r}; there are {', '.join(FEEDBACK)}")
    colors = FEEDBACK[kind]

    def draw(code: SemanticCode) -> Tensor:
        scene = decode(code)
        even = torch.zeros_like(scene.illumination)
        even[:, 0] = 1 - harmonics.AMBIENT  # irradiance 1: colors come through as they are
        return render(recolored(scene, colors(scene), even)).require_image()

    return draw


SYSTEM = "richardson"
BLOCKS = ("shape", "expression", "rotation", "translation")
DRAWN_CHANNELS = 4

Draw = Callable[[SemanticCode], Tensor]


@dataclass(frozen=True)
class RegressorDescription:
    """What must be known to build an iterative regressor again.

    Attributes:
        model, model_path, fingerprint: of the face model, see `mofa3d.encoders.checkpoint.Description`.
        encoder: name of the network.
        input_size: side at which it sees photographs and drawings.
        iterations: how often it corrects itself.
        feedback: what is drawn, see `mofa3d.evaluation.comparison.networks.richardson`.
        scales: of its outputs.
        system: always "richardson".
    """

    model: str
    model_path: str
    fingerprint: str
    encoder: str = "mobilenet_v2"
    input_size: int = 112
    iterations: int = 3
    feedback: str = "normals"
    scales: OutputScales = field(default_factory=OutputScales)
    system: str = SYSTEM

    def __post_init__(self) -> None:
        check_kinds({"iterations": self.iterations, "input_size": self.input_size}, int)
        check_kinds(asdict(self.scales), int | float)
        check_ranges(self, iterations=(1, 100), input_size=(1, 4096))

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> RegressorDescription:
        """Raises InputError for fields this version does not know."""
        try:
            return cls(**{**values, "scales": OutputScales(**values["scales"])})
        except (TypeError, KeyError) as error:
            raise InputError(f"the checkpoint's description does not fit this version of mofa3d ({error})") from None


class IterativeRegressor(nn.Module):
    """Start from the average face; k times, draw the estimate, look at photograph and drawing, and correct it.

    The network's last layer starts at zero, so an untrained one says the average face.

    Args:
        about: network, size and number of iterations.
        sizes: of the code.
        draw: codes to drawings (B, 4, S, S) at the input size; no gradient flows through it.
        weights: of the backbone, see `make_encoder`.
    """

    places: Int[Tensor, "D"]
    scales: Float[Tensor, "D"]
    mean: Float[Tensor, "3 1 1"]
    std: Float[Tensor, "3 1 1"]

    def __init__(self, about: RegressorDescription, sizes: CodeSizes, draw: Draw, weights: str | None = None) -> None:
        super().__init__()
        backbone, features, self.pretrained = make_backbone(about.encoder, weights)
        widen_first_convolution(backbone, DRAWN_CHANNELS)
        self.backbone = fold_frozen_norms(backbone).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stub lacks it
        self.head = nn.Linear(features, sizes.shape + sizes.expression + POSE_SIZE)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.sizes, self.draw = sizes, draw
        self.input_size, self.iterations = about.input_size, about.iterations
        where = sizes.slices
        self.register_buffer("places", torch.cat([torch.arange(sizes.total)[where[name]] for name in BLOCKS]))
        self.register_buffer("scales", about.scales.vector(sizes)[self.places])
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def estimates(self, image: Float[Tensor, "B 3 H W"]) -> Iterator[Float[Tensor, "B D"]]:
        """The code after each iteration; the gradient of each reaches its own correction only."""
        size = (self.input_size, self.input_size)
        if image.shape[-2:] != size:
            image = nn.functional.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
        photo = (image - self.mean) / self.std
        code = image.new_zeros(len(image), self.sizes.total)
        for _ in range(self.iterations):
            with torch.no_grad():
                # Drawn by the CPU's rasterizer, wherever the network runs.
                drawing = self.draw(SemanticCode.from_vector(code.cpu(), self.sizes)).to(image)
            seen = torch.cat([photo, drawing], dim=1).contiguous(memory_format=torch.channels_last)
            correction = self.head(self.backbone(seen)) * self.scales
            code = code.index_add(1, self.places, correction)
            yield code
            code = code.detach()

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D"]:
        """Code vectors of RGB images in 0 to 1, after the last iteration."""
        *_, last = self.estimates(image)
        return last

    def train(self, mode: bool = True) -> IterativeRegressor:
        super().train(mode)
        if self.pretrained:  # as `mofa3d.encoders.network.Encoder`
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


def widen_first_convolution(backbone: nn.Module, channels: int) -> None:
    """Let a network see further channels, with weights of zero: at first it answers as if they were not there."""
    first = next(layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d))
    weight = first.weight.detach()
    blind = weight.new_zeros(len(weight), channels, *weight.shape[2:])
    first.in_channels += channels
    first.weight = nn.Parameter(torch.cat([weight, blind], dim=1))


def geometry_gram(model: MorphableModel) -> Float[Tensor, "P P"]:
    """The matrix G with which xᵀ G x is the mean squared distance (mm²) that coefficients x = (α, δ) move the face.

    The mean is over the frontal vertices.
    """
    basis = torch.cat([model.shape_basis, model.expression_basis], dim=2)[model.frontal].flatten(0, 1).double()
    return (basis.T @ basis / int(model.frontal.sum())).to(model.shape_basis)


def regression_losses(
    code: SemanticCode, true: SemanticCode, gram: Float[Tensor, "P P"], scales: OutputScales
) -> dict[str, Float[Tensor, "B"]]:
    """How far a code is from the true one: ``geometry`` and ``pose``.

    Args:
        code, true: estimate and truth.
        gram: of `geometry_gram`; ``geometry`` is the mean squared distance of frontal vertices in model space, mm².
        scales: ``pose`` is the squared error of rotation and translation in these units.
    """
    off = torch.cat([code.shape - true.shape, code.expression - true.expression], dim=1)
    units = scales.vector(code.sizes).to(off)
    where = code.sizes.slices
    turned = (code.rotation - true.rotation) / units[where["rotation"]]
    moved = (code.translation - true.translation) / units[where["translation"]]
    return {
        "geometry": torch.einsum("bi,ij,bj->b", off, gram, off),
        "pose": turned.square().sum(dim=1) + moved.square().sum(dim=1),
    }
