"""Checks of chapter 5's exercises: they use problems with known answers and say what a failure
points to.
"""

import functools
import math

import torch

from ...path import QuasiStatic, follow
from .answers import array, near, number, on_cpu, several

F64 = torch.float64


def _numbers(value, name, n, what):
    return [
        number(v, f"{name}, part {i + 1},") for i, v in enumerate(several(value, name, n, what))
    ]


def _why(got, hints, tol, otherwise):
    """The first hint whose plausible wrong value is what was returned."""
    return next(
        (hint for value, hint in hints if near(got, value, tol * (1 + abs(value)))), otherwise
    )


def _root(slope, low, high):
    """Where an increasing function is zero, by bisection."""
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return middle


@on_cpu
def check_quadratic(quadratic):
    """`quadratic(a, b, lam)` for J = ½aθ² − λbθ, against a minimum found by bisection and
    differences of it.
    """
    g = torch.Generator().manual_seed(51)
    drawn = torch.rand(4, 3, generator=g, dtype=F64) * torch.tensor(
        [6.0, 8.0, 3.0], dtype=F64
    ) + torch.tensor([0.2, -4.0, 0.1], dtype=F64)
    for a, b, lam in ((3.0, -2.0, 0.7), (4.0, 2.0, 0.5), (2.0, 2.0, 3.0), *drawn.tolist()):
        got = _numbers(quadratic(a, b, lam), "quadratic", 4, "θ*, θ_λ, F and F_λλ")
        at = lambda lam: _root(lambda theta: a * theta - lam * b, -1e3, 1e3)
        F = lambda lam: 0.5 * a * at(lam) ** 2 - lam * b * at(lam)
        # F is a parabola and θ* a line: differences have no truncation error, and rounding 1e-16/h²
        # is small
        h = 1e-2
        want = [
            at(lam),
            (at(lam + h) - at(lam - h)) / (2 * h),
            F(lam),
            (F(lam + h) - 2 * F(lam) + F(lam - h)) / h**2,
        ]
        hints = {
            "θ*": [(-want[0], "the sign: aθ − λb = 0"), (want[1], "λ is missing")],
            "θ_λ": [
                (-want[1], "the sign"),
                (want[0], "this is θ* itself; differentiate it by λ"),
                (b, "divide by the stiffness a"),
            ],
            "F": [
                (-want[2], "the sign: F is below J(0) = 0"),
                (2 * want[2], "½aθ*² gives half of it back"),
                (want[0], "insert θ* into J"),
            ],
            "F_λλ": [
                (-want[3], "the sign: the parameters give way, and F is concave"),
                (0.0, "J_λλ = 0, but θ* moves with λ"),
                (2 * want[3], "F is −½λ²b²/a, so that the ½ and the 2 cancel"),
            ],
        }
        for name, w, v in zip(hints, want, got):
            if not near(v, w, 1e-6 * (1 + abs(w))):
                why = _why(v, hints[name], 1e-6, "a minimum has aθ = λb")
                raise AssertionError(
                    f"for a = {a:.4g}, b = {b:.4g}, λ = {lam:.4g} {name} is {w:.4f}, you say "
                    f"{v:.4f}: {why}"
                )
    return "right: the minimum, its motion, F and its curvature"


