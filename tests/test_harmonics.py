"""The basis against the integral it stands for: light, weighted with the clamped cosine, arriving at a surface."""

from __future__ import annotations

import math

import numpy as np
import torch

from mofa3d import harmonics

FACTORS = np.array([1.0] + [2 / 3] * 3 + [1 / 4] * 5)  # of the clamped cosine, per band


def sphere(latitudes: int, longitudes: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions and their solid angles: Gauss-Legendre in z, uniform around it."""
    z, weight = np.polynomial.legendre.leggauss(latitudes)
    angle = (np.arange(longitudes) + 0.5) * 2 * math.pi / longitudes
    ring = np.sqrt(1 - z**2)[:, None]
    shape = (latitudes, longitudes)
    directions = np.stack([ring * np.cos(angle), ring * np.sin(angle), np.broadcast_to(z[:, None], shape)], axis=-1)
    solid_angle = np.broadcast_to(weight[:, None] * 2 * math.pi / longitudes, shape)
    return directions.reshape(-1, 3), solid_angle.ravel()


def evaluate(directions: np.ndarray) -> np.ndarray:
    return harmonics.basis(torch.from_numpy(directions)).numpy()


def test_light_is_a_polynomial_of_the_normal():
    directions, _ = sphere(6, 8)
    x, y, z = normals = torch.from_numpy(directions).T
    light = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 9, 3)))
    terms = torch.stack([torch.ones_like(x), *normals, x * x, y * y, z * z, x * y, y * z, x * z], dim=1)
    expected = harmonics.irradiance(normals.T.expand(2, -1, -1), light)
    torch.testing.assert_close(terms @ harmonics.polynomial(light), expected, atol=1e-12, rtol=0)


def test_values_on_the_axes():
    linear, quadratic = 2 / math.sqrt(3), math.sqrt(5) / 8
    values = harmonics.basis(torch.eye(3, dtype=torch.float64))
    expected = [
        [1, 0, 0, linear, 0, 0, -quadratic, 0, math.sqrt(15) / 8],
        [1, linear, 0, 0, 0, 0, -quadratic, 0, -math.sqrt(15) / 8],
        [1, 0, linear, 0, 0, 0, 2 * quadratic, 0, 0],
    ]
    torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float64), atol=1e-12, rtol=0)


def test_mixed_terms_have_the_order_xy_yz_xz():
    c = math.sqrt(15) / 4 / 2
    diagonals = torch.tensor([[1.0, 1, 0], [0, 1, 1], [1, 0, 1]], dtype=torch.float64) / math.sqrt(2)
    mixed = harmonics.basis(diagonals)[:, [4, 5, 7]]
    torch.testing.assert_close(mixed, c * torch.eye(3, dtype=torch.float64), atol=1e-12, rtol=0)


def test_functions_are_orthogonal_with_the_band_factors_as_norms():
    directions, solid_angle = sphere(16, 32)
    values = evaluate(directions)
    gram = values.T @ (values * solid_angle[:, None]) / (4 * math.pi)
    np.testing.assert_allclose(gram, np.diag(FACTORS**2), atol=1e-12)


def test_clamped_cosine_of_the_spherical_harmonics_gives_the_basis():
    directions, solid_angle = sphere(200, 400)
    light = evaluate(directions) / FACTORS  # plain spherical harmonics, scaled so that the constant is 1
    normals = np.random.default_rng(0).normal(size=(5, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    arriving = np.maximum(normals @ directions.T, 0) @ (light * solid_angle[:, None]) / math.pi
    np.testing.assert_allclose(arriving, evaluate(normals), atol=1e-4)


def test_code_zero_is_even_light_of_seven_tenths():
    normals = torch.nn.functional.normalize(torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    light = harmonics.irradiance(normals, torch.zeros(2, 9, 3))
    assert torch.equal(light, torch.full((2, 6, 3), 0.7))


def test_irradiance_is_the_product_per_channel_and_may_be_negative():
    generator = torch.Generator().manual_seed(1)
    normals = torch.nn.functional.normalize(torch.randn(2, 6, 3, generator=generator, dtype=torch.float64), dim=-1)
    code = torch.randn(2, 9, 3, generator=generator, dtype=torch.float64)
    light = harmonics.irradiance(normals, code)
    for image in range(2):
        for vertex in range(6):
            values = evaluate(normals[image, vertex].numpy())
            for channel in range(3):
                expected = 0.7 + sum(values[b] * float(code[image, b, channel]) for b in range(9))
                assert abs(float(light[image, vertex, channel]) - expected) < 1e-12
    assert float(light.min()) < 0


def test_an_image_of_normals_keeps_its_shape():
    normals = torch.nn.functional.normalize(torch.randn(2, 4, 5, 3, generator=torch.Generator().manual_seed(2)), dim=-1)
    code = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(3))
    light = harmonics.irradiance(normals, code)
    flat = harmonics.irradiance(normals.flatten(1, 2), code)
    assert light.shape == (2, 4, 5, 3)
    assert torch.equal(light.flatten(1, 2), flat)


def test_gradient_is_autograds():
    normals = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = torch.stack([torch.autograd.functional.jacobian(harmonics.basis, normal) for normal in normals])
    torch.testing.assert_close(harmonics.basis_gradient(normals), expected)


def test_light_from_above_comes_from_the_right_after_a_quarter_turn_clockwise():
    generator = torch.Generator().manual_seed(4)
    code = torch.randn(2, 9, 3, generator=generator, dtype=torch.float64)
    x, y, z = torch.nn.functional.normalize(
        torch.randn(2, 6, 3, generator=generator, dtype=torch.float64), dim=-1
    ).unbind(-1)
    before = harmonics.irradiance(torch.stack([x, y, z], dim=-1), code)
    after = harmonics.irradiance(torch.stack([y, -x, z], dim=-1), harmonics.rolled(code, 90.0))
    torch.testing.assert_close(after, before)
    above = torch.zeros(9, 3, dtype=torch.float32)
    above[1] = 0.5
    torch.testing.assert_close(harmonics.rolled(above, 90.0)[3], above[1])
    torch.testing.assert_close(harmonics.rolled(harmonics.rolled(code, 33.0), -33.0), code)
