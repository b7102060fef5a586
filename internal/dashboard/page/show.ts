// Numbers and texts as the rest of bakeoff writes them.

// inert makes text from outside harmless: no control characters, and none that turn the direction of writing.
export function inert(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, "\ufffd");
}

export const none = "-";

// number has three significant digits, more only before the point.
export function number(v: number | null | undefined): string {
  if (v === null || v === undefined || !isFinite(v)) return none;
  if (v === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(v)) + 1e-9));
  return v.toLocaleString("en-US", { minimumFractionDigits: Math.min(digits, 6), maximumFractionDigits: Math.min(digits, 6) });
}

export function seconds(v: number | null | undefined): string {
  if (v === null || v === undefined) return none;
  if (v === 0) return "0 s";
  if (v < 1e-6) return number(v * 1e9) + " ns";
  if (v < 1e-3) return number(v * 1e6) + " us";
  if (v < 1) return number(v * 1e3) + " ms";
  return number(v) + " s";
}

export function share(v: number | null | undefined): string {
  if (v === null || v === undefined) return none;
  return v === 0 ? "0 %" : number(v * 100) + " %";
}

export function count(v: number): string { return v.toLocaleString("en-US"); }

export function clock(s: number): string {
  const all = Math.max(0, Math.round(s)), h = Math.floor(all / 3600), m = Math.floor(all / 60) % 60;
  const two = (n: number) => String(n).padStart(2, "0");
  return (h ? h + ":" : "") + two(m) + ":" + two(all % 60);
}

// element makes an element with attributes and children; texts stay texts.
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K, attributes: Record<string, string> = {}, ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

// table fills a table; the first cell of a row names it, and words are the numbers of further columns that hold no figures.
export function table(caption: string, head: string[], rows: string[][], ...words: number[]): HTMLElement {
  const body = element("tbody");
  for (const row of rows) {
    const tr = element("tr");
    row.forEach((text, i) => tr.append(i === 0 ? element("th", { scope: "row", class: "words" }, text) : element("td", words.includes(i) ? { class: "words" } : {}, text)));
    body.append(tr);
  }
  const tr = element("tr");
  head.forEach((text, i) => tr.append(element("th", i === 0 || words.includes(i) ? { scope: "col", class: "words" } : { scope: "col" }, text)));
  return element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    element("table", {}, element("caption", {}, caption), element("thead", {}, tr), body));
}