@on_cpu
def check_fold(fold):
    """`fold(eps)` for J = ⅓θ³ − εθ, ε = λ* − λ, against a minimum found by bisection and
    differences of it.
    """
    g = torch.Generator().manual_seed(52)
    drawn = (10 ** (6 * torch.rand(4, generator=g, dtype=F64) - 4)).tolist()  # from 1e-4 to 100
    for eps in (0.3, 1.0, 0.01, 40.0, 1e-6, *drawn):
        got = _numbers(fold(eps), "fold", 3, "μ, D and D_λ")
        at = lambda e: _root(lambda theta: theta**2 - e, 0.0, 100.0)
        theta, h = at(eps), 1e-4
        # J″ by differences of J′ = θ² − ε (exact for a parabola); D = ∂J/∂λ = θ since ∂ε/∂λ =
        # −1; λ
        # + h means ε − h
        mu = ((theta * (1 + h)) ** 2 - (theta * (1 - h)) ** 2) / (2 * h * theta)
        want = [mu, theta, (at(eps - h * eps) - at(eps + h * eps)) / (2 * h * eps)]
        hints = {
            "μ": [
                (theta, "this is θ; J″ = 2θ"),
                (2 * eps, "θ is the root of ε"),
                (-mu, "at θ = −√ε there is a maximum"),
            ],
            "D": [
                (-theta, "ε = λ* − λ, so ∂J/∂λ = +θ"),
                (eps, "θ is the root of ε"),
                (-2 / 3 * eps**1.5, "this is F; D = ∂J/∂λ"),
            ],
            "D_λ": [
                (-want[2], "the sign: ε falls as λ rises, and F is concave"),
                (2 * want[2], "d√ε/dε = 1/(2√ε)"),
                (-1 / mu**2, "b²/μ with μ = 2√ε, not 1/μ²"),
            ],
        }
        for name, w, v in zip(hints, want, got):
            if not near(
                v, w, 1e-5 * abs(w)
            ):  # differences of relative step 1e-4: relative error about 1e-8
                why = _why(v, hints[name], 1e-5, "the minimum is at θ = √ε")
                raise AssertionError(f"at ε = {eps:.4g} {name} is {w:.6g}, you say {v:.6g}: {why}")
    return "right: μ dies like a square root, D stays finite, D_λ does not"


@on_cpu
def check_gibbs_hessian(gibbs_hessian):
    """`gibbs_hessian(e, dH, ddH)` of Lemma 5 on random H(θ), against second derivatives of −E log Σ
    exp(−H).
    """
    for seed, (N, K, P), strength in (
        (3, (6, 5, 3), 1.0),
        (4, (1, 2, 1), 1.0),
        (5, (4, 3, 2), 12.0),
        (6, (3, 7, 5), 0.3),
    ):
        g = torch.Generator().manual_seed(seed)
        M, phase = (
            torch.randn(N, K, P, generator=g, dtype=F64),
            torch.randn(N, K, generator=g, dtype=F64),
        )
        H = lambda theta: (
            strength * (1.5 * torch.sin(M @ theta + phase) + 0.5 * (M @ theta).square())
        )
        theta = torch.randn(P, generator=g, dtype=F64)
        J = lambda th: -torch.logsumexp(-H(th), 1).mean()
        want = torch.func.jacrev(torch.func.grad(J))(theta)
        e, dH, ddH = (
            torch.softmax(-H(theta), 1),
            torch.func.jacrev(H)(theta),
            torch.func.jacrev(torch.func.jacrev(H))(theta),
        )
        mean, second = (
            torch.einsum("nk,nki->ni", e, dH),
            torch.einsum("nk,nki,nkj->ij", e, dH, dH) / N,
        )
        A = array(gibbs_hessian(e.clone(), dH.clone(), ddH.clone()), "gibbs_hessian")
        if A.numel() == P * P == 1:
            A = A.reshape(1, 1)
        assert A.shape == (P, P), (
            f"gibbs_hessian must return A of shape (P, P) = ({P}, {P}), got {tuple(A.shape)}"
        )
        if near(A, want, 1e-9, scale=float(second.abs().max() + want.abs().max())):
            continue
        complete = torch.einsum("nk,nkij->ij", e, ddH) / N
        first, pooled = mean.T @ mean / N, torch.outer(mean.mean(0), mean.mean(0))
        hints = {
            "only the complete information: subtract the covariance of ∇H": complete,
            "the sign of the missing information: codes that are not known make A smaller": complete
            + second
            - first,
            "⟨∇H ∇Hᵀ⟩ is not yet a covariance: add ⟨∇H⟩⟨∇H⟩ᵀ back": complete - second,
            "the mean was taken over codes and images at once: ⟨∇H⟩⟨∇H⟩ᵀ belongs to one image, "
            "and is averaged afterwards": complete - second + pooled,
            "images are summed: E is the average over them": N * want,
            "the weights e are missing: ⟨·⟩ averages under e, not over all codes evenly": ddH.mean(
                (0, 1)
            )
            - (
                torch.einsum("nki,nkj->ij", dH, dH) / (N * K)
                - torch.einsum("ni,nj->ij", dH.mean(1), dH.mean(1)) / N
            ),
        }
        why = next(
            (
                hint
                for hint, value in hints.items()
                if near(A, value, 1e-9, scale=float(second.abs().max()))
            ),
            "E[⟨∇²H⟩ − ⟨∇H ∇Hᵀ⟩ + ⟨∇H⟩⟨∇H⟩ᵀ]",
        )
        raise AssertionError(
            f"for {N} images, {K} codes, {P} parameters A differs from ∇²J by up to "
            f"{float((A - want).abs().max()):.2g}: {why}"
        )
    return "right: complete minus missing information"


