// Chapter 8: the exact plan and Sinkhorn's between twelve sources and twelve targets of equal masses.
(function () {
  "use strict";
  const {figure} = window.feLive, N = 12, LOG = -Math.log(N);
  const START = [[0.5, 3.2], [0.6, 1.5], [0.9, 2.6], [1.2, 0.8], [1.4, 3.4], [1.7, 1.6], [1.9, 2.3], [2.2, 3.1], [2.4, 1.2], [2.7, 3.6], [2.8, 2.2], [3.1, 0.7],
    [3.4, 2.8], [3.5, 1.3], [3.6, 3.5], [3.8, 2.0], [4.1, 1.0], [4.2, 2.9], [4.6, 1.9], [4.9, 3.5], [5.0, 0.8], [5.3, 2.6], [5.5, 3.3], [5.6, 1.6]];
  const names = [...Array(N).keys()], log_sum = a => { const top = Math.max(...a); return top + Math.log(a.reduce((s, v) => s + Math.exp(v - top), 0)); };

  // The cheapest permutation: one source after the other, along shortest paths in the reduced costs (the Hungarian method)
  function assignment(cost) {
    const u = Array(N + 1).fill(0), v = Array(N + 1).fill(0), source = Array(N + 1).fill(0), way = Array(N + 1).fill(0);
    for (let i = 1; i <= N; i++) {
      const least = Array(N + 1).fill(Infinity), seen = Array(N + 1).fill(false);
      let j = 0;
      source[0] = i;
      do {
        seen[j] = true;
        let next = 0, delta = Infinity;
        for (let k = 1; k <= N; k++) if (!seen[k]) {
          const reduced = cost[source[j] - 1][k - 1] - u[source[j]] - v[k];
          if (reduced < least[k]) [least[k], way[k]] = [reduced, j];
          if (least[k] < delta) [delta, next] = [least[k], k];
        }
        for (let k = 0; k <= N; k++) if (seen[k]) { u[source[k]] += delta; v[k] -= delta; } else least[k] -= delta;
        j = next;
      } while (source[j]);
      for (; j; j = way[j]) source[j] = source[way[j]];
    }
    const target = [];
    for (let j = 1; j <= N; j++) target[source[j] - 1] = j - 1;
    return target;
  }

  // Rows and columns scaled in turns until no sum of a row is off by more than 1e-11
  function sinkhorn(cost, epsilon) {
    let u = Array(N).fill(0), v = u, sweeps = 0, off = 1;
    while (off > 1e-11 && sweeps < 20000) {
      v = names.map(j => LOG - log_sum(names.map(i => u[i] - cost[i][j] / epsilon)));
      const next = names.map(i => LOG - log_sum(names.map(j => v[j] - cost[i][j] / epsilon)));
      off = Math.max(...names.map(i => Math.abs(Math.expm1(u[i] - next[i])))) / N;
      u = next;
      sweeps++;
    }
    return {plan: names.map(i => names.map(j => Math.exp(u[i] + v[j] - cost[i][j] / epsilon))), sweeps};
  }

  figure("ch8", {
    title: "The exact plan and Sinkhorn's",
    panels: [{label: "Twelve sources and twelve targets in the plane, which can be moved; lines are the pairs of the two plans"},
      {label: "The blurred plan as a matrix, sources down and targets across, with the pairs of the exact plan as rings"}],
    controls: [
      {key: "blur", label: "blur ε, in units of the mean cost", min: 0.03, max: 2, step: 0.01, value: 0.1, digits: 3, log: true},
      ...START.map(([x, y], i) => ({key: [`x${i}`, `y${i}`], label: i < N ? `source ${i + 1}` : `target ${i + 1 - N}`, min: [0, 0], max: [6, 4],
        step: [0.1, 0.1], value: [x, y], digits: 1, r: 6, c: i < N ? 0 : 1})),
    ],
    compute(s) {
      const at = i => [s[`x${i}`], s[`y${i}`]], cost = names.map(i => names.map(j => (at(i)[0] - at(N + j)[0]) ** 2 + (at(i)[1] - at(N + j)[1]) ** 2));
      const mean = cost.flat().reduce((a, b) => a + b) / N ** 2, epsilon = s.blur * mean, exact = assignment(cost), {plan, sweeps} = sinkhorn(cost, epsilon);
      const W2 = exact.reduce((t, j, i) => t + cost[i][j] / N, 0), blurred = plan.flat().reduce((t, g, n) => t + g * cost.flat()[n], 0);
      const partners = plan.reduce((t, row) => t + Math.exp(-row.reduce((h, g) => g > 0 ? h + N * g * Math.log(N * g) : h, 0)) / N, 0);
      return {at, exact, plan, numbers: {epsilon, W2, blurred, excess: 100 * (blurred / W2 - 1), bound: -100 * epsilon * LOG / W2, partners, sweeps}};
    },
    draw([left, right], s, {at, exact, plan}) {
      left.axes({x: [0, 6], y: [-0.9, 4.4], xlabel: "first pixel", ylabel: "second pixel", title: "pairs"});
      plan.forEach((row, i) => row.forEach((g, j) => N * g > 0.01 && left.line([at(i), at(N + j)], 5, {width: 1 + 6 * N * g, opacity: 0.15 + 0.6 * N * g})));
      exact.forEach((j, i) => left.line([at(i), at(N + j)], 6, {width: 1.5}));
      left.text(1.5, 4.05, "sources", {anchor: "middle", weight: 600});
      left.text(4.6, 4.05, "targets", {anchor: "middle", weight: 600});
      left.legend([[6, "exact plan"], [5, "Sinkhorn's plan", "area"]], "bl");
      const order = [...names].sort((a, b) => at(a)[0] - at(b)[0]), columns = order.map(i => exact[i]);
      right.axes({x: [0.5, N + 0.5], y: [N + 0.5, 0.5], ticksx: 6, ticksy: 6, xlabel: "target", ylabel: "source, from left to right", title: "mass Γ, n times"});
      order.forEach((i, a) => columns.forEach((j, b) => right.area([[b + 0.5, a + 0.5], [b + 1.5, a + 0.5], [b + 1.5, a + 1.5], [b + 0.5, a + 1.5]], 0, Math.min(1, N * plan[i][j]) ** 0.7)));
      right.dots(order.map((_, a) => [a + 1, a + 1]), 6, {r: 3});
    },
    say: () => "The exact plan costs W₂² = {W2:4}, each source with one target. With ε = {epsilon:3} Sinkhorn's plan costs {blurred:4}, that is {excess:1} % "
      + "more (at most {bound:0} %, as ε log n allows); a source has {partners:2} partners, and the sums are right after {sweeps:0} sweeps.",
  });
})();
