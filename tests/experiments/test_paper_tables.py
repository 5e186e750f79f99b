"""All systems compared on tiny faces: trainings of a few iterations, one that fails, and the second time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro
from PIL import Image
from programs import load
from scanned_faces import make_face, make_face_model, write_person
from tiny_model import make_tiny_model

from mofa3d import Camera, Decoder
from mofa3d.data.corpus.dataset import INDEX, KEYS
from mofa3d.data.corpus.synthetic import SyntheticConfig, synthesize
from mofa3d.errors import InputError
from mofa3d.evaluation.comparison.plan import QUICK, Budget, EncoderWeights, Reuse, plan, train_all
from mofa3d.evaluation.comparison.program_runs import Outcome
from mofa3d.evaluation.errors import average_face
from mofa3d.evaluation.estimates import Estimate, encoder_estimate
from mofa3d.morphable_model import save_model
from mofa3d.renderers import make_renderer

paper_tables = load("paper_tables")
FITS = ("Garrido", "Thies", "Thies, no landmarks")
FURTHER = ("MoFA, ResNet-50", "MoFA, ResNet-50, surrogate")
SYSTEMS = ("average face", "MoFA", "MoFA, surrogate", *FURTHER, "MoFA, synthetic", *FITS, "Richardson", "Tran")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A tiny face model, a corpus of ten people whose codes nobody knows, and a cache of synthetic faces.

    Six people have four photographs each; the other four are held out, and have two.
    """
    folder = tmp_path_factory.mktemp("workplace")
    model = make_tiny_model(20)
    save_model(model, folder / "tiny.safetensors")
    config = SyntheticConfig(count=32, yaw=0.1, pitch=0.05, roll=0.05, seed=5)
    corpus = synthesize(config, Decoder(model, Camera()), make_renderer("cpu", antialias=False), folder / "people")
    people = [*(letter for letter in "ABCDEF" for _ in range(4)), *"GGHHIIJJ"]
    rows = [json.dumps([photo, f"Person_{letter}"]) for photo, letter in zip(corpus.photos, people, strict=True)]
    (folder / "people" / KEYS).write_text("\n".join(rows) + "\n", encoding="utf-8")
    with np.load(folder / "people" / INDEX) as index:
        arrays = {name: index[name] for name in index.files if name != "codes"}
    np.savez(folder / "people" / INDEX, **{**arrays, "held_out": np.arange(32) >= 24})
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOFA3D_CACHE", str(folder / "cache"))
        yield folder
    torch.set_num_threads(threads)


def settings(workplace: Path, **changes):
    options = {
        "data": workplace / "people",
        "out": workplace / "results",
        "budget": Budget(*[0.0] * 7, people=2, photographs=1, report_images=3, verified=2),
        "synthetic_count": 40,
        "iterations": 2,
        "encoders": ("mobilenet_v2", "resnet50"),
        "encoder_weights": EncoderWeights(mobilenet_v2="none"),
        "input_size": 32,
        "image_size": 16,
        "model_path": str(workplace / "tiny.safetensors"),
    }
    return paper_tables.Config(**{**options, **changes})


class Programs:
    """Runs programs within this process, from their command lines."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.names: list[str] = []

    def __call__(self, command, log: Path) -> None:
        self.names.append(command[0])
        if command[0] == self.failing:
            raise InputError("it was told to fail")
        program = load(command[0])
        program.main(tyro.cli(program.Config, args=list(command[1:])))


@pytest.fixture(scope="module")
def results(workplace) -> Path:
    """What a comparison has written of which Tran's training fails."""
    paper_tables.main(settings(workplace), Programs(failing="train_pooled"))
    return workplace / "results"


def test_scans_are_compared_where_there_are_any(workplace, tmp_path, portrait, monkeypatch):
    model = make_face_model()
    decode = Decoder(model, Camera())
    write_person(tmp_path / "scans" / "anna", make_face())
    shutil.copyfile(portrait, tmp_path / "scans" / "anna" / "1.jpg")

    def broken() -> Estimate:
        raise InputError("it was told to fail")

    starts = {"average face": lambda: encoder_estimate(average_face(decode), decode), "broken": broken}
    assert paper_tables.scanned(settings(workplace), starts, decode) == []
    [table] = paper_tables.scanned(settings(workplace, scans=tmp_path / "scans"), starts, decode)
    average, failed = table.rows
    assert (average.system, average.images) == ("average face", 1)
    assert 0.5 < average.values["median"] <= average.values["own size, median"] + 1
    assert failed.reason == "it was told to fail"


