"""The figures that recompute, against `fe` and the chapters' closed forms. Each chapter's page is
loaded once; there its figure is set to ten random settings, and the numbers that it shows are read
from the page at full precision.
"""

import math
import random
import re

import numpy as np
import ot
import pytest
import stills
import torch
from playwright.sync_api import TimeoutError
from scipy.optimize import brentq
from test_pages import axe  # skipped like these, where there are no pages

import fe
from fe.transport import optimal_plan, squared_distances

from serving import HTML, PATIENCE

PAGES = {name: next(HTML.glob(f"book/{int(name[2:]):02d}-*.html"), None) for name in stills.names()}
SHOWN = """([name, settings]) => {
  const figure = feLive.figures[name];
  Object.assign(figure.settings, settings);
  figure.show();
  return Object.fromEntries([...document.querySelectorAll(`#fig-${name}-live data`)]
    .map(d => [d.dataset.name, parseFloat(d.value)]));
}"""
COMPUTE = """([name, settings]) => {
  const figure = feLive.figures[name];
  return figure.compute({...figure.settings, ...settings}).numbers;
}"""
# The rest of the chapter would be laid out anew at every change
ALONE = """name => {
  const figure = document.getElementById(`fig-${name}-live`);
  document.querySelector('article').replaceChildren(figure);
}"""
RTOL = 1e-6


def relative(shown, true):
    """How far apart two numbers are: of the larger, or absolutely where both are below 1e-6."""
    assert math.isfinite(shown) == math.isfinite(true), (shown, true)
    return abs(shown - true) / max(abs(true), abs(shown), 1e-6) if shown != true else 0.0


def prices(*values):
    return torch.tensor(values, dtype=torch.float64)


def exact(model, lam, gam):
    """R, D, C, F and Hess F at the exact equilibrium, as floats."""
    p = prices(lam, gam)
    D, C = model.gradient(p).tolist()
    return dict(R=float(model.rate(p)), D=D, C=C, F=float(model.free_energy(p)))


def gaussian(cov, k=1, dim_x=2):
    return fe.LinearGaussian(torch.tensor(cov, dtype=torch.float64), dim_x=dim_x, k=k)


def fold_or_fork(rng):
    s = dict(kind=rng.choice(["fold", "pitchfork"]), lam=rng.uniform(0.05, 0.38))
    s |= dict(h=rng.uniform(0.02, 0.6), n=rng.randrange(13))
    t = torch.func
    if s["kind"] == "fold":
        J = lambda theta, p: theta**4 / 4 - theta**2 / 2 - p * theta
        theta0 = brentq(lambda v: v**3 - v - s["lam"], -1.2, -(1 / 3**0.5))
    else:
        J, theta0 = lambda theta, p: theta**4 / 4 - (p - 0.5) * theta**2 / 2, 0.0
    force = t.grad(J)
    stiff, push = t.grad(force), t.grad(force, argnums=1)
    lam1, start = prices(s["lam"] + s["h"])[0], (prices(theta0)[0], prices(s["lam"])[0])
    mu = stiff(*start)
    theta = predicted = start[0] - s["h"] * push(*start) / mu
    for _ in range(s["n"]):
        theta = theta - force(theta, lam1) / stiff(theta, lam1)
    true = dict(theta0=theta0, mu=mu, predicted=predicted, lam1=lam1, n=s["n"], theta=theta)
    true |= dict(residual=force(theta, lam1), curvature=stiff(theta, lam1))
    return s, {k: float(v) for k, v in true.items()}


