"""The iterative regressor starts at the average face, sees its own answers, and is told the truth in millimetres."""

from __future__ import annotations

import pytest
import torch
from tiny_model import make_code
from torch import nn

from mofa3d import SemanticCode
from mofa3d.encoders.backbones import make_backbone
from mofa3d.evaluation.comparison.networks.richardson import (
    IterativeRegressor,
    RegressorDescription,
    geometry_gram,
    regression_losses,
    widen_first_convolution,
)
from mofa3d.semantic_code import CodeSizes, OutputScales

SIZES = CodeSizes(5, 4, 6)
SIZE = 32


def make(draw=None, iterations=3) -> IterativeRegressor:
    torch.manual_seed(0)
    about = RegressorDescription("tiny", "", "", input_size=SIZE, iterations=iterations)
    return IterativeRegressor(about, SIZES, draw or (lambda code: torch.zeros(len(code), 4, SIZE, SIZE)))


def with_head(network, bias):
    """The same correction whatever the network sees."""
    with torch.no_grad():
        network.head.bias.copy_(torch.as_tensor(bias))
    return network.eval()


def test_untrained_network_says_the_average_face():
    assert float(make().eval()(torch.rand(2, 3, 48, 48)).detach().abs().max()) == 0


def test_corrections_add_up_in_their_units():
    network = with_head(make(), torch.arange(15.0))
    *_, last = found = list(network.estimates(torch.rand(1, 3, SIZE, SIZE)))
    assert len(found) == 3
    code = SemanticCode.from_vector(last, SIZES)
    scales = OutputScales()
    assert code.shape[0].tolist() == pytest.approx([3 * scales.shape * i for i in range(5)])
    assert code.expression[0].tolist() == pytest.approx([3 * scales.expression * i for i in range(5, 9)])
    assert code.rotation[0].tolist() == pytest.approx([3 * scales.rotation * i for i in range(9, 12)])
    expected = [3 * scales.translation_xy * 12, 3 * scales.translation_xy * 13, 3 * scales.translation_z * 14]
    assert code.translation[0].tolist() == pytest.approx(expected)
    assert float(code.reflectance.detach().abs().max()) == float(code.illumination.detach().abs().max()) == 0
    torch.testing.assert_close(found[0] * 3, last)


def test_each_iteration_sees_a_drawing_of_the_one_before():
    seen = []

    def draw(code):
        seen.append(code.shape[0, 1].item())
        return torch.zeros(1, 4, SIZE, SIZE)

    with_head(make(draw), torch.arange(15.0))(torch.rand(1, 3, SIZE, SIZE))
    assert seen == [0, 1, 2]


def test_gradient_of_each_iteration_reaches_its_own_correction_only():
    network = make()
    first, second, _ = (code.sum() for code in network.estimates(torch.rand(2, 3, SIZE, SIZE)))
    gradients = [torch.autograd.grad(value, network.head.bias, retain_graph=True)[0] for value in (first, second)]
    # Were the second estimate's gradient to run through the first one too, it would be twice as large.
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50", "alexnet"])
def test_widened_network_answers_as_before(name):
    torch.manual_seed(0)
    backbone, _, pretrained = make_backbone(name, None)
    assert not pretrained
    backbone.eval()
    image = torch.rand(1, 3, 64, 64)
    before = backbone(image)
    widen_first_convolution(backbone, 4)
    torch.testing.assert_close(backbone(torch.cat([image, torch.rand(1, 4, 64, 64)], 1)), before, atol=1e-5, rtol=1e-4)
    first = next(layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d))
    assert first.weight.shape[1] == 7


def test_geometry_is_the_mean_squared_distance(tiny_model_double):
    code, true = make_code(3, seed=1), make_code(3, seed=2)
    found = regression_losses(code, true, geometry_gram(tiny_model_double), OutputScales())
    offset = tiny_model_double.geometry(code.shape, code.expression) - tiny_model_double.geometry(
        true.shape, true.expression
    )
    expected = offset[:, tiny_model_double.frontal].square().sum(dim=-1).mean(dim=1)
    torch.testing.assert_close(found["geometry"], expected)


def test_pose_is_measured_in_output_units(tiny_model_double):
    true = make_code(1)
    code = true.replace(
        rotation=true.rotation + torch.tensor([[0.2, 0.0, -0.4]]),  # 1 and 2 units of 0.2 rad
        translation=true.translation + torch.tensor([[0.0, 30.0, 5.0]]),  # 3 and 0.5 units of 10 mm
    )
    found = regression_losses(code, true, geometry_gram(tiny_model_double), OutputScales())
    assert float(found["pose"]) == pytest.approx(1 + 4 + 9 + 0.25)
    assert float(found["geometry"]) == 0


def test_description_round_trip_and_mistakes():
    about = RegressorDescription("makehuman", "", "abc", scales=OutputScales(shape=2.0))
    assert RegressorDescription.from_dict(about.to_dict()) == about
    with pytest.raises(ValueError, match="description does not fit this version of mofa3d"):
        RegressorDescription.from_dict({"model": "makehuman"})
    with pytest.raises(ValueError, match="iterations is 0; give a number from 1"):
        RegressorDescription("makehuman", "", "", iterations=0)
