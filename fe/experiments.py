"""The paper's figures as jobs: functions of plain arguments that return plain numbers, for any
process anywhere.

`settings` says everything that the paper leaves open (data, widths, minibatch, epochs, steps,
tolerance). For figures 2, 4 and 5 "paper" is the paper's network on MNIST and "small" the same on
scikit-learn's digits, in a minute. For figures 3 and 6 "paper" is ResNet-18 on CIFAR-10, for a GPU,
and "small" a quarter of its width on 16×16 pixels and a few thousand images.
"""

import contextlib
import threading
from pathlib import Path

import torch

from .data import cifar10, digits, image_folder, mnist, npz
from .errors import check_data
from .journal import Journal
from .networks import Classifier, ConvolutionalDecoder, Decoder, Encoder, ResNetEncoder, seeded
from .retraining import ConstraintLost, Retraining, iso_classification, row
from .tasks import Displacement, Mixture, align_labels, plan_by_class
from .training import Ensemble, step_decay
from .transfer import Fixed, GeodesicLaw, Heuristic, transfer

PAPER = dict(
    data="mnist",
    root="data",
    hidden=256,
    codes=16,
    norm="batch",
    batch_size=250,
    start_epochs=120,
    epochs=3,
    lam=0.25,
    lam_end=3.5,
    gammas=[4.0, 6.0, 8.0, 10.0, 15.0],
    seeds=[0, 1, 2],
    compare=[[4.0, 0]],
    scratch=[8.0],
    repeats=4,
    images=5_000,
    batches=2,
    damping=0.1,
    device="cpu",
    # of iso_classification; the curves of further seeds and the variants take longer steps,
    # corrected less:
    options={},
    coarse=dict(step=0.12, max_step=0.16, station=5, tolerance=0.015, corrections=4),
)
# An image of 64 pixels has about a twelfth of the distortion of one of 784, so that λ starts
# higher
SMALL = PAPER | dict(
    data="digits",
    hidden=64,
    codes=4,
    batch_size=50,
    start_epochs=100,
    epochs=10,
    lam=2.0,
    lam_end=8.0,
    gammas=[5.0, 10.0],
    seeds=[0],
    compare=[[10.0, 0]],
    scratch=[10.0],
    repeats=2,
    images=500,
    batches=2,
    options=dict(step=0.15, max_step=0.3, tolerance=0.03, band=0.1),
    coarse={},
)
# Figure 3: R, D and the prices of CIFAR-10
PAPER3 = PAPER | dict(
    data="cifar10",
    network="resnet",
    width=64,
    codes=256,
    lam=0.5,
    lam_end=1.4,
    gammas=[5.0, 10.0, 15.0, 20.0],
    compare=[],
    scratch=[],
)
SMALL3 = PAPER3 | dict(
    width=8,
    codes=32,
    pool=2,
    images_used=3_000,
    batch_size=100,
    start_epochs=30,
    epochs=3,
    gammas=[5.0, 10.0],
    seeds=[0],
    options=dict(
        step=0.06,
        max_step=0.1,
        tolerance=0.05,
        band=0.2,
        corrections=3,
        station=3,
        settle=(0.3, 0.15),
    ),
    coarse={},
)
# Figure 5: digits 0–4 -> 5–9. The paper does not say where in (λ, γ) it starts, nor the
# minibatch,
# epochs and steps
PAPER5 = dict(
    data="mnist",
    root="data",
    hidden=400,
    codes=64,
    norm="batch",
    dropout=0.1,
    head=None,
    batch_size=250,
    start_epochs=60,
    epochs=3,
    lam=1.0,
    gam=8.0,
    source=[0, 1, 2, 3, 4],
    target=[5, 6, 7, 8, 9],
    size=12_000,
    steps=12,
    seeds=[0, 1, 2],
    device="cpu",
    speed=0.0,
    kinds=["aligned", "mixture", "transport"],
    k=1.0,
    options=dict(tolerance=0.03, band=0.15, corrections=3, station=4),
    plan_images=12_000,
)
SMALL5 = PAPER5 | dict(
    data="digits",
    hidden=64,
    codes=8,
    batch_size=50,
    start_epochs=150,
    epochs=10,
    lam=4.0,
    gam=8.0,
    size=700,
    steps=6,
    seeds=[0],
    plan_images=None,
    options=dict(tolerance=0.05, band=0.3, corrections=2, station=3),
)
# Figure 6: vehicles -> animals, by the heuristic (38)
PAPER6 = PAPER5 | dict(
    data="cifar10",
    network="resnet",
    width=64,
    codes=256,
    dropout=0.0,
    start_epochs=300,
    lam=4.0,
    gam=100.0,
    speed=-1.5,
    source=[0, 1, 8, 9],
    target=[2, 3, 4, 5],
    kinds=["paired"],
    k=None,
    steps=12,
)
SMALL6 = PAPER6 | dict(
    width=8,
    codes=32,
    pool=2,
    gam=20.0,
    size=2_000,
    images_used=20_000,
    batch_size=50,
    start_epochs=60,
    epochs=6,
    seeds=[0],
    steps=6,
    options=dict(tolerance=0.08, band=0.35, corrections=4, station=3),
)
_lock = threading.Lock()