def iso(rng):
    s = dict(lam=rng.uniform(0.15, 1.2), gam=rng.uniform(2, 6.5))
    s |= dict(h=rng.uniform(0.05, 0.9), corrections=rng.randrange(4))
    c = 0.5 * 0.5**0.5
    card = gaussian([[1, 0, 0], [0, 0.5, c], [0, c, 1]])
    lam, gam = s["lam"], s["gam"]
    path = [(lam, gam)]
    C0 = exact(card, lam, gam)["C"]
    while lam + s["h"] <= 3 + 1e-9:
        hess = card.hessian(prices(lam, gam))
        lam, gam = lam + s["h"], gam - s["h"] * float(hess[1, 0] / hess[1, 1])
        for _ in range(s["corrections"]):
            q = prices(lam, gam)
            gam += (C0 - float(card.classification(q))) / float(card.hessian(q)[1, 1])
        if not float(card.hessian(prices(lam, gam))[1, 1]) < -1e-9:
            break  # the code has passed to the other pixel
        path.append((lam, gam))
    R, D, C = (np.array([exact(card, *p)[q] for p in path]) for q in "RDC")
    drift = 100 * (C / C0 - 1)
    true = dict(
        steps=len(path) - 1, lam=s["lam"], end=path[-1][0], C0=C0, C=C[-1], gamma=path[-1][1]
    )
    true |= dict(R=R[-1] - R[0], D=D[-1] - D[0])
    at = np.array(path)[:, 0]
    true["bill"] = -((at[1:] + at[:-1]) / 2 * np.diff(D)).sum()
    # with the corrector the drift is rounding, and its largest value is anywhere
    true["worst"] = drift[np.abs(drift).argmax()]
    return s, true


CLOSE = 1e-12


def geodesic(rng):
    name = rng.choice(["pixel", "louder"])
    s = dict(target=name, lam=rng.uniform(0.25, 9), k=rng.uniform(-4.8, 4.8))
    c = 0.5 * 0.5**0.5
    cov_s = np.array([[1, 0, 0.2], [0, 0.5, c], [0.2, c, 1]])
    cov_t = {
        "pixel": [[0.5, 0.1, c], [0.1, 1, 0.1], [c, 0.1, 1.1]],
        "louder": [[1.4, 0.1, 0.5], [0.1, 0.6, c], [0.5, c, 1.2]],
    }
    at = lambda t: gaussian((1 - t) * cov_s + t * np.array(cov_t[name]))
    C0, k, lam = exact(at(0.0), 1.0, 4.0)["C"], s["k"], s["lam"]

    def state(t, lam):
        model = at(t)
        miss = lambda gam: float(model.classification(prices(lam, gam))) - C0
        gam = brentq(miss, 0.2, 400, xtol=CLOSE, rtol=CLOSE)
        return exact(model, lam, gam) | {"gam": gam}

    held = lambda t, lam: (lambda q: q["D"] - k * q["R"])(state(t, lam))
    W0, star = held(0.0, lam), -1 / k
    ends = {}  # where the line stops: at λ* or at λ = 0
    if k < 0:
        ends[star] = lambda t: W0 - held(t, star)
    if k >= 0 or lam < star:
        ends[1e-4] = lambda t: held(t, 1e-4) - W0
    found = []
    for where, room in ends.items():
        grid = np.linspace(0, 1, 31)
        if below := [i for i, t in enumerate(grid) if room(t) <= 0]:
            bracket = grid[below[0] - 1], grid[below[0]]
            found.append((brentq(room, *bracket, xtol=CLOSE, rtol=CLOSE), where))
    if found:
        end, lam_end = min(found)
    else:
        side = (1e-4, star) if k < 0 and lam < star else (max(star, 1e-4), 40.0)
        miss = lambda v: held(1.0, v) - W0
        end, lam_end = 1.0, brentq(miss, *side, xtol=CLOSE, rtol=CLOSE)
    first, last = state(0.0, lam), state(end, lam_end)
    true = dict(lam=lam, k=k, one=1 + k * lam, end=end, R0=first["R"], D0=first["D"])
    return s, true | dict(R=last["R"], D=last["D"], lam_end=lam_end, gam_end=last["gam"])


def water(rng):
    variances = [rng.uniform(0.02, 2.4) for _ in range(5)]
    s = dict(lam=10 ** rng.uniform(-1, 1.4), k=rng.randrange(1, 6))
    cov = torch.diag(prices(*variances, 1.0))  # beside them a label that knows nothing
    model, lam = fe.LinearGaussian(cov, dim_x=5, k=s["k"]), s["lam"]
    true = exact(model, lam, 0.0) | dict(lam=lam, level=0.5 / lam, k=s["k"])
    later = [v for v in model.thresholds(gam=0.0).tolist() if v >= lam]
    true |= dict(active=model.active(prices(lam, 0.0)), next=min(later, default=math.inf))
    return s | {f"v{i}": v for i, v in enumerate(variances)}, true


