// Chapter 10: forgetting there and back in closed form. Steps of K on a mixture of two Gaussian tasks, and a share of old data.
(function () {
  "use strict";
  const {linearGaussian, mix, range, figure} = window.feLive, c = 0.5 * Math.SQRT1_2;
  const S = [[1, 0, 0.2], [0, 0.5, c], [0.2, c, 1]], T = [[0.5, 0.1, c], [0.1, 1, 0.1], [c, 0.1, 1.1]];
  const change = T.map((row, i) => row.map((v, j) => v - S[i][j]));

  const late = (from, to) => [to.t, from.F + (to.t - from.t) * from.slope]; // the model of `from`, frozen, on the task of `to`

  figure("ch10", {
    title: "Forgetting, there and back",
    panels: [{label: "Costs on source and on target of the model at rest at each share t, with the share that is kept marked"},
      {label: "Cost on the way there and back in K steps: before each rest it lies above the free energy", left: 64}],
    controls: [
      {key: "t", label: "share t at which we stay", min: 0, max: 1, step: 0.01, value: 0.8, digits: 2},
      {key: "K", label: "steps each way", min: 1, max: 20, step: 1, value: 4, digits: 0},
      {key: "lam", label: "λ", min: 0.1, max: 4, step: 0.05, value: 1, digits: 2},
      {key: "gam", label: "γ", min: 0.1, max: 6, step: 0.05, value: 4, digits: 2},
    ],
    compute({t, K, lam, gam}) {
      const at = s => {
        const {F, force} = linearGaussian(mix(s, S, T), 2, 1)(lam, gam), slope = force(change);
        return {t: s, F, slope, Js: F - s * slope, Jt: F + (1 - s) * slope};
      };
      const rests = range(0, 1, K + 1).map(at), here = at(t), [first, last] = [rests[0], rests[K]];
      const there = rests.slice(1).map((to, i) => late(rests[i], to)), back = rests.slice(0, -1).map((to, i) => late(rests[i + 1], to));
      const waste = (ends, rest) => ends.reduce((s, p, i) => s + p[1] - rest[i].F, 0);
      return {at, rests, here, numbers: {Js: here.Js, Jt: here.Jt, lost: last.Js - first.Js,
        kept: 100 * (last.Js - here.Js) / (last.Js - first.Js), price: here.Jt - last.Jt,
        waste_there: waste(there, rests.slice(1)), waste_back: waste(back, rests.slice(0, -1))}};
    },
    draw([left, right], {t, K}, {at, rests, here}) {
      const fine = range(0, 1, 41).map(at), all = fine.flatMap(q => [q.Js, q.Jt]), low = Math.min(...all), high = Math.max(...all), room = high - low;
      left.axes({x: [0, 1], y: [low - 0.1 * room, high + 0.4 * room], xlabel: "share t of the target", ylabel: "cost (nats)", title: "what is remembered"});
      left.line([[t, low - room], [t, high + room]], undefined, {width: 1, opacity: 0.5});
      left.line(fine.map(q => [q.t, q.Js]), 0, {width: 3});
      left.line(fine.map(q => [q.t, q.Jt]), 1, {width: 3, dash: "8 3"});
      left.dots([[t, here.Js]], 0, {r: 6});
      left.dots([[t, here.Jt]], 1, {r: 6});
      left.legend([[0, "on the source"], [1, "on the target", "dash"]], "tl");
      const tooth = (from, to) => [...range(from.t, to.t, 12).map(v => [v, late(from, at(v))[1] - at(v).F]), [to.t, 0]];
      const teeth = [rests.slice(1).map((to, i) => tooth(rests[i], to)), rests.slice(0, -1).map((to, i) => tooth(rests[i + 1], to))];
      const most = Math.max(...teeth.flat(2).map(p => p[1]), 1e-6);
      right.axes({x: [0, 1], y: [0, 1.5 * most], xlabel: "share t of the target", ylabel: "cost above F (nats)", title: `there and back in ${K} steps each`});
      teeth[0].forEach(points => right.line(points, 2, {width: 2.5}));
      teeth[1].forEach(points => right.line(points, 3, {width: 2.5, dash: "5 3"}));
      right.dots(rests.map(q => [q.t, 0]), 6, {r: 4});
      right.legend([[2, "there: the old model, then rest"], [3, "back", "dash"]], "tl");
    },
    say: () => "Staying at t = {t:2} keeps {kept:1} % of the {lost:4} nats that are lost on the source at t = 1, for {price:4} nats on the target. "
      + "The steps waste {waste_there:4} nats there and {waste_back:4} back; home is reached exactly.",
  });
})();
