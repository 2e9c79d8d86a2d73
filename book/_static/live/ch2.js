// Chapter 2: the surface F(λ, γ) of two pixels and a label, cut by two planes; in each cut the slope is a loss.
(function () {
  "use strict";
  const {linearGaussian, range, figure} = window.feLive, MOST = 4, GRID = range(0.02, MOST, 21);

  // y = x₂ + mix · x₁ + noise of variance 1/20
  const covariance = mix => [[1, 0, mix], [0, 0.5, 0.5], [mix, 0.5, mix * mix + 0.55]];
  const flat = (lam, gam, F) => [0.87 * (lam - gam), 0.3 * (lam + gam) + 0.6 * F]; // the surface seen from above the origin

  figure("ch2", {
    title: "The surface F of two pixels, cut by two planes",
    panels: [{label: "The surface F over the prices λ and γ as a net, with the two planes that cut it", left: 12, width: 440, height: 290, row: true},
      {label: "Cut at constant γ: F over λ, with its tangent of slope D"}, {label: "Cut at constant λ: F over γ, with its tangent of slope C"}],
    controls: [
      {key: "lam", label: "λ of one plane", min: 0.05, max: 4, step: 0.05, value: 1, digits: 2},
      {key: "gam", label: "γ of the other plane", min: 0.05, max: 4, step: 0.05, value: 2, digits: 2},
      {key: "mix", label: "large pixel in the label (mix)", min: 0, max: 1, step: 0.05, value: 0.2, digits: 2},
      {key: "codes", label: "dimensions of the code", min: 1, max: 2, step: 1, value: 1, digits: 0},
    ],
    compute({lam, gam, mix, codes}) {
      const F = linearGaussian(covariance(mix), 2, codes), {F: value, R, D, C, hess, e} = F(lam, gam);
      return {F, numbers: {F: value, R, D, C, F_mixed: hess[0][1], e1: e[0], e2: e[1]}};
    },
    draw([net, left, right], {lam, gam}, {F, numbers: {F: value, D, C}}) {
      const at = (l, g) => flat(l, g, F(l, g).F), top = Math.max(at(MOST, MOST)[1], 3);
      net.axes({x: [-4, 4], y: [-0.4, top + 0.1], bare: true});
      for (const [l, g] of [[MOST, 0], [0, MOST]]) net.line([flat(0, 0, 0), flat(l, g, 0)], undefined, {width: 1.5});
      for (const v of [1, 2, 3, 4]) {
        net.text(...flat(v, 0, 0), v, {dx: 6, dy: 12});
        net.text(...flat(0, v, 0), v, {dx: -6, dy: 12, anchor: "end"});
      }
      net.text(...flat(2.6, 0, 0), "λ", {dx: 16, dy: 22, weight: 700});
      net.text(...flat(0, 2.6, 0), "γ", {dx: -16, dy: 22, anchor: "end", weight: 700});
      for (const v of range(0.02, MOST, 9)) {
        net.line(GRID.map(l => at(l, v)), undefined, {width: 1, opacity: 0.35});
        net.line(GRID.map(g => at(v, g)), undefined, {width: 1, opacity: 0.35});
      }
      const cutL = GRID.map(l => at(l, gam)), cutG = GRID.map(g => at(lam, g));
      net.area([...cutL, flat(MOST, gam, 0), flat(0.02, gam, 0)], 0, 0.18);
      net.area([...cutG, flat(lam, MOST, 0), flat(lam, 0.02, 0)], 2, 0.18);
      net.line(cutL, 0, {width: 3});
      net.line(cutG, 2, {width: 3});
      net.dots([flat(lam, gam, value)], 1, {r: 6});
      net.text(...at(MOST, MOST), "F (nats)", {anchor: "middle", dy: -8, weight: 600});
      const fine = range(0.01, MOST, 90), high = 1.12 * F(MOST, Math.max(gam, lam)).F;
      const cuts = [[left, lam, D, l => F(l, gam).F, 0, "λ (nats per pixel²)", `γ = ${gam.toFixed(2)}: the slope is D`],
        [right, gam, C, g => F(lam, g).F, 2, "γ", `λ = ${lam.toFixed(2)}: the slope is C`]];
      for (const [panel, here, slope, f, c, xlabel, title] of cuts) {
        panel.axes({x: [0, MOST], y: [0, high], xlabel, ylabel: "F (nats)", title});
        panel.line([[0, value - here * slope], [MOST, value + (MOST - here) * slope]], 1, {dash: "6 4"});
        panel.line(fine.map(v => [v, f(v)]), c, {width: 3});
        panel.dots([[here, value]], 1, {r: 6});
        panel.legend([[c, "F"], [1, "tangent", "dash"]], "br");
      }
    },
    say: (_, {numbers: {F_mixed}}) => "At λ = {lam:2}, γ = {gam:2}: F = {F:4} nats, with the slopes D = {D:4} pixel² and C = {C:4}; what is left, "
      + "F − λD − γC, is the rate R = {R:4} nats. F_λγ = {F_mixed:4}: the two readers "
      + (Math.abs(F_mixed) < 5e-5 ? "neither help nor hinder each other." : F_mixed < 0 ? "help each other." : "compete."),
  });
})();
