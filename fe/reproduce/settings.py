"""What the paper leaves open, said: data, networks, schedules and prices of every figure.

For figures 2, 4 and 5 "paper" is the paper's network on MNIST and "small" the same on
scikit-learn's digits, in a minute. For figures 3 and 6 "paper" is ResNet-18 on CIFAR-10, for a GPU,
and "small" an eighth of its width on 16×16 pixels and a few thousand images.
"""

import contextlib
import inspect
import threading
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from types import NoneType
from typing import get_args

import torch

from ..data import digits
from ..errors import about, check_data, number
from ..networks import Classifier, Decoder, Encoder
from ..processes import iso_classification, walk
from ..tasks import Displacement, Mixture, align_labels, plan_by_class, training_set
from ..training import Ensemble
from .convolutional import ConvolutionalDecoder, ResNetEncoder
from .images import cifar10, image_folder, mnist, npz
from .records import STORED, load_state, rounded, save_state

_WORDS = dict(network=["mlp", "resnet"], norm=["batch"])
_WORDS |= dict(kinds=["aligned", "mixture", "transport", "paired"])
_LEAST = dict(seed=0, network=0, speed=-1e9, k=-1e9, falling=-1e9)
_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "True or False"}
_KINDS |= {list: "a list", dict: "a dict"}


def _check(name, value, default, least=0):
    """Raise unless a value, and every entry of a list, is of its default's kind, not too small, and
    no misspelt word.
    """
    kind = type(default)
    kinds = {float: int | float, list: list | tuple}.get(kind, kind)
    if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
        hint = ", without quotes" if isinstance(value, str) else ""
        raise TypeError(f"{name} = {value!r}: must be {_KINDS[kind]}, such as {default!r}{hint}")
    if kind in (int, float):
        number(name, value, least, whole=kind is int)
    if kind is str and value not in _WORDS.get(name, [value]):
        raise ValueError(f"{name} = {value!r}: misspelt? There are {_WORDS[name]}")
    if name == "line" and kind is list and len(value) != len(default):
        raise ValueError(f"{name} = {value!r}: must have {len(default)} entries, as {default!r}")
    for entry in value if kind is list and default else []:
        _check(name, entry, default[0])


@dataclass(frozen=True)
class Settings:
    """`settings | dict(seed=1)` changes some, `arguments()` are all, as plain values.

    Raises:
        TypeError: A name that is none of the settings, a value of another kind than the default's,
            or an option that its process does not take.
        ValueError: A number that is too small, or a word that means nothing.
    """

    def __post_init__(self):
        for f in fields(self):
            value, kinds = getattr(self, f.name), get_args(f.type) or (f.type,)
            default = f.default_factory() if f.default is MISSING else f.default
            default = kinds[0]() if default is None else default
            if value is not None or NoneType not in kinds:
                _check(f.name, value, default, _LEAST.get(f.name, int(kinds[0] is int)))

    def __or__(self, changes):
        wrong = [key for key in changes if key not in {f.name for f in fields(self)}]
        if wrong:
            raise TypeError(f"{type(self).__name__} has no {', '.join(wrong)}")
        return replace(self, **changes)

    def arguments(self):
        """Everything that says what is computed."""
        return asdict(self)


@dataclass(frozen=True)
class Digits(Settings):
    """Of the exact path of chapter 5, on a topographic map of scikit-learn's digits."""

    n: int = 1000
    lam: float = 0.25
    lam_end: float = 3.5
    gam: float = 4.0
    seed: int = 0
    grid: int = 15
    features: int = 4
    ridge: float = 1e-3


