"""Components become a model, and photographs that come too near are noticed."""

from __future__ import annotations

import pytest
import torch
from tiny_model import make_tiny_model

from mofa3d.fitting.baked_light import baked_light, bare_skin, skin_areas
from mofa3d.fitting.delighting import ReflectanceSamples
from mofa3d.fitting.reflectance_learning import (
    CAST,
    EXPOSURE,
    completed,
    divide,
    nearest_distances,
    plain_skin,
    skin_colors,
    with_components,
)
from mofa3d.fitting.robust_pca import Components


def make_components(vertices: int, modes: int = 3, samples: int = 5) -> Components:
    generator = torch.Generator().manual_seed(0)
    noise = torch.full((vertices,), 0.02)
    noise[: vertices // 3] = 0.2
    return Components(
        mean=torch.tensor([0.7, 0.5, 0.4]).expand(vertices, 3).clone(),
        basis=0.1 * torch.ones(vertices, 3, modes),
        codes=torch.randn(samples, modes, generator=generator),
        weights=torch.ones(samples, vertices),
        noise=noise,
    )


class TestWithComponents:
    def test_frontal_vertices_are_the_components(self):
        model = make_tiny_model(24)
        components = make_components(int(model.frontal.sum()))
        generator = torch.Generator().manual_seed(1)
        components = components._replace(
            mean=torch.rand(components.mean.shape, generator=generator),
            basis=torch.randn(components.basis.shape, generator=generator),
        )
        learned = with_components(model, components)
        plain = plain_skin(components, bare_skin(model)[model.frontal])
        area = skin_areas(model)[model.frontal] * plain
        light = baked_light(model, components.mean, model.frontal, area)[:, None]
        assert float((light - 1).abs().max()) > 0.01
        torch.testing.assert_close(learned.mean_reflectance[model.frontal], (components.mean / light).clamp_max(1))
        torch.testing.assert_close(learned.reflectance_basis[model.frontal], components.basis / light[..., None])
        assert learned.sizes.reflectance == 3
        assert torch.equal(learned.mean_shape, model.mean_shape)

    def test_an_even_color_stays_even_beyond(self):
        model = make_tiny_model(24)
        learned = with_components(model, make_components(int(model.frontal.sum())))
        expected = torch.tensor([0.7, 0.5, 0.4]).expand_as(learned.mean_reflectance)
        torch.testing.assert_close(learned.mean_reflectance, expected, atol=1e-4, rtol=0)
        torch.testing.assert_close(
            learned.reflectance_basis, torch.full_like(learned.reflectance_basis, 0.1), atol=1e-4, rtol=0
        )

    def test_colors_beyond_fade_to_plain_skin_and_not_to_that_of_noisy_vertices(self):
        model = make_tiny_model(24)
        components = make_components(int(model.frontal.sum()))
        components.mean[components.noise > 0.1] = torch.tensor([0.1, 0.1, 0.1])  # brows
        learned = with_components(model, components)
        distance = torch.cdist(model.mean_shape, model.mean_shape[model.frontal]).amin(dim=1)
        away = learned.mean_reflectance[distance > 0.9 * distance.max(), 0]
        assert float(away.mean()) > 0.4

    def test_the_dark_inside_of_the_mouth_stays(self):
        model = make_tiny_model(24)
        inside = (~model.frontal).nonzero().flatten()[:4]
        mean = model.mean_reflectance.clamp_min(0.5)
        mean[inside] = torch.tensor([0.3, 0.1, 0.1])
        mean[model.frontal.nonzero().flatten()[0]] = 0.2  # a nostril is learned like everything that is seen
        learned = with_components(
            model.with_reflectance(mean, model.reflectance_basis), make_components(int(model.frontal.sum()))
        )
        torch.testing.assert_close(learned.mean_reflectance[inside], torch.tensor([[0.3, 0.1, 0.1]] * 4))
        assert not learned.reflectance_basis[inside].any()
        assert float(learned.mean_reflectance[model.frontal].min()) > 0.39

    def test_teeth_stay_white(self):
        model = make_tiny_model(24)
        # A triangle of its own behind the face.
        alone = (~model.frontal).nonzero().flatten()[:3]
        faces = model.faces[~torch.isin(model.faces, alone).any(dim=1)]
        model.faces = torch.cat([faces, alone[None]])
        model.mean_reflectance[alone] = torch.tensor([0.8, 0.75, 0.7])
        learned = with_components(model, make_components(int(model.frontal.sum())))
        torch.testing.assert_close(learned.mean_reflectance[alone], torch.tensor([[0.8, 0.75, 0.7]] * 3))
        assert not learned.reflectance_basis[alone].any()


def test_completed_keeps_what_counts_and_fills_the_rest():
    components = make_components(6)
    predicted = components.mean + (components.codes.sum(dim=1) * 0.1)[:, None, None]
    values = predicted + 0.3
    components.weights[:, 3] = 0.0
    components.weights[:, 4] = 0.5
    found = completed(values, components)
    torch.testing.assert_close(found[:, :3], values[:, :3])
    torch.testing.assert_close(found[:, 3], predicted[:, 3])
    torch.testing.assert_close(found[:, 4], predicted[:, 4] + 0.15)


def test_plain_skin_is_the_quiet_half():
    found = plain_skin(make_components(9)._replace(noise=torch.tensor([1.0, 9, 2, 8, 3, 7, 4, 6, 5])))
    assert found.tolist() == [True, False, True, False, True, False, True, False, True]


def test_skin_color_is_the_median_of_plain_skin():
    values = torch.tensor([[[0.6, 0.5, 0.4], [0.7, 0.5, 0.3], [0.65, 0.5, 0.35], [0.0, 0.0, 0.0]]])
    found = skin_colors(values, torch.tensor([True, True, True, False]))
    assert found[0] == pytest.approx([0.65, 0.5, 0.35])


def test_nearest_distances():
    gallery = torch.tensor([0.0, 0.3, 1.0])[:, None, None].expand(3, 4, 3)
    # Each of the three channels differs, so the distance of a color is √3 times the difference.
    expected = torch.tensor([0.3, 0.3, 0.7]) * 3**0.5
    torch.testing.assert_close(nearest_distances(gallery, gallery, same=True), expected)
    torch.testing.assert_close(nearest_distances(gallery[1:2] + 0.1, gallery), torch.tensor([0.1 * 3**0.5]))


class TestDivide:
    def photographs(self):
        """Even faces of known tone and cast, whose light took a part of their tone."""
        generator = torch.Generator().manual_seed(0)
        tone, own = 0.3 * torch.randn(400, generator=generator), 0.1 * torch.randn(400, generator=generator)
        cast = 0.1 * torch.randn(400, 3, generator=generator)
        cast = cast - cast.mean(dim=1, keepdim=True)
        skin = torch.tensor([-0.4, -0.7, -0.9]) + 0.2 * tone[:, None] * torch.tensor([-1.0, 0.0, 1.0])
        colors = (skin + (0.6 * tone)[:, None] + cast).exp()[:, None].expand(-1, 5, -1)
        light = 1.3 * (0.4 * tone + own).exp()
        return light, ReflectanceSamples(colors, torch.ones(400, 5)), tone, cast

    def test_light_knows_no_more_of_the_skin_than_exposure_does(self):
        light, samples, tone, _ = self.photographs()
        factor = divide(light, samples)
        brightness = factor.log().mean(dim=1)
        left = light.log() - brightness
        found = (samples.colors[:, 0] * factor).log().mean(dim=1)
        slope = ((left - left.mean()) * (found - found.mean())).sum() / (found - found.mean()).square().sum()
        assert float(slope) == pytest.approx(EXPOSURE / (1 - EXPOSURE), abs=1e-3)
        assert float(left.exp().median()) == pytest.approx(1, abs=1e-3)
        assert float(torch.corrcoef(torch.stack([found, tone]))[0, 1]) > 0.99
        assert float(found.std() / tone.std()) == pytest.approx(1 - EXPOSURE, abs=0.05)  # the rest of it came back

    def test_most_of_a_cast_goes_to_the_light_and_the_color_of_dark_skin_stays(self):
        light, samples, tone, cast = self.photographs()
        found = (samples.colors[:, 0] * divide(light, samples)).log()
        color = found - found.mean(dim=1, keepdim=True)
        color, tone = color - color.mean(dim=0), tone - tone.mean()
        slope = (color * tone[:, None]).mean(dim=0) / tone.square().mean()
        assert slope.tolist() == pytest.approx([-0.2, 0.0, 0.2], abs=0.03)
        left = color - slope * tone[:, None]
        assert float((left * cast).sum() / cast.square().sum()) == pytest.approx(1 - CAST, abs=0.02)
