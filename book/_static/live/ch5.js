// Chapter 5: one step of predictor and corrector, far from a fold or a pitchfork and beyond it.
(function () {
  "use strict";
  const {range, figure, written} = window.feLive, FOLD = 2 / Math.sqrt(27), FORK = 0.5;
  const models = {
    fold: {J: (t, p) => t ** 4 / 4 - t ** 2 / 2 - p * t, force: (t, p) => t ** 3 - t - p, stiff: t => 3 * t * t - 1, push: () => 1,
      start: p => 2 / Math.sqrt(3) * Math.cos((Math.acos(p / FOLD) + 2 * Math.PI) / 3)}, // the lowest root
    pitchfork: {J: (t, p) => t ** 4 / 4 - (p - FORK) * t ** 2 / 2, force: (t, p) => t ** 3 - (p - FORK) * t,
      stiff: (t, p) => 3 * t * t - p + FORK, push: t => t, start: () => 0},
  };

  // Equilibria over λ: [curve, is it stable]
  const branches = {
    fold: [[-1.6, -1 / Math.sqrt(3), true], [-1 / Math.sqrt(3), 1 / Math.sqrt(3), false], [1 / Math.sqrt(3), 1.6, true]]
      .map(([a, b, stable]) => [range(a, b, 60).map(t => [t ** 3 - t, t]), stable]),
    pitchfork: [[range(-1.2, 1.2, 120).map(t => [t * t + FORK, t]), true], [[[0, 0], [FORK, 0]], true], [[[FORK, 0], [1.2, 0]], false]],
  };

  figure("ch5", {
    title: "Predictor and corrector near a fold and a pitchfork",
    panels: [{label: "Equilibria θ over the control λ, with one step: where the predictor lands and where Newton's steps lead"},
      {label: "The objective J over θ at the new λ, with the places of Newton's steps"}],
    controls: [
      {key: "kind", label: "model", choices: [["fold", "fold: J = θ⁴/4 − θ²/2 − λθ"], ["pitchfork", "pitchfork: J = θ⁴/4 − (λ − ½)θ²/2"]]},
      {key: "lam", label: "λ at the start", min: 0.05, max: 0.38, step: 0.01, value: 0.3, digits: 2},
      {key: "h", label: "step in λ", min: 0.02, max: 0.6, step: 0.01, value: 0.2, digits: 2},
      {key: "n", label: "Newton steps", min: 0, max: 12, step: 1, value: 4, digits: 0},
    ],
    compute({kind, lam, h, n}) {
      const {J, force, stiff, push, start} = models[kind], theta0 = start(lam), lam1 = lam + h;
      const predicted = theta0 + h * push(theta0) / stiff(theta0, lam), visited = [predicted];
      for (let i = 0; i < n; i++) {
        const t = visited[i];
        visited.push(t - force(t, lam1) / stiff(t, lam1));
      }
      const theta = visited[n], residual = force(theta, lam1), curvature = stiff(theta, lam1);
      const rest = Math.abs(residual) < 1e-6, near = theta * theta0 > 0 || (theta0 === 0 && Math.abs(theta) < 1e-6);
      const verdict = !rest ? "This is no equilibrium." : curvature < 0 ? "At rest, and no minimum: only the curvature tells."
        : near ? "A minimum of the same branch: the corrector has succeeded." : "A minimum, but of another branch: the state has jumped.";
      return {visited, theta0, lam1, verdict, numbers: {theta0, mu: stiff(theta0, lam), predicted, theta, residual, curvature,
        J: J(theta, lam1), lam1}};
    },
    draw([left, right], {kind, lam}, {visited, theta0, lam1}) {
      left.axes({x: [0, 1], y: [-1.5, 1.6], xlabel: "control λ", ylabel: "parameter θ", title: "equilibria over λ"});
      for (const [curve, stable] of branches[kind]) left.line(curve, stable ? 0 : 3, {width: 2.5, dash: stable ? "" : "3 4"});
      left.line([[lam1, -1.5], [lam1, 1.6]], undefined, {width: 1, opacity: 0.5});
      left.line([[lam, theta0], [lam1, visited[0]]], 1);
      left.dots(visited.map(t => [lam1, t]), 2);
      left.dots([[lam1, visited[0]]], 1, {r: 4.5});
      left.dots([[lam, theta0]], undefined, {r: 4.5});
      left.text(lam, theta0, "start", {anchor: "end", dx: -8, dy: -8});
      left.legend([[0, "minima"], [3, "no minima", "dash"], [1, "predictor"], [2, "Newton's steps", "dot"]], kind === "fold" ? "br" : "tl");
      const {J} = models[kind], curve = range(-1.9, 1.9, 120).map(t => [t, J(t, lam1)]), low = Math.min(...curve.map(p => p[1]));
      right.axes({x: [-1.9, 1.9], y: [low - 0.15, low + 1.6], xlabel: "parameter θ", ylabel: "J (nats)", title: `J at λ = ${written(lam1)}`});
      right.line(curve, 0, {width: 2.5});
      const at = visited.map(t => [t, J(t, lam1)]);
      right.line(at, 2, {width: 1});
      right.dots(at, 2);
      right.dots([at[0]], 1, {r: 4.5});
      right.dots([at[at.length - 1]], 2, {r: 6, hollow: true});
    },
    say: (_, {verdict}) => "From θ = {theta0:4}, curvature {mu:3}, the predictor goes to θ = {predicted:4} at λ = {lam1:2}. After {n:0} Newton "
      + `steps θ = {theta:4}, with the force ∂J/∂θ = {residual:2p} and the curvature {curvature:3}. ${verdict}`,
  });
})();