@dataclass(frozen=True)
class Trained(Settings):
    """Of a network and its training."""

    data: str = "mnist"  # or "digits", "cifar10", a .npz file, a folder with train/ and test/
    root: str = "data"  # where MNIST or CIFAR-10 is
    download: bool = False
    device: str = "cpu"
    pool: int | None = None  # colour images are averaged over squares of so many pixels
    images_used: int | None = None  # the first so many of the training images
    network: str = "mlp"  # or "resnet"
    width: int = 64  # of the ResNet
    hidden: int = 256  # of the MLP
    codes: int = 16
    norm: str | None = "batch"
    dropout: float = 0.0
    head: int | None = 12  # the paper has a hidden layer of 12 in one place, none in another
    batch_size: int = 250
    start_epochs: int = 120
    epochs: int = 3
    save_every: float = 15.0  # seconds between checkpoints inside a stage
    seeds: list = field(default_factory=lambda: [0, 1, 2])
    options: dict = field(default_factory=dict)  # of the process

    def __post_init__(self):
        super().__post_init__()
        signatures = map(inspect.signature, (self.process, walk))
        parameters = {k: v for found in signatures for k, v in found.parameters.items()}
        known = [key for key, v in parameters.items() if v.kind is v.KEYWORD_ONLY]
        for name in ("options", "coarse"):
            wrong = [key for key in getattr(self, name, {}) if key not in known]
            if wrong:
                raise TypeError(f"{name}: {self.process.__name__} takes no {', '.join(wrong)}")


@dataclass(frozen=True)
class Curves(Trained):
    """Of figures 2, 3 and 4; the values are figure 2's."""

    process = staticmethod(iso_classification)
    lam: float = 0.25
    lam_end: float = 3.5
    gammas: list = field(default_factory=lambda: [4.0, 6.0, 8.0, 10.0, 15.0])
    variants: bool = True  # the first curve also without a corrector, and with the other set held
    compare: list = field(default_factory=lambda: [[4.0, 0]])  # (γ₀, seed) with both derivatives
    scratch: list = field(default_factory=lambda: [8.0])  # γ₀ whose end is compared
    frozen: bool = True  # the start of every curve trained on, its prices unchanged
    repeats: int = 4  # of copies, and below of Lemma 5, where both are compared
    images: int = 5_000
    batches: int = 2
    damping: float = 0.1
    options: dict = field(default_factory=lambda: dict(station=3))  # of the process
    # options of further seeds and of variants, which take longer steps, corrected less
    coarse: dict = field(default_factory=lambda: dict(step=0.14, tolerance=0.015, corrections=4))


@dataclass(frozen=True)
class Loops(Trained):
    """There and back on a tenth of MNIST, by epochs a stage."""

    process = staticmethod(walk)
    images_used: int | None = 6_000
    hidden: int = 128
    lam: float = 0.25
    lam_end: float = 3.5
    stages: int = 9  # one way, even in λ
    gammas: list = field(default_factory=lambda: [8.0, 4.0])
    lengths: list = field(default_factory=lambda: [3, 12, 48])  # epochs a stage
    rested: int = 2_000  # epochs of one start more, of the first γ₀ and length
    options: dict = field(
        default_factory=lambda: dict(tolerance=0.03, band=0.15, corrections=3, station=3)
    )


@dataclass(frozen=True)
class Transfers(Trained):
    """Of figures 5 and 6; the values are figure 5's, digits 0–4 -> 5–9, with a smaller network than
    the paper's and few images, so that the source can be trained for long.

    The paper does not say where in (λ, γ) it starts, nor the minibatch, epochs and steps.
    """

    process = staticmethod(walk)
    hidden: int = 128  # the paper: 400 units, 64 codes
    codes: int = 16
    dropout: float = 0.1
    head: int | None = None
    batch_size: int = 100
    start_epochs: int = 60
    round: int = 150  # epochs of a round of the source's last training
    rounds: int = 1
    lam: float = 1.0
    gam: float = 3.0
    source: list = field(default_factory=lambda: [0, 1, 2, 3, 4])
    target: list = field(default_factory=lambda: [5, 6, 7, 8, 9])
    size: int = 3_000  # images a stage
    tested: int | None = 2_500  # test images of source, and of target
    steps: int = 8
    # t of the first steps of a mixture with new classes, where a step h costs about h log 1/h
    early: list = field(default_factory=lambda: [0.0025, 0.005, 0.01, 0.02, 0.04, 0.08])
    speed: float = 0.0  # λ̇ of the heuristic
    k: float | None = 1.0  # slope of the geodesic
    # of another, where labels are paired: the direction of figure 5a, whose slope is about −3
    falling: float | None = -5.0
    kinds: list = field(default_factory=lambda: ["aligned", "mixture", "transport"])
    plan_images: int | None = 3_000
    options: dict = field(
        default_factory=lambda: dict(tolerance=0.03, band=0.15, corrections=3, station=4)
    )
    # tolerance and band of C and of D − kR, on a line
    line: list = field(default_factory=lambda: [[0.03, 0.01], [0.15, 0.05]])


