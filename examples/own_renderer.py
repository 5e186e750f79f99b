"""Train with a renderer of your own: here PyTorch3D's `MeshRenderer` with a shader of PyTorch3D's.

python examples/own_renderer.py runs/own_renderer

A renderer is any callable from `mofa3d.scene.Scene` to `mofa3d.scene.Rendering`. It may ignore what mofa3d draws with
and take the scene's PyTorch3D structures: `scene.meshes`, whose textures are the skin's reflectance per vertex, and
`scene.cameras`. What it returns are samples, and the photometric loss compares their colors with the photograph at
their positions; here there is one sample per pixel.

To offer it to `experiments/train_mofa.py --renderer=NAME` too, name it as an entry point of the group
``mofa3d.renderers`` in your package.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from pytorch3d.renderer import (
    AmbientLights,
    BlendParams,
    HardPhongShader,
    MeshRasterizer,
    MeshRenderer,
    RasterizationSettings,
    TexturesVertex,
)
from pytorch3d.structures import Meshes

from mofa3d import Camera, Decoder, Rendering, Scene
from mofa3d.data.corpus.synthetic import SyntheticConfig, sample_codes
from mofa3d.encoders.checkpoint import Description
from mofa3d.objective import Batch, LossWeights
from mofa3d.renderers import make_renderer
from mofa3d.training.checkpoint import claim_folder
from mofa3d.training.mofa import TrainingConfig, train
from mofa3d.training.progress import Progress


class PhongRenderer:
    """Each pixel is one sample. Lit colors come with the scene, so the shader's own light is ambient and white."""

    def __call__(self, scene: Scene) -> Rendering:
        size = scene.camera.image_size
        draw = MeshRenderer(
            MeshRasterizer(scene.cameras, RasterizationSettings(size, cull_backfaces=True)),
            HardPhongShader(
                scene.colors.device,
                scene.cameras,
                AmbientLights(device=scene.colors.device),
                blend_params=BlendParams(background_color=(0.0, 0.0, 0.0)),
            ),
        )
        faces = scene.faces.expand(len(scene), -1, -1)
        image = draw(Meshes(scene.vertices, faces, TexturesVertex(scene.colors)))  # (B, H, W, RGBA)
        covered = (image[..., 3] > 0.5).to(image.dtype).flatten(1)
        centres = torch.arange(size, dtype=image.dtype, device=image.device) + 0.5
        positions = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1).flatten(0, 1)
        return Rendering(
            positions=positions.expand(len(scene), -1, -1),
            colors=image[..., :3].flatten(1, 2),
            weights=covered / covered.sum(dim=1, keepdim=True).clamp_min(1),  # each face weighs 1
            image=image.permute(0, 3, 1, 2),
        )


def random_faces(decode: Decoder, count: int) -> Iterator[Batch]:
    """Endless batches of synthetic faces on black; yours hold photographs (B, 3, H, W) and their landmarks."""
    draw = make_renderer("cpu")
    generator = torch.Generator().manual_seed(0)
    while True:
        with torch.no_grad():
            scene = decode(sample_codes(SyntheticConfig(), count, decode.model.sizes, generator))
            image = draw(scene).image[:, :3]
        yield {"image": image, "landmarks": scene.landmarks, "confidence": torch.ones(count, 68)}


def main(
    out: Path,
    about: Description | None = None,
    iterations: int = 200,
    batch_size: int = 4,
    weights: str | None = "auto",
) -> Progress:
    """Train an encoder; `mofa3d reconstruct photo.jpg --checkpoint OUT` uses it afterwards.

    Args:
        out: folder of the training.
        about: which face model, which network, and how many pixels.
        iterations, batch_size: of the training.
        weights: with which the network starts: "auto" is ImageNet's, ``None`` random ones.
    """
    about = about or Description(image_size=112)
    model = about.load_model()
    about = replace(about, fingerprint=model.fingerprint())  # so that nobody uses the encoder with another face model
    decode = Decoder(model, Camera(about.image_size))
    encoder = about.make_encoder(model, weights)
    config = TrainingConfig(
        iterations=iterations,
        batch_size=batch_size,
        optimizer="adam",
        learning_rate=3e-4,
        depth_learning_rate=2e-4,
        log_every=1,
        loss=LossWeights(landmark=1.0),
    )
    with claim_folder(out, resume=False):
        batches = random_faces(decode, batch_size)
        return train(encoder, decode, PhongRenderer(), lambda start: batches, config, out, about.to_dict())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