@on_cpu
def check_turns(turns):
    """`turns(S)`: directions in which functions of SSᵀ do not change, n(n − 1)/2 of them,
    independent.
    """
    g = torch.Generator().manual_seed(2)
    for m, n in ((5, 2), (6, 3), (4, 4), (7, 5), (2, 2)):
        S, count = torch.randn(m, n, generator=g, dtype=F64), n * (n - 1) // 2
        U = array(turns(S.clone()), "turns")
        if U.ndim == 1 and count == 1 and len(U) == m * n:
            U = U[:, None]
        assert U.ndim == 2 and len(U) == m * n, (
            f"for S ({m}, {n}) turns must return {m * n} rows, one direction a column, got the "
            f"shape {tuple(U.shape)}"
        )
        if U.shape[1] == n * (n + 1) // 2:
            raise AssertionError(
                "n(n + 1)/2 columns: a generator of rotations is antisymmetric, its diagonal is "
                "zero"
            )
        assert U.shape[1] == count, (
            f"{n} codes can be turned in n(n − 1)/2 = {count} planes, you give {U.shape[1]} "
            "directions"
        )
        assert torch.isfinite(U).all(), "some entries are NaN or infinite"
        lengths = U.norm(dim=0)
        assert (lengths > 0).all(), (
            "a direction of zeros turns nothing: one for each pair of codes a < b"
        )
        U = U / lengths
        for _ in range(3):
            mix = torch.randn(m, m, generator=g, dtype=F64)
            J = lambda flat: torch.sin(
                mix * (flat.view(m, n) @ flat.view(m, n).T)
            ).sum()  # invariant under S → SQᵀ
            slope = torch.func.grad(J)(S.flatten())
            if not float((slope @ U).abs().max()) < 1e-5 * float(
                slope.norm()
            ):  # float32 leaves 1e-7
                raise AssertionError(
                    "J changes along a direction: S Qᵀ with Q = exp(sΩ) moves by −SΩ, Ω "
                    "antisymmetric (+1 in one corner, −1 in the other), "
                    "multiplied from the right"
                )
        rank = int(torch.linalg.matrix_rank(U, rtol=1e-5))
        assert rank == count, (
            f"only {rank} of the {count} directions are independent: one for each pair of "
            "codes a "
            "< b"
        )
    return "right: as many null directions as planes of rotation"