# An image of 64 pixels has about a twelfth of the distortion of one of 784, so that λ starts higher
PAPER, PAPER5 = Curves(), Transfers()
SMALL = PAPER | dict(data="digits", hidden=64, codes=4, batch_size=50, start_epochs=100, epochs=10)
SMALL |= dict(lam=2.0, lam_end=8.0, gammas=[5.0, 10.0], seeds=[0], scratch=[10.0])
SMALL |= dict(compare=[[10.0, 0]], repeats=2, images=500, batches=2, coarse={})
SMALL |= dict(options=dict(step=0.15, tolerance=0.03, band=0.1))
SMALL5 = PAPER5 | dict(
    data="digits", hidden=64, codes=8, batch_size=50, start_epochs=150, epochs=10
)
SMALL5 |= dict(lam=4.0, gam=8.0, seeds=[0], size=700, steps=6, plan_images=None, early=[0.02, 0.06])
SMALL5 |= dict(falling=-3.0, round=30, line=[[0.05, 0.03], [0.3, 0.2]])
SMALL5 |= dict(options=dict(tolerance=0.05, band=0.3, corrections=2, station=3))

# Figures 3 and 6, on CIFAR-10: R, D and the prices; vehicles -> animals by the heuristic (38)
_COLOUR = dict(data="cifar10", network="resnet", codes=256)
_REDUCED = dict(width=8, codes=32, pool=2, seeds=[0])
PAPER3 = PAPER | _COLOUR | dict(lam=0.5, lam_end=1.4, compare=[], scratch=[], frozen=False)
PAPER3 |= dict(gammas=[5.0, 10.0, 15.0, 20.0], variants=False)
SMALL3 = PAPER3 | _REDUCED | dict(images_used=3_000, batch_size=100, start_epochs=30, epochs=3)
SMALL3 |= dict(gammas=[5.0, 10.0], coarse={})
SMALL3 |= dict(options=dict(step=0.08, settle=(0.3, 0.15), tolerance=0.05, band=0.2))
SMALL3 |= dict(options=SMALL3.options | dict(corrections=3, station=3))
PAPER6 = PAPER5 | _COLOUR | dict(dropout=0.0, start_epochs=300, lam=4.0, gam=100.0, speed=-1.5)
PAPER6 |= dict(source=[0, 1, 8, 9], target=[2, 3, 4, 5], kinds=["paired"], k=None, falling=None)
PAPER6 |= dict(batch_size=250, size=12_000, steps=12, round=3, tested=None)
SMALL6 = PAPER6 | _REDUCED | dict(images_used=20_000, batch_size=50, start_epochs=60, epochs=6)
SMALL6 |= dict(gam=20.0, size=2_000, steps=6)
SMALL6 |= dict(options=dict(tolerance=0.08, band=0.35, corrections=4, station=3))

_lock = threading.Lock()


