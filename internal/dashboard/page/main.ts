// The page of a run: it takes what the server sends, and shows it as the reader chose.
import { Model, Update, percents } from "./model";
import { View, runView, targetView, tiersView } from "./views";
import { choice, keep } from "./state";
import { clock, count, element, inert, none, number, seconds, share } from "./show";
import { schemes } from "./chart";

const retryMs = 31_000; // the server keeps what has failed for 30 s
const page = document.body.dataset;
const base = page.base ?? "";

// Scripts of a browser have no clock of the server: what it says of times is taken from when it was said.
interface Heard { at: number; now: Model["now"] }

class Page {
  private readonly live = new Model(); // what is under way, or the last block
  private past: Model | null = null; // another block that was asked for
  private pastBlock: number | null = null;
  private readonly view: View;
  private readonly tables = document.getElementById("tables")!;
  private readonly notice = document.getElementById("notice");
  private heard: Heard = { at: Date.now(), now: null };
  private frame = 0;
  private shown = ""; // controls
  private wanted = -1; // trials whose figures were asked for
  private asked = 0;

  constructor() {
    this.view = page.view === "tiers" ? tiersView(this.tables) : page.view === "target" ? targetView(page.target ?? "", this.tables) : runView();
    const group = element("div", { class: "group" }, ...this.view.charts.map(c => c.figure));
    document.getElementById("charts")!.replaceChildren(group);
    schemes.addEventListener("change", () => this.draw());
    addEventListener("resize", () => this.draw());
    keep();
    this.controls();
    if (page.live === "true") {
      this.listen();
      setInterval(() => this.strip(), 1000);
    } else {
      void this.fetch(choice.block).then(u => {
        if (!u) return;
        this.live.apply(u);
        this.draw();
      });
    }
  }

  // listen takes events until the run has ended. The browser connects again by itself, and names the last event it has.
  private listen(): void {
    const source = new EventSource(base + "events");
    source.onmessage = e => this.take(JSON.parse(e.data) as Update);
    source.onopen = () => this.say("");
    source.onerror = () => this.say(source.readyState === EventSource.CLOSED ? "The run has ended." : "The connection is lost; trying again.");
    source.addEventListener("end", () => {
      source.close();
      this.say("The run has ended. 'bakeoff dashboard' shows it again.");
      if (this.live.now) this.live.now.live = false;
      setTimeout(() => void this.refresh(true), 500);
    });
    source.addEventListener("failed", e => {
      source.close();
      this.say("The run cannot be followed: " + inert((JSON.parse(e.data) as { text: string }).text) + ". The page tries again in half a minute.");
      setTimeout(() => this.listen(), retryMs);
    });
    addEventListener("pagehide", () => source.close());
  }

  private say(text: string): void {
    if (this.notice && this.notice.textContent !== text) this.notice.textContent = text;
  }

  private take(u: Update): void {
    this.live.apply(u);
    this.heard = { at: Date.now(), now: u.now };
    if (u.skipped) this.say("This page was too slow for " + count(u.skipped) + " updates. What it shows now is whole again.");
    this.strip();
    this.draw();
    void this.refresh(false);
  }

  // refresh asks for the figures of finished trials when there are more of them than those below.
  private async refresh(always: boolean): Promise<void> {
    const now = this.live.now, want = now?.judged ?? 0;
    const have = Number(document.querySelector<HTMLElement>("#parts .part")?.dataset.finished ?? -1);
    if (!always && (want <= have || Date.now() - this.asked < (want === this.wanted ? 10_000 : 1000))) return;
    this.wanted = want;
    this.asked = Date.now();
    const q = new URLSearchParams({ after: String(have), name: page.target ?? "" });
    const answer = await fetch(base + "part/" + page.view + "?" + q).catch(() => null);
    if (!answer?.ok) return;
    const place = document.getElementById("parts")!;
    const open = new Set([...place.querySelectorAll("details[open] > summary")].map(s => s.textContent));
    place.innerHTML = await answer.text();
    for (const d of place.querySelectorAll("details")) if (open.has(d.querySelector("summary")?.textContent ?? "")) d.open = true;
    document.dispatchEvent(new Event("parts"));
  }

  private async fetch(block: number | null): Promise<Update | null> {
    const answer = await fetch(base + "state.json" + (block === null ? "" : "?block=" + block)).catch(() => null);
    if (!answer?.ok) {
      document.getElementById("tables")!.replaceChildren(element("p", { class: "problem" }, answer ? inert(await answer.text()) : "The server does not answer."));
      return null;
    }
    return await answer.json() as Update;
  }

