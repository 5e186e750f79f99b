"""The benchmark as its users run it, in its quick form, and the pieces that its figures depend on."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest
import torch
from programs import load
from tiny_model import make_tiny_model

benchmark = load("benchmark")

from lively_encoders import images, is_as_good, lively  # noqa: E402

from benchmarks import encoders, measure  # noqa: E402 (the program makes the package known)
from benchmarks.encoders import ways  # noqa: E402
from benchmarks.measure import Ceilings, Setup, TimeIsUpError, Timing, compare, measure_ceilings, take_turns  # noqa: E402
from benchmarks.model_sizes import subdivide, with_vertices  # noqa: E402
from benchmarks.streaming import scale_all  # noqa: E402

UNLIMITED = Setup(Ceilings(1e11, None, 1e10))


def row(way: str, speed: float, by_default: bool = True) -> Timing:
    return Timing("subject", "setting", way, 10 / speed, 1, 100, 1, speed, by_default=by_default)


@pytest.fixture(autouse=True)
def _hardly_warmed(monkeypatch):
    monkeypatch.setattr(measure, "WARMING", 1.0)


class TestMeasure:
    def test_floor_is_the_slower_of_operations_and_memory(self):
        ceilings = Ceilings(float32=1e9, bfloat16=2e9, bandwidth=1e8)
        assert ceilings.floor(operations=5e6, moved=1e5) == pytest.approx(5)
        assert ceilings.floor(operations=5e6, moved=1e6) == pytest.approx(10)

    def test_work_takes_turns_and_is_warmed_before_it_is_timed(self, monkeypatch):
        monkeypatch.setattr(measure, "WARMING", 5.0)
        monkeypatch.setattr(measure, "_milliseconds", lambda work: work())
        done = []

        def taking(name, milliseconds):
            return lambda: done.append(name) or milliseconds

        times = take_turns({"short": taking("s", 3.0), "middle": taking("m", 24.0), "long": taking("l", 25.0)}, 2)
        assert "".join(done) == "sml" + "sssmml" * 2
        assert times == {"short": [3.0] * 2, "middle": [24.0] * 2, "long": [25.0] * 2}

    def test_rows_compare_with_the_first_way(self):
        works = {"slow": lambda: time.sleep(0.02), "fast": lambda: time.sleep(0.005)}
        slow, fast = compare(UNLIMITED, "subject", "setting", works, 4.0, 3, {"fast": "near"}, images=2)
        assert (slow.way, fast.way, slow.note, fast.note) == ("slow", "fast", "", "near")
        assert slow.speed == 1
        assert 2 < fast.speed < 5
        assert fast.floor == 2
        assert slow.least <= slow.median <= slow.most
        assert 10 <= slow.median < 20

    def test_nothing_begins_when_the_time_is_over(self, monkeypatch):
        setup = Setup(UNLIMITED.ceilings, seconds=5.0, end=100.0)
        monkeypatch.setattr(measure, "time", SimpleNamespace(monotonic=lambda: 101.0))
        with pytest.raises(TimeIsUpError):
            compare(setup, "subject", "setting", {"slow": pytest.fail}, 4.0, 3)

    def test_work_that_takes_long_is_done_less_often(self, monkeypatch):
        clock, done = [0.0], []

        def taking(name, seconds):
            def work():
                done.append(name)
                clock[0] += seconds
                return 1e3 * seconds

            return work

        monkeypatch.setattr(measure, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        monkeypatch.setattr(measure, "_milliseconds", lambda work: work())
        works = {"middle": taking("m", 3.0), "long": taking("l", 30.0)}
        assert take_turns(works, 20, seconds=9.0) == {"middle": [3e3], "long": [30e3]}
        assert "".join(done) == "mlm"
        clock[0] = 0.0
        assert take_turns({"middle": works["middle"]}, 20, seconds=9.0) == {"middle": [3e3] * 3}

    def test_ways_that_are_taken_must_not_be_slower(self):
        rows = [row("plain", 1.0), row("asked for", 0.3, by_default=False), row("nearly", 0.96), row("slow", 0.5)]
        assert [row.is_too_slow for row in rows] == [False, False, False, True]
        assert benchmark.verdict(rows) == "slower than plain:\n- subject, setting: slow, 2.00 times as long"
        assert benchmark.verdict(rows[:3]) == "slower than plain:\n- none of the ways that programs take by themselves"
        assert benchmark.line(rows[3]).endswith("| 0.5 | slower than plain |")
        assert "slower" not in benchmark.line(rows[1])

    def test_no_ceiling_is_measured_that_the_processor_emulates(self, monkeypatch):
        monkeypatch.setattr(measure, "multiplies_bfloat16", lambda: False)
        found = measure_ceilings(64, 1)
        assert found.bfloat16 is None
        assert found.products == found.float32
        assert "no bfloat16" in benchmark.facts(found)["at best"]

    def test_all_numbers_are_read_and_written(self):
        numbers = torch.arange(8 * 1001, dtype=torch.float32)
        scale_all(numbers, 2.0)
        assert torch.equal(numbers, 2 * torch.arange(8 * 1001, dtype=torch.float32))

    def test_ceilings_are_those_of_a_computer(self):
        found = measure_ceilings(256, 4)
        assert 1e8 < found.float32 < 1e14
        assert 1e8 < found.bandwidth < 1e13


class TestModelSizes:
    def test_subdivision_keeps_the_surface(self):
        model = make_tiny_model()
        fine = subdivide(model)
        assert len(fine.faces) == 4 * len(model.faces)
        assert torch.equal(fine.mean_shape[: len(model.mean_shape)], model.mean_shape)

        def area(which):
            a, b, c = which.mean_shape[which.faces].unbind(1)
            return torch.linalg.cross(b - a, c - a)

        torch.testing.assert_close(area(fine).view(-1, 4, 3).sum(dim=1), area(model), rtol=1e-3, atol=1e-2)
        size = (model.mean_shape[model.faces[0, 0]] - model.mean_shape[model.faces[0, 1]]).norm()
        moved = fine.landmarks(fine.mean_shape[None]) - model.landmarks(model.mean_shape[None])
        assert float(moved.norm(dim=-1).max()) < 2 * size

    @pytest.mark.parametrize("count", [60, 500])
    def test_number_of_vertices(self, count):
        model = make_tiny_model()
        frontal = model.frontal.clone()
        found = with_vertices(model, count)
        assert int(found.frontal.sum()) == count
        assert count <= len(found.mean_shape) < 3 * count + 210  # their neighbours, and the landmarks' triangles
        assert torch.equal(model.frontal, frontal)


@pytest.mark.processor
def test_ways_to_encode_agree_as_their_precision_allows(monkeypatch):
    monkeypatch.setattr(encoders, "has_onnx", lambda: False)  # tests/test_onnx_export.py has that
    encoder, image = lively("alexnet"), images(64)
    monkeypatch.setattr(encoders, "multiplies_bfloat16", lambda: True)
    found = ways(encoder, 64)
    assert list(found) == ["torch", "torch, norms folded", "torch, bfloat16"]
    with torch.no_grad():
        assert is_as_good(found["torch, norms folded"](image), encoder, image)
        expected = encoder(image)
        error = float((found["torch, bfloat16"](image) - expected).norm() / expected.norm())
    assert 1e-4 < error < 0.03


def test_processors_that_do_not_multiply_bfloat16_have_no_ways_with_it(monkeypatch):
    monkeypatch.setattr(encoders, "has_onnx", lambda: False)
    monkeypatch.setattr(encoders, "multiplies_bfloat16", lambda: False)
    assert list(ways(lively("alexnet"), 64)) == ["torch", "torch, norms folded"]
    assert encoders.by_default(lively("alexnet")) == "torch"


class TestProgram:
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch):
        """The tiny face in place of the default one."""
        from benchmarks import cuda_vertex_loss, fits, rasterizer, training_step, vertex_loss

        for module in (cuda_vertex_loss, fits, rasterizer, training_step, vertex_loss):
            monkeypatch.setattr(module, "load_model", lambda name: make_tiny_model(24))

    @pytest.mark.parametrize("subject", ["optimizers", "vertex_loss", "fits", "rasterizer"])
    def test_subjects(self, subject, tmp_path, capsys):
        rows = benchmark.measure(benchmark.Config(only=(subject,), out=tmp_path, quick=True))
        content = json.loads((tmp_path / "benchmark.json").read_text())
        assert [row["way"] for row in content["rows"]] == [row.way for row in rows]
        assert content.keys() == {"facts", "threads", "ceilings", "rows"}
        assert content["facts"].keys() == {"machine", "commit", "at best"}
        assert {row.subject for row in rows} == {subject}
        assert all(row.least <= row.median <= row.most for row in rows)
        assert all(row.floor > 0 for row in rows)
        text = (tmp_path / "benchmark.md").read_text()
        assert text.count("\n| ") == len(rows) + 1
        assert rows[0].setting in capsys.readouterr().out

    def test_what_is_not_begun_in_time_is_named(self, tmp_path, capsys):
        rows = benchmark.measure(benchmark.Config(only=("optimizers", "fits"), out=tmp_path, quick=True, minutes=0))
        said = capsys.readouterr().out
        assert rows == []
        assert "0 minutes are over: the rest of optimizers is left out; --only optimizers measures it" in said
        assert "the rest of fits is left out" in said
        assert said.endswith("- nothing was measured\n")

    def test_subject_for_gpus(self, tmp_path, capsys):
        rows = benchmark.measure(benchmark.Config(only=("cuda_vertex_loss",), out=tmp_path, quick=True))
        if torch.cuda.is_available():
            assert [row.way for row in rows] == ["plain", "fused", "fused, as a CUDA graph"]
            assert all(float(row.note.split()[-1]) < 1e-3 for row in rows[1:])
        else:
            assert not rows
            assert "there is no NVIDIA GPU" in capsys.readouterr().out

    @pytest.mark.slow
    @pytest.mark.parametrize("subject", ["encoders", "training_step"])
    def test_subjects_with_networks(self, subject, tmp_path):
        rows = benchmark.measure(benchmark.Config(only=(subject,), out=tmp_path, quick=True))
        assert len(rows) > 5

    @pytest.mark.slow
    def test_photographs_are_waited_for_no_longer_than_promised(self, tmp_path):
        rows = benchmark.measure(benchmark.Config(only=("photographs",), out=tmp_path, quick=True))
        assert [row.way for row in rows] == ["all files", "without meshes", "import torch", "mofa3d reconstruct"]
        everything, pictures, imported, cold = rows
        assert cold.floor == pytest.approx(imported.least + everything.least)
        assert cold.least < 2.5 * cold.floor
        assert pictures.least < everything.least

    def test_fused_loss_has_the_plain_gradient(self):
        from benchmarks import vertex_loss

        rows = list(vertex_loss.rows(Setup(Ceilings(1e11, None, 1e10), 1, quick=True)))
        assert {row.way for row in rows} == {"plain", "fused surface", "fused"}
        notes = [float(row.note.split()[-1]) for row in rows if row.note]
        assert len(notes) == 4
        assert max(notes) < 1e-3