def load(settings):
    """(x, y), (x_val, y_val) on the device: float32, pixels in [0, 1].

    settings.data is "digits" (1,500 and 297 images), "mnist" or "cifar10" under `root`, a `.npz`
    file, or a folder with `train` and `test` inside. With settings.pool = q colour images are
    averaged over squares of q×q pixels.

    Raises:
        FileNotFoundError, ValueError: as the loaders of `images`; training and test set of other
            classes or of another size of image
    """
    name, device = settings.data, dict(device=settings.device)
    if name == "digits":
        x, y = digits(dtype=torch.float32, **device)
        sets = (x[:1500], y[:1500]), (x[1500:], y[1500:])
    elif name in ("mnist", "cifar10"):
        loader = {"mnist": mnist, "cifar10": cifar10}[name]
        kept = dict(root=settings.root, download=settings.download, **device)
        sets = loader(train=True, **kept), loader(train=False, **kept)
    elif name.endswith(".npz"):
        sets = npz(name, split="train", **device), npz(name, split="test", **device)
    else:
        folders = Path(name) / "train", Path(name) / "test"
        gray = settings.network != "resnet"  # which takes three colours
        sets = tuple(image_folder(folder, gray=gray, **device) for folder in folders)
        # a label is the number of a sub-folder: with other sub-folders it would mean something else
        here, there = ({p.name for p in folder.iterdir() if p.is_dir()} for folder in folders)
        if here != there:
            raise ValueError(
                f"{name}: train and test must have the same classes, but {sorted(here ^ there)} "
                "are in one of them only"
            )
    (x, y), (x_test, y_test) = sets
    x, y = x[: settings.images_used], y[: settings.images_used]
    if settings.pool:
        x, x_test = _pooled(x, settings.pool), _pooled(x_test, settings.pool)
    if x.shape[1] != x_test.shape[1]:
        raise ValueError(
            f"{name}: training images have {x.shape[1]} numbers each, test images "
            f"{x_test.shape[1]}; they must be of one size"
        )
    sets = {"training": (x, y), "test": (x_test, y_test)}
    for split, data in sets.items():
        with about(f"{name}, {split} set"):
            check_data(*data, int(y.max()) + 1)
    return tuple(sets.values())


def _pooled(x, q):
    side = round((x.shape[1] / 3) ** 0.5)
    if 3 * side * side != x.shape[1] or side % q:
        raise ValueError(
            f"pool = {q} needs colour images of a side that it divides, got {x.shape[1]} numbers "
            "an image"
        )
    return torch.nn.functional.avg_pool2d(x.view(-1, 3, side, side), q).flatten(1)


def networks(settings, x, y, seed, classes=None):
    """An `Ensemble` of one with the paper's architecture for these images; its first weights are a
    function of the seed.

    They are drawn on the CPU in float32, whatever torch's default device and dtype are, and then
    moved to x's.
    """
    classes, D, d = classes or int(y.max()) + 1, x.shape[1], settings.codes
    single = _setting("default_dtype", torch.float32)
    with _lock, torch.device("cpu"), single, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # of the CPU alone, and given back as it was
        if settings.network == "resnet":
            images = (3, *2 * [round((D / 3) ** 0.5)]), settings.width
            parts = ResNetEncoder(d, *images), ConvolutionalDecoder(d, *images)
            member = *parts, Classifier((d, classes))
        else:
            h, kind = settings.hidden, (settings.norm, settings.dropout)
            head = (d, settings.head, classes) if settings.head else (d, classes)
            member = Encoder((D, h, d), *kind), Decoder((d, h, D), *kind), Classifier(head, kind[0])
    return Ensemble([tuple(m.to(x) for m in member)])


def ship(run, name, row, settings, path, end=None, **about):
    """Save a kept network of a run beside its checkpoint, under a name that ends with that which it
    was kept under, or with `end`: of which figure it is, how it is built, and its row.
    """
    tensors = {k: v[0] for k, v in run.kept[name].items()}
    sizes = "network", "width", "hidden", "codes", "norm", "dropout", "head"
    about |= dict(sizes={k: getattr(settings, k) for k in sizes}, row=rounded(row))
    about |= dict(figure=Path(path).parent.name)
    save_state(Path(path).with_suffix(f".{end or name}.safetensors"), tensors, about)


