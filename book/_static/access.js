// The theme leaves things without a name or with a role that does not fit. Theorems, exercises and solutions all have one id inside.
(function () {
  var all = function (selector, change) { document.querySelectorAll(selector).forEach(change); };
  all("#pst-primary-sidebar", function (e) { e.setAttribute("role", "complementary"); e.setAttribute("aria-label", "The book"); });
  all("#pst-primary-sidebar li > details > summary", function (e) {
    e.setAttribute("aria-label", "Pages of: " + e.closest("li").querySelector("a").textContent.trim());
  });
  all(".citation[role]", function (e) { e.setAttribute("role", "listitem"); });
  all("#proof-content, #exercise-content, #solution-content", function (e) { e.removeAttribute("id"); });
})();

// What scrolls sideways can be reached with the Tab key and then moved with the arrows; what does not scroll is no stop.
(function () {
  var WIDE = "div.math, div.cell_output, div.highlight pre, .cell_output pre, .output, table, article p, article dd, .fe-live, .fe-live > div, .wide";
  function mark() {
    document.querySelectorAll(WIDE).forEach(function (e) {
      var scrolls = e.scrollWidth > e.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(e).overflowX);
      if (scrolls) e.tabIndex = 0;
      else if (e.tabIndex === 0) e.removeAttribute("tabindex");
    });
  }
  // every opened fold and every typeset equation may change what scrolls
  function later() { clearTimeout(later.timer); later.timer = setTimeout(mark, 200); }
  window.addEventListener("load", function () {
    var typeset = window.MathJax && MathJax.startup && MathJax.startup.promise;
    Promise.resolve(typeset).then(later);
    new ResizeObserver(later).observe(document.querySelector("article, main, body"));
  });
})();

// Formulas that speak and that one can walk through with the arrow keys: MathJax's explorer, loaded only for who switches it on.
// Opened as a file, a page cannot load its words, and no formula would be set.
(function () {
  var KEY = "MathJax-Menu-Settings", foot = document.querySelector("p.page-footer");
  if (!foot || !document.querySelector(".math")) return;
  if (location.protocol === "file:") return localStorage.removeItem(KEY);
  var settings = JSON.parse(localStorage.getItem(KEY) || "{}"), button = document.createElement("button");
  button.textContent = "Formulas speak: " + (settings.explorer ? "on" : "off");
  button.addEventListener("click", function () {
    settings.explorer = !settings.explorer;
    localStorage.setItem(KEY, JSON.stringify(settings));
    location.reload();
  });
  foot.append(" · ", button);
})();