def load(settings):
    """(x, y), (x_val, y_val) on the device: float32, pixels in [0, 1].

    settings["data"] is "digits" (1,500 and 297 images), "mnist" or "cifar10" under `root`, a `.npz`
    file, or a folder with `train` and `test` inside. With settings["pool"] = q colour images are
    averaged over squares of q×q pixels.

    Raises:
        FileNotFoundError, ValueError: as the loaders of `fe.data`; training and test set of other
            classes or of another size of image
    """
    name, device = settings["data"], settings["device"]
    if name == "digits":
        x, y = digits(dtype=torch.float32, device=device)
        sets = (x[:1500], y[:1500]), (x[1500:], y[1500:])
    elif name in ("mnist", "cifar10"):
        loader, download = (
            {"mnist": mnist, "cifar10": cifar10}[name],
            settings.get("download", False),
        )
        sets = tuple(
            loader(settings["root"], train=train, device=device, download=download)
            for train in (True, False)
        )
    elif name.endswith(".npz"):
        sets = tuple(npz(name, split=split, device=device) for split in ("train", "test"))
    else:
        gray = settings.get("network") != "resnet"  # which takes three colours
        sets = tuple(
            image_folder(Path(name) / split, gray=gray, device=device)
            for split in ("train", "test")
        )
        here, there = (
            {p.name for p in (Path(name) / split).iterdir() if p.is_dir()}
            for split in ("train", "test")
        )
        if (
            here != there
            # a label is the number of a sub-folder: with other sub-folders it would mean
            # something else
        ):
            raise ValueError(
                f"{name}: train and test must have the same classes, but {sorted(here ^ there)} "
                "are in one of them only"
            )
    if settings.get("pool"):
        sets = tuple((_pooled(x, settings["pool"]), y) for x, y in sets)
    first = settings.get("images_used")  # the first so many of the training images
    sets = tuple(v[:first] for v in sets[0]), sets[1]
    if sets[0][0].shape[1] != sets[1][0].shape[1]:
        raise ValueError(
            f"{name}: training images have {sets[0][0].shape[1]} numbers each, test images "
            f"{sets[1][0].shape[1]}; they must be of one size"
        )
    classes = int(sets[0][1].max()) + 1
    for split, (x, y) in zip(("training", "test"), sets):
        try:
            check_data(x, y, classes)
        except (ValueError, TypeError) as e:
            raise type(e)(f"{name}, {split} set: {e}") from None
    return sets


def _pooled(x, q):
    side = round((x.shape[1] / 3) ** 0.5)
    if 3 * side * side != x.shape[1] or side % q:
        raise ValueError(
            f"pool = {q} needs colour images of a side that it divides, got {x.shape[1]} "
            "numbers "
            "an image"
        )
    return torch.nn.functional.avg_pool2d(x.view(-1, 3, side, side), q).flatten(1)


