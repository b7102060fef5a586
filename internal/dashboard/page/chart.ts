// A chart of series that grow: a canvas by uPlot, and around it what makes it readable without eyes or mouse.
import uPlot from "./uplot/uPlot.esm.js";
import { morph } from "./morph";
import { choice, keep } from "./state";
import { element, inert, none, say, table } from "./show";

// A line has the colour and the dash of its number, as in reports. What was due is thin, and what a plan asks for is a line of dots.
// Over says of which values only is known that they are greater.
export interface Line { label: string; number: number; kind?: "due" | "asked"; values: (number | null)[]; over?: boolean[] }
export interface Data { x: number[]; lines: Line[] }

const styles: [string, string, string][] = JSON.parse(document.querySelector<HTMLMetaElement>("meta[name=palette]")?.content || "[]");
const dark = matchMedia("(prefers-color-scheme: dark)");

function style(l: Line): { stroke: string; dash: number[]; width: number } {
  if (l.kind === "asked") return { stroke: getComputedStyle(document.body).color, dash: [1, 4], width: 1.5 };
  const [light, night, dash] = styles[l.number % styles.length] ?? ["#888888", "#888888", "none"];
  return { stroke: dark.matches ? night : light, dash: dash === "none" ? [] : dash.split(" ").map(Number), width: l.kind === "due" ? 0.8 : 2 };
}

// nearest is the place of a value, or of the first behind it.
function nearest(x: number[], v: number): number {
  const i = x.findIndex(o => o >= v);
  return i < 0 ? x.length - 1 : i;
}

const all: Chart[] = [];

export class Chart {
  private plot: uPlot | null = null;
  private data: Data = { x: [], lines: [] };
  private shape = ""; // of the plot: lines and scale
  private held: number | null = null; // where on the axis the reader has put the cursor: it stays there when the chart grows
  private said: number | null = null; // where the values are that are written below
  readonly figure: HTMLElement;
  private readonly place: HTMLElement;
  private readonly legend: HTMLElement;
  private readonly values: HTMLElement;
  private readonly numbers: HTMLDetailsElement;
  private readonly table = element("div");
  private readonly aside = element("p", { class: "note" });

  constructor(private readonly id: string, private readonly title: string, how: string, private readonly below: string, private readonly unit: (v: number | null) => string) {
    this.place = element("div", { class: "plot", tabindex: "0", role: "group", "aria-label": title + ": arrow keys move the cursor, Escape shows everything", "aria-describedby": id + "-values" });
    this.legend = element("ul", { class: "legend", "aria-label": "Lines of " + title });
    this.values = element("p", { class: "values", id: id + "-values", role: "status", "aria-live": "polite" });
    this.numbers = element("details", {}, element("summary", {}, "Numbers of this chart"), this.table);
    const button = (text: string, does: () => void) => {
      const b = element("button", { type: "button", "aria-label": text + ": " + title }, text);
      b.addEventListener("click", does);
      return b;
    };
    this.figure = element("figure", { class: "live-chart", id, role: "figure", "aria-labelledby": id + "-title" },
      element("figcaption", {}, element("h3", { id: id + "-title" }, title), element("p", {}, how), this.aside),
      this.place, this.legend, this.values,
      element("div", { class: "actions" }, button("PNG", () => this.png()), button("CSV", () => this.csv()), button("Zoom out", zoomOut)),
      this.numbers);
    this.numbers.addEventListener("toggle", () => this.fill());
    this.place.addEventListener("keydown", e => this.key(e));
    this.place.addEventListener("mousemove", () => {
      const i = this.plot?.cursor.idx ?? -1;
      if (i >= 0 && i < this.data.x.length) this.point(this.data.x[i]);
    });
    this.place.addEventListener("mouseleave", () => { for (const c of this.group()) c.held = null; });
    all.push(this);
  }

