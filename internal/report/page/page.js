"use strict";
// What a click does: a table is sorted by a column, and what is folded opens for paper. The page is whole without it.
(() => {
  const units = {ns: 1e-9, us: 1e-6, ms: 1e-3, s: 1, "%": 0.01, MB: 1e6};
  // value reads the first number of a cell with the unit that stands behind it; words have none.
  const value = text => {
    const found = /^[>[]?(-?[\d,]*\.?\d+(?:e-?\d+)?)/.exec(text.trim());
    if (!found) return NaN;
    const unit = /(?:^|\s)(ns|us|ms|s|%|MB)\b/.exec(text.slice(found[0].length)) || /(%)/.exec(text);
    return parseFloat(found[1].replaceAll(",", "")) * (unit ? units[unit[1]] : 1);
  };
  const compare = (a, b) => {
    const x = value(a), y = value(b);
    if (!isNaN(x) && !isNaN(y)) return x - y;
    if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;
    return a.localeCompare(b, "en", {numeric: true});
  };
  const sort = (table, column, head) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((a, b) => (down ? -1 : 1) * compare(a.cells[column].textContent, b.cells[column].textContent));
    body.append(...rows);
  };
  const sortable = () => {
    for (const table of document.querySelectorAll("table.sorts")) {
      if (table.querySelector("thead button")) continue;
      [...table.tHead.rows[0].cells].forEach((head, column) => {
        if (!head.textContent) return;
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = head.textContent;
        button.addEventListener("click", () => sort(table, column, head));
        head.replaceChildren(button);
      });
    }
  };
  // Only a table that is wider than its place can be scrolled, and is a stop of the Tab key with a name of its own.
  const stops = new ResizeObserver(entries => {
    for (const {target} of entries) {
      const scrolls = target.scrollWidth > target.clientWidth;
      for (const [name, value] of [["tabindex", "0"], ["role", "group"], ["aria-label", target.dataset.label]]) {
        if (scrolls) target.setAttribute(name, value); else target.removeAttribute(name);
      }
    }
  });
  const scrollable = () => {
    for (const place of document.querySelectorAll(".scroll")) {
      if (place.dataset.label) continue;
      place.dataset.label = place.getAttribute("aria-label");
      stops.observe(place);
    }
  };
  sortable();
  scrollable();
  // A page that replaces parts of itself says so.
  document.addEventListener("parts", () => { sortable(); scrollable(); });
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
    opened = [];
  });
})();
