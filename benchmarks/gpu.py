"""What a GPU gives, in the order of what it decides: python benchmarks/gpu.py --root DATA

1. The tests that need one.
2. Figure 2's network on 12,000 images: seconds an epoch of 1, 5, 25, 75 and 100 members at once,
   step by step and as a captured graph, beside the loop that a reader would write.
3. All of figure 2 as one computation (`fe.reproduce fig2 --scale paper`), and how far its curves
   end from the stored ones, in units of their scatter between seeds.
4. The ResNet of figures 3 and 6 on 5,000 images of noise: seconds an epoch, and hours a seed by it.

A part that is done is kept beside the result, and the same command goes on after an interruption
(part 3 from its checkpoints). It says what it leaves out, and why. `--device cpu` tries parts 2 and
4 without a GPU, on `--images` few. Writes benchmark_gpu.json into the folder of your own results.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys

import torch
from training import BATCH, Parts, epoch_seconds, plain_seconds

import fe
from fe import reproduce
from fe.reproduce.records import STORED, own, read

ROOT, ENDS = pathlib.Path(__file__).resolve().parents[1], ("gam", "rate", "distortion", "F")


def tests():
    """What pytest says of the tests that a machine without a GPU skips."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "cuda or gpu"]
    done = subprocess.run([*command, "tests"], cwd=ROOT, capture_output=True, text=True)
    return dict(code=done.returncode, says=done.stdout.strip().splitlines()[-1])


def members(m, x, y):
    """Seconds an epoch of m members, eager and captured (None on a CPU)."""
    modes = (False, True) if x.is_cuda else (False,)
    eager, *captured = (epoch_seconds(m, x, y, capture=capture) for capture in modes)
    return dict(eager=eager, captured=captured[0] if captured else None)


def ends(record):
    """γ₀ -> name -> values where the curves end, one a seed."""
    found = {}
    for run in record["runs"]:
        for name in ENDS:
            place = found.setdefault(f"{run['gam']:g}", {}).setdefault(name, [])
            place.append(run["rows"][name][-1])
    return found


def distance(new, old):
    """γ₀ -> name -> (mean of new − mean of old)/standard deviation of old."""
    return {
        gam: {
            name: (statistics.mean(new[gam][name]) - statistics.mean(v)) / statistics.stdev(v)
            for name, v in row.items()
        }
        for gam, row in old.items()
        if gam in new
    }


def figure_2(root, device):
    settings = reproduce.PAPER | dict(root=root, device=device)
    record = reproduce.save(own() / "fig2.json", "fig2", settings, None)
    return dict(
        seconds=record["provenance"]["seconds"],
        stopped=[run["stopped"] for run in record["runs"] if run["stopped"]],
        ends_against_stored=distance(ends(record), ends(read(STORED / "fig2.json"))),
    )


def resnet(images, device):
    """Seconds an epoch of 50,000, and hours of a seed of figure 6: its start and four methods of
    equal compute.
    """
    x, y = torch.rand(images, 3 * 32 * 32, device=device), torch.arange(images, device=device) % 10
    settings = reproduce.PAPER6
    ensemble = reproduce.networks(settings, x, y, 0)
    how = dict(repeats=2, batch_size=settings.batch_size, ensemble=ensemble)
    seconds = epoch_seconds(1, x, y, **how) / images
    epochs = settings.start_epochs + 4 * 160  # a transfer in twelve steps spends some 160
    return dict(epoch=50_000 * seconds, hours_a_seed=settings.size * epochs * seconds / 3600)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="folder with MNIST/raw; without it no part 3")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else None)
    parser.add_argument("--images", type=int, default=12_000)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 5, 25, 75, 100])
    chosen = parser.parse_args(arguments)
    if not chosen.device:
        return print("no GPU: nothing done. --device cpu --images 500 tries parts 2 and 4 without")
    torch.set_num_threads(1)
    gpu = chosen.device.startswith("cuda")
    parts = Parts(own() / "benchmark_gpu.parts.json", **vars(chosen))
    x = torch.rand(chosen.images, 784, device=chosen.device)
    y = torch.arange(chosen.images, device=chosen.device) % 10
    if gpu:
        parts("tests", tests)
    parts("plain loop", lambda: plain_seconds(x, y))
    for m in chosen.members:
        parts(f"{m} members", lambda m=m: members(m, x, y))
    if gpu and chosen.root:
        parts("figure 2", lambda: figure_2(chosen.root, chosen.device))
    parts("ResNet", lambda: resnet(min(chosen.images, 5_000), chosen.device))
    left = [] if gpu else ["tests", "captured graphs"]
    left += [] if gpu and chosen.root else ["figure 2"]
    print(f"left out: {', '.join(left) or 'nothing'} (no GPU, or no --root)")
    took = sum(part["seconds"] for name, part in parts.done.items() if name != "arguments")
    record = dict(provenance=fe.reproduce.provenance(took, device=chosen.device), batch=BATCH)
    found = {name: part["found"] for name, part in parts.done.items() if name != "arguments"}
    reproduce.save_json(own() / "benchmark_gpu.json", reproduce.rounded(record | found))
    parts.path.unlink()


if __name__ == "__main__":
    main()
