"""The process with trained networks: iso-classification by retraining (paper, eq. 22, 31; Remark
7).

`fe.process` follows an equilibrium that Newton's method finds to the last digit. A network trained
on minibatches has no such equilibrium: its C carries the noise of training, and equation (31) adds
that noise up step by step. So here

* derivatives come from five copies trained at (λ, γ), (λe^±δ, γ), (λ, γe^±δ) on common random
  numbers, for ln C and D
  against ln λ and ln γ, with a standard error from repeated runs;
* a step predicts γ from them, equilibrates, measures C on the whole data set, and then *corrects* γ
  by
  (ln C₀ − ln C)/(∂ln C/∂ln γ), equilibrating again, until C is within `tolerance`;
* a step that does not arrive is taken back and halved; where C does not answer to γ at all, the run
  stops and says so.
"""

import copy
import math
import time
from typing import NamedTuple

import torch

from .amortised import AmortisedObjective
from .equilibrium import schedule
from .gauss_newton import network_response
from .journal import Journal
from .training import Ensemble, evaluate, generator, refresh_statistics, train_ensemble

FEW = 20_000  # images on which statistics are refreshed, and several copies measured


class ConstraintLost(RuntimeError):
    """C could not be held: it left its band, or it does not answer to γ. `rows` holds the states
    recorded until then, `measured` the slopes.
    """

    def __init__(self, message, rows, measured):
        super().__init__(message)
        self.rows, self.measured = rows, measured

    def __reduce__(self):  # for process pools
        return type(self), (str(self), self.rows, self.measured)


class Derivatives(NamedTuple):
    """∂(D, ln C)/∂(ln λ, ln γ) at one point, and standard errors; `C_lam` and the like are read off
    them.
    """

    lam: float
    gam: float
    D: float
    C: float
    slopes: list  # [[∂D/∂ln λ, ∂D/∂ln γ], [∂ln C/∂ln λ, ∂ln C/∂ln γ]]
    errors: list  # their standard errors, same layout; NaN from one repeat

    def hessian(self):
        """[[D_λ, D_γ], [C_λ, C_γ]] = Hess F and its standard errors."""
        scale = [[1 / self.lam, 1 / self.gam], [self.C / self.lam, self.C / self.gam]]
        return tuple(
            [[v * s for v, s in zip(*row)] for row in zip(table, scale)]
            for table in (self.slopes, self.errors)
        )


