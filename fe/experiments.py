"""The paper's figures 2 and 4 as jobs: functions of plain arguments that return plain numbers, for any process anywhere.

`settings` says everything that the paper leaves open (data, widths, minibatch, epochs, steps, tolerance). "paper" is the
paper's network on MNIST, "small" the same on scikit-learn's digits, in a minute.
"""

import threading
from pathlib import Path

import torch

from .data import digits, image_folder, mnist, npz
from .ensemble import Ensemble, step_decay
from .errors import check_data
from .journal import Journal
from .networks import Classifier, Decoder, Encoder
from .retraining import ConstraintLost, Retraining, iso_classification

PAPER = dict(
    data="mnist", root="data", hidden=256, codes=16, norm="batch", batch_size=250, start_epochs=120, epochs=3, lam=0.25,
    lam_end=3.5, gammas=[4.0, 6.0, 8.0, 10.0, 15.0], seeds=[0, 1, 2], compare=[[4.0, 0]], scratch=[8.0], repeats=4,
    images=5_000, batches=2, damping=0.1, device="cpu",
    options={},  # of iso_classification; the curves of further seeds and the variants take longer steps, corrected less:
    coarse=dict(step=0.12, max_step=0.16, station=5, tolerance=0.015, corrections=4),
)
# An image of 64 pixels has about a twelfth of the distortion of one of 784, so that λ starts higher
SMALL = PAPER | dict(
    data="digits", hidden=64, codes=4, batch_size=50, start_epochs=100, epochs=10, lam=2.0, lam_end=8.0, gammas=[5.0, 10.0],
    seeds=[0], compare=[[10.0, 0]], scratch=[10.0], repeats=2, images=500, batches=2,
    options=dict(step=0.15, max_step=0.3, tolerance=0.03, band=0.1), coarse={},
)
_lock = threading.Lock()


def load(settings):
    """(x, y), (x_val, y_val) on the device: float32, pixels in [0, 1].

    data : "digits" (1,500 and 297 images), "mnist" under `root`, a `.npz` file, or a folder with `train` and `test` inside
    """
    name, device = settings["data"], settings["device"]
    if name == "digits":
        x, y = digits(dtype=torch.float32, device=device)
        sets = (x[:1500], y[:1500]), (x[1500:], y[1500:])
    elif name == "mnist":
        sets = tuple(mnist(settings["root"], train=train, device=device, download=settings.get("download", False)) for train in (True, False))
    elif name.endswith(".npz"):
        sets = tuple(npz(name, split=split, device=device) for split in ("train", "test"))
    else:
        sets = tuple(image_folder(Path(name) / split, device=device) for split in ("train", "test"))
    first = settings.get("images_used")  # the first so many of the training images
    sets = tuple(v[:first] for v in sets[0]), sets[1]
    classes = int(sets[0][1].max()) + 1
    for x, y in sets:
        check_data(x, y, classes)
    return sets


def networks(settings, x, y, seed):
    """An `Ensemble` of one with the paper's architecture for these images; its first weights are a function of the seed."""
    D, h, d, Y = x.shape[1], settings["hidden"], settings["codes"], int(y.max()) + 1
    with _lock, torch.random.fork_rng([]):  # torch's initialisation draws from the global generator
        torch.manual_seed(seed)
        norm = settings["norm"]
        members = Encoder((D, h, d), norm), Decoder((d, h, D), norm), Classifier((d, 12, Y), norm)
    return Ensemble([tuple(m.to(x) for m in members)])


class _Job:
    """Data, network, journal and progress file of one job. Progress is a number from 0 to 1 in a file beside the checkpoint."""

    def __init__(self, settings, seed, checkpoint, **what):
        if settings["device"] == "cpu":
            torch.set_num_threads(1)  # small matrices: more threads cost more than they bring; one process a curve instead
        (x, y), validation = load(settings)
        self.checkpoint = checkpoint and Path(checkpoint)
        relevant = {k: v for k, v in settings.items() if k not in ("root", "download", "gammas", "seeds", "compare", "scratch", "device", "save_every")}
        self.journal = Journal(self.checkpoint, relevant | dict(seed=seed) | what)
        self.run = Retraining(
            networks(settings, x, y, seed), x, y, validation, seed=seed, epochs=settings["epochs"],
            batch_size=settings["batch_size"], journal=self.journal, save_every=settings.get("save_every", 15.0),
        )

    def progress(self, fraction):
        if self.checkpoint:
            part = self.checkpoint.with_suffix(".progress.part")
            part.write_text(f"{fraction:.4f}")
            part.replace(self.checkpoint.with_suffix(".progress"))

    def finish(self, **result):
        self.progress(1)
        return result | dict(seconds=round(sum(e.get("seconds", 0.0) for e in self.journal.entries), 1), stages=len(self.journal.entries))