@pytest.mark.slow
def test_every_system_is_in_the_tables(results):
    content = json.loads((results / "results.json").read_text(encoding="utf-8"))
    photographs = content["tables"]["Held-out photographs"]
    assert tuple(photographs) == SYSTEMS
    assert photographs["Tran"] == {"failed": "it was told to fail"}
    for system in SYSTEMS[:-1]:
        assert photographs[system]["images"] == 1
        assert 0 < photographs[system]["photometric"] < 1
        assert photographs[system]["seconds"] > 0
        assert "geometric" not in photographs[system]
    assert photographs["Garrido"]["landmark"] < 0.3 * photographs["average face"]["landmark"]
    synthetic = content["tables"]["Synthetic faces with known geometry"]
    assert synthetic["Garrido"]["geometric"] < synthetic["average face"]["geometric"]
    pixels = content["tables"]["Pixels of photographs"]
    assert len(pixels) == 4
    assert all(row["sharpness"] >= 0 and row["face"] > 0 for row in pixels.values())
    assert len(content["tables"]["Pixels of synthetic faces"]) == 3
    assert "average face" not in content["tables"]["Time per image"]
    trainings = content["tables"]["Trainings"]
    assert tuple(trainings)[:4] == ("MoFA", "MoFA, surrogate", *FURTHER)
    assert trainings["MoFA, ResNet-50"]["iterations"] == 2
    assert trainings["Tran"] == {"failed": "it was told to fail"}
    before, after = content["tables"]["Training on synthetic faces, before and after"].values()
    assert before["images"] == after["images"] == 3
    assert before["photometric"] != after["photometric"] > 0
    assert before["geometric"] == after["geometric"] > 0  # which the first iterations hold


@pytest.mark.slow
def test_occluders_and_verification(results):
    tables = json.loads((results / "results.json").read_text(encoding="utf-8"))["tables"]
    occluded, photographs = tables["Photographs with occluders"], tables["Held-out photographs"]
    assert tuple(occluded) == ("average face", "MoFA", "MoFA, surrogate")
    for system, row in occluded.items():
        assert row["clear_photometric"] == photographs[system]["photometric"]
    # It does not look, so that nothing can be hidden from it.
    assert occluded["average face"]["photometric"] == photographs["average face"]["photometric"]
    verified = tables["Verification of held-out people"]
    assert tuple(verified) == ("MoFA", "MoFA, surrogate", "Tran", "fit (Romdhani and Vetter)")
    assert verified["Tran"] == {"failed": "it was told to fail"}
    for system in ("MoFA", "fit (Romdhani and Vetter)"):
        assert 0 <= verified[system]["accuracy"] <= 100
        assert verified[system]["images"] == 8


@pytest.mark.slow
def test_report_names_commands_failures_and_differences(results):
    text = (results / "results.md").read_text(encoding="utf-8")
    assert "- Tran: it was told to fail" in text
    assert "## Where we differ from the paper and why" in text
    for program in ("train_mofa", "train_regressor", "train_pooled", "train_autoencoder", "train_conv_decoder"):
        assert f"python experiments/{program}.py --data" in text
    assert "python experiments/verify_lfw.py --corpus" in text
    assert "not LFW's View 2" in text
    # A photograph, all systems but Tran's, and the autoencoder.
    assert Image.open(results / "faces.png").size == (12 * 240, 266)
    assert Image.open(results / "occluders.png").size == (4 * 240, 266)
    assert (results / "curves.png").exists()
    assert (results / "errors.png").exists()


@pytest.mark.slow
def test_the_second_time_only_what_failed_is_trained(results, workplace):
    config, run = settings(workplace), Programs(failing="train_pooled")
    outcomes = train_all(config, plan(config, workplace / "people"), run)
    assert run.names == ["train_pooled"]
    assert outcomes["Richardson"].command.endswith("# finished before")