class Retraining:
    """An ensemble of one, its data, and the journal of what was done to it. Each `stage` trains,
    then measures.

    Args:
        network: Ensemble of one member; it changes in place
        x, y: training set on the device, which may be replaced between stages
        validation: (x, y) or None
        probes: dict name -> (x, y), further sets on which the network is measured
        seed: every stage's minibatches and noise are functions of (seed, number of the stage)
        epochs, batch_size: of an equilibration
        journal: `Journal`
        save_every: seconds between checkpoints inside a stage
    """

    def __init__(
        self,
        network,
        x,
        y,
        validation=None,
        *,
        seed=0,
        epochs=3,
        batch_size=250,
        journal=None,
        on_progress=None,
        save_every=15.0,
        probes=None,
    ):
        self.network, self.x, self.y = network, x, y
        self.probes = ({"val": validation} if validation is not None else {}) | (probes or {})
        self.seed, self.epochs, self.batch_size = seed, epochs, batch_size
        self.journal, self.on_progress, self.save_every = (
            journal or Journal(),
            on_progress,
            save_every,
        )
        self.done, self.kept = 0, {"": network.state()}
        if not self.journal.entries:
            self._resume()

    def keep(self, name=""):
        """Remember the network as it is, for `back`."""
        if not self.replaying:
            self.kept[name] = self.network.state()

    def back(self, name=""):
        """The network as it was at the last `keep` of this name."""
        if not self.replaying:
            self.network.load(self.kept[name])

    @property
    def replaying(self):
        """Whether the next stage is one that the journal holds already: it is read there and
        nothing is trained.
        """
        return self.done < len(self.journal.entries)

    def _resume(self):
        if "network" in self.journal.tensors:
            self.network.load(self.journal.tensors["network"])
            self.kept = dict(self.journal.tensors["kept"])

    def answer(self, request, measure):
        """`measure()`, a dict of plain numbers, which the journal keeps with the request, a list
        that says what was asked for.

        While replaying it is what the journal holds instead, and nothing is measured. Raises
        `ValueError` if that answers another request.
        """
        if not self.replaying:
            before = self.network.state()
            try:
                entry = measure()
                self.journal.save(
                    dict(network=self.network.state(), kept=self.kept),
                    entry | dict(request=request),
                )
            except BaseException:  # an interruption too: as if it had not been asked
                self.network.load(before)
                raise
            self.done += 1
            return entry
        entry = copy.deepcopy(self.journal.entries[self.done])
        self._check(entry.pop("request"), request)
        self.done += 1
        if not self.replaying:
            self._resume()
        return entry

    def _check(self, found, request):
        if found != request:
            raise ValueError(
                f"stage {self.done} of the journal was {found}, and this run asks for {request}: "
                "it is the journal of another run"
            )

    def stage(self, lam, gam, epochs=None, lr=schedule, trace=False, number=None):
        """Train at (λ, γ), numbers or lists of M (then M copies, of which the first stays); R, D,
        C, accuracy of each.

        Minibatches and noise are those of stage `number` (default: the one that this is).
        Interrupted, it leaves the network as it was. Returns a dict of lists: rate, distortion,
        classification, accuracy, of copies on the first 20,000 images; without copies on all, and
        the same on the validation set (`val_rate`, …) and on every other probe; epochs trained,
        times M; seconds of training; with trace=True also `trace`, for every epoch from 0 and every
        member its (R, D, C).
        """
        lam, gam = ([float(v) for v in q] if isinstance(q, list) else float(q) for q in (lam, gam))
        if isinstance(gam, list) and not (isinstance(lam, list) and len(lam) == len(gam)):
            raise ValueError(
                "λ and γ must be two numbers, two lists of one length, or a list and a number, "
                f"got {lam} and {gam}"
            )
        epochs, number = epochs or self.epochs, self.done if number is None else number
        request = ["train", lam, gam, epochs, number, trace, self.seed, self.batch_size]
        return self.answer(
            request, lambda: self._train(lam, gam, epochs, lr, trace, number, request)
        )

    def _train(self, lam, gam, epochs, lr, trace, number, request):
        copies, n = isinstance(lam, list), FEW
        M = len(lam) if copies else 1
        ensemble = self.network if M == 1 else Ensemble([self.network[0]] * M)
        optimiser, first, spent, saved = None, 0, 0.0, time.monotonic()
        began, traced = saved, [self._traced(ensemble)] if trace else None
        partial = copy.deepcopy(self.journal.tensors.get("partial"))
        if partial:
            self._check(partial["request"], request)
            ensemble.load(partial["ensemble"])
            optimiser = torch.optim.Adam(ensemble.parameters(), fused=True)
            optimiser.load_state_dict(partial["adam"])
            first, spent, traced = partial["epoch"], partial["seconds"], partial["trace"]

        def on_epoch(epoch, optimiser, _):
            nonlocal saved
            if trace:
                traced.append(self._traced(ensemble))
            if self.on_progress:
                self.on_progress(M, epoch)
            if epoch < epochs and self.journal.path and time.monotonic() - saved > self.save_every:
                saved = time.monotonic()
                part = dict(
                    request=request,
                    ensemble=ensemble.state(),
                    adam=optimiser.state_dict(),
                    epoch=epoch,
                    trace=traced,
                    seconds=spent + time.monotonic() - began,
                )
                self.journal.save(self.journal.tensors | dict(partial=part))

        train_ensemble(
            ensemble,
            self.x,
            self.y,
            lam,
            gam,
            epochs,
            lr,
            (self.seed, number),
            batch_size=self.batch_size,
            first=first,
            adam=optimiser,
            on_epoch=on_epoch,
        )
        refresh_statistics(ensemble, self.x[:n], self.y[:n])
        measured = (
            evaluate(ensemble, self.x[:n], self.y[:n])
            if copies
            else evaluate(ensemble, self.x, self.y)
        )
        spent += time.monotonic() - began
        entry = {name: value.tolist() for name, value in measured._asdict().items()}
        if not copies:
            for name, (x, y) in self.probes.items():
                entry |= {
                    f"{name}_{k}": v.tolist()
                    for k, v in evaluate(ensemble, x, y, seed=1)._asdict().items()
                }
        if M > 1:
            self.network.load({k: v[:1] for k, v in ensemble.state().items()})
        return (
            entry
            | dict(epochs=epochs * M, seconds=round(spent, 2))
            | (dict(trace=traced) if trace else {})
        )

    def _traced(self, ensemble):
        """(R, D, C) of every member now, with refreshed statistics; training is not disturbed."""
        ensemble, x, y = copy.deepcopy(ensemble), self.x[:FEW], self.y[:FEW]
        refresh_statistics(ensemble, x, y)
        R, D, C, _ = evaluate(ensemble, x, y)
        return torch.stack([R, D, C], 1).tolist()

    def finite_differences(self, lam, gam, delta=0.3, repeats=1, epochs=None):
        """`Derivatives` from five copies on common random numbers; `repeats` runs one after another
        give the errors.
        """
        if not (delta > 0 and repeats >= 1):
            raise ValueError(f"need delta > 0 and repeats ≥ 1, got {delta} and {repeats}")
        tables, entry = [], None
        for _ in range(repeats):
            up, down = math.exp(delta), math.exp(-delta)
            entry = self.stage(
                [lam, lam * up, lam * down, lam, lam], [gam, gam, gam, gam * up, gam * down], epochs
            )
            D, C = torch.tensor(
                [entry["distortion"], entry["classification"]], dtype=torch.float64, device="cpu"
            )
            tables.append(
                torch.stack([torch.stack([v[1] - v[2], v[3] - v[4]]) for v in (D, C.log())])
                / (2 * delta)
            )
        table = torch.stack(tables)
        error = (
            table.std(0) / math.sqrt(repeats)
            if repeats > 1
            else torch.full_like(table[0], math.nan)
        )
        return Derivatives(
            lam,
            gam,
            entry["distortion"][0],
            entry["classification"][0],
            table.mean(0).tolist(),
            error.tolist(),
        )

    def linear_response(self, lam, gam, images=10_000, batches=3, damping=0.1):
        """`Derivatives` by Lemma 5 (`network_response`) on `batches` disjoint sets of `images`;
        their spread is the error.

        Returns Derivatives and the matrices used ("Hessian" or "Gauss-Newton").

        Raises:
            ValueError: batches or images below 1, or fewer than batches · images images
        """

        def measure(x, y):
            members = self.network[0]
            d = members[0](x[:1])[0].shape[1]
            noise = torch.randn(
                1,
                images,
                d,
                generator=generator(self.seed, self.done, 3),
                dtype=x.dtype,
                device="cpu",
            ).to(x.device)
            J = AmortisedObjective(*members, x, y, noise)
            found = network_response(
                J,
                J.theta0,
                torch.tensor([lam, gam], dtype=x.dtype, device=x.device),
                damping=damping,
            )
            return dict(hess=found.hess.tolist(), matrix=found.matrix, D=found.D, C=found.C)

        if not (batches >= 1 and 1 <= images <= len(self.x) // batches):
            raise ValueError(
                f"need batches ≥ 1 of images ≥ 1 each, in all at most the {len(self.x)} there "
                f"are, got {batches} of {images}"
            )
        tables, states, matrices = [], [], []
        for k in range(batches):
            part = slice(k * images, (k + 1) * images)
            entry = self.answer(
                ["response", float(lam), float(gam), images, k, damping, self.seed],
                lambda: measure(self.x[part], self.y[part]),
            )
            (D_lam, D_gam), (C_lam, C_gam) = entry["hess"]
            tables.append(
                [[D_lam * lam, D_gam * gam], [C_lam * lam / entry["C"], C_gam * gam / entry["C"]]]
            )
            states.append([entry["D"], entry["C"]])
            matrices.append(entry["matrix"])
        tables, states = (
            torch.tensor(v, dtype=torch.float64, device="cpu") for v in (tables, states)
        )
        error = (
            tables.std(0) / math.sqrt(batches)
            if batches > 1
            else torch.full_like(tables[0], math.nan)
        )
        return Derivatives(
            lam, gam, *states.mean(0).tolist(), tables.mean(0).tolist(), error.tolist()
        ), matrices


def row(entry, lam, gam):
    """What a stage at (λ, γ) has left of its first member: its numbers, the prices, and F = R + λD
    + γC.
    """
    state = {k: v[0] for k, v in entry.items() if isinstance(v, list)}
    return state | dict(
        lam=lam,
        gam=gam,
        F=state["rate"] + lam * state["distortion"] + gam * state["classification"],
    )


def iso_classification(
    run,
    lam,
    gam,
    lam_end,
    *,
    start_epochs=120,
    start_lr=None,
    step=0.06,
    max_step=0.07,
    tolerance=0.01,
    band=0.05,
    corrections=4,
    station=5,
    repeats=1,
    delta=0.3,
    settle=(0.1, 0.02),
    hold="train",
    corrector=True,
    on_row=None,
    on_station=None,
):
    """From a network trained at (λ, γ) to λ_end with C held at its first value.

    Args:
        run: Retraining
        start_epochs, start_lr: of the training from scratch that comes first
        step, max_step: in √λ
        tolerance: on `|ln C/C₀|`, to stop correcting
        band: to accept a step
        corrections: at most so many after a step
        station: accepted steps between two measurements of the derivatives
        settle: (nats of F, ln C) by which one more equilibration may change the start for it to
            count as an equilibrium
        hold: "train" or "validation", the set on which C is held
        corrector: False for the paper's recipe, to see it drift

    Returns:
        rows (list of dict), derivatives (list of Derivatives)

    Raises:
        ConstraintLost: C left the band however small the step, or ∂C/∂γ is not negative
        ValueError: not 0 < λ < λ_end, γ > 0 and step > 0; hold is something else, or "validation"
            without a validation set
    """
    if not (0 < lam < lam_end < math.inf and 0 < gam < math.inf and step > 0):
        raise ValueError(
            f"need 0 < λ < λ_end, γ > 0 and step > 0, got {lam}, {lam_end}, {gam} and {step}"
        )
    if hold not in ("train", "validation") or (hold == "validation" and "val" not in run.probes):
        raise ValueError(
            f'hold must be "train", or "validation" for a run with a validation set, got {hold!r}'
        )
    prefix = {"train": "", "validation": "val_"}[hold]
    rows, derivatives = [], []

    def measure(entry):
        return entry[f"{prefix}classification"][0]

    def record(entry, **more):
        rows.append(row(entry, lam, gam) | more)
        run.keep()
        if on_row:
            on_row(rows[-1])

    entry = run.stage(lam, gam, start_epochs, start_lr or 1e-3)
    rounds = 0
    while True:
        before, entry = entry, run.stage(lam, gam)
        rounds += 1
        F, F_before = (row(e, lam, gam)["F"] for e in (entry, before))
        settled = (
            abs(F - F_before) < settle[0]
            and abs(math.log(measure(entry) / measure(before))) < settle[1]
        )
        if settled or rounds == 6:
            break
    target = measure(entry)
    record(entry, step=0.0, corrections=rounds, miss=0.0, change_F=F - F_before)
    h, since = step, station
    while lam < lam_end * (1 - 1e-9):
        if since >= station:
            d = run.finite_differences(lam, gam, delta, repeats)
            derivatives.append(d)
            if on_station:
                on_station(d)
            since = 0
            along, lever = d.slopes[1]
            if not lever < -0.05:
                raise ConstraintLost(
                    f"at λ = {lam:.3g}, γ = {gam:.3g} C does not answer to γ: ∂ln C/∂ln γ = "
                    f"{lever:.3g} (should be well below 0)",
                    rows,
                    derivatives,
                )
        old = lam, gam
        lam = min((math.sqrt(lam) + h) ** 2, lam_end)
        now = rows[-1][f"{prefix}classification"] if corrector else target
        push = -along / lever * math.log(lam / old[0]) + math.log(target / now) / lever
        gam = gam * math.exp(max(-0.5, min(0.5, push)))
        entry = run.stage(lam, gam)
        miss, count = math.log(measure(entry) / target), 0
        first = miss
        while corrector and abs(miss) > tolerance and count < corrections:
            gam = gam * math.exp(max(-0.3, min(0.3, -miss / lever)))
            entry = run.stage(lam, gam)
            miss, count = math.log(measure(entry) / target), count + 1
        if corrector and abs(miss) > band:
            run.back()
            lam, gam = old
            h, since = h / 2, station
            if h < step / 16:
                raise ConstraintLost(
                    f"C left its band of {band:.0%} at λ = {lam:.3g}: {measure(entry):.4g} "
                    f"against {target:.4g}",
                    rows,
                    derivatives,
                )
            continue
        record(entry, step=h, corrections=count, miss=first, drift=miss)
        since += 1
        if corrector:
            h = min(max_step, h * (1.3 if abs(first) < 0.03 else 0.7 if abs(first) > 0.12 else 1.0))
    return rows, derivatives
