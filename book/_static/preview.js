// On hover and on keyboard focus a link to an equation, a theorem, a figure, an exercise, a claim, a term, a function or a
// citation shows what it leads to in a box beside it, and a symbol what it means. Esc closes it, and it stays closed until the
// mouse has left the link. A finger follows the link.
(function () {
  "use strict";
  const LINKS = ".bd-article a.internal[href*='#'], .symbol-link", SHOWN = ".math, figure, .proof, .exercise, .claim, .citation, dt";
  const LEFT_OUT = ".headerlink, .copybtn, .fe-controls, .fe-spoken, .fe-hint, .fe-panels [tabindex], .symbol-text, script";
  const pages = {}, box = document.createElement("div");
  let of = null, timer, under = null, closed = null, still = false, x, y;
  box.className = box.id = "preview";
  box.setAttribute("role", "tooltip");

  // The page that a link leads to: this one, or the source of another, which is fetched once.
  const page = url => url.pathname === location.pathname ? document : pages[url.pathname] ||= fetch(url)
    .then(answer => answer.text()).then(text => new DOMParser().parseFromString(text, "text/html"));

  // A copy of what a link leads to, in which nothing has a name or takes the focus; null for sections and whole pages.
  async function copy(link) {
    const url = new URL(link.href), meaning = link.parentElement.querySelector(":scope > .symbol-text");
    const target = meaning || (await page(url)).getElementById(decodeURIComponent(url.hash.slice(1)));
    if (!target?.matches(meaning ? "*" : SHOWN)) return null;
    const term = target.matches("dt"), found = document.createElement(term ? "dl" : "div");
    for (const part of term ? [target, target.nextElementSibling] : [target]) {
      const one = found.appendChild(part.cloneNode(true));
      one.removeAttribute("role");
      one.classList.remove("symbol-text");
    }
    const all = (selector, change) => found.querySelectorAll(selector).forEach(change);
    all(LEFT_OUT, e => e.remove());
    all("a", e => e.replaceWith(...e.childNodes));
    all("img", e => { e.src = new URL(e.getAttribute("src"), url); });
    all("[id]", e => e.removeAttribute("id"));
    all("[tabindex]", e => e.removeAttribute("tabindex"));
    return window.MathJax || !found.querySelector(".math") ? found : null; // a page without formulas has no MathJax
  }

  // Below the link if there is room, else above it: either has room for the box.
  function place() {
    const at = of.getClientRects()[0] || of.getBoundingClientRect(), below = at.bottom + box.offsetHeight + 8 < innerHeight;
    box.style.left = `${Math.max(8, Math.min(at.left, document.body.clientWidth - box.offsetWidth - 8))}px`;
    box.style.top = `${below ? at.bottom + 4 : at.top - box.offsetHeight - 4}px`;
  }

  async function show(link) {
    hide();
    of = link;
    const found = await copy(link).catch(() => null); // opened as a file, a page cannot read another one
    if (of !== link || !found) return;
    box.replaceChildren(found);
    link.closest(".bd-article").append(box);
    if (!link.hasAttribute("aria-describedby")) link.setAttribute("aria-describedby", box.id);
    if (window.MathJax?.startup?.promise) await (MathJax.startup.promise = MathJax.startup.promise.then(() => MathJax.typesetPromise([box])));
    if (of === link) place();
  }

  function hide() {
    clearTimeout(timer);
    if (of?.getAttribute("aria-describedby") === box.id) of.removeAttribute("aria-describedby");
    of = null;
    box.remove();
  }

  // The mouse may rest on the link for a moment first, and go over to the box and read there. After Esc the link under it
  // is closed; what comes to lie under it, as the box goes, is not shown to who has not moved.
  document.addEventListener("pointerover", e => {
    if (e.pointerType !== "mouse") return;
    const link = under = e.target.closest(LINKS);
    if (still && e.clientX === x && e.clientY === y || link && link === closed) return;
    [closed, still] = [null, false];
    clearTimeout(timer);
    if (link !== of && !box.contains(e.target)) timer = setTimeout(() => link ? show(link) : hide(), 250);
  });
  document.addEventListener("focusin", e => { if (e.target.matches(LINKS) && e.target.matches(":focus-visible")) show(e.target); });
  document.addEventListener("focusout", hide);
  document.addEventListener("pointermove", e => { [x, y, still] = [e.clientX, e.clientY, false]; });
  document.addEventListener("keydown", e => {
    if (e.key !== "Escape") return;
    [closed, still] = [under || of, true];
    hide();
  });
  document.addEventListener("scroll", () => { if (box.isConnected) place(); }, true);
})();