def networks(settings, x, y, seed, classes=None):
    """An `Ensemble` of one with the paper's architecture for these images; its first weights are a
    function of the seed.

    They are drawn on the CPU in float32, whatever torch's default device and dtype are, and then
    moved to x's.
    """
    classes = classes or int(y.max()) + 1
    D, d, norm, dropout = (
        x.shape[1],
        settings["codes"],
        settings["norm"],
        settings.get("dropout", 0.0),
    )
    head = settings.get(
        "head",
        12,
        # the paper has a classifier with a hidden layer of 12 in one place, a single layer in
        # another
    )
    with (
        _lock,
        torch.device("cpu"),
        _setting("default_dtype", torch.float32),
        seeded(seed),
    ):  # from the global generator
        if settings.get("network") == "resnet":
            shape = 3, round((D / 3) ** 0.5), round((D / 3) ** 0.5)
            members = (
                ResNetEncoder(d, shape, settings["width"]),
                ConvolutionalDecoder(d, shape, settings["width"]),
                Classifier((d, classes)),
            )
        else:
            h, sizes = settings["hidden"], (d, head, classes) if head else (d, classes)
            members = (
                Encoder((D, h, d), norm, dropout),
                Decoder((d, h, D), norm, dropout),
                Classifier(sizes, norm),
            )
    return Ensemble([tuple(m.to(x) for m in members)])


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


class _Job:
    """Data, network, journal and progress file of one job. Progress is a number from 0 to 1 in a
    file beside the checkpoint.
    """

    def __init__(
        self, settings, seed, checkpoint, train, validation=None, probes=None, classes=None, **what
    ):
        self.checkpoint = checkpoint and Path(checkpoint)
        if checkpoint:
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        apart = (
            "root",
            "download",
            "gammas",
            "seeds",
            "compare",
            "scratch",
            "device",
            "save_every",
            "kinds",
        )
        self.journal = Journal(
            self.checkpoint,
            {k: v for k, v in settings.items() if k not in apart} | dict(seed=seed) | what,
        )
        self.run = Retraining(
            networks(settings, *train, seed, classes),
            *train,
            validation,
            seed=seed,
            epochs=settings["epochs"],
            probes=probes,
            batch_size=settings["batch_size"],
            journal=self.journal,
            save_every=settings.get("save_every", 15.0),
        )

    def progress(self, fraction):
        if self.checkpoint:
            part = self.checkpoint.with_suffix(".progress.part")
            part.write_text(f"{max(fraction, 0.0):.4f}")
            part.replace(self.checkpoint.with_suffix(".progress"))

    def finish(self, **result):
        self.progress(1)
        return result | dict(
            seconds=round(sum(e.get("seconds", 0.0) for e in self.journal.entries), 1),
            stages=len(self.journal.entries),
        )