def surface(rng):
    s = dict(lam=rng.uniform(0.05, 4), gam=rng.uniform(0.05, 4), mix=rng.uniform(0, 1))
    s |= dict(codes=rng.choice([1, 2]))
    half, noise = 0.5**0.5, 0.05**0.5
    root = np.array([[1.0, 0.0, 0.0], [0.0, half, 0.0], [s["mix"], half, noise]])
    model = gaussian(root @ root.T, k=s["codes"])
    hess = model.hessian(prices(s["lam"], s["gam"]))
    true = exact(model, s["lam"], s["gam"]) | dict(F_mixed=float(hess[0, 1]))
    return s, true | dict(lam=s["lam"], gam=s["gam"])


def line_of_codes(rng):
    s = dict(lam=10 ** rng.uniform(-1, 1.7), gam=rng.uniform(0, 8), x=rng.uniform(-1, 1))
    s |= dict(label=rng.choice("01"))
    z = torch.linspace(-3, 3, 121, dtype=torch.float64)
    log_m = torch.log_softmax(-(z**2) / 2, 0)
    log_d = -((s["x"] - (1.3 * z).cos()) ** 2)[None]
    log_c = torch.nn.functional.logsigmoid(3 * z if s["label"] == "1" else -3 * z)[None]
    log_joint = log_m + s["lam"] * log_d[0] + s["gam"] * log_c[0]
    law, blind = torch.softmax(log_joint, 0), torch.softmax(log_m + s["lam"] * log_d[0], 0)
    true = dict(F=-torch.logsumexp(log_joint, 0))
    true |= dict(R=law @ (law.log() - log_m), D=-law @ log_d[0], C=-law @ log_c[0])
    true |= dict(right=100 * law[z > 1e-9].sum(), C_blind=-blind @ log_c[0])
    true |= dict(unseen=blind @ (blind.log() - law.log()))
    return s, {name: float(value) for name, value in true.items()}


def uniform(k):
    """mulberry32 at the places k (int64), each in (0, 1)."""
    mask = np.uint64(0xFFFFFFFF)
    times = lambda a, b: (a * b) & mask
    a = times(k.astype(np.uint64) + np.uint64(1), np.uint64(0x6D2B79F5))
    a = times(a ^ (a >> np.uint64(15)), a | np.uint64(1))
    a ^= (a + times(a ^ (a >> np.uint64(7)), a | np.uint64(61))) & mask
    return ((a ^ (a >> np.uint64(14))) + 0.5) / 2**32


def double_well(rng):
    s = dict(step=10 ** rng.uniform(-1.6, 0.25), n=10 ** rng.uniform(0, 3))
    s |= dict(w=rng.uniform(-1.8, 1.8))
    J = lambda w: 0.5 * np.log(1 + 2 * w**2) + 1 / (1 + 2 * w**2)  # the chapter's J1 and dJ1
    force = lambda w: 2 * w * (1 + 2 * w**2 - 2) / (1 + 2 * w**2) ** 2
    w, walkers, steps = s["w"], np.full(1000, 0.5**0.5), round(s["n"])
    pair = np.arange(1000) - np.arange(1000) % 2
    for k in range(steps):
        radius = np.sqrt(-2 * np.log(uniform(1000 * k + pair)))
        angle = 2 * np.pi * uniform(1000 * k + pair + 1)
        noise = radius * np.where(np.arange(1000) % 2, np.sin(angle), np.cos(angle))
        w, walkers = w - s["step"] * force(w), walkers - s["step"] * (force(walkers) + noise)
    share = np.histogram(walkers, 40, (-2, 2))[0] / 1000

    def off(T):
        inner = (np.arange(2000) + 0.5) / 2000 * 4 - 2
        mass = np.exp(-J(inner) / T).reshape(40, 50).mean(1)
        return 0.5 * np.abs(share - mass / mass.sum()).sum()

    T = s["step"] / 2
    true = dict(w=s["w"], steps=steps, w_n=w, J_n=J(w), T=T, height=(J(0.0) - J(0.5**0.5)) / T)
    return s, true | dict(other=(walkers < 0).mean(), tv=off(T), tv_printed=off(2 * T))


