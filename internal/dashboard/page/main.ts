// The page of a run: it takes what the server sends, and shows it as the reader chose. Pages of no run have the strip of one.
import { Follower, Taker } from "./follow";
import { Model, Update, percents } from "./model";
import { morph } from "./morph";
import { View, runView, targetView, tiersView } from "./views";
import { choice, keep } from "./state";
import { element, inert } from "./show";
import { strip, stripOver } from "./strip";
import { schemes } from "./chart";

export { clock, count, number, seconds, share } from "./show"; // for the test that compares them with those of package show

const page = document.body.dataset;
const base = page.base ?? "";
const target = decodeURIComponent(page.target ?? "");

// Watched is a run under way, and the strip that says so.
class Watched implements Taker {
  protected readonly live = new Model(); // what is under way, or the last block
  protected follower: Follower | null = null;

  follow(): void {
    this.follower = new Follower(base, this);
    setInterval(() => this.strip(), 1000);
  }

  take(u: Update): void {
    this.live.apply(u);
    this.strip();
  }

  over(status: string, _missed: boolean): void {
    if (this.live.now) {
      this.live.now.live = false;
      this.live.now.status = status;
    }
    this.strip();
    stripOver(status);
  }

  protected strip(): void {
    if (this.follower) strip(this.live, this.follower.now());
  }
}

// ask asks the server; null where it gives no whole answer.
async function ask(path: string): Promise<{ ok: boolean; text: string } | null> {
  try {
    const answer = await fetch(base + path);
    return { ok: answer.ok, text: await answer.text() };
  } catch {
    return null;
  }
}

// done tries again, after ever longer pauses, until something is done; false: it never was.
async function done(does: () => Promise<boolean>): Promise<boolean> {
  for (let wait = 500; wait < 300_000; wait *= 2) {
    await new Promise(r => setTimeout(r, wait));
    if (await does()) return true;
  }
  return false;
}

class Page extends Watched {
  private past: Model | null = null; // another block that was asked for
  private pastBlock: number | null = null;
  private readonly view: View;
  private readonly tables = document.getElementById("tables")!;
  private readonly parts = document.getElementById("parts")!;
  private frame = 0;
  private shown = ""; // controls
  private wanted = -1; // trials whose figures were asked for
  private asked = -Infinity; // when
  private asks = 0; // how often
  private ended = false; // nobody writes the run any more

  constructor() {
    super();
    this.view = page.view === "tiers" ? tiersView(this.tables) : page.view === "target" ? targetView(target, this.tables) : runView();
    const group = element("div", { class: "group" }, ...this.view.charts.map(c => c.figure));
    document.getElementById("charts")!.replaceChildren(group);
    schemes.addEventListener("change", () => this.draw());
    addEventListener("resize", () => this.draw());
    keep();
    this.controls();
    if (page.live !== "true") void this.first();
  }

  // first is a run that nobody writes.
  private async first(): Promise<void> {
    const u = await this.block(choice.block);
    if (!u) return;
    this.live.apply(u);
    this.draw();
  }

  override take(u: Update): void {
    this.ended = false;
    super.take(u);
    this.draw();
    void this.refresh(false);
  }

  override over(status: string, missed: boolean): void {
    super.over(status, missed);
    if (this.ended) return;
    this.ended = true;
    for (const e of this.parts.querySelectorAll(".under-way")) e.textContent = "They are from before the end of the run.";
    void this.afterwards(missed);
  }

  // afterwards gets what the page lacks of a run that nobody writes any more. The server may have other figures to compute first, or may
  // be gone with the run.
  private async afterwards(missed: boolean): Promise<void> {
    const whole = async () => !this.ended || !missed || await this.whole();
    const part = async () => !this.ended || await this.refresh(true);
    const [has, knows] = await Promise.all([done(whole), done(part)]);
    if (this.ended && !(has && knows)) this.follower?.say("Nobody writes this run any more. What this page shows is from before that, and the server gives nothing newer; 'bakeoff dashboard' shows all of it.");
  }

  private async whole(): Promise<boolean> {
    const u = await this.get(null);
    if (!u || typeof u === "string") return false;
    this.live.apply(u);
    this.strip();
    this.draw();
    return true;
  }

  // refresh asks for the figures of finished trials when there are more of them than those below.
  // It reports whether those are the figures of a run that nobody writes.
  private async refresh(always: boolean): Promise<boolean> {
    const now = this.live.now, want = now?.judged ?? 0;
    const old = this.parts.querySelector<HTMLElement>(".part"), have = Number(old?.dataset.finished ?? -1);
    if (!always && (want <= have || performance.now() - this.asked < (want === this.wanted ? 10_000 : 1000))) return false;
    this.wanted = want;
    this.asked = performance.now();
    const mine = ++this.asks;
    const q = new URLSearchParams({ after: String(have), name: target });
    const answer = await ask("part/" + page.view + "?" + q);
    if (!answer?.ok) return false;
    const fresh = element("template");
    fresh.innerHTML = answer.text;
    const part = fresh.content.querySelector<HTMLElement>(".part");
    if (mine !== this.asks || old && !part && !fresh.content.querySelector(".problem")) return false; // they are not computed now
    morph(this.parts, fresh.content);
    document.dispatchEvent(new Event("parts"));
    return part?.dataset.live === "false";
  }

  // get is a block, or why there is none.
  private async get(block: number | null): Promise<Update | string> {
    const answer = await ask("state.json" + (block === null ? "" : "?block=" + block));
    return !answer ? "The server does not answer." : answer.ok ? JSON.parse(answer.text) as Update : inert(answer.text);
  }

  // block is a block; where there is none the page says why.
  private async block(block: number | null): Promise<Update | null> {
    const u = await this.get(block);
    this.tables.querySelector(":scope > .problem")?.remove();
    if (typeof u !== "string") return u;
    this.tables.prepend(element("p", { class: "problem" }, u));
    return null;
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
    const block = choice.block, u = await this.block(block);
    if (!u || block !== choice.block) return;
    this.past = new Model();
    this.pastBlock = u.block;
    this.past.apply(u);
    this.draw();
  }

  override follow(): void {
    super.follow();
    if (choice.block !== null) void this.another();
  }
}

const watched = document.getElementById("live") ? new Page() : new Watched();
if (page.live === "true") watched.follow();
