"""Figure 2 by `fe` against the obvious implementation, side by side in one run: python
benchmarks/training.py --root DATA

1. Figure 2 (five γ₀, one seed, λ from 0.25 to 3.5) on a fifth of MNIST: `fe` with one process a
   core, against a DataLoader loop that trains one curve after another with four equilibrations a
   step (base, λ + δ, γ + δ, and the step itself; seeds of their own, no corrector). Same network,
   minibatch, start and schedules; seconds and how far C has drifted are recorded for both, each at
   several settings: for the obvious one the 65 steps that the paper's figure 4b shows (it says 60
   to 70), as few steps as `fe` takes, and those with equilibrations four times as long. Of the
   obvious one some of the curves are run, and their mean is multiplied by five: its curves come one
   after another. It may use as many threads as torch takes by default, `fe` uses one a process.
2. The arithmetic of the training loop: its floating-point operations a second over those of float32
   matrix products of the same shapes.
3. Time for 1, 5, 25 and 100 members at once, on the CPU and on a GPU if there is one, against the
   plain loop.

Prints ratios and writes results/benchmark_training.json. Each part is written to a file beside it
as soon as it is done: the same command goes on after an interruption, and says which parts it took
from there. No test asserts a time; run it on a quiet machine, where it takes some fifty minutes.
"""

import argparse
import functools
import json
import math
import os
import pathlib
import statistics
import tempfile
import time

import torch
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import MNIST

import fe
from fe import reproduce
from fe.reproduce import images
from fe.retraining import Retraining
from fe.training import Ensemble, step_decay, train_ensemble

PAPER, IMAGES = reproduce.PAPER, 12_000
BATCH, START, EPOCHS, GAMMAS = (
    getattr(PAPER, name) for name in ("batch_size", "start_epochs", "epochs", "gammas")
)
# name -> steps, epochs an equilibration, the γ₀ of the curves that are run
OBVIOUS = {
    "obvious, the paper's steps": (65, EPOCHS, [8.0]),
    "obvious, few steps": (9, EPOCHS, [8.0, 15.0]),
    "obvious, few steps, long equilibrations": (9, 4 * EPOCHS, [8.0, 15.0]),
}
# name -> options of iso_classification: its own, those of figure 2's further seeds but for their
# stations, and looser ones
OURS = {
    "fe, tolerance 0.01": {},
    "fe": PAPER.coarse,
    "fe, loose": PAPER.coarse | dict(tolerance=0.05, band=0.15),
}


def figure_2():
    """The networks of the paper's figure 2, new."""
    return fe.Encoder((784, 256, 16)), fe.Decoder((16, 256, 784)), fe.Classifier((16, 12, 10))


def obvious(root, steps, epochs, gammas):
    """A DataLoader over torchvision's MNIST, four equilibrations a step, one curve after another.
    Seconds and largest drift of each.

    Test images are measured at every state too, as figure 2 shows them.
    """
    data = Subset(MNIST(root, train=True, transform=transforms.ToTensor()), range(IMAGES))
    unseen = MNIST(root, train=False, transform=transforms.ToTensor())

    def loss_terms(nets, x, y):
        mu, log_sigma = nets[0](x.flatten(1))
        z = mu + log_sigma.exp() * torch.randn_like(mu)
        R = (0.5 * (mu**2 + (2 * log_sigma).exp() - 1) - log_sigma).sum(1).mean()
        D = ((x.flatten(1) - nets[1](z)) ** 2).sum(1).mean()
        return R, D, torch.nn.functional.cross_entropy(nets[2](z), y)

    def train(nets, lam, gam, epochs, lr):
        nets.train()
        optimiser, loader = (
            torch.optim.Adam(nets.parameters(), lr=1e-3),
            DataLoader(data, batch_size=BATCH, shuffle=True),
        )
        step, steps = 0, epochs * len(loader)
        for _ in range(epochs):
            for x, y in loader:
                optimiser.param_groups[0]["lr"] = lr(step, steps)
                R, D, C = loss_terms(nets, x, y)
                optimiser.zero_grad()
                (R + lam * D + gam * C).backward()
                optimiser.step()
                step += 1

    def measure(nets, images=data):
        nets.eval()
        with torch.no_grad():
            values = [
                float(loss_terms(nets, x, y)[2]) for x, y in DataLoader(images, batch_size=BATCH)
            ]
        return sum(values) / len(values)

    def copy_of(nets):
        new = torch.nn.ModuleList(figure_2())
        new.load_state_dict(nets.state_dict())
        return new

    seconds, drifts = [], []
    for gam in gammas:
        began = time.perf_counter()
        torch.manual_seed(0)
        nets, lam = torch.nn.ModuleList(figure_2()), PAPER.lam
        train(nets, lam, gam, START, step_decay)
        train(nets, lam, gam, epochs, fe.schedule)
        target, largest = measure(nets), 0.0
        measure(nets, unseen)
        for k in range(1, steps + 1):
            ends = []
            for dl, dg in ((1, 1), (1.3, 1), (1, 1.3)):
                other = copy_of(nets)
                train(other, lam * dl, gam * dg, epochs, fe.schedule)
                ends.append(math.log(measure(other)))
            a, b = ends[1] - ends[0], ends[2] - ends[0]
            new = (
                math.sqrt(PAPER.lam) + k / steps * (math.sqrt(PAPER.lam_end) - math.sqrt(PAPER.lam))
            ) ** 2
            gam *= math.exp(max(-0.5, min(0.5, -a / b * math.log(new / lam))))
            lam = new
            train(nets, lam, gam, epochs, fe.schedule)
            largest = max(largest, abs(math.log(measure(nets) / target)))
            measure(nets, unseen)
        seconds.append(time.perf_counter() - began)
        drifts.append(largest)
    return dict(
        seconds_a_curve=seconds,
        largest_drift_of_ln_C=drifts,
        epochs_a_curve=START + epochs * (1 + 4 * steps),
    )


