// A chart of series that grow: a canvas by uPlot, and around it what makes it readable without eyes or mouse.
import uPlot from "./uplot/uPlot.esm.js";
import { choice, keep } from "./state";
import { element, inert, none, table } from "./show";

export interface Line { label: string; colour: number; dash: number; values: (number | null)[] }
export interface Data { x: number[]; lines: Line[] }

const dashes = [[], [7, 3], [2, 3], [10, 3, 2, 3]];
const palette: [string, string][] = JSON.parse(document.querySelector<HTMLMetaElement>("meta[name=palette]")?.content ?? "[]");
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (i: number): string => palette.length ? palette[i % palette.length][dark.matches ? 1 : 0] : "#888888";

const all: Chart[] = [];

export class Chart {
  private plot: uPlot | null = null;
  private data: Data = { x: [], lines: [] };
  private shape = ""; // of the plot: lines and scale
  private at = -1; // where the cursor is
  readonly figure: HTMLElement;
  private readonly place: HTMLElement;
  private readonly legend: HTMLElement;
  private readonly values: HTMLElement;
  private readonly numbers: HTMLDetailsElement;

  constructor(private readonly id: string, private readonly title: string, how: string, private readonly below: string, private readonly unit: (v: number | null) => string) {
    this.place = element("div", { class: "plot", tabindex: "0", role: "group", "aria-label": title + ": arrow keys move the cursor, Escape shows everything", "aria-describedby": id + "-values" });
    this.legend = element("ul", { class: "legend", "aria-label": "Lines of " + title });
    this.values = element("p", { class: "values", id: id + "-values", role: "status", "aria-live": "polite" });
    this.numbers = element("details", {}, element("summary", {}, "Numbers of this chart"));
    const button = (text: string, does: () => void) => {
      const b = element("button", { type: "button", "aria-label": text + ": " + title }, text);
      b.addEventListener("click", does);
      return b;
    };
    this.figure = element("figure", { class: "live-chart", id, role: "figure", "aria-labelledby": id + "-title" },
      element("figcaption", {}, element("h3", { id: id + "-title" }, title), element("p", {}, how)),
      this.place, this.legend, this.values,
      element("div", { class: "actions" }, button("PNG", () => this.png()), button("CSV", () => this.csv()), button("Zoom out", zoomOut)),
      this.numbers);
    this.numbers.addEventListener("toggle", () => this.fill());
    this.place.addEventListener("keydown", e => this.key(e));
    all.push(this);
  }

  // show draws data in place of what was drawn.
  show(data: Data): void {
    this.data = data;
    const shape = JSON.stringify([data.lines.map(l => [l.label, l.colour, l.dash, l.values.some(v => v !== null)]), choice.log, dark.matches, this.place.clientWidth]);
    const values = data.lines.map(l => choice.log ? l.values.map(v => v !== null && v > 0 ? v : null) : l.values);
    if (!data.lines.some(l => l.values.some(v => v !== null))) {
      this.plot?.destroy();
      this.plot = null;
      this.shape = "";
      this.place.replaceChildren(element("p", { class: "empty" }, data.x.length ? "Too few requests in each second, or not measured." : "Nothing has been measured yet."));
      this.legend.replaceChildren();
    } else if (this.plot && shape === this.shape) {
      this.plot.setData([data.x, ...values] as uPlot.AlignedData, false);
      this.range();
    } else {
      this.shape = shape;
      this.make([data.x, ...values] as uPlot.AlignedData);
    }
    if (this.numbers.open) this.fill();
  }

