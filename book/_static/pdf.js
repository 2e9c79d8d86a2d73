// What tools/pdf.py has a page do before Chromium prints it. No page of the web edition loads this.
const all = selector => [...document.querySelectorAll(selector)];

// One name for a place in the whole book: its page, and its anchor if it has one.
const place = (page, anchor) => anchor ? page + "#" + anchor : page;

window.paper = {
  // Typeset and loaded. The page's headings: [level, place, words and formulas as TeX].
  async prepare(page) {
    if (document.querySelector(".math")) await MathJax.startup.promise;
    all("mjx-assistive-mml").forEach(e => e.remove());  // for screen readers of the web; here a formula is read as TeX
    if (window.MathJax) for (const { math, typesetRoot } of MathJax.startup.document.math) {
      typesetRoot.role = "img";
      typesetRoot.ariaLabel = math;
      typesetRoot.style.background = "rgba(255, 255, 255, .004)";  // what draws no box of its own gets no tag
    }
    all('a[href*="_downloads/"]').forEach(a => a.removeAttribute("href"));  // files of the web edition alone
    for (const heading of all("article section > :is(h1, h2, h3)")) {  // may stand on the page after its section's start
      heading.id = heading.parentElement.id;
      heading.parentElement.removeAttribute("id");
    }
    paper.name(page);
    await paper.settle();
    return all("article section > h1, article section > h2").map(heading => {
      const copy = heading.cloneNode(true);
      const formulas = window.MathJax ? MathJax.startup.document.getMathItemsWithin(heading) : [];
      copy.querySelectorAll("mjx-container").forEach((m, i) => m.replaceWith(`\\(${formulas[i].math}\\)`));
      copy.querySelectorAll(".headerlink").forEach(a => a.remove());
      return [+heading.tagName[1], heading.id, copy.textContent.trim().replace(/\s+/g, " ")];
    });
  },

  // Title page and contents in place of the open page.
  async cover(markup) {
    document.querySelector("article").innerHTML = markup
      + `<style>@page :first { @top-left { content: "" } @bottom-center { content: "" } }</style>`;
    await MathJax.typesetPromise(all("article .math").filter(e => e.textContent.includes("\\(")));
    await paper.settle();
  },

  // Every anchor gets its name in the whole book, and links into the book lead to these names.
  // Chromium knows a place only if a link of its page leads there: one to each, in a box that is not shown.
  name(page) {
    for (const a of all("article a[href]")) {
      const url = new URL(a.href);
      if (url.origin != location.origin) continue;
      const target = decodeURIComponent(url.pathname.slice(1).replace(/\.html$/, ""));
      const name = encodeURIComponent(place(target, decodeURIComponent(url.hash.slice(1))));
      a.href = (target == page ? "#" : location.origin + "/") + name;
    }
    document.querySelector("article").id = "";
    const box = document.body.appendChild(document.createElement("div"));
    box.style.display = "none";
    for (const e of all("article, article [id]")) {
      e.id = place(page, e.id);
      box.appendChild(document.createElement("a")).href = "#" + encodeURIComponent(e.id);
    }
  },

  // What is shown has arrived, and formulas that are wider than their line are set smaller.
  async settle() {
    const shown = all("article img").filter(image => image.offsetParent);
    await Promise.all(shown.map(image => { image.loading = "eager"; return image.decode(); }));
    await document.fonts.ready;
    for (const formula of all("mjx-container")) {
      const room = formula.closest("div.math, td, th, p, li, dd, article").clientWidth;
      const number = formula.parentElement.querySelector(":scope > .eqno");
      const free = room - (number ? number.offsetWidth + 12 : 0);
      const wide = formula.querySelector("mjx-math").getBoundingClientRect().width;
      if (wide > free) formula.style.setProperty("font-size", Math.floor(100 * free / wide) + "%", "important");
    }
  },

  // A running header, and pages numbered from `first` on. What is wider than the paper: tag, class and words of each.
  number(header, first, style, width) {
    const css = document.head.appendChild(document.createElement("style"));
    css.textContent = `html { counter-reset: page ${first - 1} }
      @page { @top-left { content: ${JSON.stringify(header)}; font: 8pt sans-serif; color: #555 }
              @bottom-center { content: counter(page, ${style}); font: 8.5pt sans-serif } }`;
    return all("article *").filter(e => !e.closest("mjx-container, svg *")).concat(all("article mjx-math"))
      .filter(e => { const box = e.getBoundingClientRect(); return box.width && box.right > width + 1; })
      .map(e => `${e.tagName} ${e.className}: ${e.textContent.slice(0, 60)}`);
  },
};