  // strip is the line on top that says what is under way.
  private strip(): void {
    const now = this.heard.now;
    if (!now) return;
    const set = (key: string, text: string) => {
      const e = document.getElementById("strip-" + key);
      if (e && e.textContent !== text) e.textContent = text;
    };
    const passed = (Date.now() - this.heard.at) / 1000, since = (from: string) => (Date.parse(now.at) - Date.parse(from)) / 1000 + passed;
    set("status", now.live ? "under way" : now.status);
    set("progress", now.finished + " of " + now.trials + (now.refused ? ", " + now.refused + " refused" : "") + (now.blocks ? "; block " + now.block + " of " + now.blocks : ""));
    const step = now.expect_s ? " (" + clock(since(now.since)) + " of " + clock(now.expect_s) + ")" : "";
    set("doing", [now.target ? inert(now.target) : "", (now.attempt ?? 1) > 1 ? "attempt " + now.attempt : "", inert(now.text) + step].filter(Boolean).join(", ") || none);
    set("left", !now.live ? none : now.ends ? "about " + clock(-since(now.ends)) : "known after the first block");
    const last = now.last;
    set("rate", last ? (this.open(last.phase) ? number(last.offered) : none) + " / " + number(last.ok) + " per s" : none);
    set("notok", last ? share(last.not_ok) : none);
    set("late", (this.live.agents.length || this.live.head.agents) + ", " + (last ? share(last.late) + (last.lateness === null ? "" : ", p99 " + seconds(last.lateness)) : none));
  }

  private open(phase: number): boolean {
    return [...(this.live.head.phases ?? []), ...[...this.live.series.values()].map(s => s.phase)].some(p => p.number === phase && p.model === "open");
  }

  private draw(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      this.controls();
      const m = this.past ?? this.live;
      this.view.draw(m, this.past ? this.pastBlock! : m.block);
      this.damage(m);
      document.body.dataset.drawn = "true";
    });
  }

  private damage(m: Model): void {
    let place = document.getElementById("damage");
    if (!m.damaged) return;
    if (!place) {
      place = element("p", { class: "problem", id: "damage" });
      document.getElementById("charts")!.before(place);
    }
    place.textContent = "Parts of the record cannot be read and are left out: " + m.damage.map(inert).join("; ") + (m.damaged > m.damage.length ? "; and " + (m.damaged - m.damage.length) + " more" : "");
  }

  // controls are made again when there is something else to choose from.
  private controls(): void {
    const blocks = Math.max(this.live.head.blocks, this.live.block, choice.block ?? 0);
    const phases = (this.live.head.phases ?? []).map(p => p.name);
    for (const s of this.live.series.values()) if (!phases.includes(s.phase.name)) phases.push(s.phase.name);
    const shape = JSON.stringify([blocks, phases, choice]);
    if (shape === this.shown) return;
    this.shown = shape;
    const select = (id: string, label: string, options: [string, string][], value: string, set: (v: string) => void) => {
      const s = element("select", { id }, ...options.map(([v, text]) => element("option", v === value ? { value: v, selected: "" } : { value: v }, text)));
      s.addEventListener("change", () => {
        set(s.value);
        keep();
        this.draw();
      });
      return element("label", {}, label, s);
    };
    const of: HTMLElement[] = [];
    if (page.view !== "target") of.push(select("choose-p", "percentile", percents.map(p => [String(p), "p" + p]), String(choice.p), v => { choice.p = Number(v); }));
    of.push(
      select("choose-scale", "scale", [["", "linear, from zero"], ["log", "logarithmic"]], choice.log ? "log" : "", v => { choice.log = v === "log"; }),
      select("choose-phase", "phase", [["", "all, one after another"], ...phases.map(p => [p, inert(p)] as [string, string])], choice.phase, v => { choice.phase = v; }),
      select("choose-block", "block", [["", page.live === "true" ? "the one under way" : "the last one"], ...Array.from({ length: blocks }, (_, i) => [String(i + 1), String(i + 1)] as [string, string])],
        choice.block === null ? "" : String(choice.block), v => { choice.block = v === "" ? null : Number(v); void this.another(); }),
    );
    const had = document.activeElement?.id ?? "";
    document.getElementById("controls")!.replaceChildren(...of);
    if (had.startsWith("choose-")) document.getElementById(had)?.focus();
  }

  // another shows a block that was asked for.
  private async another(): Promise<void> {
    if (page.live === "true" && choice.block === null) {
      this.past = this.pastBlock = null;
      this.draw();
      return;
    }
    const block = choice.block, u = await this.fetch(block);
    if (!u || block !== choice.block) return;
    this.past = new Model();
    this.pastBlock = u.block;
    this.past.apply(u);
    this.draw();
  }

  start(): void {
    if (page.live === "true" && choice.block !== null) void this.another();
  }
}

if (document.getElementById("live")) new Page().start();