  // show draws data in place of what was drawn. Aside is what is to be known of them.
  show(data: Data, aside = ""): void {
    this.data = data;
    say(this.aside, aside);
    const shape = JSON.stringify([data.lines.map(l => [l.label, l.number, l.kind, l.values.some(v => v !== null)]), choice.log, dark.matches, this.place.clientWidth]);
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
    if (this.said !== null && this.values.textContent !== this.words()) {
      this.values.setAttribute("aria-live", "off"); // nobody has moved the cursor
      say(this.values, this.words());
    }
  }

  private make(data: uPlot.AlignedData): void {
    this.plot?.destroy();
    this.place.replaceChildren();
    const of = getComputedStyle(document.body), ink = of.color, grid = of.getPropertyValue("--line");
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
      series: [{}, ...this.data.lines.map(l => ({ label: inert(l.label), ...style(l), spanGaps: false, points: { size: 5 } }))],
      cursor: { sync: { key: this.below }, drag: { x: true, y: false } },
      hooks: {
        draw: [(u: uPlot) => this.settle(u)],
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
      for (const [k, v] of [["x1", "0"], ["x2", "26"], ["y1", "4"], ["y2", "4"], ["stroke", style(l).stroke], ["stroke-width", String(style(l).width)], ["stroke-dasharray", style(l).dash.join(" ") || "none"]]) line.setAttribute(k, v);
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
    const from = this.said === null ? -1 : nearest(x, this.said);
    this.point(x[Math.min(x.length - 1, Math.max(0, (from < 0 && step[e.key] < 0 ? x.length : from) + step[e.key]))]);
    for (const c of this.group()) if (c.plot) c.settle(c.plot);
  }

  // group are the charts with the same axis: they have one cursor.
  private group(): Chart[] { return all.filter(c => c.below === this.below); }

  // point is that a reader has put the cursor somewhere. The values there are written below each chart of the group; a screen reader
  // reads those of this one, in its own time.
  private point(x: number): void {
    for (const c of this.group()) {
      c.held = c.said = x;
      c.values.setAttribute("aria-live", c === this ? "polite" : "off");
      say(c.values, c.words());
    }
  }

  // settle puts the cursor of a plot to where the reader has put it.
  private settle(u: uPlot): void {
    const x = this.data.x;
    if (this.held === null || !x.length) return;
    u.setCursor({ left: u.valToPos(x[nearest(x, this.held)], "x"), top: Math.max(10, u.cursor.top ?? 0) }, false);
  }

  // words are the values where the reader has put the cursor.
  private words(): string {
    if (this.said === null || !this.data.x.length) return "";
    const i = nearest(this.data.x, this.said);
    return this.below + " " + this.data.x[i] + ": " + this.data.lines.map(l => inert(l.label) + " " + this.value(l, i)).join("; ");
  }

  private value(l: Line, i: number): string {
    const v = l.values[i] ?? null;
    return v === null ? none : (l.over?.[i] ? ">" : "") + this.unit(v);
  }

  private rows(raw: boolean): string[][] {
    const bare = (l: Line, i: number) => (l.over?.[i] ? ">" : "") + (l.values[i] ?? "");
    return this.data.x.map((x, i) => [String(x), ...this.data.lines.map(l => raw ? bare(l, i) : this.value(l, i))]);
  }

  private fill(): void {
    morph(this.table, element("div", {}, ...(this.numbers.open ? [table("Numbers of " + this.title, [this.below, ...this.data.lines.map(l => inert(l.label))], this.rows(false))] : [])));
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
    const c = to.getContext("2d")!, of = getComputedStyle(document.body);
    c.fillStyle = of.backgroundColor;
    c.fillRect(0, 0, to.width, to.height);
    c.font = 14 * scale + "px sans-serif";
    c.fillStyle = of.color;
    c.fillText(this.title, 6 * scale, 14 * scale);
    c.drawImage(from, 0, line);
    this.data.lines.forEach((l, i) => {
      c.fillStyle = style(l).stroke;
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