def two_tasks(name):
    c = 0.5 * 0.5**0.5
    covs = {
        "ch7": ([[1, 0, 0], [0, 0.5, c], [0, c, 1]], [0.7, 0.1, 0.5, 1.2, 0.3, 1]),
        "ch10": ([[1, 0, 0.2], [0, 0.5, c], [0.2, c, 1]], [0.5, 0.1, c, 1, 0.1, 1.1]),
    }
    S, (xx, xz, xy, zz, zy, yy) = covs[name]
    S, T = np.array(S), np.array([[xx, xz, xy], [xz, zz, zy], [xy, zy, yy]])
    return lambda t: gaussian((1 - t) * S + t * T)


def mixture(rng):
    s = dict(t=rng.uniform(0, 1), lam=rng.uniform(0.1, 4), gam=rng.uniform(0.1, 6))
    at, p = two_tasks("ch7"), prices(s["lam"], s["gam"])
    theta = at(s["t"]).optimum(p)
    Js, Jt = float(at(0.0)(theta, p)), float(at(1.0)(theta, p))
    W1, W2, V = (theta if theta[2] >= 0 else -theta).tolist()
    true = exact(at(s["t"]), *p.tolist()) | dict(t=s["t"], Js=Js, Jt=Jt, F_t=Jt - Js)
    return s, true | dict(W1=W1, W2=W2)


def forgetting(rng):
    s = dict(t=rng.uniform(0, 1), K=rng.randrange(1, 21))
    s |= dict(lam=rng.uniform(0.1, 4), gam=rng.uniform(0.1, 6))
    at, p, K = two_tasks("ch10"), prices(s["lam"], s["gam"]), s["K"]
    cost = lambda t, task: float(at(task)(at(t).optimum(p), p))
    on = lambda t: (cost(t, 0.0), cost(t, 1.0))
    (here_s, here_t), (first, _), (last_s, last_t) = on(s["t"]), on(0.0), on(1.0)
    waste = lambda pairs: sum(cost(a, b) - cost(b, b) for a, b in pairs)
    there = [(k / K, (k + 1) / K) for k in range(K)]
    true = dict(t=s["t"], lost=last_s - first, price=here_t - last_t)
    true |= dict(kept=100 * (last_s - here_s) / (last_s - first), waste_there=waste(there))
    return s, true | dict(waste_back=waste([(b, a) for a, b in there]))


def plans(rng):
    points = torch.tensor([[rng.uniform(0, 6), rng.uniform(0, 4)] for _ in range(24)])
    s = dict(blur=10 ** rng.uniform(-1.4, 0.3))
    s |= {f"{'xy'[k]}{i}": float(points[i, k]) for i in range(24) for k in (0, 1)}
    source, target = points[:12], points[12:]
    cost = squared_distances(source, target)
    epsilon, W2 = s["blur"] * float(cost.mean()), optimal_plan(source, target).cost
    u, off, sweeps, log_mass = torch.zeros(12), 1.0, 0, -math.log(12)
    while off > 1e-11:  # as chapter 8's `sweeps`
        v = log_mass - torch.logsumexp(u[:, None] - cost / epsilon, 0)
        before, u = u, log_mass - torch.logsumexp(v - cost / epsilon, 1)
        off, sweeps = float(torch.expm1(before - u).abs().max()) / 12, sweeps + 1
    mass, how = torch.full((12,), 1 / 12), dict(method="sinkhorn_log", numItermax=10_000)
    blurred = ot.sinkhorn(mass, mass, cost, epsilon, stopThr=1e-9, **how)
    dear = float((blurred * cost).sum())
    spread = torch.special.entr(12 * blurred).sum(1).exp().mean()
    true = dict(epsilon=epsilon, W2=W2, blurred=dear, partners=float(spread))
    true |= dict(excess=100 * (dear / W2 - 1), sweeps=sweeps)
    return s, true | dict(bound=100 * epsilon * math.log(12) / W2)