def ours(root, workers, options):
    """Seconds for all curves with workers that have been started, and for each the largest drift of
    ln C and the stages' seconds.
    """
    settings = PAPER | dict(
        root=root, images_used=IMAGES, seeds=[0], compare=[], scratch=[], options=options
    )
    with tempfile.TemporaryDirectory() as folder, reproduce.pool(workers) as pool:
        # the imports: the obvious loop has its own behind it too
        list(pool.map(time.sleep, [10.0] * workers))
        jobs = {f"g{g:g}": functools.partial(reproduce.path_job, settings, g, 0) for g in GAMMAS}
        began = time.perf_counter()
        found = reproduce.run_jobs(jobs, pool, pathlib.Path(folder), progress=False).values()
        seconds = time.perf_counter() - began
    for r in found:
        if r["stopped"]:
            raise RuntimeError(
                f"the curve from γ₀ = {r['gam']:g} did not arrive, its time says nothing: "
                f"{r['stopped']}"
            )
    drifts = [
        max(
            abs(math.log(row["classification"] / r["rows"][0]["classification"]))
            for row in r["rows"]
        )
        for r in found
    ]
    # the rest of seconds times cores: reading the data, and cores that are idle while the last
    # curve runs
    return dict(
        seconds=seconds,
        largest_drift_of_ln_C=drifts,
        steps=[len(r["rows"]) - 1 for r in found],
        stage_seconds_a_curve=[r["seconds"] for r in found],
    )


def scatter(root, gam, repeats=10):
    """Standard deviation of ln C over equilibrations that begin at one state and differ by their
    minibatches and noise alone.
    """
    train, _ = reproduce.load(PAPER | dict(root=root, images_used=IMAGES))
    run = Retraining(reproduce.networks(PAPER, *train, 0), train, batch_size=BATCH)
    run.stage(PAPER.lam, gam, START, step_decay)
    for _ in range(3):
        run.stage(PAPER.lam, gam, EPOCHS, keep="here")
    stages = (run.stage(PAPER.lam, gam, EPOCHS, start="here") for _ in range(repeats))
    return statistics.stdev(math.log(entry["classification"][0]) for entry in stages)


def epoch_seconds(members, x, y, repeats=3, batch_size=BATCH, capture=None, ensemble=None):
    nets = [net.to(x) for net in figure_2()]
    ensemble, times = ensemble or Ensemble([nets] * members), []
    how = dict(batch_size=batch_size, capture=capture)
    for repeat in range(repeats + 1):
        began = time.perf_counter()
        train_ensemble(ensemble, x, y, 0.5, 4.0, 1, 1e-3, repeat, **how)
        if x.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def arithmetic(x, y, batch_size, rounds=7):
    """Operations a second of the loop and of the matrix products in it: forward, and two backward
    (one for the first layer). By turns.
    """
    shapes = [(784, 256, 2), (256, 32, 3), (16, 256, 3), (256, 784, 3), (16, 12, 3), (12, 10, 3)]
    weights = [torch.randn(a, b) for a, b, _ in shapes]
    inputs = [torch.randn(batch_size, a) for a, _, _ in shapes]

    def products():
        for w, u in zip(weights, inputs):
            out = u @ w
            out @ w.T
            u.T @ out

    ensemble, batches = (
        Ensemble([figure_2()]),
        len(x) // batch_size,
    )
    work = sum(2 * a * b * times for a, b, times in shapes) * batch_size * batches
    full = sum(6 * a * b for a, b, _ in shapes) * batch_size * batches
    rates = {"loop": [], "matmul": []}
    for turn in range(rounds + 1):
        began = time.perf_counter()
        train_ensemble(ensemble, x, y, 0.5, 4.0, 1, 1e-3, turn, batch_size=batch_size)
        middle = time.perf_counter()
        for _ in range(batches):
            products()
        rates["loop"].append(work / (middle - began))
        rates["matmul"].append(full / (time.perf_counter() - middle))
    loop, matmul = (statistics.median(r[1:]) for r in rates.values())
    return dict(
        loop_gflops=loop / 1e9,
        matmul_gflops=matmul / 1e9,
        fraction=loop / matmul,
        seconds_an_epoch_of_60000=work / loop * 60_000 / len(x),
    )


