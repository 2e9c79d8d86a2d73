// Chapter 9: which geodesics arrive. The prices (λ, γ) hold C and D − kR while the covariance goes from source to target.
(function () {
  "use strict";
  const {linearGaussian, logRange, mix, range, figure} = window.feLive, c = 0.5 * Math.SQRT1_2;
  const source = [[1, 0, 0.2], [0, 0.5, c], [0.2, c, 1]];
  const targets = {pixel: [[0.5, 0.1, c], [0.1, 1, 0.1], [c, 0.1, 1.1]], louder: [[1.4, 0.1, 0.5], [0.1, 0.6, c], [0.5, c, 1.2]]};
  const task = (name, t) => linearGaussian(mix(t, source, targets[name]), 2, 1);
  const C0 = task("pixel", 0)(1, 4).C, ZERO = 1e-4, lams = [ZERO, ...logRange(0.2, 10, 48)], ts = range(0, 1, 11);

  // The state of loss C₀ at λ: Newton's method in γ
  function level(model, lam, gam = 4) {
    for (let i = 0; i < 60; i++) {
      const s = model(lam, gam), miss = C0 - s.C;
      if (Math.abs(miss) < 1e-12) return {lam, gam, ...s};
      gam = Math.max(gam / 2, gam + miss / s.hess[1][1]);
    }
    return {lam, gam, ...model(lam, gam)};
  }

  const tables = {}; // of each target: states of loss C₀, by t and λ
  const table = name => tables[name] = tables[name] || ts.map(t => {
    let gam = 4;
    const model = task(name, t);
    return lams.map(lam => { const s = level(model, lam, gam); gam = s.gam; return s; });
  });
  const held = (s, k) => s.D - k * s.R; // D − kR

  // First time in [0, 1] at which f is not positive any more, or 1; to rounding
  function first(f) {
    const i = range(0, 1, 31).findIndex(t => f(t) <= 0);
    if (i < 0) return 1;
    let [low, high] = [Math.max(0, i - 1) / 30, i / 30];
    for (let n = 0; n < 50; n++) { const m = (low + high) / 2; if (f(m) > 0) low = m; else high = m; }
    return high;
  }

  // The state at which the line is at time t: Newton's method for both prices, from a state near by; null where it fails
  function state(model, k, W0, from) {
    let {lam, gam} = from;
    for (let i = 0; i < 25; i++) {
      const s = model(lam, gam), [[a, b], [b_, d]] = s.hess, f = [held(s, k) - W0, s.C - C0];
      if (Math.abs(f[0]) + Math.abs(f[1]) < 1e-13) return {...s, lam, gam};
      const row = [a * (1 + k * lam) + k * gam * b_, b * (1 + k * lam) + k * gam * d], det = row[0] * d - row[1] * b_;
      lam = Math.max(lam / 3, lam - (f[0] * d - f[1] * row[1]) / det);
      gam = Math.max(gam / 3, gam - (row[0] * f[1] - b_ * f[0]) / det);
    }
    return Math.abs(held(model(lam, gam), k) - W0) < 1e-9 ? {...model(lam, gam), lam, gam} : null;
  }

  function process(target, lam, k) {
    const start = level(task(target, 0), lam), W0 = held(start, k), star = -1 / k;
    const touch = k < 0 ? first(t => W0 - held(level(task(target, t), star), k)) : 1;
    const empty = k >= 0 || lam < star ? first(t => held(level(task(target, t), ZERO), k) - W0) : 1;
    const end = Math.min(touch, empty), how = end === 1 ? "arrives" : touch <= empty ? "touches" : "empties", path = [start];
    for (const t of range(0, end, 41).slice(1)) {
      const s = state(task(target, t), k, W0, path[path.length - 1]);
      if (!s || (k < 0 && (s.lam - star) * (lam - star) <= 0)) break;
      path.push(s);
    }
    if (how !== "arrives") path.push(level(task(target, end), how === "touches" ? star : ZERO, path[path.length - 1].gam));
    return {how, end, path};
  }

  // The same verdict for a whole map, by t and λ of the table
  function verdict(rows, j, k, near) {
    const W0 = held(rows[0][j], k), fails = f => rows.findIndex(f);
    const touch = k < 0 ? fails(row => W0 <= held(row[near], k)) : -1;
    const empty = k < 0 && j > near ? -1 : fails(row => W0 >= held(row[0], k));
    return touch < 0 && empty < 0 ? null : empty < 0 || (touch >= 0 && touch <= empty) ? 1 : 3;
  }

  figure("ch9", {
    title: "Geodesic transfer between two Gaussian tasks",
    panels: [{label: "Map of starts: price λ and slope k. Shaded where the line does not arrive. The start can be moved"},
      {label: "Plane of rate and distortion: the states of loss C₀ at t = 0, ½ and 1, and the line that the process draws"}],
    controls: [
      {key: "target", label: "target", choices: [["pixel", "the other pixel is loud"], ["louder", "Σᵗ of the chapter"]]},
      {key: ["lam", "k"], label: "start λ and slope k", min: [0.22, -4.8], max: [9.5, 4.8], step: [0.1, 0.1], value: [2, -3], digits: 2},
    ],
    compute({target, lam, k}) {
      const {how, end, path} = process(target, lam, k), a = path[0], b = path[path.length - 1];
      return {how, path, numbers: {end, R0: a.R, D0: a.D, R: b.R, D: b.D, lam_end: b.lam, gam_end: b.gam, one: 1 + k * lam}};
    },
    draw([left, right], {target}, {path}) {
      const rows = table(target), ks = range(-5, 5, 41), edge = j => j < 1 ? lams[1] : Math.sqrt(lams[j] * (lams[j + 1] || 10 ** 2 / lams[j]));
      left.axes({x: [0.2, 10], y: [-5, 5], logx: true, xlabel: "λ at the start (nats per pixel²)", ylabel: "slope k = dD/dR (pixel² per nat)",
        title: "which lines arrive"});
      for (const k of ks) {
        const near = lams.reduce((n, v, i) => Math.abs(v + 1 / k) < Math.abs(lams[n] + 1 / k) ? i : n, 0);
        const shades = lams.map((_, j) => j && verdict(rows, j, k, near));
        for (let j = 1, from = 1; j < lams.length; j++) if (shades[j + 1] !== shades[j] || j === lams.length - 1) {
          const [l, r] = [edge(from - 1), edge(j)];
          if (shades[j]) left.area([[l, k - 0.126], [r, k - 0.126], [r, k + 0.126], [l, k + 0.126]], shades[j], 0.45);
          from = j + 1;
        }
      }
      left.line(logRange(0.2, 10, 40).map(l => [l, -1 / l]), undefined, {width: 1.5, dash: "5 3"});
      left.legend([[1, "meets 1 + kλ = 0", "area"], [3, "meets λ = 0", "area"], [undefined, "1 + kλ = 0", "dash"]], "tr");
      left.text(4, -3.6, "arrives"); left.text(2, 0.6, "arrives");
      const R = path.map(p => p.R), D = path.map(p => p.D), wide = (v, a, b) => [Math.min(a, ...v) - 0.02, Math.max(b, ...v) + 0.02];
      right.axes({x: wide(R, 1.02, 1.24), y: wide(D, 1.2, 1.42), xlabel: "rate R (nats)", ylabel: "distortion D (pixel²)",
        title: "the line that it draws"});
      [[0, "none"], [5, "6 4"], [10, "2 3"]].forEach(([i, dash]) => right.line(rows[i].slice(1).map(s => [s.R, s.D]), 0, {dash}));
      [0, 5, 10].forEach(i => {
        const s = rows[i].find(s => s.R > 1.21);
        right.text(s.R, s.D, `t = ${["0", "½", "1"][i / 5]}`, {dy: -7, anchor: "middle"});
      });
      right.line(path.map(s => [s.R, s.D]), 1, {width: 3});
      right.dots([[R[0], D[0]]], 1, {r: 6});
      right.dots([[R[R.length - 1], D[D.length - 1]]], 1, {r: 6, hollow: true});
    },
    say: (_, {how}) => "From λ = {lam:2} with slope k = {k:2}, 1 + kλ = {one:2}: the line "
      + {arrives: "<b>arrives</b>, at t = {end:3}.", touches: "<b>stops</b> at t = {end:3}, where 1 + kλ = 0.",
        empties: "<b>stops</b> at t = {end:3}, where λ comes to 0."}[how]
      + " R: {R0:4} → {R:4} nats, D: {D0:4} → {D:4} pixel²; the prices end at λ = {lam_end:3}, γ = {gam_end:3}.",
  });
})();
