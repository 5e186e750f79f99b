"""The programs of the compared systems on tiny faces: what they write, what they learn, what they refuse."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from programs import ROOT, load
from tiny_model import make_code, make_tiny_model
from torch.utils.data import StackDataset

from mofa3d import Camera, Decoder, SemanticCode
from mofa3d.data.corpus.dataset import INDEX, KEYS, Corpus
from mofa3d.data.corpus.synthetic import SyntheticConfig, synthesize
from mofa3d.encoders.checkpoint import CHECKPOINT_NAME, Description, open_run
from mofa3d.evaluation.comparison.networks.tran import PooledTargets
from mofa3d.evaluation.comparison.open_systems import open_autoencoder, open_learned_decoder, open_regressor
from mofa3d.evaluation.verification.faces import VerifiedFaces, codes_of, find_faces
from mofa3d.files.locks import alone
from mofa3d.fitting.adam import FitConfig
from mofa3d.morphable_model import save_model
from mofa3d.renderers import make_renderer
from mofa3d.training.checkpoint import save_checkpoint
from mofa3d.training.mofa import TrainingConfig, make_optimizer
from mofa3d.training.progress import Progress

train_autoencoder, train_conv_decoder = load("train_autoencoder"), load("train_conv_decoder")
train_regressor, train_pooled, verify_lfw = load("train_regressor"), load("train_pooled"), load("verify_lfw")
LFW = ROOT.parent / "shared" / "faces" / "lfw"


def options(workplace: Path, **changes) -> dict:
    return {
        "synthetic": SyntheticConfig(count=24, yaw=0.1, pitch=0.05, roll=0.05),
        "held_out": 0.25,
        "model_path": str(workplace / "tiny.safetensors"),
        "iterations": 20,
        "batch_size": 4,
        "log_every": 1,
        **changes,
    }


def log_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def report_of(out: Path) -> dict:
    assert (out / "report.md").stat().st_size > 500
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def falls(out: Path, name: str = "loss") -> float:
    """Mean of the last five logged values over that of the first three."""
    values = [line[name] for line in log_of(out)]
    return np.mean(values[-5:]) / np.mean(values[:3])


def autoencoder_settings(workplace, **changes):
    changes = {"out": workplace / "autoencoder", "image_size": 16, "iterations": 40, "batch_size": 8, **changes}
    return train_autoencoder.Config(**options(workplace, **changes))


@pytest.fixture(scope="module")
def trained(workplace) -> Path:
    """The folder of a trained autoencoder."""
    train_autoencoder.main(autoencoder_settings(workplace))
    return workplace / "autoencoder"


class TestAutoencoder:
    def test_it_learns_and_reports(self, trained):
        assert falls(trained) < 0.9
        content = report_of(trained)
        held = content["errors"]["convolutional autoencoder"]["all"]["images"]
        assert 3 <= held < 12
        assert content["facts"]["data"] == f"24 synthetic faces, {held} held out"
        assert content["facts"]["training"].startswith("40 iterations of 8 in ")
        for row in ("average image", "convolutional autoencoder"):
            assert 0.01 < content["errors"][row]["all"]["face"] < 0.5
        # Photographs, images and faces one below the other.
        assert Image.open(trained / "faces.png").size == (min(held, 8) * 16, 3 * 16)

    def test_checkpoint_is_opened_again(self, trained):
        image = torch.full((1, 3, 16, 16), 0.5)
        network = open_autoencoder(trained)
        assert float((network(image) - 0.5).detach().abs().max()) > 0.003  # an untrained one says an even grey
        with pytest.raises(ValueError, match="holds the system 'autoencoder', not 'conv_decoder'; give a run of that"):
            open_learned_decoder(trained)
        with pytest.raises(ValueError, match="holds the system 'autoencoder', not an encoder of the whole code"):
            open_run(trained)

    def test_resumed_training_goes_on(self, trained, workplace):
        with pytest.raises(ValueError, match="already contains a training; pass --resume"):
            train_autoencoder.main(autoencoder_settings(workplace))
        with pytest.raises(ValueError, match="was trained with image_size 16, not 32; resume with"):
            train_autoencoder.main(autoencoder_settings(workplace, image_size=32, resume=True))
        train_autoencoder.main(autoencoder_settings(workplace, iterations=42, region="crop", resume=True))
        assert [line["iteration"] for line in log_of(trained)] == list(range(1, 43))

    def test_report_on_a_few_images(self, workplace, trained):
        settings = autoencoder_settings(workplace, iterations=43, report_images=2, resume=True)
        train_autoencoder.main(settings)
        content = report_of(trained)
        assert content["errors"]["convolutional autoencoder"]["all"]["images"] == 2
        assert content["facts"]["data"].endswith("held out, 2 of them measured")

    def test_sizes_and_numbers_that_make_no_sense(self, workplace):
        with pytest.raises(ValueError, match="must be a multiple of 16"):
            train_autoencoder.main(autoencoder_settings(workplace, image_size=100))
        with pytest.raises(ValueError, match="iterations and batch_size must be at least 1, got 0 and 8"):
            autoencoder_settings(workplace, iterations=0)


class TestConvDecoder:
    def settings(self, workplace, **changes):
        changes = {"out": workplace / "conv_decoder", "image_size": 16, "iterations": 60, "batch_size": 8, **changes}
        return train_conv_decoder.Config(**options(workplace, **changes))

    def test_it_learns_and_reports(self, workplace):
        train_conv_decoder.main(self.settings(workplace))
        assert falls(workplace / "conv_decoder") < 0.9
        content = report_of(workplace / "conv_decoder")
        assert set(content["errors"]) == {"average image", "learned decoder"}
        assert content["errors"]["learned decoder"]["all"]["face"] < 0.5
        network = open_learned_decoder(workplace / "conv_decoder")
        assert 0 < float(network.std.min()) < 0.2 < 5 < float(network.std.max())  # of radians, and of millimetres
        made = network(torch.randn(4, 1) * network.std + network.mean).detach()
        assert float(made.std(dim=0).mean()) > 1e-3  # the code says what is seen

    def test_photographs_and_faces_of_another_model_are_refused(self, workplace, people, tmp_path):
        settings = {"out": tmp_path / "out", "held_out": None}
        with pytest.raises(ValueError, match=r"people does not contain the true codes of its faces; train on --data"):
            train_conv_decoder.main(self.settings(workplace, data=str(people), **settings))
        save_model(make_tiny_model(14), tmp_path / "other.safetensors")
        corpus = next((workplace / "cache").glob("synthetic-*"))
        settings["model_path"] = str(tmp_path / "other.safetensors")
        with pytest.raises(ValueError, match="were rendered from another face model than 'tiny'; give that model as"):
            train_conv_decoder.main(self.settings(workplace, data=str(corpus), **settings))


def test_regressor_learns_and_reports(workplace, people):
    out = workplace / "richardson"
    changes = {
        "out": out, "encoder_weights": "none", "input_size": 32, "refinements": 2, "photographs": str(people),
        "learning_rate": 1e-3, "iterations": 12,
    }  # fmt: skip
    train_regressor.main(train_regressor.Config(**options(workplace, **changes)))
    assert falls(out) < 1
    content = report_of(out)
    assert content["facts"]["network"] == "mobilenet_v2 at 32 px, 2 times, feedback: normals"
    # The light is the best for the average face too, so the first error is below that of even light.
    assert 0 < content["before"]["all"]["photometric"] < 0.3
    assert content["after"]["all"]["geometric"] > 0
    photographs = report_of(out / "photographs")
    assert photographs["after"]["all"]["images"] == int(Corpus(people).held_out.sum())
    assert "geometric" not in photographs["after"]["all"]
    assert {path.name for path in out.iterdir()} >= {"curves.png", "faces.png", "face_0.glb", "config.json"}
    network, decode = open_regressor(out, make_renderer("cpu", antialias=False))
    code = SemanticCode.from_vector(network(torch.rand(2, 3, 240, 240)).detach(), decode.model.sizes)
    assert float(code.shape.abs().max()) > 0
    assert float(code.illumination.abs().max()) == 0


@pytest.fixture(scope="module")
def people(workplace) -> Path:
    """A corpus of eight people with four photographs each, whose codes nobody knows; two people are held out."""
    decode = Decoder(make_tiny_model(), Camera())
    config = SyntheticConfig(count=32, yaw=0.1, pitch=0.05, roll=0.05, seed=5)
    folder = workplace / "people"
    corpus = synthesize(config, decode, make_renderer("cpu", antialias=False), folder)
    names = [f"Person_{chr(65 + i // 4)}" for i in range(32)]
    rows = [json.dumps([photo, name]) for photo, name in zip(corpus.photos, names, strict=True)]
    (folder / KEYS).write_text("\n".join(rows) + "\n", encoding="utf-8")
    with np.load(folder / INDEX) as index:
        arrays = {name: index[name] for name in index.files if name != "codes"}
    arrays["held_out"] = np.arange(32) >= 24
    np.savez(folder / INDEX, **arrays)
    return folder


@pytest.fixture(scope="module")
def run(workplace) -> Path:
    """A checkpoint of an untrained encoder, which says the average face."""
    model = make_tiny_model()
    about = Description(model_path=str(workplace / "tiny.safetensors"), fingerprint=model.fingerprint(), input_size=32)
    torch.manual_seed(0)
    encoder = about.make_encoder(model)
    (workplace / "run").mkdir()
    optimizer = make_optimizer(encoder, TrainingConfig())
    save_checkpoint(workplace / "run" / CHECKPOINT_NAME, encoder, optimizer, Progress(), about.to_dict())
    return workplace / "run"


class TestPooled:
    def settings(self, workplace, people, run, **changes):
        settings = {"out": workplace / "pooled", "iterations": 12, "batch_size": 8, "fit": FitConfig(steps=10)}
        settings |= {"landmark_limit": 40.0, "learning_rate": 1e-3}
        return train_pooled.Config(data=people, checkpoint=run, **{**settings, **changes})

    def test_targets_are_pooled_and_learned(self, workplace, people, run):
        train_pooled.main(self.settings(workplace, people, run))
        out = workplace / "pooled"
        targets = PooledTargets.read(out / "targets.safetensors")
        assert targets.people == [f"Person_{letter}" for letter in "ABCDEF"]  # two people are held out
        names = [Corpus(people).identities[i] for i in targets.index.tolist()]
        assert [targets.people[i] for i in targets.person.tolist()] == names
        fits = SemanticCode.from_vector(targets.fits, make_tiny_model().sizes)
        assert float(fits.shape.abs().max()) > 0.1
        for row in range(6):  # every synthetic landmark is as certain as another
            torch.testing.assert_close(targets.shape[row], fits.shape[targets.person == row].mean(dim=0))
            torch.testing.assert_close(targets.reflectance[row], fits.reflectance[targets.person == row].mean(dim=0))
        content = report_of(out)
        assert content["after"]["all"]["images"] == 8
        assert "variance within people" in content["facts"]
        open_run(out)  # other programs take it

    def test_fits_are_not_done_twice(self, workplace, people, run):
        before = (workplace / "pooled" / "targets.safetensors").read_bytes()
        train_pooled.main(self.settings(workplace, people, run, iterations=14, report_images=3, resume=True))
        assert (workplace / "pooled" / "targets.safetensors").read_bytes() == before
        content = report_of(workplace / "pooled")
        assert content["facts"]["training"].startswith("14 iterations")
        assert content["after"]["all"]["images"] == 3

    def test_photographs_are_chosen_by_person(self, workplace, people, run):
        corpus = Corpus(people)
        chosen = train_pooled.choose(corpus, replace(self.settings(workplace, people, run, most=3), people=2))
        assert Counter(corpus.identities[i] for i in chosen) == {"Person_A": 3, "Person_B": 3}

    def test_too_few_photographs_of_anybody(self, workplace, people, run, tmp_path):
        with pytest.raises(ValueError, match="has 0 people to learn from with 5 photographs or more; give photographs"):
            train_pooled.main(self.settings(workplace, people, run, out=tmp_path / "out", fewest=5))

    def test_no_fit_is_good_enough(self, workplace, people, run, tmp_path):
        settings = self.settings(workplace, people, run, out=tmp_path / "out", landmark_limit=1e-3)
        with pytest.raises(ValueError, match=r"none of 24 fits comes within 0\.001 px of its landmarks"):
            train_pooled.main(settings)


@pytest.mark.parametrize("name", ["autoencoder", "conv_decoder", "regressor", "pooled"])
def test_no_program_trains_in_the_folder_of_another_training(workplace, people, run, tmp_path, name):
    program = {"regressor": train_regressor, "conv_decoder": train_conv_decoder, "autoencoder": train_autoencoder}.get(
        name, train_pooled
    )
    settings = options(workplace, out=tmp_path)
    if name == "pooled":
        settings = {"data": people, "checkpoint": run, "out": tmp_path, "checkpoint_every": 7}
    elif name == "regressor":
        settings |= {"encoder_weights": "none", "input_size": 32}
    config = program.Config(**settings)
    with alone(tmp_path), pytest.raises(ValueError, match="another process is writing into"):
        program.main(config)
    (tmp_path / "checkpoint.pt").write_text("precious")
    with pytest.raises(ValueError, match="already contains a training; pass --resume to continue it, or"):
        program.main(config)
    assert {path.name for path in tmp_path.iterdir()} == {".lock", ".mofa3d", "checkpoint.pt"}
    assert (tmp_path / "checkpoint.pt").read_text() == "precious"


class TestVerification:
    @pytest.fixture
    def lfw(self, portrait, tmp_path) -> Path:
        """Four people with two photographs each; all are the same portrait, but one is no face."""
        photo = Image.open(portrait).convert("RGB").resize((250, 293)).crop((0, 0, 250, 250))
        for person in "ABCD":
            for number in (1, 2):
                path = tmp_path / "lfw" / person / f"{person}_{number:04d}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                (Image.new("RGB", (250, 250)) if (person, number) == ("D", 2) else photo).save(path)
        return tmp_path / "lfw"

    def test_an_encoder_that_knows_nobody_is_at_chance(self, lfw, run, tmp_path):
        pairs = tmp_path / "pairs.txt"
        settings = verify_lfw.Config(lfw, pairs, run, tmp_path / "out", make_pairs=1, folds=2)
        verify_lfw.main(settings)
        content = report_of_verification(tmp_path / "out")
        for name in ("shape and reflectance", "shape", "reflectance"):
            assert content["results"][name]["accuracy"] == 0.5
            assert content["results"][name]["area"] == 0.5
        assert len(pairs.read_text(encoding="utf-8").splitlines()) == 5
        with pytest.raises(ValueError, match=r"pairs\.txt already exists; leave out --make-pairs"):
            verify_lfw.main(settings)

    def test_a_photograph_without_a_face_gets_the_usual_place(self, lfw):
        found = find_faces(lfw, ["A/A_0001.jpg", "D/D_0002.jpg"])
        assert (found.missed, found.failures) == (1, [])
        one, other = found.boxes["A/A_0001.jpg"], found.boxes["D/D_0002.jpg"]
        assert (one.x, one.y, one.size) == (other.x, other.y, other.size)
        with pytest.raises(ValueError, match="no face was found in any of the 1 photographs"):
            find_faces(lfw, ["D/D_0002.jpg"])

    def test_damaged_photographs_cost_their_pairs_only(self, lfw, run, tmp_path, caplog):
        pairs = tmp_path / "pairs.txt"
        lines = ["2\t2"]
        for fold in ("AB", "CD"):
            lines += [f"{person}\t1\t2" for person in fold]
            lines += [f"{fold[0]}\t{number}\t{fold[1]}\t{number}" for number in (1, 2)]
        pairs.write_text("\n".join(lines) + "\n", encoding="utf-8")
        path = lfw / "B" / "B_0002.jpg"
        path.write_bytes(path.read_bytes()[:-2])
        settings = verify_lfw.Config(lfw, pairs, run, tmp_path / "out")
        verify_lfw.main(settings)
        [said] = [message for message in caplog.messages if "cannot be read" in message]
        assert re.match(r"1 images cannot be read and are left out: its .* bytes .* are cut off", said)
        facts = report_of_verification(tmp_path / "out")["facts"]
        assert facts["left out"].startswith("2 pairs, whose photographs cannot be read (B/B_0002.jpg: its ")
        assert facts["pairs"].endswith(": 6 in 2 folds")
        for name in ("A/A_0002.jpg", "A/A_0001.jpg"):
            (lfw / name).write_bytes(b"")
        with pytest.raises(ValueError, match="a fold has no pair of each"):
            verify_lfw.main(settings)
        assert caplog.messages[-1].startswith("3 images")

    def test_fits_find_the_shape_of_synthetic_faces(self, workplace, tmp_path):
        model = make_tiny_model()
        true = make_code(3, model.sizes, dtype=torch.float32)
        true = true.replace(rotation=true.rotation / 3, translation=true.translation / 3)
        scene = Decoder(model, Camera())(true)
        images = make_renderer("cpu")(scene).image[:, :3]
        items = StackDataset(image=images, landmarks=scene.landmarks, confidence=torch.ones(3, 68))
        faces = VerifiedFaces([], ["a", "b", "c"], items, [2, 0, 1], {})
        settings = verify_lfw.Config(
            corpus=tmp_path, method="fit", model_path=str(workplace / "tiny.safetensors"), out=tmp_path
        )
        threads = torch.get_num_threads()
        code = codes_of(verify_lfw.open_system(settings), faces, batch_size=2)
        torch.set_num_threads(threads)
        alike = torch.nn.functional.cosine_similarity(code.shape, true.shape[[2, 0, 1]])
        assert float(alike.min()) > 0.7
        assert float(alike.mean()) > 0.85

    def test_people_of_a_corpus(self, people, run, tmp_path):
        settings = verify_lfw.Config(corpus=people, checkpoint=run, out=tmp_path / "out")
        with pytest.raises(ValueError, match="needs 4 people, of whom 2 have several photographs"):
            verify_lfw.main(settings)  # only two of them are held out

    def test_options_that_do_not_go_together(self, tmp_path):
        with pytest.raises(ValueError, match="needs either --lfw and --pairs, or --corpus; give one or the other"):
            verify_lfw.Config(lfw=tmp_path, checkpoint=tmp_path)
        with pytest.raises(ValueError, match="from a --checkpoint or from --method fit; give one of the two"):
            verify_lfw.Config(corpus=tmp_path)

    def test_missing_photographs(self, lfw, run, tmp_path):
        (tmp_path / "pairs.txt").write_text("2\t1\nA\t1\t2\nA\t1\tB\t1\nE\t1\t2\nE\t1\tA\t2\n", encoding="utf-8")
        with pytest.raises(ValueError, match=r"2 of the 5 photographs that the pairs name .*first: E/E_0001\.jpg"):
            verify_lfw.main(verify_lfw.Config(lfw, tmp_path / "pairs.txt", run, tmp_path / "out"))

    @pytest.mark.skipif(not LFW.is_dir(), reason="../shared/faces/lfw is not there")
    def test_pairs_of_real_photographs(self):
        lines = verify_lfw.make_pairs(LFW, 20).splitlines()
        assert lines[0] == "10\t20"
        assert len(lines) == 401
        assert len(set(lines)) == 401


def report_of_verification(out: Path) -> dict:
    assert (out / "roc.png").exists()
    assert "| shape and reflectance | 50.00 ± 0.00 | 0.5000 |" in (out / "report.md").read_text(encoding="utf-8")
    return json.loads((out / "report.json").read_text(encoding="utf-8"))
