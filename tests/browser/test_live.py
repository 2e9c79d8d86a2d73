"""The figures that recompute, against `fe` and the chapters' closed forms. Each chapter's page is
loaded once; there its figure is set to ten random settings, and the numbers that it shows are read
from the page at full precision.
"""

import math
import random

import numpy as np
import pytest
import stills
import torch
from playwright.sync_api import TimeoutError
from scipy.optimize import brentq
from test_pages import WIDER, axe, settle  # skipped like these, where there are no pages

import fe

from serving import HTML, visit

PAGES = {name: next(HTML.glob(f"book/{int(name[2:]):02d}-*.html"), None) for name in stills.names()}
SHOWN = """([name, settings]) => {
  const figure = feLive.figures[name];
  Object.assign(figure.settings, settings);
  figure.show();
  return Object.fromEntries([...document.querySelectorAll(`#fig-${name}-live data`)]
    .map(d => [d.dataset.name, parseFloat(d.value)]));
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


TRUTH = {"ch1": water, "ch2": surface, "ch5": fold_or_fork, "ch6": iso, "ch9": geodesic}


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


@pytest.mark.parametrize("name", PAGES)
def test_a_figure_shows_the_numbers_of_fe(tab, address, name):
    rng, wrong = random.Random(name), []
    url = f"{address}/book/{PAGES[name].name}"
    with visit(tab, url, "light", wrong) as page:
        drawn = stills.still(page.evaluate(stills.PANELS, name))
        assert drawn == (stills.STILLS / f"{name}.svg").read_text(), "run tests/browser/stills.py"
        faults, worst = list(keys(page, name)), 0.0
        for _ in range(10):
            settings, true = TRUTH[name](rng)
            shown = page.evaluate(SHOWN, [name, settings])
            assert shown.keys() <= true.keys(), shown.keys() - true.keys()
            off = {key: relative(value, true[key]) for key, value in shown.items()}
            worst = max(worst, *off.values())
            assert worst < RTOL, (settings, {k: (shown[k], true[k]) for k in off if off[k] >= RTOL})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_function(f"() => document.documentElement.dataset.theme == '{scheme}'")
            faults += axe(page, within=f"#fig-{name}-live")
        page.set_viewport_size({"width": 360, "height": 740})
        settle(page)
        if (wider := page.evaluate(WIDER)) > 0:
            faults.append(f"on a phone the page is {wider} px too wide")
        print(f"{name}: off by at most {worst:.1e}")
        assert not faults + wrong, "\n".join(faults + wrong)


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
