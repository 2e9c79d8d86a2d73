"""Checks of chapter 1's exercises. Each takes the reader's function, raises `AssertionError` with a
hint, or says what is right.
"""

import math

import torch

from ... import rate_distortion
from .answers import apart, array, near, number, on_cpu, several

F64 = torch.float64


def _law(generator, *shape):
    return torch.softmax(torch.randn(*shape, generator=generator, dtype=F64), -1)


def _uniform(generator, *shape):
    return torch.rand(*shape, generator=generator, dtype=F64)


def _same(got, want, rel=1e-9):
    return near(got, want, rel * max(1e-3, abs(float(want))))


@on_cpu
def check_convert(convert):
    """The numbers of the statement, then one code of random images whose three numbers are computed
    in both conventions.
    """
    generator = torch.Generator().manual_seed(4)
    cases = [(1e-4, 3.1, 60000.0, 2 * 60000 / 255**2)]
    for _ in range(4):
        x, drawings, m = (
            _uniform(generator, 6, 9),
            _uniform(generator, 4, 9),
            _law(generator, 4),
        )  # pixels from 0 to 1
        ours, theirs = (
            torch.cdist(x, drawings).square(),
            0.5 * torch.cdist(255 * x, 255 * drawings).square(),
        )
        lam, p = 10 ** float(-5 + 1.5 * _uniform(generator, 1)), torch.full((6,), 1 / 6, dtype=F64)
        e = torch.softmax(m.log() - lam * theirs, 1)  # the best encoder at the colleague's price
        cases.append(
            (
                lam,
                float(rate_distortion.rate(p, e, m)),
                float(rate_distortion.expected(p, e, theirs)),
                float(rate_distortion.expected(p, e, ours)),
            )
        )
    for lam_theirs, R, D_theirs, D in cases:
        answer = several(convert(lam_theirs, R, D_theirs), "convert", 3, "three things, λ, R and D")
        lam, rate, distortion = (number(v, "convert") for v in answer)
        right = lam_theirs * 255**2 / 2
        if _same(lam, right) and _same(rate, R) and _same(distortion, D):
            continue
        if not _same(rate, R):
            raise AssertionError(
                "the rate needs no conversion: a relative entropy does not change with the unit "
                "of x"
            )
        if not _same(distortion, D):
            for wrong, hint in (
                (D_theirs, "D is not converted: its unit is the square of a pixel's"),
                (D_theirs / 255**2, "the ½ is missing: the colleague's D is ½ · 255² times ours"),
                (
                    D_theirs / 255**2 / 2,
                    "the ½ is on the wrong side: ours is twice the colleague's D over 255²",
                ),
                (2 * D_theirs / 255, "pixels are squared, and so is the factor 255"),
            ):
                if _same(distortion, wrong):
                    raise AssertionError(hint)
            want, got = apart(D, distortion)
            raise AssertionError(
                f"the colleague's λ = {lam_theirs:.4g}, R = {R:.4g}, D = {D_theirs:.6g} mean D "
                f"= {want} with pixels from 0 to 1; you have {got}"
            )
        theirs, got = apart(lam_theirs * D_theirs, lam * distortion)
        raise AssertionError(
            f"λD is a rate and must not change: the colleague's is {theirs}, you have λD = {got}"
        )
    return "right: the same code, the same encoder, the same R + λD in both conventions"


