"""Face verification by shape and reflectance codes on Labeled Faces in the Wild: ten folds, View 2.

    python experiments/verify_lfw.py --lfw LFW --pairs pairs.txt --checkpoint runs/mine --out runs/verification
    python experiments/verify_lfw.py --lfw LFW --pairs own.txt --make-pairs 60 --checkpoint runs/mine
    python experiments/verify_lfw.py --lfw LFW --pairs pairs.txt --method fit     # codes of a fit, a second each
    python experiments/verify_lfw.py --corpus CORPUS --checkpoint runs/mine       # people of a corpus, not View 2
    python experiments/verify_lfw.py --corpus CORPUS --method recognition         # what dlib's network says of them

The second command first makes the table of pairs, from whatever part of LFW is there. The third follows Romdhani and
Vetter: instead of an encoder, it uses the shape and reflectance of a Gauss-Newton fit to each photograph and its
landmarks. The last one shows what can be known of these people: it compares the embeddings of a network made for that,
as they are and whitened as codes are. An encoder trained on photographs of the people in the pairs has an advantage
that the protocol forbids; of a corpus, only held-out people are used. Writes report.md, report.json and roc.png into
--out.

Reference: Romdhani & Vetter 2005, "Estimating 3D Shape and Texture Using Pixel Intensity, Edges, Specular Highlights,
Texture Constraints and a Prior".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from mofa3d import Camera, Decoder, SemanticCode, load_model
from mofa3d.cli import program
from mofa3d.data.batches.in_order import in_order
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.encoders.checkpoint import open_run
from mofa3d.encoders.recognition.network import RecognitionNetwork, embeddings_of, load_recognition_network
from mofa3d.environment.machine import check_device, commit
from mofa3d.errors import InputError
from mofa3d.evaluation.estimates import Estimate, encoder_estimate, fit_estimate
from mofa3d.evaluation.verification.faces import VerifiedFaces, codes_of, corpus_faces, lfw_faces
from mofa3d.evaluation.verification.pairs import make_pairs, read_pairs
from mofa3d.evaluation.verification.protocol import verify
from mofa3d.evaluation.verification.report import table, write_report
from mofa3d.files.folders import take_folder
from mofa3d.files.whole import write_text
from mofa3d.fitting.gauss_newton import garrido
from mofa3d.numeric_options import check_ranges

CORPUS_PAIRS = 20  # of each kind per fold


@dataclass(frozen=True)
class Config:
    lfw: Path | None = None
    """Folder of LFW, with a folder of photographs for each person."""
    pairs: Path | None = None
    """LFW's pairs.txt; with --make-pairs, where to write one."""
    checkpoint: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Folder of a run of train_mofa.py or train_pooled.py, or its checkpoint."""
    out: Path = Path("runs/verification")
    method: Literal["encoder", "fit", "recognition"] = "encoder"
    """Source of the codes: the checkpoint's encoder, fits with landmarks in 50 steps from the average face, or dlib's
    recognition network, whose embeddings are no codes."""
    corpus: Path | None = None
    """A corpus of `mofa3d prepare` to use instead of LFW: its held-out people with several photographs."""
    make_pairs: int = 0
    """Make a table of this many matched and mismatched pairs per fold from the available photographs. For a corpus,
    pairs are always made: 20 of each kind, if possible."""
    folds: int = 10
    """Number of folds for --make-pairs."""
    photographs: int = 4
    """Most photographs of each person of a corpus."""
    model: str = "makehuman"
    """Name of the face model for --method fit."""
    model_path: str = ""
    batch_size: int = 32
    seed: int = 0
    """Random seed of the choice of pairs."""
    device: str = "cpu"
    """Device that runs the encoder."""

    def __post_init__(self) -> None:
        if (self.corpus is None) == (self.lfw is None) or (self.lfw is None) != (self.pairs is None):
            raise InputError("verification needs either --lfw and --pairs, or --corpus; give one or the other")
        if (self.method != "encoder") != (self.checkpoint is None):
            raise InputError(
                "codes come either from a --checkpoint or from --method fit or recognition; give one of them"
            )
        some = dict.fromkeys(("folds", "photographs", "batch_size"), (1, 1_000_000))
        check_ranges(self, **some, make_pairs=(0, 1_000_000))


def find_pairs(config: Config) -> VerifiedFaces:
    """The pairs, and their photographs."""
    if config.corpus is not None:
        count = config.make_pairs or CORPUS_PAIRS
        return corpus_faces(Corpus(config.corpus), count, config.folds, config.photographs, config.seed)
    if config.make_pairs:
        if config.pairs.exists():
            raise InputError(f"{config.pairs} already exists; leave out --make-pairs, or name another file")
        text = make_pairs(config.lfw, config.make_pairs, config.folds, config.seed)
        write_text(config.pairs, text)
    return lfw_faces(config.lfw, read_pairs(config.pairs), config.pairs, landmarks=config.method != "encoder")


def open_system(config: Config) -> Estimate:
    """What says codes."""
    if config.method == "fit":
        torch.set_num_threads(1)  # a fit's matrices are small, and threads that wait for each other cost more
        model = load_model(config.model, path=config.model_path or None)
        return fit_estimate(Decoder(model, Camera()), garrido())
    encoder, decode = open_run(config.checkpoint)
    encoder = encoder.to(config.device)
    return encoder_estimate(lambda image: encoder(image.to(config.device)).cpu(), decode)


def blocks(code: SemanticCode) -> dict[str, torch.Tensor]:
    """What is compared."""
    both = torch.cat([code.shape, code.reflectance], dim=1)
    return {"shape and reflectance": both, "shape": code.shape, "reflectance": code.reflectance}


def all_embeddings(network: RecognitionNetwork, faces: VerifiedFaces, batch_size: int, device: str) -> torch.Tensor:
    """What a recognition network says of every photograph, in the order of their names."""
    batches = in_order(faces.dataset, faces.indices, batch_size, "recognizing")
    return torch.cat([embeddings_of(network, batch, device) for batch in batches])


def main(config: Config) -> None:
    check_device(config.device)
    if config.method == "recognition":
        network, faces = load_recognition_network().to(config.device), find_pairs(config)
        take_folder(config.out, "verify_lfw.py")
        found = all_embeddings(network, faces, config.batch_size, config.device)
        compared, plain = {"embeddings": found, "embeddings, whitened": found}, ("embeddings",)
    else:
        estimate, faces = open_system(config), find_pairs(config)
        take_folder(config.out, "verify_lfw.py")
        compared, plain = blocks(codes_of(estimate, faces, config.batch_size)), ()
    rows = {name: row for row, name in enumerate(faces.names)}
    results = {
        name: verify(values.numpy(), rows, faces.pairs, whiten=name not in plain) for name, values in compared.items()
    }
    source = {"encoder": str(config.checkpoint), "fit": "a fit with landmarks to each photograph"}
    source["recognition"] = "dlib's recognition network"
    facts = {**faces.facts, "codes": source[config.method], "commit": commit()}
    numbers = {"photographs": len(faces.names), "pairs": len(faces.pairs)}
    path = write_report(config.out, facts, results, numbers)
    print(table(results), f"\nThe report is {path}")


if __name__ == "__main__":
    program.run(main, Config, __doc__)
