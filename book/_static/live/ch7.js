// Chapter 7: the free energy of a mixture of two Gaussian tasks; the model of time t, frozen, is the tangent of F.
(function () {
  "use strict";
  const {eigh, linearGaussian, mix, range, figure} = window.feLive, c = 0.5 * Math.SQRT1_2;
  const S = [[1, 0, 0], [0, 0.5, c], [0, c, 1]], T = [[0.7, 0.1, 0.5], [0.1, 1.2, 0.3], [0.5, 0.3, 1]];
  const change = T.map((row, i) => row.map((v, j) => v - S[i][j]));

  // The ellipse of one standard deviation of the two pixels
  function ellipse(cov) {
    const {e, V} = eigh([[cov[0][0], cov[0][1]], [cov[1][0], cov[1][1]]]), [a, b] = e.map(Math.sqrt);
    return range(0, 2 * Math.PI, 61).map(s => [0, 1].map(i => V[i][0] * a * Math.cos(s) + V[i][1] * b * Math.sin(s)));
  }

  figure("ch7", {
    title: "A mixture of two Gaussian tasks",
    panels: [{label: "Free energy over the share t of the target, with its tangent; the ends of the tangent are the costs of the frozen model"},
      {label: "The two pixels: ellipses of source, target and mixture, and the direction that the code draws"}],
    controls: [
      {key: "t", label: "share t of the target", min: 0, max: 1, step: 0.01, value: 0.2, digits: 2},
      {key: "lam", label: "λ", min: 0.1, max: 4, step: 0.05, value: 1, digits: 2},
      {key: "gam", label: "γ", min: 0.1, max: 6, step: 0.05, value: 2, digits: 2},
    ],
    compute({t, lam, gam}) {
      const at = s => linearGaussian(mix(s, S, T), 2, 1)(lam, gam), now = at(t), F_t = now.force(change), column = now.column;
      const sign = column[2] < 0 ? -1 : 1;
      return {at, numbers: {F: now.F, F_t, Js: now.F - t * F_t, Jt: now.F + (1 - t) * F_t, R: now.R, D: now.D, C: now.C,
        W1: sign * column[0], W2: sign * column[1]}};
    },
    draw([left, right], {t}, {at, numbers: {F, Js, Jt, W1, W2}}) {
      const curve = range(0, 1, 41).map(s => [s, at(s).F]), all = [...curve.map(p => p[1]), Js, Jt];
      const low = Math.min(...all), high = Math.max(...all), room = 0.2 * (high - low) + 0.01;
      left.axes({x: [-0.03, 1.03], y: [low - room, high + 2.2 * room], xlabel: "share t of the target", ylabel: "F (nats)", title: "the free energy"});
      left.line([[0, Js], [1, Jt]], 1, {dash: "6 4"});
      left.line(curve, 0, {width: 3});
      left.dots([[0, Js], [1, Jt]], 1, {hollow: true, r: 5});
      left.dots([[t, F]], 1, {r: 7});
      left.text(0, Js, "Jˢ", {dx: 9, dy: Js > high - room ? 18 : -8, weight: 600});
      left.text(1, Jt, "Jᵗ", {dx: -9, dy: -8, anchor: "end", weight: 600});
      left.legend([[0, "F(t)"], [1, "model of t, frozen", "dash"]], "tl");
      right.axes({x: [-1.3, 2.5], y: [-1.45, 1.45], xlabel: "pixel 1", ylabel: "pixel 2", title: "the tasks and the code"});
      right.line(ellipse(S), 6, {dash: "2 3"});
      right.line(ellipse(T), 2, {dash: "6 4"});
      right.area(ellipse(mix(t, S, T)), 5, 0.35);
      right.line([[-W1, -W2], [W1, W2]], 1, {width: 4});
      right.dots([[W1, W2]], 1, {r: 6});
      right.legend([[6, "source", "dash"], [2, "target", "dash"], [5, "mixture", "area"], [1, "what a code draws"]], "br");
    },
    say: () => "At t = {t:2}: F = {F:4} nats, with the slope F_t = {F_t:4}. The model at rest there costs {Js:4} nats on the source and {Jt:4} on "
      + "the target: the tangent's two ends. R = {R:4} nats, D = {D:4} pixel², C = {C:4}; a code of one draws the pixels ({W1:3}, {W2:3}).",
  });
})();
