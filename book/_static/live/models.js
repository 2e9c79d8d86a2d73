// What several figures compute: the linear–Gaussian model of fe/linear_gaussian.py in closed form, and small numerics.
(function () {
  "use strict";
  const matrix = (n, f) => Array.from({length: n}, (_, i) => Array.from({length: n}, (_, j) => f(i, j)));

  // Eigenvalues (descending) and eigenvectors (columns of V) of a symmetric matrix, by Jacobi's rotations.
  function eigh(A) {
    const n = A.length, a = A.map(row => row.slice()), V = matrix(n, (i, j) => +(i === j));
    for (let sweep = 0; sweep < 60; sweep++) {
      let off = 0;
      for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) {
        if (Math.abs(a[p][q]) < 1e-300) continue;
        off += Math.abs(a[p][q]);
        const tau = (a[q][q] - a[p][p]) / (2 * a[p][q]), t = (tau >= 0 ? 1 : -1) / (Math.abs(tau) + Math.hypot(1, tau));
        const c = 1 / Math.hypot(1, t), s = t * c;
        for (let i = 0; i < n; i++) [a[i][p], a[i][q]] = [c * a[i][p] - s * a[i][q], s * a[i][p] + c * a[i][q]];
        for (let i = 0; i < n; i++) [a[p][i], a[q][i]] = [c * a[p][i] - s * a[q][i], s * a[p][i] + c * a[q][i]];
        for (let i = 0; i < n; i++) [V[i][p], V[i][q]] = [c * V[i][p] - s * V[i][q], s * V[i][p] + c * V[i][q]];
      }
      if (off < 1e-16) break;
    }
    const order = a.map((_, i) => i).sort((i, j) => a[j][j] - a[i][i]);
    return {e: order.map(i => a[i][i]), V: V.map(row => order.map(i => row[i]))};
  }

  function cholesky(A) {
    const L = matrix(A.length, () => 0);
    for (let i = 0; i < A.length; i++) for (let j = 0; j <= i; j++) {
      let s = A[i][j];
      for (let k = 0; k < j; k++) s -= L[i][k] * L[j][k];
      L[i][j] = i === j ? Math.sqrt(s) : s / L[j][j];
    }
    return L;
  }

  // (λ, γ) -> everything at the equilibrium of `codes` codes: F, R, D, C, Hess F, the eigenvalues e, the share of each variable in
  // each code. `cov` is the covariance of the `pixels` pixels and the labels behind them.
  function linearGaussian(cov, pixels, codes) {
    const n = cov.length, L = cholesky(cov);
    const slopes = [0, 1].map(q => matrix(n, (a, b) => {
      let s = 0;
      for (let i = q ? pixels : 0; i < (q ? n : pixels); i++) s += 2 * L[i][a] * L[i][b];
      return s;
    }));
    return (lam, gam) => {
      const {e, V} = eigh(matrix(n, (i, j) => lam * slopes[0][i][j] + gam * slopes[1][i][j]));
      const used = e.map((v, i) => i < codes && v > 1), fall = e.map((v, i) => used[i] ? 0.5 / v : 0.5);
      const turned = slopes.map(T => matrix(n, (i, j) => {
        let s = 0;
        for (let a = 0; a < n; a++) for (let b = 0; b < n; b++) s += V[a][i] * T[a][b] * V[b][j];
        return s;
      }));
      const sum = f => e.reduce((s, v, i) => s + f(v, i), 0);
      const g = (i, j) => used[i] && used[j] ? -0.5 / (e[i] * e[j]) : used[i] === used[j] ? 0
        : used[i] ? -0.5 * (1 - 1 / e[i]) / (e[i] - e[j]) : g(j, i);
      const second = (p, q) => sum((_, i) => sum((_, j) => g(i, j) * turned[p][i][j] * turned[q][i][j]));
      const [D, C] = turned.map(T => sum((_, i) => fall[i] * T[i][i]));
      return {F: 0.5 * sum((v, i) => used[i] ? 1 + Math.log(v) : v), R: 0.5 * sum((v, i) => used[i] ? Math.log(v) : 0), D, C, e,
        // dF for a covariance that moves by dcov, and the column (W; V) of the first code
        force: dcov => sum((v, i) => {
          const g = L.map((row, a) => 2 * (a < pixels ? lam : gam) * row.reduce((s, l, b) => s + l * V[b][i], 0));
          return fall[i] / v * g.reduce((s, ga, a) => s + ga * g.reduce((t, gb, b) => t + dcov[a][b] * gb, 0), 0);
        }),
        get column() { return L.map(row => used[0] ? row.reduce((s, l, b) => s + l * V[b][0], 0) * Math.sqrt(1 - 1 / e[0]) : 0); },
        get hess() { return [[second(0, 0), second(0, 1)], [second(1, 0), second(1, 1)]]; }};
    };
  }

  const range = (low, high, n) => Array.from({length: n}, (_, i) => low + (high - low) * i / (n - 1));
  const logRange = (low, high, n) => range(Math.log(low), Math.log(high), n).map(Math.exp);
  const mix = (t, A, B) => A.map((row, i) => row.map((v, j) => (1 - t) * v + t * B[i][j]));
  const twoPixels = (correlation = 0.5) => [[1, 0, 0], [0, 0.5, correlation * Math.SQRT1_2], [0, correlation * Math.SQRT1_2, 1]];
  Object.assign(window.feLive, {eigh, linearGaussian, range, logRange, mix, twoPixels});
})();
