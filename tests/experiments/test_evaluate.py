"""The report of a trained checkpoint: held-out photographs by group, fits, occluders, scans, and every mistake."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from programs import load
from scanned_faces import make_face_model, write_person

from mofa3d import Camera, Decoder
from mofa3d.data.corpus.dataset import INDEX, KEYS, Corpus
from mofa3d.data.corpus.synthetic import SyntheticConfig, synthesize
from mofa3d.encoders.checkpoint import CHECKPOINT_NAME, Description
from mofa3d.evaluation.scans.errors import face_mesh
from mofa3d.morphable_model import save_model
from mofa3d.renderers import make_renderer
from mofa3d.training.checkpoint import save_checkpoint
from mofa3d.training.mofa import TrainingConfig, make_optimizer
from mofa3d.training.progress import Progress

evaluate = load("evaluate")
PHOTOS, AVERAGE = "Held-out photographs", "all, average face instead of the encoder"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, portrait) -> Path:
    """An encoder that always says the average face 10 mm farther, photographs of twelve people, and a scan."""
    folder = tmp_path_factory.mktemp("workplace")
    model = make_face_model()
    save_model(model, folder / "tiny.safetensors")
    faces = SyntheticConfig(count=12, yaw=0.1, pitch=0.05, roll=0.05, shift=2, depth=2)
    synthesize(faces, Decoder(model, Camera()), make_renderer("cpu", antialias=False), folder / "corpus")
    names = [f"utk/{10 + 9 * i}_{i % 2}_{i % 3}_{i}.jpg" for i in range(6)]
    names += [f"lfw/Person{i // 2}_{i % 2 + 1:04}.jpg" for i in range(6)]
    rows = [json.dumps([f"faces/{name}", f"faces/{name}" if "utk" in name else name[4:11]]) for name in names]
    (folder / "corpus" / KEYS).write_text("\n".join(rows) + "\n", encoding="utf-8")
    with np.load(folder / "corpus" / INDEX) as index:
        arrays = {name: index[name] for name in index.files if name != "codes"}
    np.savez(folder / "corpus" / INDEX, **{**arrays, "held_out": np.arange(12) % 6 > 1})
    path = str(folder / "tiny.safetensors")
    about = Description(model_path=path, fingerprint=model.fingerprint(), input_size=32)
    encoder = about.make_encoder(model)
    torch.nn.init.ones_(encoder.depth_head.bias)
    run = folder / "run" / CHECKPOINT_NAME
    run.parent.mkdir()
    save_checkpoint(run, encoder, make_optimizer(encoder, TrainingConfig()), Progress(), about.to_dict())
    write_person(folder / "scans" / "anna", face_mesh(model, 1.05 * model.mean_shape))
    shutil.copyfile(portrait, folder / "scans" / "anna" / "1.jpg")
    (folder / "scans" / "bea").mkdir()
    return folder


def run(workplace: Path, out: Path, **changes) -> dict:
    options = {"checkpoint": workplace / "run", "data": workplace / "corpus", "out": out}
    evaluate.main(evaluate.Config(**{**options, **changes}))
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def content(workplace, tmp_path_factory) -> dict:
    """What a run with everything has written."""
    out = tmp_path_factory.mktemp("out")
    options = {"refine": True, "refine_images": 2, "occluders": True, "scans": workplace / "scans"}
    return run(workplace, out, **options) | {"out": out}


class TestPhotographs:
    def test_groups_and_numbers(self, content):
        rows = content[PHOTOS]["rows"]
        assert rows["all"]["photographs"] == 8
        assert rows["lfw"]["photographs"] == rows["utk"]["photographs"] == 4
        for name in ("photometric", "landmark", "area"):
            halves = [rows[source][name]["mean"] for source in ("lfw", "utk")]
            assert rows["all"][name]["mean"] == pytest.approx(sum(halves) / 2)
            assert rows["all"][name]["p90"] > rows["all"][name]["mean"] > 0
        average = rows[AVERAGE]
        assert rows["all"]["area"]["mean"] == pytest.approx(average["area"]["mean"] * (1000 / 1010) ** 2, abs=0.005)
        assert average["landmark"]["known"] == 8

    def test_people(self, content):
        rows = content["By label, age and gender"]["rows"]
        assert {name: row["photographs"] for name, row in rows.items()} == {
            "label White": 1, "label Black": 1, "label Asian": 2,
            "age 26–45": 2, "age 46–65": 2, "male": 2, "female": 2,
        }  # fmt: skip

    def test_fits(self, content):
        said, without, kept, given = content["Refined by a fit"]["rows"].values()
        assert {row["photographs"] for row in (said, without, kept, given)} == {2}
        assert without["photometric"]["mean"] < 0.5 * said["photometric"]["mean"]
        assert given["landmark"]["mean"] < 0.3 * said["landmark"]["mean"]
        assert kept["photometric"]["mean"] < said["photometric"]["mean"]
        assert kept["landmark"]["mean"] == pytest.approx(said["landmark"]["mean"], rel=0.2)
        assert given["seconds"]["mean"] > 0
        assert list(content["Refined by a fit"]["rows"])[1] == "thies, without landmarks"

    def test_fitted_colors(self, content):
        said, fitted = content[PHOTOS]["rows"], content["With colors fitted"]["rows"]
        assert list(fitted) == [name for name in said if name != AVERAGE]
        assert fitted["all"]["photometric"]["mean"] < 0.9 * said["all"]["photometric"]["mean"]
        assert {name: fitted["all"][name] for name in ("landmark", "area")} == {
            name: said["all"][name] for name in ("landmark", "area")
        }
        skins = content["The same skin in another photograph"]["rows"]
        assert list(skins) == ["as predicted", "with colors fitted", "average skin"]
        assert skins["with colors fitted"]["own"]["mean"] < skins["average skin"]["own"]["mean"]
        assert {row["photographs"] for row in skins.values()} == {2}
        assert skins["as predicted"] == skins["average skin"]  # this encoder predicts nothing else

    def test_occluders_do_not_change_an_encoder_that_looks_at_nothing(self, content):
        rows = content["Under occluders"]["rows"]
        assert list(rows) == ["all", "all, occluded", "lfw", "lfw, occluded", "utk", "utk, occluded"]
        assert rows["all"] == content[PHOTOS]["rows"]["all"]
        assert rows["all, occluded"]["photometric"]["mean"] == pytest.approx(rows["all"]["photometric"]["mean"])

    def test_facts(self, content, workplace):
        facts = content["facts"]
        assert facts["data"] == (
            f"{workplace / 'corpus'}: 8 held-out photographs of 6 identities, landmarks known for 8"
        )
        assert facts["trained on"].startswith("not known (no config.json beside the checkpoint)")
        text = (content["out"] / "report.md").read_text(encoding="utf-8")
        assert "| all | 8 * |" in text
        assert text.count("## ") == 8

    def test_scans(self, content):
        free = content["Against scans"]["rows"]["all"]
        kept = content["Against scans, at its own size"]["rows"]["all"]
        assert free["photographs"] == 1
        assert free["median"]["mean"] < 0.01 < 0.1 < kept["median"]["mean"]  # only the size is wrong
        # The encoder of these tests says the average face, a bit farther away, which no scan sees.
        assert content["Against scans, at its own size"]["rows"][AVERAGE] == kept
        notes = content["Against scans"]["notes"]
        assert notes[0].startswith("Over the points of all photographs together, as NoW reports: median 0.00 mm")
        assert notes[1].startswith("Left out: bea: it holds no scan")
        assert len((content["out"] / "scans.csv").read_text().splitlines()) == 2


class TestHeldOut:
    def choose(self, workplace, record, **changes):
        run = workplace / "recorded"
        run.mkdir(exist_ok=True)
        (run / "config.json").write_text(json.dumps({"config": record}))
        config = evaluate.Config(checkpoint=run, data=workplace / "corpus", **changes)
        return evaluate.choose_photographs(config, Corpus(workplace / "corpus"))

    def test_as_the_corpus_says(self, workplace):
        indices, known = self.choose(workplace, {"data": str(workplace / "corpus"), "held_out": None, "seed": 0})
        assert indices == [2, 3, 4, 5, 8, 9, 10, 11]
        assert known.startswith("the rest of the same data")
        assert "4 photographs do not say whom they show" in known

    def test_as_the_training_chose(self, workplace):
        record = {"data": "elsewhere", "held_out": 0.5, "seed": 3, "start": "runs/before"}
        indices, known = self.choose(workplace, record)
        assert indices == self.choose(workplace, record)[0] != [2, 3, 4, 5, 8, 9, 10, 11]
        assert known == (
            "elsewhere, other data; whether they show some of these people too is not checked; it began with "
            "runs/before, not checked either"
        )

    def test_a_few(self, workplace):
        indices, _ = self.choose(workplace, {"data": "elsewhere", "held_out": None, "seed": 0}, images=4)
        assert indices == [2, 4, 8, 10]

    def test_none(self, workplace):
        record = {"data": "elsewhere", "held_out": 0.0, "seed": 0}
        with pytest.raises(ValueError, match="has 12 faces of which 0 are held out"):
            self.choose(workplace, record)
        with pytest.raises(ValueError, match="--images is -1"):
            self.choose(workplace, {**record, "held_out": None}, images=-1)

    def test_damaged_record(self, workplace):
        with pytest.raises(ValueError, match=r"config\.json is not a valid record of a training \(KeyError"):
            self.choose(workplace, {"seed": 0})


class TestMistakes:
    def test_nothing_to_measure_on(self, workplace, tmp_path):
        with pytest.raises(ValueError, match="give --data CORPUS, --scans SCANS, or both"):
            run(workplace, tmp_path, data=None)

    def test_no_checkpoint(self, workplace, tmp_path):
        with pytest.raises(ValueError, match=r"there is no checkpoint at .*nowhere"):
            run(workplace, tmp_path / "out", checkpoint=tmp_path / "nowhere")
        assert not (tmp_path / "out").exists()

    def test_scans_in_another_unit(self, workplace, tmp_path):
        with pytest.raises(ValueError, match=r"no scan can be used: .*; anna: .* give another of mm"):
            run(workplace, tmp_path, data=None, scans=workplace / "scans", scan_unit="m")