@pytest.mark.slow
def test_other_options_for_the_same_folder_are_refused(results, workplace):
    with pytest.raises(ValueError, match="mofa was filled with"):
        paper_tables.main(settings(workplace, iterations=3), Programs())


def test_runs_are_reused_and_what_needs_a_failed_one_is_not_run(tmp_path):
    config = paper_tables.Config(Path("photos"), tmp_path, reuse=Reuse(mofa=Path("mine")))
    tried = []

    def run(command, log):
        tried.append(command[0])
        raise InputError("it was told to fail")

    outcomes = train_all(config, plan(config, Path("corpus")), run)
    assert outcomes["MoFA"] == Outcome(Path("mine"), "# reused: mine")
    assert outcomes["MoFA, surrogate"].reason == "it was told to fail"
    assert outcomes["Tran"].reason == "its fits start from MoFA, surrogate, which failed"
    # MoFA with the surrogate, with AlexNet and VGG-Face without and with it, and on synthetic faces.
    assert tried == ["train_mofa"] * 6 + ["train_regressor", "train_autoencoder", "train_conv_decoder"]


def test_encoders_and_their_weights(tmp_path):
    weights, reuse = EncoderWeights(alexnet="alexnet.pth"), Reuse(vgg_face=Path("mine"))
    config = paper_tables.Config(Path("photos"), tmp_path, encoder_weights=weights, reuse=reuse)
    steps = plan(config, Path("corpus"))
    assert config.mofa_systems == (
        "MoFA", "MoFA, surrogate", "MoFA, AlexNet", "MoFA, AlexNet, surrogate", "MoFA, VGG-Face",
        "MoFA, VGG-Face, surrogate",
    )  # fmt: skip
    assert set(config.mofa_systems) < set(steps)
    assert "--encoder alexnet --encoder-weights alexnet.pth" in " ".join(steps["MoFA, AlexNet, surrogate"].arguments)
    assert "--encoder vgg_face --encoder-weights auto" in " ".join(steps["MoFA, VGG-Face"].arguments)
    assert "--batch-size 8" in " ".join(steps["MoFA, VGG-Face"].arguments)
    assert [name for name, step in steps.items() if "--landmarks" in step.arguments] == [
        "MoFA, surrogate", "MoFA, AlexNet, surrogate", "MoFA, VGG-Face, surrogate",
    ]  # fmt: skip
    assert len({step.out for step in steps.values()}) == len(steps)
    outcomes = train_all(config, steps, lambda command, log: None)
    assert outcomes["MoFA, VGG-Face"].out == Path("mine")
    for encoders, message in (((), "got none"), (("alexnet", "alexnet"), "each once"), (("lenet",), "got lenet")):
        with pytest.raises(ValueError, match=message):
            paper_tables.Config(Path("photos"), encoders=encoders)


def test_presets_and_options():
    config = paper_tables.Config(Path("photos"), budget=Budget(mofa=1.0))
    assert (config.size.mofa, config.size.surrogate, config.size.photographs) == (1.0, 3.0, 30)
    trained = (QUICK.mofa, QUICK.surrogate, 4 * QUICK.further, 2 * QUICK.synthetic, QUICK.tran)
    assert sum(trained) + QUICK.autoencoder + QUICK.conv_decoder <= 18.5  # of 45 minutes: see QUICK
    with pytest.raises(ValueError, match="verification needs both --lfw and --pairs"):
        paper_tables.Config(Path("photos"), lfw=Path("lfw"))


def test_commands_and_their_times_are_announced(capsys):
    def fail(command, log):
        raise InputError("no data")

    run = paper_tables.announced(lambda command, log: None)
    run(["train_mofa", "--data", "a b"], Path("log"))
    assert capsys.readouterr().out == "train_mofa --data 'a b'\n  0 s\n"
    with pytest.raises(ValueError, match="no data"):
        paper_tables.announced(fail)(["train_mofa"], Path("log"))
    assert capsys.readouterr().out == "train_mofa\n  failed: no data\n"