TRUTH = {
    "ch1": water,
    "ch2": surface,
    "ch3": line_of_codes,
    "ch4": double_well,
    "ch5": fold_or_fork,
    "ch6": iso,
    "ch7": mixture,
    "ch8": plans,
    "ch9": geodesic,
    "ch10": forgetting,
}


KEYS = {"select-one": "ArrowDown", "range": "ArrowRight"}  # a point goes up


def keys(page, name):
    """What does not follow as every control of a figure is moved by its keys."""
    state = f"""() => ['panels', 'numbers', 'spoken'].map(part => {{
      const e = document.querySelector(`#fig-{name}-live .fe-${{part}}`);
      return part == 'panels' ? e.innerHTML : e.textContent; }})"""
    said = (
        f"before => {{ const now = ({state})(); return now[2] == now[1] && now[1] != before[1]; }}"
    )
    for control in page.query_selector_all(f"#fig-{name}-live :is(input, select, [role=slider])")[
        :6
    ]:
        label = control.evaluate("e => e.id || e.getAttribute('aria-label')")
        before = page.evaluate(state)
        control.focus()
        page.keyboard.press(KEYS.get(control.evaluate("e => e.type"), "ArrowUp"))
        try:
            page.wait_for_function(said, arg=before, timeout=30_000)
        except TimeoutError:
            yield f"{label}: its numbers do not follow or are not said"
        if page.evaluate(state)[0] == before[0]:
            yield f"{label}: its drawing does not follow"
        box = control.bounding_box()
        if min(box["width"], box["height"]) < 24:
            yield f"{label} is {box['width']} × {box['height']} px"
    yield from points(page, name)


def points(page, name):
    """What is wrong with points that are chosen by keys: one stop of the Tab key for all of a
    panel, arrows to the next, Enter to take one up and to let it go.
    """
    stops = page.locator(f"#fig-{name}-live .fe-panels svg").evaluate_all(
        "all => all.map(svg => svg.querySelectorAll(':scope > g > [tabindex=\"0\"]').length)"
    )
    if max(stops) > 1:
        yield f"{stops} stops of the Tab key in the panels"
    if not page.locator(f"#fig-{name}-live [aria-pressed]").count():
        return
    shown = "() => document.activeElement.getAttribute('aria-label')"

    def press(*keys):
        for key in keys:
            page.keyboard.press(key)
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => done()))")
        return page.evaluate(shown)

    page.locator(f"#fig-{name}-live [aria-pressed][tabindex='0']").focus()
    first = page.evaluate(shown)
    second = press("ArrowRight")
    if second == first or press("ArrowLeft") != first or press("ArrowDown") != second:
        yield f"arrows do not choose: {first}, {second}"
    moved, back = press("Enter", "ArrowUp"), press("ArrowDown", "Escape")
    if moved == second or moved.split(" at ")[0] != second.split(" at ")[0] or back != second:
        yield f"a point taken up is not moved: {second}, {moved}, {back}"
    if press("ArrowUp") != first:
        yield "a point let go does not give the arrows back"


@pytest.fixture(scope="module")
def plain(browser):
    """A tab in which no formula is set: that is most of what a chapter's page costs, and
    test_pages.py looks at the pages with theirs.
    """
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_init_script("localStorage.setItem('mode', 'auto')")
    context.route(re.compile("/mathjax/|/_images/"), lambda route: route.abort())
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_figure_shows_the_numbers_of_fe(plain, address, name):
    rng, faults, worst = random.Random(name), [], 0.0
    error = lambda e: faults.append(f"script: {e}")
    plain.on("pageerror", error)
    plain.emulate_media(color_scheme="light")
    plain.goto(f"{address}/book/{PAGES[name].name}", wait_until="load")
    plain.evaluate(ALONE, name)
    drawn = stills.still(plain.evaluate(stills.PANELS, name))
    assert drawn == (stills.STILLS / f"{name}.svg").read_text(), "run tests/browser/stills.py"
    faults += keys(plain, name)
    for _ in range(10):
        settings, true = TRUTH[name](rng)
        shown = plain.evaluate(SHOWN, [name, settings])
        assert shown.keys() <= true.keys(), shown.keys() - true.keys()
        off = {key: relative(value, true[key]) for key, value in shown.items()}
        worst = max(worst, *off.values())
        assert worst < RTOL, (settings, {k: (shown[k], true[k]) for k in off if off[k] >= RTOL})
    for scheme in ("light", "dark"):
        plain.emulate_media(color_scheme=scheme)
        plain.wait_for_function(f"() => document.documentElement.dataset.theme == '{scheme}'")
        faults += axe(plain, within=f"#fig-{name}-live")
    plain.remove_listener("pageerror", error)
    print(f"{name}: off by at most {worst:.1e}")
    assert not faults, "\n".join(faults)


