// Chapter 3: the Gibbs encoder over a latent line. The decoder cannot tell z from −z, the classifier can.
(function () {
  "use strict";
  const {range, figure} = window.feLive, Z = range(-3, 3, 121), STEP = Z[1] - Z[0];
  const drawing = z => Math.cos(1.3 * z); // what the decoder draws
  const log_sigmoid = v => Math.min(v, 0) - Math.log1p(Math.exp(-Math.abs(v)));
  const sum = (a, f = v => v) => a.reduce((s, v, i) => s + f(v, i), 0);
  const log_sum = a => { const top = Math.max(...a); return top + Math.log(sum(a, v => Math.exp(v - top))); };
  const normal = Z.map(z => -0.5 * z * z), log_m = normal.map(v => v - log_sum(normal));

  // e ∝ m d^λ c^γ on the line, with log Z, R, D and C
  function gibbs(log_d, log_c, lam, gam) {
    const log_joint = log_m.map((m, i) => m + lam * log_d[i] + gam * log_c[i]), log_Z = log_sum(log_joint);
    const law = log_joint.map(v => Math.exp(v - log_Z));
    return {log_joint, log_Z, law, R: sum(law, (e, i) => e * (log_joint[i] - log_Z - log_m[i])), D: -sum(law, (e, i) => e * log_d[i]),
      C: -sum(law, (e, i) => e * log_c[i])};
  }

  figure("ch3", {
    title: "The Gibbs encoder over a latent line",
    panels: [{label: "The three parts of the energy H over the code z, and their sum"},
      {label: "Three laws over the code z: the marginal, the reconstruction encoder and the Gibbs encoder"}],
    controls: [
      {key: "lam", label: "price λ of distortion", min: 0.1, max: 60, step: 0.01, value: 8, digits: 2, log: true},
      {key: "gam", label: "price γ of classification", min: 0, max: 8, step: 0.1, value: 1, digits: 1},
      {key: "x", label: "the pixel x", min: -1, max: 1, step: 0.05, value: 0.2, digits: 2},
      {key: "label", label: "the label y", choices: [["1", "1: codes on the right"], ["0", "0: codes on the left"]]},
    ],
    compute({lam, gam, x, label}) {
      const log_d = Z.map(z => -((x - drawing(z)) ** 2)), log_c = Z.map(z => log_sigmoid(+label ? 3 * z : -3 * z));
      const e = gibbs(log_d, log_c, lam, gam), blind = gibbs(log_d, log_c, lam, 0);
      const unseen = sum(blind.law, (q, i) => q * (blind.log_joint[i] - blind.log_Z - e.log_joint[i] + e.log_Z));
      return {e, blind, log_d, log_c, numbers: {F: -e.log_Z, R: e.R, D: e.D, C: e.C, C_blind: blind.C, unseen,
        right: 100 * sum(e.law, (v, i) => Z[i] > 1e-9 ? v : 0)}};
    },
    draw([left, right], {lam, gam}, {e, blind, log_d, log_c}) {
      const low = Math.min(...e.log_joint.map(v => -v)), parts = [[log_m, 6, "−log m", "2 3"], [log_d.map(v => lam * v), 0, "−λ log d", "6 4"],
        [log_c.map(v => gam * v), 2, "−γ log c", "9 3 2 3"]];
      left.axes({x: [-3, 3], y: [0, low + 15], xlabel: "code z", ylabel: "energy (nats)", title: "what a code costs"});
      for (const [values, c, , dash] of parts) left.line(Z.map((z, i) => [z, -values[i]]), c, {dash});
      left.line(Z.map((z, i) => [z, -e.log_joint[i]]), 1, {width: 3});
      left.legend([[1, "H, their sum"], ...parts.map(([, c, words]) => [c, words, "dash"])], "tl");
      const top = Math.max(...e.law, ...blind.law) / STEP;
      right.axes({x: [-3, 3], y: [0, 1.45 * top], xlabel: "code z", ylabel: "density", title: "who uses which code"});
      right.area([[-3, 0], ...Z.map((z, i) => [z, e.law[i] / STEP]), [3, 0]], 1, 0.25);
      right.line(Z.map((z, i) => [z, Math.exp(log_m[i]) / STEP]), 6, {dash: "2 3"});
      right.line(Z.map((z, i) => [z, blind.law[i] / STEP]), 0, {dash: "6 4"});
      right.line(Z.map((z, i) => [z, e.law[i] / STEP]), 1, {width: 3});
      right.legend([[6, "marginal m", "dash"], [0, "e⁰, which sees x alone", "dash"], [1, "e*, which sees x and y"]], "tl");
    },
    say: () => "−log Z = {F:4} nats: R = {R:4}, D = {D:4} pixel², C = {C:4} nats, with {right:0} % of the mass right of zero. The reconstruction encoder, which has not seen the label, has "
      + "the loss C = {C_blind:4}; at these prices it is dearer by KL(e⁰ ‖ e*) = {unseen:4} nats.",
  });
})();