def plain_seconds(x, y):
    """One epoch of the loop that a reader would write, on tensors, one model."""
    nets = torch.nn.ModuleList(figure_2()).to(x)
    optimiser, times = torch.optim.Adam(nets.parameters(), lr=1e-3), []
    for _ in range(4):
        began = time.perf_counter()
        for index in torch.randperm(len(x), device=x.device).split(BATCH):
            mu, log_sigma = nets[0](x[index])
            z = mu + log_sigma.exp() * torch.randn_like(mu)
            R = (0.5 * (mu**2 + (2 * log_sigma).exp() - 1) - log_sigma).sum(1).mean()
            loss = (
                R
                + 0.5 * (x[index] - nets[1](z)).square().sum(1).mean()
                + 4 * torch.nn.functional.cross_entropy(nets[2](z), y[index])
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if x.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


class Parts:
    """What has been measured so far, in a file: `parts(name, f)` is f() or, after an interruption,
    what f() gave then.
    """

    def __init__(self, path, **arguments):
        self.path, self.done = pathlib.Path(path), {"arguments": arguments}
        if self.path.exists():
            found = json.loads(self.path.read_text())
            if found["arguments"] != arguments:
                raise SystemExit(
                    f"{self.path} is of a run with {found['arguments']}: delete it or give the "
                    "same arguments"
                )
            self.done = found

    def __call__(self, name, f):
        if name in self.done:
            print(f"{name}: from {self.path}")
        else:
            began = time.perf_counter()
            self.done[name] = reproduce.rounded(
                dict(found=f(), seconds=time.perf_counter() - began)
            )
            reproduce.save_json(self.path, self.done)
        print(name, json.dumps(self.done[name]), flush=True)
        return self.done[name]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default="data", help="folder with MNIST/raw")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="processes (default: one a core)"
    )
    parser.add_argument("--out", default="results/benchmark_training.json")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    out = pathlib.Path(chosen.out)
    parts = Parts(
        out.with_suffix(".parts.json"),
        workers=chosen.workers,
        batch=BATCH,
        images=IMAGES,
        cores=os.cpu_count(),
    )
    x, y = (v[:IMAGES] for v in images.mnist(chosen.root))
    record = {
        "arithmetic": {
            str(b): parts(f"arithmetic, minibatch {b}", lambda b=b: arithmetic(x, y, b))["found"]
            for b in (100, BATCH)
        }
    }
    for device in ["cpu"] + (["cuda"] if torch.cuda.is_available() else []):
        xd, yd = x.to(device), y.to(device)
        plain = parts(f"plain loop, {device}", lambda: plain_seconds(xd, yd))["found"]
        members = {
            m: parts(
                f"{m} members, {device}",
                lambda m=m: epoch_seconds(m, xd, yd, repeats=1 if m > 5 and device == "cpu" else 3),
            )["found"]
            for m in ((1, 5, 25, 100) if device == "cuda" else (1, 5, 25))
        }
        record[f"members_{device}"] = dict(
            plain_loop_seconds=plain,
            seconds={str(m): s for m, s in members.items()},
            per_member_over_plain={str(m): s / m / plain for m, s in members.items()},
        )
    found = {
        name: parts(name, lambda: ours(chosen.root, chosen.workers, options))["found"]
        for name, options in OURS.items()
    }
    scattered = {
        f"{gam:g}": parts(f"scatter, γ = {gam:g}", lambda gam=gam: scatter(chosen.root, gam))[
            "found"
        ]
        for gam in (8.0, 15.0)
    }
    torch.set_num_threads(os.cpu_count())  # what torch would take of itself
    for name, (steps, epochs, gammas) in OBVIOUS.items():
        part = parts(name, lambda: obvious(chosen.root, steps, epochs, gammas))["found"]
        found[name] = dict(
            seconds=len(GAMMAS) * statistics.mean(part["seconds_a_curve"]),
            steps=steps,
            epochs=epochs,
            gammas=gammas,
            **part,
        )
    record["figure_2"] = dict(
        images=IMAGES,
        minibatch=BATCH,
        start_epochs=START,
        epochs=EPOCHS,
        workers=chosen.workers,
        cores=os.cpu_count(),
        found=found,
        scatter_of_ln_C_of_one_equilibration=scattered,
        ratio={
            ours_: {name: found[name]["seconds"] / found[ours_]["seconds"] for name in OBVIOUS}
            for ours_ in OURS
        },
    )
    print("ratios", json.dumps(record["figure_2"]["ratio"], indent=1))
    torch.set_num_threads(1)
    took = sum(part["seconds"] for name, part in parts.done.items() if name != "arguments")
    record = {
        "what": "figure 2 on a fifth of MNIST: fe against the obvious implementation; arithmetic; "
        "members at once",
        "provenance": reproduce.provenance(took, root="MNIST", workers=chosen.workers),
        **record,
    }
    reproduce.save_json(out, reproduce.rounded(record))
    parts.path.unlink()


if __name__ == "__main__":
    main()