def test_without_scripts_the_stills_stay(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for name, path in PAGES.items():
        page.goto(f"{address}/book/{path.name}", wait_until="domcontentloaded")
        still = page.locator(f"#fig-{name}-live img")
        still.scroll_into_view_if_needed()
        assert still.is_visible() and len(still.get_attribute("alt")) > 100
        assert page.locator(f"#fig-{name}-live .fe-box").count() == 0
    context.close()


# What the captions tell to try, and what is seen then
SAID = {
    "ch1": [(dict(k=2, lam=30), "active", 2, 2), (dict(k=2, lam=30), "D", 1, 1.04)],
    "ch2": [(dict(mix=0, lam=2.05), "D", 1.1, 1.2), (dict(mix=0, lam=2.15), "D", 0.7, 0.8)],
    "ch3": [(dict(gam=0), "unseen", -1e-12, 1e-12), (dict(gam=4), "right", 99, 100)],
    "ch4": [
        (dict(step=0.1, n=1000), "tv", 0, 0.1),
        (dict(step=0.1, n=1000), "tv_printed", 0.15, 1),
        (dict(step=0.03, n=1000), "height", 10, 10.5),
        (dict(step=0.03, n=1000), "other", 0, 0.002),
        (dict(step=0.6, n=300), "height", 0.45, 0.55),
        (dict(step=0.6, n=300), "other", 0.4, 0.6),
    ],
    "ch5": [
        (dict(h=0.05, n=3), "residual", -1e-6, 1e-6),
        *[(dict(n=n), "residual", -9, -0.05) for n in range(13)],
        (dict(kind="pitchfork", h=0.3, n=0), "residual", 0, 0),
        (dict(kind="pitchfork", h=0.3, n=0), "curvature", -0.2, -0.05),
    ],
    "ch6": [
        (dict(), "worst", 3.5, 4),
        (dict(h=0.3), "worst", 1.8, 2.1),
        (dict(corrections=1), "worst", -0.02, 0.02),
    ],
    "ch7": [
        (dict(lam=2.5, gam=1.5, t=0), "F", 4.0, 4.1),
        (dict(lam=2.5, gam=1.5, t=0.5), "F", 4.3, 4.4),
        (dict(lam=2.5, gam=1.5, t=1), "F", 4.2, 4.3),
        (dict(lam=2.5, gam=1.5, t=0.5), "F_t", 0, 0.1),
        (dict(lam=2.5, gam=1.5, t=0.6), "F_t", -0.1, 0),
    ],
    "ch8": [(dict(blur=2), "partners", 11.9, 12), (dict(blur=0.03), "excess", 0, 2)],
    "ch9": [
        (dict(), "end", 1, 1),
        (dict(lam=1), "end", 0.1, 0.2),
        (dict(lam=1), "lam_end", 1 / 3 - 1e-9, 1 / 3 + 1e-9),
        (dict(lam=0.5, k=4), "lam_end", 0, 2e-4),
    ],
    "ch10": [
        (dict(K=4), "waste_there", 0.0155, 0.0156),
        (dict(K=8), "waste_there", 0.0077, 0.0078),
    ],
}


@pytest.mark.parametrize("name", PAGES)
def test_what_a_caption_says(browser, name):
    page = browser.new_page()
    page.set_content(stills.page(name))
    for settings, number, low, high in SAID[name]:
        shown = page.evaluate(COMPUTE, [name, settings])
        assert low <= shown[number] <= high, (settings, number, shown[number])
    page.close()
