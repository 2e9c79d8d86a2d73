// Chapter 6: iso-classification on two pixels. A step along eq. (20), then Newton's steps on C = C₀, or none.
(function () {
  "use strict";
  const {linearGaussian, range, twoPixels, figure} = window.feLive, END = 3;
  const card = linearGaussian(twoPixels(), 2, 1);

  // (λ, γ) for each λ with C(λ, γ) = C₀, by Newton's steps in γ from the one before
  function level(lams, C0, gam) {
    return lams.map(lam => {
      for (let i = 0; i < 50; i++) {
        const here = card(lam, gam), step = (C0 - here.C) / here.hess[1][1];
        gam = Math.max(gam / 2, gam + step);
        if (Math.abs(step) < 1e-10) break;
      }
      return [lam, gam];
    });
  }

  function process(lam, gam, h, corrections) {
    const C0 = card(lam, gam).C, path = [{lam, gam, predicted: gam, ...card(lam, gam)}];
    while (lam + h <= END + 1e-9) {
      const [, [C_lam, C_gam]] = card(lam, gam).hess;
      const predicted = gam - h * C_lam / C_gam;
      lam += h;
      gam = predicted;
      for (let i = 0; i < corrections; i++) {
        const here = card(lam, gam);
        gam += (C0 - here.C) / here.hess[1][1];
      }
      if (!(gam > 0 && card(lam, gam).hess[1][1] < -1e-9)) return {path, lost: true};
      path.push({lam, gam, predicted, ...card(lam, gam)});
    }
    return {path, lost: false};
  }

  figure("ch6", {
    title: "Iso-classification on two pixels",
    panels: [{label: "Plane of the prices λ and γ with the line of constant C and the steps of the process; its start can be moved"},
      {label: "Drift of C in per cent, along λ"}],
    controls: [
      {key: "h", label: "step h in λ", min: 0.05, max: 0.9, step: 0.05, value: 0.6, digits: 2},
      {key: "corrections", label: "Newton steps on C after each", min: 0, max: 3, step: 1, value: 0, digits: 0},
      {key: ["lam", "gam"], label: "start of the process: λ, γ", min: [0.15, 2], max: [1.2, 6.5], step: [0.05, 0.1], value: [0.3, 4],
        digits: 2},
    ],
    compute({lam, gam, h, corrections}) {
      const {path, lost} = process(lam, gam, h, corrections), C0 = path[0].C, last = path[path.length - 1];
      const drift = path.map(p => 100 * (p.C / C0 - 1)), worst = drift.reduce((a, b) => Math.abs(b) > Math.abs(a) ? b : a);
      const bill = path.slice(1).reduce((s, p, i) => s - (p.lam + path[i].lam) / 2 * (p.D - path[i].D), 0);
      return {path, lost, C0, drift, numbers: {C0, C: last.C, worst, steps: path.length - 1, end: last.lam, gamma: last.gam,
        R: last.R - path[0].R, D: last.D - path[0].D, bill}};
    },
    draw([left, right], {gam}, {path, C0, drift}) {
      const line = level(range(0.15, 3, 40), C0, gam).filter(p => Number.isFinite(p[1]));
      const top = Math.max(...line.map(p => p[1]), ...path.map(p => Math.max(p.gam, p.predicted)));
      const bottom = Math.min(...line.map(p => p[1]), ...path.map(p => Math.min(p.gam, p.predicted)));
      left.axes({x: [0, 3.1], y: [bottom - 0.25 * (top - bottom) - 0.1, top + 0.35 * (top - bottom) + 0.1],
        xlabel: "λ (nats per pixel²)", ylabel: "γ", title: "the prices"});
      left.line(line, 0, {width: 3});
      path.slice(1).forEach((p, i) => {
        left.line([[path[i].lam, path[i].gam], [p.lam, p.predicted]], 1);
        left.line([[p.lam, p.predicted], [p.lam, p.gam]], 2, {width: 3});
      });
      left.dots(path.map(p => [p.lam, p.gam]), 1, {r: 3});
      left.legend([[0, "C = C₀, exactly"], [1, "predictor"], [2, "corrector"]], "tl");
      const most = Math.max(1, 1.2 * Math.max(...drift.map(Math.abs)));
      right.axes({x: [0, 3.1], y: [-most, most], xlabel: "λ (nats per pixel²)", ylabel: "C / C₀ − 1 (%)", title: "what became of C"});
      right.line([[0, 0], [3.1, 0]], 0, {width: 3});
      right.line(path.map((p, i) => [p.lam, drift[i]]), 1);
      right.dots(path.map((p, i) => [p.lam, drift[i]]), 1);
    },
    say: (_, {lost}) => (lost ? "The code has passed to the loud pixel, and C answers to γ no more. " : "") + "{steps:0} steps from λ = {lam:2} to {end:2}: C was {C0:4} and is {C:4}; the worst drift on the way is {worst:2p} %. γ ends at "
      + "{gamma:3}. The rate changed by {R:4} nats, the distortion by {D:4} pixel²; −∫ λ dD by the trapezoid is {bill:4} nats.",
  });
})();