@on_cpu
def check_close_gaps(close_gaps):
    """Exercise: the marginal e(z) and the decoder e(x|z) that make both bounds of eq. (2) tight."""
    generator = torch.Generator().manual_seed(1)
    cases = [
        (_law(generator, X), _law(generator, X, Z)) for X, Z in ((4, 4), (3, 2), (2, 5), (7, 3))
    ]
    cases.append(
        (_law(generator, 4), torch.eye(3, dtype=F64)[[0, 1, 2, 1]])
    )  # certain: e = 0 in places, every note in use
    for p, e in cases:
        X, Z = e.shape
        m, d = several(
            close_gaps(p.clone(), e.clone()),
            "close_gaps",
            2,
            "two things, the marginal and the decoder",
        )
        m = array(m, "close_gaps, first the marginal,", (Z,), ": one number for each note")
        joint = p[:, None] * e
        right_m, right_d = joint.sum(0), (joint / joint.sum(0)).T
        if not near(m, right_m, 1e-10):
            if near(m, e.mean(0), 1e-10):
                raise AssertionError(
                    "the marginal averages e(z|x) evenly over x: weigh each x with p(x)"
                )
            if near(m, torch.full_like(m, 1 / Z), 1e-10):
                raise AssertionError(
                    "the marginal is uniform: R − I = KL(e(z)‖m(z)) vanishes only at m(z) = e(z)"
                )
            raise AssertionError(
                "R − I = KL(e(z)‖m(z)) must vanish: the marginal is off by "
                f"{float((m - right_m).abs().max()):.2g}"
            )
        d = array(d, "close_gaps, second the decoder,")
        if d.shape != (Z, X):
            hint = "; is it transposed?" if d.shape == (X, Z) else ""
            raise AssertionError(
                f"the decoder must have shape (Z, X) = ({Z}, {X}), got {tuple(d.shape)}{hint}"
            )
        if not near(d, right_d, 1e-10):
            if near(d, e.T, 1e-10) or near(d, e.T / e.T.sum(1, keepdim=True), 1e-10):
                raise AssertionError(
                    "the decoder is the encoder turned round, without p(x): Bayes' rule weighs "
                    "each x with p(x)"
                )
            if X == Z and near(d, right_d.T, 1e-10):
                raise AssertionError(
                    "the decoder is transposed: rows are notes z, and each row sums to 1 over x"
                )
            if near(d, joint.T, 1e-10):
                raise AssertionError(
                    "this is the joint law p(x) e(z|x): divide by e(z), so that each row sums to 1"
                )
            raise AssertionError(
                "I − (H − D) must vanish: the decoder is not Bayes' rule e(x|z) = p(x) e(z|x) / "
                "e(z)"
            )
    return f"right: R = I and D = H − I for {len(cases)} encoders"


def _bracket_cases():
    """(p_x, energy, m, the minimum): random ones, energies of several hundred of both signs, one
    row far above another, a coin just below its critical price, one code.
    """
    generator = torch.Generator().manual_seed(2)
    fair, hamming = torch.tensor([0.5, 0.5], dtype=F64), 1 - torch.eye(2, dtype=F64)
    yield fair, hamming, torch.tensor([0.8, 0.2], dtype=F64), math.log(2 / (1 + math.exp(-1)))
    for X, Z, size in ((2, 2, 1.0), (5, 3, 3.0), (3, 7, 8.0), (4, 6, 900.0), (4, 3, -900.0)):
        p, energy, m = (
            _law(generator, X),
            size * (1 + _uniform(generator, X, Z)),
            _law(generator, Z),
        )
        yield (
            p,
            energy,
            m,
            float(rate_distortion.blahut_arimoto(p, energy, tol=1e-11 * max(1.0, abs(size))).value),
        )
    p, m = _law(generator, 3), _law(generator, 4)
    rest = 3 * _uniform(generator, 3, 4)  # a constant per row adds its mean to the minimum
    row = torch.tensor([-700.0, 20.0, 900.0], dtype=F64)
    yield (
        p,
        row[:, None] + rest,
        m,
        float(p @ row) + float(rate_distortion.blahut_arimoto(p, rest, tol=1e-11).value),
    )
    q, lam = (
        0.3,
        math.log(0.7 / 0.3) - 1e-3,
    )  # F = λq: below the critical price no code; the iteration takes 10⁴ steps to see it
    yield torch.tensor([1 - q, q], dtype=F64), lam * hamming, fair, lam * q
    p, energy = _law(generator, 4), _uniform(generator, 4, 1)
    yield p, energy, torch.ones(1, dtype=F64), float(p @ energy[:, 0])


