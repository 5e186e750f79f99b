"""Train the regression of Tran et al. 2017: the same shape and reflectance from every photograph of a person.

    python experiments/train_mofa.py --data CORPUS --landmarks --minutes 30 --out runs/start
    python experiments/train_pooled.py --data CORPUS --checkpoint runs/start --out runs/pooled

People with several photographs are fitted, photograph by photograph, from the checkpoint's encoder; shape and
reflectance are pooled for each person and written to targets.safetensors. A network that starts from the checkpoint's
encoder learns to predict them from one photograph; expression, pose and light are learned from that photograph's own
fit. Writes a checkpoint that can be used wherever one of train_mofa.py can, config.json, metrics.jsonl, TensorBoard's
files, report.md, pictures and meshes into --out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import zip_longest
from pathlib import Path

import torch

from mofa3d import Decoder, SemanticCode, metrics
from mofa3d.cli import program
from mofa3d.data.batches.augment import AugmentConfig
from mofa3d.data.batches.in_order import in_order
from mofa3d.data.batches.stream import batches
from mofa3d.data.corpus.dataset import Corpus
from mofa3d.data.corpus.split import spread, train_and_test
from mofa3d.data.readable import readable
from mofa3d.encoders.checkpoint import CHECKPOINT_NAME, how_to_go_on, open_run, read_checkpoint
from mofa3d.encoders.network import Encoder
from mofa3d.environment.machine import commit
from mofa3d.environment.processes import ALONE, Processes, join
from mofa3d.errors import InputError
from mofa3d.evaluation.comparison.networks.tran import (
    IDENTITY_BLOCKS,
    TARGETS,
    PooledFaces,
    PooledTargets,
    asymmetric_distance,
    pool,
    within_person_share,
)
from mofa3d.evaluation.comparison.run_config import ScheduleConfig
from mofa3d.evaluation.errors import evaluate
from mofa3d.evaluation.training_report import (
    BeforeAndAfter,
    draw_curves,
    draw_faces,
    training_report,
    write_meshes,
)
from mofa3d.files.whole import write_text
from mofa3d.fitting.adam import FitConfig, fit_codes
from mofa3d.numeric_options import MOST, check_ranges
from mofa3d.objective import Batch
from mofa3d.renderers import make_renderer
from mofa3d.semantic_code import OutputScales
from mofa3d.training.checkpoint import claim_folder
from mofa3d.training.loop import Step, optimize
from mofa3d.training.progress import DivergenceError
from mofa3d.training.resume_option import Resume

CURVES = {"identity": "shape and reflectance (σ²)", "rest": "expression, pose and light (units²)"}
SHOWN, MESHES = 16, 3
RESUMABLE = (CHECKPOINT_NAME, TARGETS)


@dataclass(frozen=True, kw_only=True)
class Config(ScheduleConfig):
    data: Path
    """A corpus of `mofa3d prepare` with landmarks, and several photographs of many people."""
    checkpoint: Path
    """Folder of a training run on that corpus; its encoder starts the fits and the regression."""
    out: Path = Path("runs/pooled")
    fewest: int = 4
    """Fewest photographs that a person must have."""
    most: int = 12
    """Most photographs to fit of one person."""
    people: int = 0
    """Number of people to learn from; 0 means all."""
    landmark_limit: float = 6.0
    """Leave out fits with a larger landmark error, in pixels."""
    rest: float = 0.3
    """Weight of expression, pose and light relative to shape and reflectance."""
    batch_size: int = 24
    learning_rate: float = 1e-4
    report_images: int = 0
    """Number of held-out photographs in the report, evenly spread; 0 means all."""
    fit: FitConfig = field(default_factory=FitConfig)
    resume: Resume = False
    """Continue from the targets and, if there is one, the checkpoint in --out; with "auto", only if they are there."""
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        some = dict.fromkeys(("fewest", "most"), (1, 1_000_000))
        check_ranges(self, **some, people=(0, MOST), report_images=(0, MOST), landmark_limit=(0, MOST))


def choose(corpus: Corpus, config: Config) -> list[int]:
    """Photographs to learn from: of people who have enough of them, with all landmarks."""
    usable = torch.from_numpy(~corpus.held_out) & corpus.confidence.bool().all(dim=1)
    candidates, _ = readable(corpus, usable.nonzero().flatten().tolist())
    number = Counter(corpus.identities[i] for i in candidates)
    names = sorted(name for name, count in number.items() if count >= config.fewest)
    if len(names) < 2:
        raise InputError(
            f"{config.data} has {len(names)} people to learn from with {config.fewest} photographs or more; give "
            "photographs named Name_Surname_0001.jpg, or a smaller --fewest"
        )
    wanted, taken = set(names[: config.people or None]), Counter()
    chosen = []
    for i in candidates:
        name = corpus.identities[i]
        if name in wanted and taken[name] < config.most:
            taken[name] += 1
            chosen.append(i)
    return chosen


def loaded(corpus: Corpus, indices: list[int], size: int, label: str, processes: Processes = ALONE) -> Iterator[Batch]:
    """Batches of some faces; of several processes, each has its share."""
    starts = range(0, len(indices), size)[processes.rank :: processes.count]
    own = [i for start in starts for i in indices[start : start + size]]
    return in_order(corpus, own, size, label if processes.leads else "")


def fit(
    corpus: Corpus, indices: list[int], encoder: Encoder, whole: Decoder, config: Config, processes: Processes
) -> PooledTargets:
    """Fit every photograph from the encoder's prediction, and pool what is good enough by person."""
    frontal = Decoder(whole.model.restrict(whole.model.frontal), whole.camera)
    render, sizes, found = make_renderer("vertex"), whole.model.sizes, []
    for batch in loaded(corpus, indices, config.batch_size, "fitting", processes):
        with torch.no_grad():
            start = SemanticCode.from_vector(encoder(batch["image"]), sizes)
        code = fit_codes(start, batch, frontal, render, config.fit)
        with torch.no_grad():
            off = metrics.landmark_error(frontal(code).landmarks, batch["landmarks"], batch["confidence"])
        found.append((code.to_vector(), off, batch["confidence"].mean(dim=1)))
    turns = zip_longest(*processes.collect(found))  # the order in which the processes took the batches
    batched = [batch for turn in turns for batch in turn if batch is not None]
    codes, off, confidence = (torch.cat(column) for column in zip(*batched, strict=True))
    good = (off < config.landmark_limit).nonzero().flatten().tolist()
    if not good:
        raise InputError(
            f"none of {len(indices)} fits comes within {config.landmark_limit:g} px of its landmarks; train the "
            "encoder longer, or raise --landmark-limit"
        )
    rows = [indices[i] for i in good]
    names = [corpus.identities[i] for i in rows]
    kept = SemanticCode.from_vector(codes[good], sizes)
    # As in the paper, a photograph counts as much as its landmarks are certain.
    return pool(kept, rows, names, confidence[good], whole.model.fingerprint())


