"""What a GPU gives, in the order of what it decides: python benchmarks/gpu.py --root DATA

1. The tests that need one.
2. Figure 2's network on 12,000 images: seconds an epoch of 1, 5, 25, 75 and 100 members at once,
   step by step and as a captured graph, beside the loop that a reader would write.
3. All of figure 2 as one computation (`fe.reproduce fig2 --scale paper`), and how far its curves
   end from the stored ones, in units of their scatter between seeds.
4. The ResNet of figures 3 and 6 on 5,000 images of noise: seconds an epoch, and hours a seed by it.

Figures 3 and 6 at full size are not made here, and how a GPU would make them best (bfloat16,
channels_last, compiled, one stage a command) is not built: part 4 times epochs in float32, and its
hours are extrapolated.

A part that is done is kept beside the result, and the same command goes on after an interruption
(part 3 from its checkpoints). What fails, for want of memory, of data or of a GPU, or a test, is
left out, with the reason in the result, and the same command tries it again. `--device cpu` tries
parts 2 and 4 without a GPU, on `--images` few. Writes benchmark_gpu.json into the folder of your
own results.
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
    """What pytest says of the tests that a machine without a GPU skips, `RuntimeError` if they
    fail.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "cuda or gpu"]
    done = subprocess.run([*command, "tests"], cwd=ROOT, capture_output=True, text=True)
    says = (done.stdout or done.stderr).strip().splitlines()[-1]
    if done.returncode:
        raise RuntimeError(says)
    return dict(says=says)


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
    """Made in a folder of its own: own() may have a figure 2 that a CPU has made."""
    settings = reproduce.PAPER | dict(root=root, device=device)
    record = reproduce.save(own() / "gpu" / "fig2.json", "fig2", settings, None, again=True)
    return dict(
        device=record["provenance"]["device"],
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
    arguments = {k: v for k, v in vars(chosen).items() if k != "root"}  # a wrong one may be mended
    parts = Parts(own() / "benchmark_gpu.parts.json", **arguments)
    left, failed = {} if chosen.root else {"figure 2": "no --root"}, {}
    left |= {} if gpu else dict.fromkeys(("tests", "captured graphs", "figure 2"), "no GPU")

    def part(name, f):
        try:
            parts(name, f)
        except (RuntimeError, ValueError, OSError) as e:  # torch's OutOfMemoryError is a first one
            failed[name] = f"{type(e).__name__}: {e}"
            print(f"{name}: left out, {failed[name]}", flush=True)

    x = torch.rand(chosen.images, 784, device=chosen.device)
    y = torch.arange(chosen.images, device=chosen.device) % 10
    if gpu:
        part("tests", tests)
    part("plain loop", lambda: plain_seconds(x, y))
    for m in chosen.members:
        part(f"{m} members", lambda m=m: members(m, x, y))
    if gpu and chosen.root:
        part("figure 2", lambda: figure_2(chosen.root, chosen.device))
    part("ResNet", lambda: resnet(min(chosen.images, 5_000), chosen.device))
    left |= failed
    print("left out:", ", ".join(f"{name} ({why})" for name, why in left.items()) or "nothing")
    done = {name: part for name, part in parts.done.items() if name != "arguments"}
    took = sum(part["seconds"] for part in done.values())
    record = dict(provenance=fe.reproduce.provenance(took, device=chosen.device), batch=BATCH)
    record |= dict(left_out=left) | {name: part["found"] for name, part in done.items()}
    reproduce.save_json(own() / "benchmark_gpu.json", reproduce.rounded(record))
    if not failed:
        parts.path.unlink()


if __name__ == "__main__":
    main()