@on_cpu
def check_bracket(bracket):
    """Exercise: any two numbers that hold the minimum and are no farther apart than G(m) and G(m) −
    max log c.
    """
    for p, energy, m, truth in _bracket_cases():
        answer = several(
            bracket(p.clone(), energy.clone(), m.clone()),
            "bracket",
            2,
            "two things, the lower and the upper end",
        )
        lower, upper = (number(v, "bracket") for v in answer)
        if not (math.isfinite(lower) and math.isfinite(upper)):
            raise AssertionError(
                "not finite at energies of several hundred: exp(−energy) underflows, or "
                "overflows "
                "if the energy is negative; use torch.logsumexp"
            )
        log_z = torch.logsumexp(m.log() - energy, 1)
        log_c = torch.logsumexp(p.log()[:, None] - energy - log_z[:, None], 0)
        G, gap = float(-(p @ log_z)), max(float(log_c.max()), 0.0)
        scale = max(1.0, float(energy.abs().max()))
        same = lambda got, want: near(got, want, 1e-10 * scale, scale)
        if (
            (lower <= truth or same(lower, truth))
            and (upper >= truth or same(upper, truth))
            and (upper - lower <= gap or same(lower, upper - gap))
        ):
            continue
        for wrong, hint in (
            (-G, "the sign: G is MINUS the average of log Z"),
            (float(-log_z.mean()), "the average over x must be weighed with p(x)"),
        ):
            if same(upper, wrong) and not same(upper, G):
                raise AssertionError(hint)
        if not (upper >= truth or same(upper, truth)):
            raise AssertionError(
                f"the upper end {upper:.4f} is below the minimum {truth:.4f}: the chapter's is "
                f"G(m) = −Σ p(x) log Z(x) = {G:.4f}"
            )
        for wrong, hint in (
            (G - float(log_c.exp().max()), "subtract max log c, not max c"),
            (G + gap, "the lower end lies above the upper one: subtract the gap"),
            (
                G - float(m @ log_c.exp()),
                "an average over m of c is always 1 and certifies nothing: take the largest "
                "log c "
                "over z",
            ),
            (
                G - float(m @ log_c),
                "an average of log c over m certifies nothing: take the largest log c over z",
            ),
        ):
            if gap > 1e-6 and same(lower, wrong):
                raise AssertionError(hint)
        if not (lower <= truth or same(lower, truth)):
            raise AssertionError(
                f"the lower end {lower:.6f} is above the minimum {truth:.6f}, so it bounds "
                f"nothing; the chapter's is G − max log c = {G - gap:.6f}"
            )
        raise AssertionError(
            "valid, but wider than the bound of the chapter: the minimum lies between "
            f"{G - gap:.6g} and {G:.6g} (G − max log c and G); you have {lower:.6g} and "
            f"{upper:.6g}"
        )
    return "right: the minimum lies between the two numbers, also at energies of several hundred"


def _rate(variances, D):
    """Σ max(0, ½ log(σ²/level)) with Σ min(σ², level) = D, by bisection on the level."""
    low, high = 0.0, float(variances.max())
    if float(variances.sum()) <= D:
        return 0.0
    for _ in range(200):
        level = 0.5 * (low + high)
        low, high = (level, high) if float(variances.clamp(max=level).sum()) < D else (low, level)
    return 0.5 * float((variances / high).clamp(min=1).log().sum())


@on_cpu
def check_gaussian_rate(gaussian_rate):
    """Exercise: R(D) of a Gaussian source by reverse water-filling."""
    stated = torch.tensor([0.25, 4.0, 1.0], dtype=F64)
    cases = [(stated, D) for D in (1.5, 0.3, 3.0, 2.25, 5.25, 7.0)]
    generator = torch.Generator().manual_seed(3)
    for n in (1, 2, 5, 12):
        variances = torch.exp(2 * torch.randn(n, generator=generator, dtype=F64))
        cases += [
            (variances, float(variances.sum()) * share)
            for share in (1e-3, 0.1, 0.5, 0.9, 0.999, 1.2)
        ]
    cases.append((torch.full((4,), 2.0, dtype=F64), 3.0))  # all alike
    for variances, D in cases:
        got = gaussian_rate(variances.clone(), D)
        if got is None:
            raise AssertionError(
                "gaussian_rate returned None: the stub is not filled in, or no case matched"
            )
        got, right = number(got, "gaussian_rate"), _rate(variances, D)
        if near(
            got, right, 1e-8 * max(1.0, right), max(1.0, right)
        ):  # closed form; bisection is welcome if it goes on to the end
            continue
        spread = 0.5 * float((variances * len(variances) / D).log().sum())
        if near(got, spread, 1e-8):
            raise AssertionError(
                f"at D = {D:.4g} the distortion is shared evenly: no direction can be worse "
                "than "
                "its own variance, the level must rise in the others"
            )
        if near(got, 2 * right, 1e-8):
            raise AssertionError("the ½ is missing: a direction costs ½ log(σ²/level)")
        if near(got, right / math.log(2), 1e-8):
            raise AssertionError("this is in bits: use natural logarithms")
        if got < 0:
            raise AssertionError(
                f"R(D) = {got:.3f} < 0 at D = {D:.4g}: a direction below the level, or D above "
                "the total variance, costs nothing"
            )
        shown = "[" + ", ".join(f"{float(v):.3g}" for v in variances) + "]"
        right, got = apart(right, got)
        raise AssertionError(
            f"R({D:.4g}) = {right} nats for the variances {shown}; got {got}. Does Σ "
            "min(σ², level) give D?"
        )
    return f"right: {len(cases)} sources and distortions, from all directions in use to none"


