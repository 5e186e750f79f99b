"""The trainings of a comparison of all systems: how long each takes, its command, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast

from mofa3d.data.corpus.open import SYNTHETIC
from mofa3d.encoders.backbones import ENCODER_NAMES
from mofa3d.errors import InputError
from mofa3d.evaluation.comparison.program_runs import Outcome, Program, RunProgram, carry_out, check_record

MOFA, SURROGATE, ON_SYNTHETIC = "MoFA", "MoFA, surrogate", "MoFA, synthetic"
RICHARDSON, TRAN = "Richardson", "Tran"
CONV_AUTOENCODER, CONV_DECODER = "convolutional autoencoder", "learned decoder"
LABELS = {"alexnet": "AlexNet", "vgg_face": "VGG-Face", "mobilenet_v2": "MobileNetV2", "resnet50": "ResNet-50"}
# From random weights and in a few minutes, large networks do other steps than train_mofa.py's own: VGG-Face needs
# seconds for a batch of 24, and the hundreds of steps in which geometry is held would be all that there are.
LARGE = {
    "alexnet": ("--learning-rate", "1e-4", "--freeze-geometry", "60"),
    "vgg_face": ("--learning-rate", "1e-4", "--freeze-geometry", "15", "--batch-size", "8"),
    "resnet50": ("--freeze-geometry", "60"),
}
# Without landmarks, train_mofa.py holds the geometry for 450 iterations, half of what a few minutes are.
SHORT, SHORT_HOLD = 10.0, ("--freeze-geometry", "250")  # minutes below which that is so, and what is done instead


@dataclass(frozen=True)
class Budget:
    """Minutes of each training, and the size of the comparison; None follows the preset."""

    mofa: float | None = None
    surrogate: float | None = None
    further: float | None = None
    """Minutes for each further encoder, without and with the surrogate."""
    synthetic: float | None = None
    """Minutes for MoFA and for Richardson's network, each, on the same synthetic images."""
    tran: float | None = None
    autoencoder: float | None = None
    conv_decoder: float | None = None
    people: int | None = None
    """Number of people whose photographs are fitted before Tran's network is trained."""
    photographs: int | None = None
    """Number of held-out photographs, and of synthetic faces, on which all systems are compared."""
    report_images: int | None = None
    """Number of held-out images in the report of each training; 0 means all."""
    verified: int | None = None
    """Number of photographs of each held-out person to verify, if --lfw is not given."""


# Of the 45 minutes, preparing 24,000 photographs takes 14, and trainings 18.5; starting programs, their reports, fits
# and verification take the rest.
QUICK = Budget(3.0, 3.0, 1.25, 2.5, 0.5, 1.0, 1.0, people=12, photographs=30, report_images=160, verified=3)
LONG = Budget(40.0, 40.0, 10.0, 20.0, 15.0, 15.0, 15.0, people=200, photographs=200, report_images=0, verified=10)


@dataclass(frozen=True)
class EncoderWeights:
    """Files of pretrained weights; "auto" is ImageNet for mobilenet_v2 and random weights for the others."""

    mobilenet_v2: str = "auto"
    alexnet: str = "auto"
    vgg_face: str = "auto"
    resnet50: str = "auto"


@dataclass(frozen=True)
class Reuse:
    """Existing runs (folders or checkpoints) to use instead of training new ones."""

    mofa: Path | None = None
    surrogate: Path | None = None
    alexnet: Path | None = None
    alexnet_surrogate: Path | None = None
    vgg_face: Path | None = None
    vgg_face_surrogate: Path | None = None
    synthetic: Path | None = None
    richardson: Path | None = None
    tran: Path | None = None
    autoencoder: Path | None = None
    conv_decoder: Path | None = None


@dataclass(frozen=True)
class TrainingsConfig:
    """Options that define what is trained."""

    data: Path
    """A corpus of `mofa3d prepare`, or a folder of photographs."""
    out: Path = Path("results")
    preset: Literal["quick", "long"] = "quick"
    budget: Budget = field(default_factory=Budget)
    reuse: Reuse = field(default_factory=Reuse)
    synthetic_count: int = 3000
    """Number of synthetic faces to train and to test on; the paper has 100,000."""
    iterations: int = 1_000_000
    """Largest number of iterations of every training."""
    encoders: tuple[str, ...] = ("mobilenet_v2", "alexnet", "vgg_face")
    """Encoders: all systems use the first; MoFA is also trained with the others, without and with the surrogate."""
    encoder_weights: EncoderWeights = field(default_factory=EncoderWeights)
    input_size: int = 112
    """Width and height of the encoders' input, in pixels."""
    image_size: int = 112
    """Width and height of the images of the convolutional autoencoder and decoder; a multiple of 16."""
    model: str = "makehuman"
    model_path: str = ""

    def __post_init__(self) -> None:
        unknown = [name for name in self.encoders if name not in ENCODER_NAMES]
        if unknown or not self.encoders or len(set(self.encoders)) < len(self.encoders):
            raise InputError(
                f"--encoders takes one or several of {', '.join(ENCODER_NAMES)}, each once, got "
                f"{', '.join(self.encoders) or 'none'}"
            )

    @property
    def size(self) -> Budget:
        """The preset with what was asked for on top."""
        asked = {name: value for name, value in vars(self.budget).items() if value is not None}
        return replace({"quick": QUICK, "long": LONG}[self.preset], **asked)

    @property
    def model_options(self) -> tuple[str, ...]:
        return ("--model", self.model, *(("--model-path", self.model_path) if self.model_path else ()))

    @property
    def mofa_systems(self) -> tuple[str, ...]:
        """The names of MoFA with each encoder, without and with the surrogate."""
        further = [f"{MOFA}, {LABELS[name]}" for name in self.encoders[1:]]
        return (MOFA, SURROGATE, *(f"{name}{end}" for name in further for end in ("", ", surrogate")))