def _problems():
    """(what, J, θ*, p) with θ* a minimum of J(·, p): quadratic or not, J_pp of either sign and
    zero, several sizes.
    """
    for seed, (P, n) in enumerate(((5, 2), (3, 1), (4, 3), (1, 1), (2, 2))):
        g = torch.Generator().manual_seed(seed)
        draw = lambda *shape: torch.randn(*shape, generator=g, dtype=F64)
        root, B, G = draw(P, P), draw(P, n), draw(n, n)
        A, G = root @ root.T + torch.eye(P, dtype=F64), G + G.T
        p, theta = 0.3 + draw(n).abs(), draw(P)
        yield (
            "a quadratic J",
            lambda th, p, A=A, B=B, G=G: 0.5 * th @ A @ th - th @ B @ p + 0.5 * p @ G @ p,
            torch.linalg.solve(A, B @ p),
            p,
        )
        yield (
            "a J linear in p",
            lambda th, p, A=A, B=B: 0.5 * th @ A @ th - th @ B @ p,
            torch.linalg.solve(A, B @ p),
            p,
        )
        bare = lambda th, p, A=A, B=B, G=G: (
            0.5 * th @ A @ th
            + 0.25 * th.pow(4).sum()
            - torch.sin(th) @ B @ torch.sqrt(1 + p.square())
            + 2 * torch.log(torch.cosh(B.T @ th)) @ p
            + torch.exp(-0.5 * p @ G @ p)
        )
        push = torch.func.grad(bare)(theta, p)  # taken off, so that θ is stationary
        if torch.linalg.eigvalsh(torch.func.jacrev(torch.func.grad(bare))(theta, p))[0] > 0.1:
            yield (
                "a J that is not quadratic",
                lambda th, p, bare=bare, push=push: bare(th, p) - push @ th,
                theta,
                p,
            )


@on_cpu
def check_response(response):
    """`response(J, theta, p)` against the blocks of the Hessian of J in (θ, p) together, on
    quadratic and other problems.
    """
    for what, J, theta, p in _problems():
        P, n = len(theta), len(p)
        whole = torch.func.jacrev(torch.func.jacrev(lambda q: J(q[:P], q[P:])))(
            torch.cat([theta, p])
        )  # (P + n, P + n)
        A, B, J_pp = whole[:P, :P], -whole[:P, P:], whole[P:, P:]
        want = torch.linalg.solve(A, B)
        hess = J_pp - B.T @ want
        pair = several(
            response(J, theta.clone(), p.clone()), "response", 2, "two tensors, θ_p and Hess F"
        )
        got_p, got_h = (array(v, f"response, {name},") for v, name in zip(pair, ("θ_p", "Hess F")))
        if min(P, n) == 1 and got_p.numel() == P * n:
            got_p = got_p.reshape(P, n)
        if n == 1 and got_h.numel() == 1:
            got_h = got_h.reshape(1, 1)
        assert got_p.shape == (P, n), (
            f"θ_p must have the shape (P, n) = ({P}, {n}), got {tuple(got_p.shape)}"
        )
        assert got_h.shape == (n, n), (
            f"Hess F must have the shape (n, n) = ({n}, {n}), got {tuple(got_h.shape)}"
        )
        size = lambda m: 1 + float(m.abs().max())
        is_ = lambda got, value: near(
            got, value, 1e-6 * size(value), scale=10 * size(whole) * size(want)
        )
        where = f"for {what} with {P} parameters and {n} controls"
        if not is_(got_p, want):
            why = (
                "it has the wrong sign: b_q = −∂_q∇J, with the minus"
                if is_(got_p, -want)
                else "this is B itself: solve with A"
                if is_(got_p, B)
                else "is A the Hessian in θ alone, taken at θ and p?"
            )
            raise AssertionError(
                f"{where} θ_p is not A⁻¹B: {why} (off by up to "
                f"{float((got_p - want).abs().max()):.2g})"
            )
        if not is_(got_h, hess):
            why = (
                "the response must lower F, with the minus"
                if is_(got_h, J_pp + B.T @ want)
                else "J_pp is missing: D and C change at frozen θ too"
                if is_(got_h, -B.T @ want)
                else "J_pp is taken as −I, which this J has not: differentiate J in p twice"
                if is_(got_h, -torch.eye(n, dtype=F64) - B.T @ want)
                else "this is J_pp alone, as if the parameters were frozen"
                if is_(got_h, J_pp)
                else "Hess F is not J_pp − BᵀA⁻¹B"
            )
            raise AssertionError(
                f"{where} Hess F = J_pp − BᵀA⁻¹B differs by up to "
                f"{float((got_h - hess).abs().max()):.2g}: {why}"
            )
    return "right: θ_p and Hess F agree with the known answers"