@on_cpu
def check_first_split(first_split):
    """Exercise: 1/(2σ₁²). What it means is tested here too: just below it c < 1 all around the
    mean, just above it c > 1 somewhere.
    """
    generator, data = torch.Generator().manual_seed(5), []
    for N, n, size, offset in (
        (40, 3, 1.0, 3.0),
        (25, 8, 1.0, 3.0),
        (6, 30, 0.2, 0.5),
        (200, 2, 5.0, -20.0),
    ):
        scales = size * (1 + torch.arange(n, dtype=F64))[torch.randperm(n, generator=generator)]
        mixing = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=F64))[0]
        data.append((torch.randn(N, n, generator=generator, dtype=F64) * scales) @ mixing + offset)
    data.append(
        torch.tensor([[-1.0, 2.0], [0.0, 2.0], [1.0, 2.0]], dtype=F64)
    )  # the numbers of the statement beside a pixel that is always the same
    for x in data:
        got, centred = number(first_split(x.clone()), "first_split"), x - x.mean(0)
        directions = torch.linalg.svd(centred, full_matrices=False)[2]
        variances = torch.linalg.svdvals(centred).square() / len(x)
        right = 1 / (2 * float(variances[0]))
        if _same(got, right, 1e-6):
            continue
        for wrong, hint in (
            (
                2 * right,
                "twice too large: with ‖x − x̂‖² and no ½, the second-order term of c is λ "
                "vᵀ(2λΣ "
                "− I)v",
            ),
            (
                1 / (2 * float(variances.sum())),
                "this takes the total variance: a drawing moves in one direction, so the "
                "largest "
                "eigenvalue counts",
            ),
            (
                1 / (2 * float(variances[-1])) if variances[-1] > 0 else math.inf,
                "this is where the last direction enters: the first to split is the one of "
                "largest variance",
            ),
            (1 / right, "this is 2σ₁²: the price is its inverse, large variance splits early"),
            (
                1 / (2 * float(x.square().mean(0).max())),
                "subtract the mean: what counts is the covariance",
            ),
            (
                1 / (2 * float(torch.linalg.eigvalsh(x.T @ x / len(x))[-1])),
                "subtract the mean: what counts is the covariance",
            ),
            (
                1 / (2 * float(x.var(0, correction=0).max())),
                "this takes the pixel of largest variance: the direction of largest variance "
                "need "
                "not be a pixel",
            ),
            (
                right * (len(x) - 1) / len(x),
                "too small, by the factor (N − 1)/N: the covariance here is the average over "
                "the "
                "N data, not over N − 1",
            ),
            (
                1 / (2 * float(variances[0]) ** 0.5),
                "σ₁² is a variance, you have used its square root",
            ),
        ):
            if _same(got, wrong, 1e-6):
                raise AssertionError(hint)
        if not got > 0 or not math.isfinite(got):
            raise AssertionError(f"a price is a positive number, you have {got:.4g}")
        unit = 1e-4 * directions * float(variances[0]) ** 0.5
        log_c = torch.logsumexp(got * (2 * centred @ unit.T - unit.square().sum(1)), 0) - math.log(
            len(x)
        )
        where = f"at λ = {got:.4g} " + (
            "a drawing beside the mean has c > 1 already"
            if log_c.max() > 0
            else "every drawing beside the mean still has c < 1"
        )
        raise AssertionError(
            f"too {'large' if got > right else 'small'}: the price is {right:.4g} for these "
            "data "
            f"{tuple(x.shape)}; {where}"
        )
    return (
        "right: just below this price c < 1 all around the mean, just above it c > 1 in one "
        "direction"
    )
