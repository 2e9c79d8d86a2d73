"""Linear response against what a reader would otherwise write, side by side in one run: python
benchmarks/response.py

1. one Hessian-vector product against one gradient;
2. θ_λ, θ_γ and Hess F by `fe.linear_response` against central differences of re-minimised models,
   by L-BFGS (the obvious way) and by our own Newton minimiser, each with the error of its Hess F
   against a reference;
3. peak memory against the number of images and of parameters, each size in a process of its own.

Prints ratios and writes results/benchmark_response.json. Times are medians; no test asserts them.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import torch

import fe
from fe.equilibrium import descend
from fe.reproduce import provenance, save_json
from fe.response import Local

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
P = torch.tensor([0.25, 4.0])


def median_time(f, repeats=7):
    f()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        f()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def model(n=1000, features=4):
    J = fe.TopographicMap(*fe.digits(n), features=features)
    return J, fe.minimise(J, J.initial(), P)


def products(J, e):
    theta = e.theta.clone().requires_grad_()

    def gradient():
        return torch.autograd.grad(J(theta, P), theta)

    local, v = Local(J, e.theta, P), torch.randn(len(e.theta))
    one, grad = median_time(lambda: local.hvp(v)), median_time(gradient)
    build = median_time(lambda: Local(J, e.theta, P))
    forward_over_reverse = median_time(
        lambda: torch.func.jvp(torch.func.grad(lambda th: J(th, P)), (e.theta,), (v,))
    )
    return {
        "gradient_ms": 1e3 * grad,
        "hvp_over_gradient": one / grad,
        "first_hvp_with_graph_over_gradient": (build + one) / grad,
        "jvp_of_grad_over_gradient": forward_over_reverse / grad,
    }


def differences(J, e, h, minimise):
    """Hess F and θ_q by central differences of re-minimised models, warm-started at the
    equilibrium.
    """
    theta_p, hess = [], []
    for q in range(2):
        ends = []
        for sign in (1, -1):
            p = P + sign * h[q] * torch.eye(2)[q]
            theta = minimise(p)
            ends.append((theta, Local(J, theta, p).dp))
        theta_p.append((ends[0][0] - ends[1][0]) / (2 * h[q]))
        hess.append((ends[0][1] - ends[1][1]) / (2 * h[q]))
    return torch.stack(theta_p, 1), torch.stack(hess, 1)


def response(J, e):
    reference = fe.linear_response(J, e.theta, P, rtol=1e-13)
    error = lambda hess: float(((hess - reference.hess) / reference.hess).abs().max())
    theta_error = lambda t: float(
        ((t - reference.theta_p).norm(dim=0) / reference.theta_p.norm(dim=0)).max()
    )
    rows = {}

    def measure(name, f, repeats):
        began = time.perf_counter()
        theta_p, hess = f()
        seconds = (
            time.perf_counter() - began if repeats == 1 else median_time(f, repeats)
        )  # the slow ones once
        rows[name] = {
            "seconds": seconds,
            "error_hess": error(hess),
            "error_theta": theta_error(theta_p),
        }

    def ours(**options):
        r = fe.linear_response(J, e.theta, P, **options)
        return r.theta_p, r.hess

    def newton(p):
        return fe.minimise(J, e.theta, p).theta

    def lbfgs(tol):
        def run(p):
            return descend(J, e.theta, p, tol, 3_000)[0]

        return run

    def richardson():
        coarse, fine = (differences(J, e, h, newton) for h in ((2e-3, 2e-2), (1e-3, 1e-2)))
        return tuple((4 * b - a) / 3 for a, b in zip(coarse, fine))

    # rtol of θ in the energy norm; the differences' h is near the best that truncation h² and
    # convergence allow
    measure("linear response, default", lambda: ours(), 5)
    measure("linear response, no stability check", lambda: ours(stability=False), 5)
    measure(
        "linear response, rtol 1e-4, no stability check",
        lambda: ours(stability=False, rtol=1e-4),
        5,
    )
    measure(
        "linear response, rtol 0.1, no stability check", lambda: ours(stability=False, rtol=0.1), 5
    )
    measure("differences, Newton to 1e-10", lambda: differences(J, e, (1e-3, 1e-2), newton), 1)
    measure("differences, Newton to 1e-10, Richardson", richardson, 1)
    measure("differences, L-BFGS to 1e-6", lambda: differences(J, e, (1e-2, 1e-1), lbfgs(1e-6)), 1)
    measure("differences, L-BFGS to 1e-8", lambda: differences(J, e, (1e-3, 1e-2), lbfgs(1e-8)), 1)
    return rows


def memory(images, pixels, grid, features):
    """Peak resident memory of one solve with A + 1000 I (θ is random, A indefinite) beyond what the
    imports leave, in MB, in a fresh process.
    """
    code = (
        "import torch, fe; torch.set_num_threads(1); torch.set_default_dtype(torch.float64)\n"
        "from fe.response import Local\n"
        f"x, y = torch.rand({images}, {pixels}), torch.arange({images}) % 10\n"
        f"J = fe.TopographicMap(x, y, grid={grid}, features={features})\n"
        "th, p = 0.1 * torch.randn(J.n_parameters), torch.tensor([0.25, 4.0])\n"
        "read = lambda key: int(open('/proc/self/status').read().split(key + ':')[1].split()[0]) "
        "/ 1024\n"
        # the peak starts anew here
        "open('/proc/self/clear_refs', 'w').write('5'); before = read('VmRSS')\n"
        "local = Local(J, th, p); B, _ = local.mixed()\n"
        "fe.conjugate_gradient(lambda v: local.hvp(v) + 1e3 * v, B)\n"
        "print(read('VmHWM') - before, J.n_parameters)"
    )
    env = os.environ | {
        "MALLOC_MMAP_THRESHOLD_": "65536"
    }  # freed memory goes back at once: the peak is of live tensors
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=env,
    ).stdout.split()
    return {
        "images": images,
        "pixels": pixels,
        "parameters": int(out[1]),
        "peak_mb": round(float(out[0]), 1),
    }


def main():
    began = time.perf_counter()
    J, e = model()
    record = {
        "what": "digits map, N = 1000, P = 1258, one thread",
        "products": products(J, e),
        "response": response(J, e),
    }
    rows = record["response"]
    base = rows["linear response, default"]["seconds"]
    record["ratios to the default"] = {name: row["seconds"] / base for name, row in rows.items()}
    record["memory against images"] = [memory(n, 64, 15, 4) for n in (10_000, 20_000, 40_000)]
    record["memory against parameters"] = [memory(200, d, 8, 8) for d in (4_000, 8_000, 16_000)]
    record["provenance"] = provenance(time.perf_counter() - began)
    save_json(
        pathlib.Path(__file__).resolve().parents[1] / "results" / "benchmark_response.json", record
    )
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