def state(name):
    """(`Ensemble` of one, about): a network that comes with the book, say "fig5_aligned_s0_held",
    or one of your own, by the path of its file; and how it was built and its row in the results.

    Raises `FileNotFoundError`, with the names that there are, and `ValueError` for a file that is
    damaged, or whose name is that of another figure than it was made for.
    """
    path = Path(name) if Path(name).suffix else STORED / "states" / f"{name}.safetensors"
    if not path.exists():
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.safetensors")))
        raise FileNotFoundError(f"no state {name!r}; there are {there}")
    tensors, about = load_state(path)
    if not path.stem.startswith(figure := about.get("figure", "")):
        raise ValueError(f"{path} has a network of {figure}: its name must begin with that")
    x = torch.zeros(1, about["pixels"], dtype=torch.float32, device="cpu")
    ensemble = networks(Curves() | about["sizes"], x, None, 0, about["classes"])
    ensemble.load({k: v[None] for k, v in tensors.items()})
    return ensemble, about


@contextlib.contextmanager
def _setting(name, value):
    """torch's global setting of this name for a while, and as it was afterwards."""
    before = getattr(torch, f"get_{name}")()
    getattr(torch, f"set_{name}")(value)
    try:
        yield
    finally:
        getattr(torch, f"set_{name}")(before)


# Small matrices: more threads cost more than they bring (one process a curve instead), and sums
# depend on how many there are
one_thread = _setting("num_threads", 1)


def _classes(data, wanted, names):
    """The images with these labels, which are renamed by the dict `names`."""
    x, y = data
    keep = torch.isin(y, torch.tensor(wanted, device=y.device))
    missing = sorted(set(wanted) - set(y.unique().tolist()))
    if missing:
        raise ValueError(
            f"no images with the labels {missing}: source and target classes must be in the data"
        )
    new = torch.tensor([names.get(v, -1) for v in range(int(y.max()) + 1)], device=y.device)
    return x[keep], new[y[keep]]


def task_of(settings, kind):
    """The task of one kind, the test sets of source and target, and the number of classes.

    Args:
        kind: "mixture", labels as they are, one output for each; "paired", a mixture with target
            classes named after source classes in the order of the settings; "aligned", named by
            `align_labels`; "transport", displacement along a plan that joins equal labels

    Raises:
        ValueError: another kind; a class of source or target is not in the data; other than for
            "mixture", numbers of classes that differ
    """
    if kind not in ("mixture", "paired", "aligned", "transport"):
        raise ValueError(
            f'kinds of task are "mixture", "paired", "aligned" and "transport", got {kind!r}'
        )
    train, test = load(settings)
    first, second = settings.source, settings.target
    if len(first) != len(second) and kind != "mixture":
        raise ValueError(
            f"source has {len(first)} classes and target {len(second)}: they cannot be paired"
        )
    here, there = ({c: k for k, c in enumerate(classes)} for classes in (first, second))
    if kind == "mixture":  # a class may be in both
        there = here | {c: len(here) + k for k, c in enumerate(c for c in second if c not in here)}
    source, target = _classes(train, first, here), _classes(train, second, there)
    if kind in ("aligned", "transport"):
        few = 300 * len(first)
        _, names, _ = align_labels(tuple(v[:few] for v in source), tuple(v[:few] for v in target))
        there = {c: names[k] for c, k in there.items()}
        target = _classes(train, second, there)
    ends = {"source": _classes(test, first, here), "target": _classes(test, second, there)}
    probes = {name: tuple(v[: settings.tested] for v in data) for name, data in ends.items()}
    if kind == "transport":
        n = settings.plan_images or len(source[0])
        source, target = (tuple(v[:n] for v in data) for data in (source, target))
        task = Displacement(source, target, plan_by_class(source, target), len(first))
        ends = [tuple(v[:n] for v in probes[name]) for name in ("source", "target")]
        moved = Displacement(*ends, plan_by_class(*ends), len(first))
        fewer = min(len(ends[0][0]), len(ends[1][0]))
        probes["test"] = lambda t: training_set(moved, t, fewer)
    else:
        task = Mixture(source, target)
    return task, probes, len(there)
