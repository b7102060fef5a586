// Parts of a page are made again while somebody reads them. What is the same stays, with what the reader has done to it: what is
// unfolded, chosen, selected, sorted and scrolled to, and where the keyboard is.

const own = ["open", "aria-sort", "data-label"]; // attributes that a reader and report.js set

// morph makes the children of a place like those of another one.
export function morph(place: Element, like: Node): void {
  children(place, like);
  for (const head of place.querySelectorAll("th[aria-sort]")) sort(head);
}

// key is what an element and its successor have in common.
function key(n: Node): string {
  return n instanceof Element ? n.nodeName + " " + (n.id || n.getAttribute("aria-labelledby") || "") : n.nodeName;
}

function children(old: Node, fresh: Node): void {
  const left = [...old.childNodes], pairs: [ChildNode | undefined, ChildNode][] = [];
  for (const f of [...fresh.childNodes]) {
    const k = key(f), i = left.findIndex(o => key(o) === k);
    pairs.push([i < 0 ? undefined : left.splice(i, 1)[0], f]);
  }
  for (const o of left) o.remove();
  let at = old.firstChild;
  for (const [o, f] of pairs) {
    if (o) become(o, f);
    const now = o ?? f;
    if (now === at) at = now.nextSibling; // to move an element takes the keyboard from it
    else old.insertBefore(now, at);
  }
}

function become(o: ChildNode, f: ChildNode): void {
  if (!(o instanceof Element) || !(f instanceof Element)) {
    if (o.nodeValue !== f.nodeValue) o.nodeValue = f.nodeValue;
    return;
  }
  if (o.isEqualNode(f)) return;
  attributes(o, f);
  const button = o.matches("th") ? o.querySelector(":scope > button") : null; // by which report.js sorts
  if (!button) children(o, f);
  else if (button.textContent !== f.textContent) button.textContent = f.textContent;
}

function attributes(o: Element, f: Element): void {
  let keep = own;
  if (o instanceof HTMLElement && o.dataset.label !== undefined) { // whether the Tab key stops there is the business of report.js
    o.dataset.label = f.getAttribute("aria-label") ?? "";
    if (o.hasAttribute("aria-label")) o.setAttribute("aria-label", o.dataset.label);
    keep = [...own, "aria-label", "role", "tabindex"];
  }
  for (const a of [...f.attributes]) if (!keep.includes(a.name) && o.getAttribute(a.name) !== a.value) o.setAttribute(a.name, a.value);
  for (const a of [...o.attributes]) if (!keep.includes(a.name) && !f.hasAttribute(a.name)) o.removeAttribute(a.name);
}

// sort sorts a table as it was: its rows have been written in their first order.
function sort(head: Element): void {
  if (head.getAttribute("aria-sort") === "descending") head.setAttribute("aria-sort", "ascending");
  else head.removeAttribute("aria-sort");
  head.querySelector("button")?.click();
}