  private make(data: uPlot.AlignedData): void {
    this.plot?.destroy();
    this.place.replaceChildren();
    const style = getComputedStyle(document.body), ink = style.color, grid = style.getPropertyValue("--line");
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
    this.plot = new uPlot({
      width: Math.max(200, this.place.clientWidth), height: 220, legend: { show: false },
      scales: {
        x: { time: false },
        y: choice.log ? { distr: 3 } : { range: (_u: uPlot, _min: number, max: number): [number, number] => [0, max > 0 ? max * 1.05 : 1] },
      },
      axes: [
        { ...axis, label: this.below, labelSize: 20, size: 34 },
        { ...axis, size: 74, values: (_u: uPlot, ticks: number[]) => ticks.map(v => v === null ? "" : this.unit(v)) },
      ],
      series: [{}, ...this.data.lines.map(l => ({
        label: inert(l.label), stroke: colour(l.colour), width: 1.75, dash: dashes[l.dash % dashes.length], spanGaps: false, points: { size: 5 },
      }))],
      cursor: { sync: { key: "bakeoff" }, drag: { x: true, y: false } },
      hooks: {
        setCursor: [(u: uPlot) => this.say(u.cursor.idx ?? -1)],
        setSelect: [(u: uPlot) => {
          if (u.select.width > 4) zoom(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
        }],
      },
    }, data, this.place);
    this.place.querySelector("canvas")?.setAttribute("aria-hidden", "true");
    this.range();
    this.legend.replaceChildren(...this.data.lines.map(l => {
      const mark = document.createElementNS("http://www.w3.org/2000/svg", "svg"), line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      for (const [k, v] of [["width", "26"], ["height", "8"], ["aria-hidden", "true"]]) mark.setAttribute(k, v);
      for (const [k, v] of [["x1", "0"], ["x2", "26"], ["y1", "4"], ["y2", "4"], ["stroke", colour(l.colour)], ["stroke-dasharray", dashes[l.dash % dashes.length].join(" ") || "none"]]) line.setAttribute(k, v);
      mark.append(line);
      return element("li", {}, mark, inert(l.label) + (l.values.some(v => v !== null) ? "" : " (too few requests)"));
    }));
  }

  // range shows the part that was chosen, or everything.
  range(): void {
    const x = this.data.x;
    if (!this.plot || !x.length) return;
    const first = x[0], last = x[x.length - 1];
    this.plot.setScale("x", { min: choice.from ?? first, max: choice.to ?? (last > first ? last : first + 1) });
  }

  resize(): void {
    if (this.plot) this.plot.setSize({ width: Math.max(200, this.place.clientWidth), height: 220 });
  }

  private key(e: KeyboardEvent): void {
    const x = this.data.x;
    if (e.key === "Escape") zoomOut();
    const step: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
    if (!(e.key in step) || !this.plot || !x.length) return;
    e.preventDefault();
    const to = Math.min(x.length - 1, Math.max(0, (this.at < 0 && step[e.key] < 0 ? x.length : this.at) + step[e.key]));
    this.plot.setCursor({ left: this.plot.valToPos(x[to], "x"), top: 10 });
    this.say(to);
  }

  // say writes the values under the cursor; a screen reader reads them in its own time.
  private say(i: number): void {
    if (i < 0 || i >= this.data.x.length) return;
    this.at = i;
    this.values.textContent = this.below + " " + this.data.x[i].toLocaleString("en-US") + ": " + this.data.lines.map(l => inert(l.label) + " " + this.unit(l.values[i] ?? null)).join("; ");
  }

  private rows(raw: boolean): string[][] {
    return this.data.x.map((x, i) => [String(x), ...this.data.lines.map(l => {
      const v = l.values[i] ?? null;
      return raw ? (v === null ? "" : String(v)) : v === null ? none : this.unit(v);
    })]);
  }

  private fill(): void {
    this.numbers.querySelector(".scroll")?.remove();
    if (!this.numbers.open) return;
    this.numbers.append(table("Numbers of " + this.title, [this.below, ...this.data.lines.map(l => inert(l.label))], this.rows(false)));
  }

  private csv(): void {
    // A spreadsheet takes a cell that begins like a formula for one.
    const cell = (text: string) => '"' + (/^[=+\-@\t]/.test(text) ? "'" : "") + text.replaceAll('"', '""') + '"';
    const lines = [[this.below, ...this.data.lines.map(l => inert(l.label))].map(cell), ...this.rows(true)].map(row => row.join(","));
    save(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }), this.id + ".csv");
  }

  private png(): void {
    const from = this.place.querySelector("canvas");
    if (!from) return;
    const scale = devicePixelRatio || 1, line = 20 * scale, names = this.data.lines.map(l => inert(l.label));
    const to = element("canvas");
    to.width = from.width;
    to.height = from.height + line * (1 + names.length);
    const c = to.getContext("2d")!, style = getComputedStyle(document.body);
    c.fillStyle = style.backgroundColor;
    c.fillRect(0, 0, to.width, to.height);
    c.font = 14 * scale + "px sans-serif";
    c.fillStyle = style.color;
    c.fillText(this.title, 6 * scale, 14 * scale);
    c.drawImage(from, 0, line);
    this.data.lines.forEach((l, i) => {
      c.fillStyle = colour(l.colour);
      c.fillText("\u25a0 " + names[i], 6 * scale, from.height + line * (1 + i) + 14 * scale);
    });
    to.toBlob(blob => { if (blob) save(blob, this.id + ".png"); });
  }
}

function save(content: Blob, name: string): void {
  const a = element("a", { href: URL.createObjectURL(content), download: name });
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}

// zoom shows a part of every chart.
function zoom(from: number, to: number): void {
  choice.from = Math.round(from * 100) / 100;
  choice.to = Math.round(to * 100) / 100;
  keep();
  for (const c of all) c.range();
}

export function zoomOut(): void {
  choice.from = choice.to = null;
  keep();
  for (const c of all) c.range();
}

let again = 0;
addEventListener("resize", () => {
  cancelAnimationFrame(again);
  again = requestAnimationFrame(() => { for (const c of all) c.resize(); });
});
export const schemes = dark;