def plan(config: TrainingsConfig, corpus: Path) -> dict[str, Program]:
    """The trainings, in their order.

    Args:
        config: what to train.
        corpus: the prepared photographs.
    """
    size, photos, model = config.size, ("--data", str(corpus)), config.model_options
    faces = ("--data", SYNTHETIC, "--synthetic.count", str(config.synthetic_count))
    pixels = ("--image-size", str(config.image_size))
    start = config.reuse.surrogate or config.out / "runs" / "mofa_surrogate"
    people = ("--checkpoint", str(start), "--people", str(size.people))

    def look(encoder: str) -> tuple[str, ...]:
        weights = getattr(config.encoder_weights, encoder)
        return ("--encoder", encoder, "--encoder-weights", weights, "--input-size", str(config.input_size))

    main, *further = config.encoders
    with_photos = (*photos, *model, *look(main))
    hold = SHORT_HOLD if cast(float, size.mofa) < SHORT else ()
    chosen = {
        MOFA: ("mofa", "train_mofa", size.mofa, (*with_photos, *hold)),
        SURROGATE: ("mofa_surrogate", "train_mofa", size.surrogate, (*with_photos, "--landmarks")),
    }
    for name in further:
        arguments = (*photos, *model, *look(name), *LARGE.get(name, ()))
        for end, options in (("", ()), ("surrogate", ("--landmarks",))):
            system = ", ".join(filter(None, (MOFA, LABELS[name], end)))
            folder = "_".join(filter(None, ("mofa", name, end)))
            chosen[system] = (folder, "train_mofa", size.further, (*arguments, *options))
    chosen |= {
        ON_SYNTHETIC: ("mofa_synthetic", "train_mofa", size.synthetic, (*faces, *model, *look(main))),
        RICHARDSON: ("richardson", "train_regressor", size.synthetic, (*faces, *model, *look(main))),
        TRAN: ("tran", "train_pooled", size.tran, (*photos, *people)),
        CONV_AUTOENCODER: ("autoencoder", "train_autoencoder", size.autoencoder, (*photos, *model, *pixels)),
        CONV_DECODER: ("conv_decoder", "train_conv_decoder", size.conv_decoder, (*faces, *model, *pixels)),
    }
    steps = {}
    for system, (name, script, minutes, arguments) in chosen.items():
        until: tuple[str, ...] = ("--minutes", f"{minutes:g}", "--iterations", str(config.iterations))
        until += ("--report-images", str(size.report_images))
        steps[system] = Program(name, script, (*arguments, *until), config.out / "runs" / name)
    return steps


def train_all(config: TrainingsConfig, steps: dict[str, Program], run: RunProgram) -> dict[str, Outcome]:
    """What became of each training.

    Args:
        config: which are not run, but reused.
        steps: see `plan`.
        run: see `mofa3d.evaluation.comparison.program_runs.carry_out`.

    Raises:
        InputError: see `mofa3d.evaluation.comparison.program_runs.check_record`.
    """
    given = {system: getattr(config.reuse, step.name.removeprefix("mofa_"), None) for system, step in steps.items()}
    for system, step in steps.items():
        if given[system] is None:
            check_record(step)  # before the first training, not after hours
    outcomes: dict[str, Outcome] = {}
    for system, step in steps.items():
        if (reused := given[system]) is not None:
            outcomes[system] = Outcome(reused, f"# reused: {reused}")
        elif system == TRAN and outcomes[SURROGATE].reason:
            outcomes[system] = Outcome(step.out, "# not run", f"its fits start from {SURROGATE}, which failed")
        else:
            outcomes[system] = carry_out(step, run)
    return outcomes


def opened(outcome: Outcome) -> Path:
    """The run of a training that did not fail.

    Raises:
        InputError: it failed; with its reason.
    """
    if outcome.reason:
        raise InputError(outcome.reason)
    return outcome.out