@functools.cache
def _transitions():
    """(name, path): folds and pitchforks at several λ, in one dimension and in more, where the soft
    direction is one of many.
    """
    found = []
    cases = (
        ("fold", 0.25, 1, 0.0, 0.0, 1.0),
        ("pitchfork", 0.3, 1, 0.0, 0.0, 1.0),
        ("fold", 0.7, 4, 3.0, 0.0, 1.0),
        ("pitchfork", 0.65, 4, 3.0, 0.0, 1.0),
        ("fold", 0.45, 3, 5.0, 0.0, 1.0),
        ("pitchfork", 0.4, 2, 1.0, 0.0, 1.0),
        # a fold that starts near θ = 0 in a flat J, a pitchfork that starts far from it in a steep
        # one
        ("fold", 0.5, 1, 0.0, 1.0, 0.2),
        ("pitchfork", 0.55, 2, 2.0, -2.0, 3.0),
        # most of b acts elsewhere, and nearly all of it: small is not zero
        ("fold", 0.35, 3, 30.0, 0.0, 1.0),
        ("fold", 0.6, 3, 30_000.0, 0.0, 1.0),
    )
    for seed, (name, at, dimension, push, shift, size) in enumerate(cases):
        g = torch.Generator().manual_seed(seed)
        Q = torch.linalg.qr(torch.randn(dimension, dimension, generator=g, dtype=F64)).Q
        sign = -1.0 if seed % 4 else 1.0

        def J(theta, p, Q=Q, name=name, at=at, push=push, sign=sign, shift=shift, size=size):
            s, v = (Q.T @ theta)[0] - shift * sign, (Q.T @ theta)[1:]
            if name == "fold":  # the left well of ¼s⁴ − ½s² ends where its slope is 2/(3√3)
                soft = (
                    0.25 * s**4
                    - 0.5 * s**2
                    - sign * 2 / (3 * math.sqrt(3)) * (1 + 0.8 * (p[0] - at)) * s
                )
            else:
                soft = 0.25 * s**4 - 0.5 * (p[0] - at) * s**2
            return size * (soft + (2.5 * v.square() - push * p[0] * v).sum())

        start = torch.full((dimension,), 0.2 * push * 0.1, dtype=F64)
        start[0] = shift * sign - (sign if name == "fold" else 0.0)
        path = follow(
            J,
            Q @ start,
            torch.tensor([0.1], dtype=F64),
            QuasiStatic(torch.ones(1, dtype=F64)),
            at + 0.1,
            step=0.05,
            max_step=0.1,
        )
        assert len(path.jumps) == 1
        found.append((name, path))
    return found


@on_cpu
def check_kind(kind):
    """`kind(path)` on folds and pitchforks, in one dimension and in several."""
    for name, path in _transitions():
        said = kind(path)
        assert said is not None, (
            "kind returned None: the stub is not filled in; return 'fold' or 'pitchfork'"
        )
        said = str(said).strip().lower()
        assert said in ("fold", "pitchfork"), f"return 'fold' or 'pitchfork', got {said!r}"
        jump = path.jumps[0]
        where = (
            f"the transition at λ* = {float(jump.before.p[0]):.2f} with {len(jump.direction)} "
            f"parameter{'s' * (len(jump.direction) > 1)}"
        )
        why = (
            "b has no component along the null direction"
            if name == "pitchfork"
            else f"b acts along the null direction, if with a cosine of {jump.overlap:.1g} "
            "only: "
            f"there are {len(jump.direction)} directions"
        )
        assert said == name, (
            f"{where}: this is a {name} and you say {said}; the overlap is "
            f"{0.0 if jump.overlap < 1e-8 else jump.overlap:.1g}: {why}"
        )
    return "right: both kinds told apart"