def shares(encoder: Encoder, corpus: Corpus, indices: list[int], decode: Decoder) -> dict[str, float]:
    """Share of the variance of shape and of reflectance between photographs of the same held-out person."""
    number = Counter(corpus.identities[i] for i in indices)
    indices = [i for i in indices if number[corpus.identities[i]] > 1]  # nobody else takes part
    if not indices:
        return dict.fromkeys(IDENTITY_BLOCKS, float("nan"))
    with torch.no_grad():
        codes = torch.cat([encoder(batch["image"]) for batch in loaded(corpus, indices, 32, "comparing people")])
    code, names = SemanticCode.from_vector(codes, decode.model.sizes), [corpus.identities[i] for i in indices]
    return {block: within_person_share(getattr(code, block), names) for block in IDENTITY_BLOCKS}


def main(config: Config) -> None:
    processes = join("cpu", config.batch_size)
    torch.manual_seed(config.seed)
    corpus = Corpus(config.data)
    encoder, whole = open_run(config.checkpoint)
    start, _ = open_run(config.checkpoint)  # stays as it is, to be compared with
    frontal = Decoder(whole.model.restrict(whole.model.frontal), whole.camera)
    _, test = train_and_test(corpus.identities, corpus.held_out.tolist(), str(config.data))
    with claim_folder(config.out, config.resume, RESUMABLE, processes) as begun:
        path, resume = config.out / TARGETS, processes.hand_out(begun and (config.out / CHECKPOINT_NAME).exists())
        version = commit()
        record = {"config": asdict(config), "commit": version}
        if processes.leads:
            write_text(config.out / "config.json", json.dumps(record, indent=1, default=str) + "\n")
        fitted = processes.hand_out(PooledTargets.read(path) if processes.leads and begun and path.exists() else None)
        if fitted is not None and fitted.fingerprint != whole.model.fingerprint():
            raise InputError(f"{path} was fitted with another face model; choose another --out")
        targets = fitted or fit(corpus, choose(corpus, config), encoder, whole, config, processes)
        if processes.leads and fitted is None:
            targets.save(path)

        sizes = whole.model.sizes
        where = sizes.slices
        identity = torch.cat([torch.arange(sizes.total)[where[block]] for block in IDENTITY_BLOCKS])
        rest = torch.tensor(sorted(set(range(sizes.total)) - set(identity.tolist())))
        units = OutputScales().vector(sizes)[rest]
        people = PooledFaces(corpus, targets, sizes)

        def step(batch: Batch, _iteration: int) -> Step:
            said, target = encoder(batch["image"]), batch["code"]
            terms = {
                "identity": asymmetric_distance(said[:, identity], target[:, identity]),
                "rest": ((said[:, rest] - target[:, rest]) / units).square().sum(dim=1),
            }
            return Step(terms, terms["identity"].mean() + config.rest * terms["rest"].mean())

        # A mirrored face has another code than its original.
        changes = AugmentConfig(mirror=0.0, color=0.1)
        options = {"changes": changes, "processes": processes}
        stream = partial(batches, people, range(len(people)), config.batch_size, config.seed, **options)
        about = read_checkpoint(
            config.checkpoint / CHECKPOINT_NAME if config.checkpoint.is_dir() else config.checkpoint
        )["description"]
        rates = config.learning_rate, config.learning_rate
        optimizer = torch.optim.Adam(encoder.parameter_groups(*rates), fused=True)
        data = {"corpus": corpus.fingerprint()}
        progress = optimize(encoder, optimizer, step, stream, config, config.out, about, resume, data, processes)
        if not processes.leads:
            return

        encoder.eval()
        share = [shares(network, corpus, test, whole) for network in (start, encoder)]
        test = spread(test, config.report_images or len(test))
        measure = partial(evaluate, decode=frontal, render=make_renderer("vertex"), dataset=corpus, indices=test)
        sources = [corpus.sources[i] for i in test]
        groups = {"all": [True] * len(test), **{name: [s == name for s in sources] for name in sorted(set(sources))}}
        facts = {
            "data": f"{config.data}: {len(targets.fits)} photographs of {len(targets.people)} people fitted and pooled",
            "training": f"{progress.describe(config.batch_size)}, from {config.checkpoint}; before: that encoder",
            "variance within people": ", ".join(f"{b} {share[0][b]:.2f} → {share[1][b]:.2f}" for b in IDENTITY_BLOCKS)
            + " of the total, over held-out people with several photographs; less is steadier",
            "commit": version,
        }
        errors = BeforeAndAfter(groups, measure(start), measure(encoder))
        draw_curves(config.out / "metrics.jsonl", config.out / "curves.png", CURVES)
        shown = [spread(test, count) for count in (SHOWN, MESHES)]
        draw_faces(encoder, whole, make_renderer("cpu"), corpus, shown[0], config.out / "faces.png")
        report = training_report(
            "Pooled regression of shape and reflectance",
            facts,
            progress.numbers(config.batch_size),
            errors,
            write_meshes(encoder, whole, corpus, shown[1], config.out),
            **{"variance within people": dict(zip(("before", "after"), share, strict=True))},
        )
        written = report.write(config.out)
        print(errors.table(), f"\nvariance within people: {facts['variance within people']}\nThe report is {written}")


if __name__ == "__main__":
    program.run(
        main, Config, __doc__, errors=(DivergenceError,), stopped=lambda config: how_to_go_on(config.out, RESUMABLE)
    )