@one_thread
def path_job(settings, gam, seed, checkpoint=None, variant=None):
    """One curve of fig. 2: train from scratch at (λ, γ₀), then iso-classification to λ_end.

    Args:
        variant: options of `iso_classification` that differ from the settings', for example
            {"corrector": False}

    Returns:
        Rows, derivatives by finite differences, and by linear response where settings["compare"]
        asks for both; for the first seed of the γ₀ in settings["scratch"] also `stays`, what the
        end of the curve becomes when it is trained on at its prices for as long as a model from
        scratch is.
    """
    compare = [gam, seed] in [list(c) for c in settings["compare"]] and not variant
    job = _Job(
        settings, seed, checkpoint, *load(settings), gam=gam, variant=variant or {}, compare=compare
    )
    run, lam, end, responses = job.run, settings["lam"], settings["lam_end"], []
    options = (
        settings["options"] | (settings["coarse"] if seed or variant else {}) | (variant or {})
    )
    if compare:

        def on_station(d):
            images = min(
                settings["images"], len(run.x) // settings["batches"]
            )  # of a small set of one's own, all
            found, matrices = run.linear_response(
                d.lam, d.gam, images, settings["batches"], settings["damping"]
            )
            responses.append(found._asdict() | dict(matrices=matrices))

        options = options | dict(repeats=settings["repeats"], on_station=on_station)
    share = 0.4  # of the work that the start takes, roughly
    run.on_progress = lambda M, epoch: (
        job.progress(share * epoch / settings["start_epochs"]) if run.done == 0 else None
    )

    def on_row(row):
        job.progress(
            share + (1 - share) * (row["lam"] ** 0.5 - lam**0.5) / (end**0.5 - lam**0.5) - 1e-3
        )

    try:
        rows, derivatives = iso_classification(
            run,
            lam,
            gam,
            end,
            start_epochs=settings["start_epochs"],
            start_lr=step_decay,
            on_row=on_row,
            **options,
        )
        stopped = None
    except ConstraintLost as e:
        rows, derivatives, stopped = e.rows, e.measured, str(e)
    stays = None
    if gam in settings["scratch"] and seed == settings["seeds"][0] and not (variant or stopped):
        at = rows[-1]["lam"], rows[-1]["gam"]
        run.stage(*at, settings["start_epochs"], step_decay)
        stays = row(run.stage(*at), *at)
    return job.finish(
        gam=gam,
        seed=seed,
        variant=variant or {},
        rows=rows,
        derivatives=[d._asdict() for d in derivatives],
        responses=responses,
        stays=stays,
        stopped=stopped,
    )


@one_thread
def scratch_job(settings, lam, gam, seed, checkpoint=None):
    """A model trained from scratch at (λ, γ), like the start of a curve and its first
    equilibration, for comparison.
    """
    job = _Job(settings, seed, checkpoint, *load(settings), lam=lam, gam=gam)
    job.run.on_progress = lambda M, epoch: job.progress(0.99 * epoch / settings["start_epochs"])
    job.run.stage(lam, gam, settings["start_epochs"], step_decay)
    return job.finish(seed=seed, **row(job.run.stage(lam, gam), lam, gam))


@one_thread
def relaxation_job(
    settings, seed, checkpoint=None, before=(0.5, 1.0), after=(0.51, 1.04), epochs=100
):
    """Fig. 4a: F at every epoch while a model in equilibrium at `before` goes to `after`, beside a
    copy that stays.

    The copies share minibatches and noise, so that their difference is what the change of (λ, γ)
    did.
    """
    job = _Job(
        settings,
        seed,
        checkpoint,
        *load(settings),
        before=list(before),
        after=list(after),
        relaxation=epochs,
    )
    job.run.on_progress = lambda M, epoch: job.progress(
        0.5 * epoch / (settings["start_epochs"] if M == 1 else epochs) + 0.5 * (M > 1) - 1e-3
    )
    job.run.stage(*before, settings["start_epochs"], step_decay)
    prices = [[before[0], after[0]], [before[1], after[1]]]
    trace = job.run.stage(*prices, epochs, trace=True)["trace"]
    return job.finish(
        seed=seed,
        before=list(before),
        after=list(after),
        stays=[row[0] for row in trace],
        moves=[row[1] for row in trace],
    )