@on_cpu
def check_energy_error(energy_error):
    """`energy_error(alphas, rho, k)` against ‖x − x_k‖_A computed from A itself."""
    for seed, (size, scale) in enumerate(((6, 1.0), (3, 1e-3), (8, 50.0), (2, 1.0))):
        g = torch.Generator().manual_seed(seed)
        root, b = (
            torch.randn(size, size, generator=g, dtype=F64),
            scale * torch.randn(size, generator=g, dtype=F64),
        )
        A = root @ root.T + torch.eye(size, dtype=F64)
        x, r, d, states, alphas, rho = torch.zeros_like(b), b.clone(), b.clone(), [], [], []
        for _ in range(size):
            states.append(x)
            alphas.append(r @ r / (d @ A @ d)), rho.append(r @ r)
            x, new = x + alphas[-1] * d, r - alphas[-1] * (A @ d)
            d, r = new + (new @ new) / (r @ r) * d, new
        alphas, rho, solution = torch.stack(alphas), torch.stack(rho), torch.linalg.solve(A, b)
        start = float((solution @ A @ solution).sqrt())
        for k in range(size + 1):
            error = solution - states[k] if k < size else torch.zeros(size, dtype=F64)
            want, got = (
                float((error @ A @ error).clamp_min(0).sqrt()),
                number(energy_error(alphas.clone(), rho.clone(), k), "energy_error"),
            )
            if near(got, want, 1e-6 * want + 1e-9 * start, scale=want + 1e-3 * start):
                continue
            done = float((alphas[:k] * rho[:k]).sum().sqrt())
            why = (
                "this is the square of the error: take the root"
                if near(got, want**2, 1e-6 * want**2 + 1e-12 * start**2)
                else "this sums the steps already done (j < k); the error is in those still to "
                "come (j ≥ k)"
                if near(got, done, 1e-6 * (done + start))
                else "sum α_j r_jᵀr_j over j ≥ k"
            )
            raise AssertionError(
                f"of {size} steps, after {k} the error is {want:.6g}, you have {got:.6g}: {why}"
            )
    return "right: the sum of the steps to come is the error"


@on_cpu
def check_cut_short(answer):
    """−Bᵀ K_T B by a polynomial of A: definite, singular and indefinite A, T from 0 to 3,000."""
    draw = torch.Generator().manual_seed(5)
    cases = [(torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=F64), torch.eye(2, dtype=F64), 0.25, 2)]
    for n, low, T in ((3, 0.1, 0), (4, 0.1, 1), (5, 0.1, 3000), (4, 0.0, 40), (6, -0.5, 12)):
        U = torch.linalg.qr(torch.randn(n, n, generator=draw, dtype=F64)).Q
        a = torch.cat([torch.tensor([low], dtype=F64), torch.rand(n - 1, generator=draw).to(F64)])
        cases.append(((U * a) @ U.T, torch.randn(n, 2, generator=draw, dtype=F64), 0.7, T))
    for A, B, eta, T in cases:
        a, U = torch.linalg.eigh(A)
        V = U.T @ B
        k = torch.stack([eta * (1 - eta * a) ** j for j in range(T)] or [0 * a]).sum(0)
        right = -V.T @ (k[:, None] * V)
        got = array(answer(A.clone(), B.clone(), eta, T), "cut_short", (2, 2))
        scale = float((V.T @ (k[:, None] * V)).abs().max()) or 1.0
        if near(got, right, 1e-8 * scale):
            continue
        alike = lambda wrong: near(got, wrong, 1e-6 * float(wrong.abs().max()))
        here = f"A with smallest eigenvalue {float(a[0]):.2g}, T = {T}: "
        if not torch.isfinite(got).all():
            raise AssertionError(here + "not finite. Nothing has to be inverted or divided by")
        if alike(-right):
            raise AssertionError(here + "the sign: F is concave, and −Bᵀ K_T B ⪯ 0 for small steps")
        if float(a[0]) > 0 and alike(-V.T @ (V / a[:, None])):
            raise AssertionError(here + "these are the slopes at rest, −Bᵀ A⁻¹ B")
        if T and alike(-eta * T * B.T @ B):
            raise AssertionError(here + "this is T times the first step; later steps feel A θ′ too")
        raise AssertionError(here + f"off by up to {float((got - right).abs().max()):.2g}")
    return "right: −Bᵀ K_T B for six matrices, also singular and indefinite ones, T from 0 to 3000"
