// Chapter 1: reverse water-filling, and the curve R(D) with a threshold for each direction that enters the code.
(function () {
  "use strict";
  const {logRange, figure} = window.feLive, BARS = [1.8, 1.1, 0.6, 0.3, 0.1];

  // The directions in use: of those with 2λσ² > 1 the k with the largest variance
  function fill(variances, lam, k) {
    const order = variances.map((_, i) => i).sort((a, b) => variances[b] - variances[a]);
    const used = variances.map((v, i) => order.indexOf(i) < k && 2 * lam * v > 1);
    const R = variances.reduce((s, v, i) => used[i] ? s + 0.5 * Math.log(2 * lam * v) : s, 0);
    const D = variances.reduce((s, v, i) => s + (used[i] ? 0.5 / lam : v), 0);
    return {used, R, D, F: R + lam * D, order};
  }

  figure("ch1", {
    title: "Reverse water-filling and its phase transitions",
    panels: [{label: "Variance of each of five directions and the level 1/(2λ); the top of each bar can be moved"},
      {label: "Rate over distortion, with the price as its slope and a ring where a direction enters the code"}],
    controls: [
      {key: "lam", label: "price λ (nats per pixel²)", min: 0.1, max: 30, step: 0.01, value: 0.7, digits: 3, log: true},
      {key: "k", label: "dimensions of the code at most", min: 1, max: 5, step: 1, value: 5, digits: 0},
      ...BARS.map((v, i) => ({key: [`x${i}`, `v${i}`], label: `variance of direction ${i + 1}`, min: [i + 1, 0.02], max: [i + 1, 2.4],
        step: [0, 0.05], value: [i + 1, v], digits: 2, c: 6, r: 6})),
    ],
    compute(s) {
      const variances = BARS.map((_, i) => s[`v${i}`]), now = fill(variances, s.lam, s.k), total = variances.reduce((a, b) => a + b);
      const thresholds = now.order.slice(0, s.k).map(i => 0.5 / variances[i]), next = thresholds.find(l => l >= s.lam);
      return {variances, thresholds, total, ...now, numbers: {R: now.R, D: now.D, F: now.F, level: 0.5 / s.lam,
        active: now.used.filter(Boolean).length, next: next === undefined ? Infinity : next}};
    },
    draw([left, right], {lam, k}, {variances, thresholds, total, used, R, D}) {
      const level = 0.5 / lam;
      left.axes({x: [0.4, 5.6], y: [0, 2.5], ticksx: 6, xlabel: "direction", ylabel: "variance σ² (pixel²)", title: "what is coded"});
      variances.forEach((v, i) => {
        const bar = (a, b, c, o) => left.area([[i + 0.65, a], [i + 1.35, a], [i + 1.35, b], [i + 0.65, b]], c, o);
        bar(0, used[i] ? level : v, 5, 0.6);
        if (used[i]) bar(level, v, 1, 0.75);
      });
      left.line([[0.4, level], [5.6, level]], 0, {width: 2.5, dash: "6 4"});
      left.legend([[0, "level 1/(2λ)", "dash"], [1, "coded", "area"], [5, "left as distortion", "area"]], "tr");
      right.axes({x: [0, 1.08 * total], y: [0, Math.max(4, 1.15 * R)], xlabel: "distortion D (pixel²)", ylabel: "rate R (nats)", title: "R(D)"});
      right.line(logRange(0.05, 500, 240).map(l => fill(variances, l, k)).map(q => [q.D, q.R]), 0, {width: 3});
      right.line([[0, R + lam * D], [D + R / lam, 0]], 1, {dash: "6 4"});
      right.dots(thresholds.map(l => fill(variances, l, k)).map(q => [q.D, q.R]), 2, {r: 5, hollow: true});
      right.dots([[D, R]], 1, {r: 7});
      right.legend([[0, "R(D)"], [1, "slope −λ", "dash"], [2, "a direction enters", "ring"]], "tr");
    },
    say: (_, {numbers: {next}}) => "At λ = {lam:3} the level is {level:3} pixel², and {active:0} of 5 directions are coded: R = {R:4} nats, D = {D:4} pixel², "
      + `F = {F:4} nats. ${Number.isFinite(next) ? "The next direction enters at λ = {next:3}." : "No further direction can enter."}`,
  });
})();