def path_job(settings, gam, seed, checkpoint=None, variant=None):
    """One curve of fig. 2: train from scratch at (λ, γ₀), then iso-classification to λ_end.

    variant : options of `iso_classification` that differ from the settings', for example {"corrector": False}
    Returns rows, derivatives by finite differences, and by linear response where settings["compare"] asks for both; for
    the first seed of the γ₀ in settings["scratch"] also `stays`, what the end of the curve becomes when it is trained on at
    its prices for as long as a model from scratch is.
    """
    job = _Job(settings, seed, checkpoint, gam=gam, variant=variant or {})
    run, lam, end, responses = job.run, settings["lam"], settings["lam_end"], []
    options = settings["options"] | (settings["coarse"] if seed or variant else {}) | (variant or {})
    if [gam, seed] in [list(c) for c in settings["compare"]] and not variant:
        def on_station(d):
            found, matrices = run.linear_response(d.lam, d.gam, settings["images"], settings["batches"], settings["damping"])
            responses.append(found._asdict() | dict(matrices=matrices))

        options = options | dict(repeats=settings["repeats"], on_station=on_station)
    share = 0.4  # of the work that the start takes, roughly
    run.on_progress = lambda M, epoch: job.progress(share * epoch / settings["start_epochs"]) if run.done == 0 else None

    def on_row(row):
        job.progress(share + (1 - share) * (row["lam"] ** 0.5 - lam**0.5) / (end**0.5 - lam**0.5) - 1e-3)

    try:
        rows, derivatives = iso_classification(
            run, lam, gam, end, start_epochs=settings["start_epochs"], start_lr=step_decay, on_row=on_row, **options
        )
        stopped = None
    except ConstraintLost as e:
        rows, derivatives, stopped = e.rows, [], str(e)
    stays = None
    if gam in settings["scratch"] and seed == settings["seeds"][0] and not (variant or stopped):
        at = rows[-1]["lam"], rows[-1]["gam"]
        run.stage(*at, settings["start_epochs"], step_decay)
        stays = _state(*at, run.stage(*at))
    return job.finish(gam=gam, seed=seed, variant=variant or {}, rows=rows, derivatives=[d._asdict() for d in derivatives],
                      responses=responses, stays=stays, stopped=stopped)


def _state(lam, gam, entry):
    state = {k: v[0] for k, v in entry.items() if isinstance(v, list)}
    return state | dict(lam=lam, gam=gam, F=state["rate"] + lam * state["distortion"] + gam * state["classification"])


def scratch_job(settings, lam, gam, seed, checkpoint=None):
    """A model trained from scratch at (λ, γ), like the start of a curve and its first equilibration, for comparison."""
    job = _Job(settings, seed, checkpoint, lam=lam, gam=gam)
    job.run.on_progress = lambda M, epoch: job.progress(0.99 * epoch / settings["start_epochs"])
    job.run.stage(lam, gam, settings["start_epochs"], step_decay)
    return job.finish(seed=seed, **_state(lam, gam, job.run.stage(lam, gam)))


def relaxation_job(settings, seed, checkpoint=None, before=(0.5, 1.0), after=(0.51, 1.04), epochs=100):
    """Fig. 4a: F at every epoch while a model in equilibrium at `before` goes to `after`, beside a copy that stays.

    The copies share minibatches and noise, so that their difference is what the change of (λ, γ) did.
    """
    job = _Job(settings, seed, checkpoint, before=list(before), after=list(after), relaxation=epochs)
    job.run.on_progress = lambda M, epoch: job.progress(0.5 * epoch / (settings["start_epochs"] if M == 1 else epochs) + 0.5 * (M > 1) - 1e-3)
    job.run.stage(*before, settings["start_epochs"], step_decay)
    prices = [[before[0], after[0]], [before[1], after[1]]]
    trace = job.run.stage(*prices, epochs, trace=True)["trace"]
    return job.finish(seed=seed, before=list(before), after=list(after), stays=[row[0] for row in trace], moves=[row[1] for row in trace])