def _classes(data, wanted, names=None):
    """The images with these labels; labels renamed by the dict `names`."""
    x, y = data
    keep = torch.isin(y, torch.tensor(wanted, device=y.device))
    missing = sorted(set(wanted) - set(y.unique().tolist()))
    if missing:
        raise ValueError(
            f"no images with the labels {missing}: source and target classes must be in the data"
        )
    x, y = x[keep], y[keep]
    if names:
        y = torch.tensor([names.get(v, -1) for v in range(int(y.max()) + 1)], device=y.device)[y]
    return x, y


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
    first, second = settings["source"], settings["target"]
    if len(first) != len(second) and kind != "mixture":
        raise ValueError(
            f"source has {len(first)} classes and target {len(second)}: they cannot be paired"
        )
    here, there = ({c: k for k, c in enumerate(classes)} for classes in (first, second))
    if kind == "mixture":  # a class may be in both
        there = here | {c: len(here) + k for k, c in enumerate(c for c in second if c not in here)}
    source, target = _classes(train, first, here), _classes(train, second, there)
    names = {k: k for k in range(len(first))}
    if kind in ("aligned", "transport"):
        few = 300 * len(first)
        _, names, _ = align_labels(tuple(v[:few] for v in source), tuple(v[:few] for v in target))
        target = (
            target[0],
            torch.tensor([names[k] for k in range(len(first))], device=target[1].device)[target[1]],
        )
    probe = _classes(test, second, there)
    if kind != "mixture":
        probe = (
            probe[0],
            torch.tensor([names[k] for k in range(len(first))], device=probe[1].device)[probe[1]],
        )
    probes = {"source": _classes(test, first, here), "target": probe}
    if kind == "transport":
        n = settings["plan_images"] or len(source[0])
        source, target = (tuple(v[:n] for v in data) for data in (source, target))
        task = Displacement(source, target, plan_by_class(source, target), len(first))
    else:
        task = Mixture(source, target)
    return task, probes, len(there)


@one_thread
def transfer_job(settings, kind, seed, checkpoint=None):
    """Transfer from source to target by eq. (38), by eq. (30) if settings["k"] is a number, and
    their controls at equal compute.

    The controls spend as many epochs as the first transfer does, in as many stages: the same path
    of tasks with (λ, γ) fixed, the target at once from the trained network (fine-tuning), the
    target at once from new weights (scratch).
    """
    task, probes, classes = task_of(settings, kind)
    size, steps, lam, gam = settings["size"], settings["steps"], settings["lam"], settings["gam"]
    job = _Job(
        settings,
        seed,
        checkpoint,
        task.sample(0.0, size, seed),
        probes=probes,
        classes=classes,
        kind=kind,
    )
    run = job.run
    run.on_progress = lambda M, epoch: job.progress(min(0.98, run.done / (16 * steps)))
    run.stage(lam, gam, settings["start_epochs"], step_decay)
    run.keep("start")
    times = [k / steps for k in range(steps + 1)]
    found = {}

    def go(name, law, times, **options):
        run.back("start")
        try:
            rows, slopes = transfer(run, task, lam, gam, times, law, size=size, **options)
            found[name] = dict(rows=rows, slopes=[s._asdict() for s in slopes], stopped=None)
        except ConstraintLost as e:
            found[name] = dict(
                rows=e.rows, slopes=[s._asdict() for s in e.measured], stopped=str(e)
            )

    go("held", Heuristic(settings["speed"]), times, **settings["options"])
    spent = found["held"]["rows"][-1]["spent"] if found["held"]["rows"] else 0
    if found["held"]["stopped"]:  # then once more without a band, to see what it would have done
        go(
            "unbounded",
            Heuristic(settings["speed"]),
            times,
            **settings["options"] | dict(band=float("inf")),
        )
        spent = max([spent] + [row["spent"] for row in found["unbounded"]["rows"]])
    if settings["k"] is not None:
        go("geodesic", GeodesicLaw(settings["k"]), times, **settings["options"])
    epochs = max(1, round(spent / (steps + 1)))
    go("fixed", Fixed(), times, epochs=epochs)
    go("finetuned", Fixed(), [1.0] * (steps + 1), epochs=epochs)
    if not run.replaying:
        run.kept["start"] = networks(settings, run.x, run.y, 1000 + seed, classes).state()
    go("scratch", Fixed(), [1.0] * (steps + 1), epochs=epochs)
    floor = [task.label_entropy(t) for t in times] if kind == "transport" else [0.0] * len(times)
    return job.finish(kind=kind, seed=seed, epochs_a_stage=epochs, label_entropy=floor, runs=found)
