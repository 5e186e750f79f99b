"""The code's vector has the paper's order, and its sizes say where each block lies."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mofa3d.semantic_code import CodeSizes, SemanticCode


def test_default_sizes_are_the_papers():
    sizes = CodeSizes()
    assert sizes.total == 257
    assert [(name, where.start, where.stop) for name, where in sizes.slices.items()] == [
        ("shape", 0, 80),
        ("expression", 80, 144),
        ("reflectance", 144, 224),
        ("rotation", 224, 227),
        ("translation", 227, 230),
        ("illumination", 230, 257),
    ]


def test_other_sizes_move_the_blocks():
    assert CodeSizes(5, 4, 6).total == 48
    assert CodeSizes(5, 4, 6).slices["rotation"] == slice(15, 18)


def test_vector_is_split_in_the_papers_order():
    code = SemanticCode.from_vector(torch.arange(257.0)[None])
    assert code.shape[0].tolist() == list(range(80))
    assert code.expression[0, [0, -1]].tolist() == [80, 143]
    assert code.reflectance[0, [0, -1]].tolist() == [144, 223]
    assert code.rotation[0].tolist() == [224, 225, 226]
    assert code.translation[0].tolist() == [227, 228, 229]
    # Band-major: the three colors of a basis function stand together.
    assert code.illumination[0, 0].tolist() == [230, 231, 232]
    assert code.illumination[0, 8].tolist() == [254, 255, 256]


def test_to_vector_is_the_inverse():
    vector = torch.randn(4, 257, generator=torch.Generator().manual_seed(0))
    assert torch.equal(SemanticCode.from_vector(vector).to_vector(), vector)
    small = torch.randn(2, 48, generator=torch.Generator().manual_seed(0))
    code = SemanticCode.from_vector(small, CodeSizes(5, 4, 6))
    assert torch.equal(code.to_vector(), small)
    assert code.sizes == CodeSizes(5, 4, 6)


@pytest.mark.parametrize("shape", [(2, 256), (2, 258)])
def test_wrong_length_is_refused(shape):
    with pytest.raises(ValueError, match=rf"80/64/80 is a \(B, 257\) tensor, got \(2, {shape[1]}\); pass the model's"):
        SemanticCode.from_vector(torch.zeros(shape))


@pytest.mark.usefixtures("unchecked_types")
def test_a_vector_without_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"got \(257,\)"):
        SemanticCode.from_vector(torch.zeros(257))


def test_zeros_takes_sizes_and_tensor_options():
    code = SemanticCode.zeros(3, CodeSizes(5, 4, 6), dtype=torch.float64)
    assert len(code) == 3
    assert code.illumination.shape == (3, 9, 3)
    assert code.shape.dtype == torch.float64
    assert torch.equal(code.to_vector(), torch.zeros(3, 48, dtype=torch.float64))


def test_part_of_a_batch():
    vector = torch.randn(4, 257, generator=torch.Generator().manual_seed(0))
    code = SemanticCode.from_vector(vector)
    assert torch.equal(code[1:3].to_vector(), vector[1:3])
    assert torch.equal(code[torch.tensor([3, 0])].to_vector(), vector[[3, 0]])


def test_replace_leaves_the_original_alone():
    code = SemanticCode.zeros(2)
    turned = code.replace(rotation=torch.ones(2, 3))
    assert torch.equal(turned.rotation, torch.ones(2, 3))
    assert torch.equal(turned.shape, code.shape)
    assert torch.equal(code.rotation, torch.zeros(2, 3))
    with pytest.raises(dataclasses.FrozenInstanceError):
        code.rotation = torch.ones(2, 3)


def test_gradient_reaches_the_vector():
    vector = torch.zeros(1, 257, requires_grad=True)
    SemanticCode.from_vector(vector).illumination[0, 2, 1].backward()
    assert vector.grad.nonzero().tolist() == [[0, 230 + 2 * 3 + 1]]
