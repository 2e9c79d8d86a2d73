// Chapter 4: descent in the double well of the postcard, noisy descent with the same step, and the law to which it goes.
(function () {
  "use strict";
  const {range, figure} = window.feLive, WALKERS = 1000, EDGE = 2, BINS = 40, WIDTH = 2 * EDGE / BINS;
  const J = w => 0.5 * Math.log(1 + 2 * w * w) + 1 / (1 + 2 * w * w);
  const force = w => 2 * w * (2 * w * w - 1) / (1 + 2 * w * w) ** 2;
  const BOTTOM = Math.SQRT1_2, BARRIER = J(0) - J(BOTTOM);

  // The k-th number of a fixed sequence in (0, 1): mulberry32, which counts
  function uniform(k) {
    let a = Math.imul(k + 1, 0x6D2B79F5) | 0;
    a = Math.imul(a ^ a >>> 15, a | 1);
    a ^= a + Math.imul(a ^ a >>> 7, a | 61);
    return (((a ^ a >>> 14) >>> 0) + 0.5) / 4294967296;
  }
  const kept = []; // normal numbers, drawn in pairs by Box and Muller, a step at a time
  const noise = step => kept[step] = kept[step] || Float64Array.from({length: WALKERS}, (_, i) => {
    const k = step * WALKERS + i - i % 2, r = Math.sqrt(-2 * Math.log(uniform(k))), angle = 2 * Math.PI * uniform(k + 1);
    return i % 2 ? r * Math.sin(angle) : r * Math.cos(angle);
  });

  // Probability of each bin under exp(−J/T), from 50 points a bin
  function law(T) {
    const mass = range(0, BINS - 1, BINS).map(b => range(0, 49, 50).reduce((s, i) => s + Math.exp(-J((b + (i + 0.5) / 50) * WIDTH - EDGE) / T), 0));
    const total = mass.reduce((a, b) => a + b);
    return mass.map(m => m / total);
  }

  figure("ch4", {
    title: "Descent and its law in a double well",
    panels: [{label: "The double well J over the weight w, with the steps of plain descent"},
      {label: "Histogram of a thousand noisy descents with the same step, beside two laws of Gibbs"}],
    controls: [
      {key: "step", label: "step σ", min: 0.02, max: 1.9, step: 0.01, value: 0.1, digits: 3, log: true},
      {key: "n", label: "steps made", min: 1, max: 1000, step: 0.05, value: 100, digits: 0, log: true},
      {key: "w", label: "start w₀", min: -1.8, max: 1.8, step: 0.05, value: 1.5, digits: 2},
    ],
    compute({step, n, w}) {
      const steps = Math.round(n), path = [w], walkers = new Float64Array(WALKERS).fill(BOTTOM), count = Array(BINS).fill(0), T = step / 2;
      for (let k = 0; k < steps; k++) path.push(path[k] - step * force(path[k]));
      for (let k = 0; k < steps; k++) {
        const xi = noise(k);
        for (let i = 0; i < WALKERS; i++) walkers[i] -= step * (force(walkers[i]) + xi[i]);
      }
      for (const v of walkers) { const b = Math.floor((v + EDGE) / WIDTH); if (b >= 0 && b < BINS) count[b]++; }
      const right = law(T), printed = law(2 * T), off = p => 0.5 * count.reduce((s, c, i) => s + Math.abs(c / WALKERS - p[i]), 0);
      return {path, count, right, printed, numbers: {steps, w_n: path[steps], J_n: J(path[steps]), T, height: BARRIER / T,
        other: walkers.filter(v => v < 0).length / WALKERS, tv: off(right), tv_printed: off(printed)}};
    },
    draw([left, right], _, {path, count, right: law, printed}) {
      left.axes({x: [-EDGE, EDGE], y: [0.8, 1.45], xlabel: "weight w", ylabel: "J (nats)", title: "plain descent"});
      left.line(range(-EDGE, EDGE, 120).map(w => [w, J(w)]), 0, {width: 3});
      left.line(path.slice(0, 200).map(w => [w, J(w)]), 1, {width: 1.2});
      left.dots(path.slice(0, 200).map(w => [w, J(w)]), 1, {r: 3});
      left.dots([[path[0], J(path[0])]], 1, {r: 6});
      left.dots([[path[path.length - 1], J(path[path.length - 1])]], 1, {r: 6, hollow: true});
      left.legend([[1, "start", "dot"], [1, "now", "ring"]], "tl");
      const middle = b => -EDGE + (b + 0.5) * WIDTH, top = Math.max(...law, ...count.map(c => c / WALKERS)) / WIDTH;
      right.axes({x: [-EDGE, EDGE], y: [0, 1.5 * top], xlabel: "weight w", ylabel: "density", title: "noisy descent, a thousand times"});
      count.forEach((c, b) => c && right.area([[middle(b - 0.45), 0], [middle(b + 0.45), 0], [middle(b + 0.45), c / WALKERS / WIDTH],
        [middle(b - 0.45), c / WALKERS / WIDTH]], 5, 0.8));
      right.line(law.map((p, b) => [middle(b), p / WIDTH]), 0, {width: 2.5});
      right.line(printed.map((p, b) => [middle(b), p / WIDTH]), 1, {dash: "6 4"});
      right.legend([[5, "weights now", "area"], [0, "exp(−2J/σ): T = σ/2"], [1, "exp(−J/σ): T = σ", "dash"]], "tl");
    },
    say: () => "From w₀ = {w:2} plain descent is, after {steps:0} steps, at w = {w_n:4}, J = {J_n:4} nats. With noise, T = σ/2 = {T:3} and the barrier is {height:1} T high: "
      + "{other:3} of the weights have crossed it. The histogram is {tv:3} (total variation) off exp(−2J/σ) and {tv_printed:3} off exp(−J/σ).",
  });
})();
