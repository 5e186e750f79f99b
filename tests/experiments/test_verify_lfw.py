"""verify_lfw.py: what people's codes tell of them, on small folders of LFW's layout."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from programs import ROOT, load
from tiny_model import make_code, make_tiny_model
from torch.utils.data import StackDataset

from mofa3d import Camera, Decoder
from mofa3d.encoders.recognition.network import RecognitionNetwork
from mofa3d.evaluation.verification.faces import VerifiedFaces, codes_of, find_faces
from mofa3d.evaluation.verification.pairs import Pair
from mofa3d.renderers import make_renderer

verify_lfw = load("verify_lfw")
LFW = ROOT.parent / "shared" / "faces" / "lfw"


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
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        settings = verify_lfw.Config(lfw, pairs, run, tmp_path / "out")
        verify_lfw.main(settings)
        [said] = [message for message in caplog.messages if "cannot be read" in message]
        assert re.match(r"1 images cannot be read and are left out: .*B_0002\.jpg is damaged", said)
        facts = report_of_verification(tmp_path / "out")["facts"]
        assert facts["left out"].startswith("2 pairs, whose photographs cannot be read (B/B_0002.jpg: ")
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
        assert float(alike.mean()) > 0.8  # the price on shape draws codes to the average

    def test_a_recognition_network_that_sees_colors_tells_people_of_colors_apart(self, tmp_path, monkeypatch):
        """Two and two people of one color each, twice, and a network whose embedding is the mean color."""
        colors = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9], [0.1, 0.9, 0.1]]).repeat_interleave(
            2, 0
        )
        images = colors[:, :, None, None].expand(-1, -1, 240, 240).contiguous()
        points = 240 * torch.rand(68, 2, generator=torch.Generator().manual_seed(0)).expand(8, 68, 2)
        items = StackDataset(image=images, landmarks=points)
        names = [f"{person}{number}" for person in "ABCD" for number in (1, 2)]
        pairs = [Pair(f"{one}1", f"{one}2", True, fold) for fold, one in ((0, "A"), (0, "B"), (1, "C"), (1, "D"))]
        pairs += [Pair("A1", "B2", False, 0), Pair("B1", "A2", False, 0), Pair("C1", "D2", False, 1)]
        faces = VerifiedFaces(pairs, names, items, list(range(8)), {})

        class MeanColor(RecognitionNetwork):
            def __init__(self) -> None:
                torch.nn.Module.__init__(self)
                self.size = 20

            def forward(self, chips):
                return chips.amax(dim=(2, 3))  # some of a chip may be black, outside the photograph

        monkeypatch.setattr(verify_lfw, "load_recognition_network", MeanColor)
        monkeypatch.setattr(verify_lfw, "find_pairs", lambda config: faces)
        verify_lfw.main(verify_lfw.Config(corpus=tmp_path, method="recognition", out=tmp_path / "out"))
        results = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))["results"]
        assert set(results) == {"embeddings", "embeddings, whitened"}
        assert results["embeddings"]["accuracy"] == 1.0
        assert results["embeddings"]["area"] == 1.0

    def test_people_of_a_corpus(self, people, run, tmp_path):
        settings = verify_lfw.Config(corpus=people, checkpoint=run, out=tmp_path / "out")
        with pytest.raises(ValueError, match="needs 4 people, of whom 2 have several photographs"):
            verify_lfw.main(settings)  # only two of them are held out

    def test_options_that_do_not_go_together(self, tmp_path):
        with pytest.raises(ValueError, match="needs either --lfw and --pairs, or --corpus; give one or the other"):
            verify_lfw.Config(lfw=tmp_path, checkpoint=tmp_path)
        with pytest.raises(ValueError, match="from a --checkpoint or from --method fit or recognition; give one"):
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
