// Numbers and texts as the rest of bakeoff writes them: the rules are those of package show, and the same cases test both.

// inert makes text from outside harmless: no control characters, and none that turn the direction of writing.
export function inert(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, "\ufffd");
}

export const none = "-";
export const unmeasured = "not measured";

type Figure = number | null | undefined;

// fixed has that many digits behind the point. What lies exactly between two such numbers ends in an even digit.
function fixed(v: number, digits: number): string {
  const a = Math.abs(v), text = a.toFixed(digits), last = Number(text.at(-1));
  const even = a * 2 ** (digits + 1) % 2 === 1 && last % 2 === 1 ? text.slice(0, -1) + (last - 1) : text;
  return (v < 0 ? "-" : "") + thousands(even);
}

// thousands puts commas into a decimal number.
function thousands(text: string): string {
  const [whole, ...fraction] = text.split(".");
  return [whole.replace(/\B(?=(\d{3})+$)/g, ","), ...fraction].join(".");
}

// three has three significant digits from 1 to 1000.
function three(v: number): string {
  const a = Math.abs(v);
  return fixed(v, a >= 99.95 ? 0 : a >= 9.995 ? 1 : 2);
}

// two has two significant digits, and no zeros at its end.
function two(v: number): string {
  const [digits, power] = v.toExponential(1).split("e"), exponent = Number(power);
  if (exponent < -4) return digits.replace(/\.0$/, "") + "e-" + String(-exponent).padStart(2, "0");
  return v.toFixed(1 - exponent).replace(/0+$/, "");
}

// number has three significant digits, more only before the point.
export function number(v: Figure): string {
  if (v === null || v === undefined || !isFinite(v)) return none;
  if (v === 0) return "0";
  return Math.abs(v) < 0.00995 ? two(v) : three(v);
}

export function seconds(v: Figure): string {
  if (v === null || v === undefined) return none;
  if (v === 0) return "0 s";
  if (v < 0.0009995e-3) return fixed(v * 1e9, 0) + " ns";
  if (v < 0.9995e-3) return three(v * 1e6) + " us";
  if (v < 0.9995) return three(v * 1e3) + " ms";
  return three(v) + " s";
}

export function share(v: Figure): string {
  if (v === null || v === undefined) return none;
  const percent = v * 100;
  return (percent !== 0 && Math.abs(percent) < 0.05 ? number(percent) : fixed(percent, 1)) + " %";
}

export function count(v: number): string { return thousands(String(v)); }

// clock is how long something has been going on, in seconds.
export function clock(s: number): string {
  const all = Math.floor(Math.max(0, s)), h = Math.floor(all / 3600), m = Math.floor(all / 60) % 60;
  const two = (n: number) => String(n).padStart(2, "0");
  return (h ? h + ":" : "") + two(m) + ":" + two(all % 60);
}

// say writes a text into an element, unless it is there.
export function say(e: Element | null, text: string): void {
  if (e && e.textContent !== text) e.textContent = text;
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
