// Which charts and tables a view has, and what they show of a block.
import { Chart, Data, Line } from "./chart";
import { Model, Point, Series, begins, percents } from "./model";
import { morph } from "./morph";
import { choice } from "./state";
import { count, element, inert, none, number, seconds, share, table, unmeasured } from "./show";

// called is a phase by its name, a stage with the rate that its target is asked at.
const called = (s: Series) => inert(s.phase.name) + (s.phase.stage ? " at " + number(s.phase.rate ?? null) + "/s" : "");

export interface View { charts: Chart[]; draw(m: Model, block: number): void }

const time = "seconds of load on the target";

// Drawn is a line by how its values come from points.
interface Drawn { key: string; label: string; number: number; kind?: Line["kind"]; value: (p: Point) => number | null; over?: (p: Point) => boolean }

// joined are lines over one axis, on which the phases follow each other.
function joined(of: Series[], lines: (s: Series) => Drawn[]): Data {
  const from = begins(of), xs = new Set<number>();
  for (const s of of) for (const p of s.points) xs.add(from.get(s.phase.number)! + p.s);
  const x = [...xs].sort((a, b) => a - b), place = new Map(x.map((v, i) => [v, i]));
  const out = new Map<string, Line>();
  for (const s of of) {
    for (const l of lines(s)) {
      let line = out.get(l.key);
      if (!line) out.set(l.key, line = { label: l.label, number: l.number, kind: l.kind, values: new Array(x.length).fill(null), over: new Array(x.length).fill(false) });
      for (const p of s.points) {
        const i = place.get(from.get(s.phase.number)! + p.s)!;
        line.values[i] = l.value(p);
        line.over![i] = l.over?.(p) ?? false;
      }
    }
  }
  return { x, lines: [...out.values()] };
}

// chosen are the phases of a block that the reader wants to see.
function chosen(m: Model, block: number, target: string): Series[] {
  return m.of(block).filter(s => (choice.phase === "" || s.phase.name === choice.phase) && (target === "" || s.target === target));
}

// percentile is the place of the one that is chosen.
const percentile = () => Math.max(0, percents.indexOf(choice.p));

// objectives are what the plan asks of percentiles in this phase, as straight lines.
function objectives(m: Model, s: Series): (Drawn & { p: number })[] {
  return (m.head.objectives ?? []).filter(o => (!o.phase || o.phase === s.phase.name) && (!o.target || o.target === s.target) && s.phase.number > 0)
    .map(o => ({ key: "objective " + o.text, label: "objective: " + o.text, number: 0, kind: "asked", p: o.p, value: () => o.seconds }));
}

// timed says which phases have which times.
function timed(of: Series[]): string {
  const phases = (service: boolean) => [...new Set(of.filter(s => (s.service ?? false) === service).map(s => inert(s.phase.name)))].join(", ");
  return [["Service time: ", phases(true)], ["Response time: ", phases(false)]].filter(([, names]) => names).map(([what, names]) => what + names + ".").join(" ");
}

// rated are the lines of a target's rates.
function rated(s: Series, number: number, label: string): Drawn[] {
  const due: Drawn = { key: s.target + " offered", label: label ? label + ", offered" : "offered", number, kind: "due", value: p => p.offered };
  return [{ key: s.target, label: label || "answered", number, value: p => p.ok }, ...(s.phase.model === "closed" ? [] : [due])];
}

// each is one line for each target.
function each(m: Model, of: Series[], value: (p: Point) => number | null, more?: (s: Series) => Drawn[], over?: (p: Point) => boolean): Data {
  const names = m.targets();
  return joined(of, s => [{ key: s.target, label: s.target, number: names.indexOf(s.target), value, over }, ...(more?.(s) ?? [])]);
}

const ratesHow = "Thick lines: right answers. Thin lines: requests that were due, in the open model.";
const timesHow = "A gap: too few requests for it. With the sign >: among time-outs, so longer than that.";

export function runView(): View {
  const rates = new Chart("rates", "Offered and answered per second", ratesHow + " In turns each target has the time of its own load.", time, number);
  const times = new Chart("times", "How long answers took", "The percentile chosen above, of each second. " + timesHow, time, seconds);
  const notok = new Chart("notok", "Share not ok", "Of what ended in each second: answered wrongly, timed out, failed or dropped.", time, share);
  const cpu = new Chart("cpu", "CPU time of the target per answer", "Since the phase began, of all replicas together.", time, seconds);
  return {
    charts: [rates, times, notok, cpu],
    draw(m, block) {
      const of = chosen(m, block, ""), names = m.targets(), i = percentile();
      rates.show(joined(of, s => rated(s, names.indexOf(s.target), s.target)));
      times.show(each(m, of, p => p.times[i], s => objectives(m, s).filter(o => o.p === choice.p), p => p.over?.[i] ?? false), timed(of));
      notok.show(each(m, of, p => p.not_ok));
      cpu.show(each(m, of, p => p.cpu));
    },
  };
}

export function targetView(target: string, place: HTMLElement): View {
  const rates = new Chart("rates", "Offered and answered per second", ratesHow, time, number);
  const times = new Chart("times", "How long answers took", "Percentiles of each second. " + timesHow, time, seconds);
  const notok = new Chart("notok", "Share not ok", "Of what ended in each second.", time, share);
  const cpu = new Chart("cpu", "CPU time per answer", "Since the phase began, of all replicas together.", time, seconds);
  return {
    charts: [rates, times, notok, cpu],
    draw(m, block) {
      const of = chosen(m, block, target);
      rates.show(joined(of, s => rated(s, 0, "")));
      times.show(joined(of, s => [...percents.map((percent, i) => ({ key: "p" + percent, label: "p" + percent, number: i, value: (p: Point) => p.times[i], over: (p: Point) => p.over?.[i] ?? false })), ...objectives(m, s)]), timed(of));
      notok.show(joined(of, () => [{ key: "x", label: "not ok", number: 1, value: p => p.not_ok }]));
      cpu.show(joined(of, () => [{ key: "x", label: "CPU per answer", number: 2, value: p => p.cpu }]));
      morph(place, element("div", {}, ...books(of), ...replicas(of)));
    },
  };
}

// books are what was counted in each phase so far.
function books(of: Series[]): HTMLElement[] {
  if (!of.length) return [];
  const named = (s: Series) => Object.entries(s.sum.outcomes ?? {}).sort((a, b) => b[1] - a[1]).slice(0, 8).map(([k, n]) => inert(k) + " " + count(n)).join(", ") || none;
  return [table("Books of block " + of[0].block + ": planned = sent + dropped, sent = ok + bad + timed out + error",
    ["phase", "planned", "sent", "dropped", "ok", "bad", "timed out", "error", "late", "what was not ok"],
    of.map(s => [called(s), ...[s.sum.planned, s.sum.sent, s.sum.dropped, s.sum.ok, s.sum.bad, s.sum.timeout, s.sum.error].map(count), s.sum.late === null ? unmeasured : count(s.sum.late), named(s)]), 9)];
}

// replicas are the shares of the answers that each replica has.
function replicas(of: Series[]): HTMLElement[] {
  const rows: string[][] = [];
  for (const s of of) {
    const all = Object.entries(s.sum.replicas ?? {}).sort(), sum = all.reduce((n, [, v]) => n + v, 0);
    for (const [name, n] of all) rows.push([inert(name), called(s), count(n), share(sum ? n / sum : null)]);
  }
  return rows.length ? [table("Answers of each replica", ["replica", "phase", "answers", "share"], rows, 1)] : [];
}

export function tiersView(place: HTMLElement): View {
  const cores = new Chart("cores", "Cores in use by tier", "Sampled every second; the host is the whole machine.", "seconds of the run", number);
  const late = new Chart("late", "Requests taken up late by the agents", "Share of what was due in each second: more than 1 ms after it was due. It is the generator's fault.", time, share);
  const lateness = new Chart("lateness", "Lateness of the agents", "p99 of each second. A gap: too few requests for it.", time, seconds);
  return {
    charts: [cores, late, lateness],
    draw(m, block) {
      cores.show(tierLines(m));
      const of = chosen(m, block, "");
      late.show(each(m, of, p => p.late));
      lateness.show(each(m, of, p => p.lateness));
      morph(place, element("div", {}, ...agents(m), ...members(m), ...balanced(of)));
    },
  };
}

const tiers = ["agent", "balancer", "target", "database", "controller", "host"];

function tierLines(m: Model): Data {
  const at = [...m.seconds.keys()].sort((a, b) => Date.parse(a) - Date.parse(b));
  if (!at.length) return { x: [], lines: [] };
  const first = Date.parse(at[0]), lines: Line[] = [];
  tiers.forEach((tier, i) => {
    const values = at.map(t => m.seconds.get(t)![tier] ?? null);
    if (values.some(v => v !== null)) lines.push({ label: tier, number: i, values });
  });
  return { x: at.map(t => (Date.parse(t) - first) / 1000), lines };
}

function agents(m: Model): HTMLElement[] {
  if (!m.agents.length) return [];
  const of = (used: number, most: number) => most ? count(used) + " of " + count(most) : none;
  return [table("Load agents, in their newest window",
    ["agent", "late", "dropped in the phase", "cores", "of", "ports", "descriptors", "stood still in the phase"],
    m.agents.map(a => ["agent " + a.agent, a.late === null ? unmeasured : share(a.late), count(a.dropped), a.unmeasured ? unmeasured : number(a.cores), a.cores_most ? number(a.cores_most) : none,
      of(a.ports, a.ports_most), of(a.descriptors, a.descriptor_limit), a.unmeasured ? unmeasured : seconds(a.stopped_s)]))];
}

function members(m: Model): HTMLElement[] {
  if (!m.members.length) return [];
  const useful = ["target_connections", "threads_connected", "threads_running", "connections", "aborted_clients", "innodb_row_lock_waits", "slow_queries", "cpus"];
  const values = (v?: Record<string, number>) => Object.entries(v ?? {}).filter(([k]) => useful.includes(k)).map(([k, n]) => inert(k) + " " + count(n)).join(", ") || none;
  return [table("Processes of each tier, as they were last sampled", ["process", "tier", "cores", "memory", "further values"],
    m.members.map(x => [inert(x.name), inert(x.tier), number(x.cores), x.rss_bytes ? number(x.rss_bytes / 1e6) + " MB" : none, values(x.values)]), 1, 4)];
}

// balanced is how the balancer spreads the load of each target.
function balanced(of: Series[]): HTMLElement[] {
  const rows: string[][] = [];
  for (const s of of) {
    const all = Object.entries(s.sum.replicas ?? {}).sort(), sum = all.reduce((n, [, v]) => n + v, 0);
    if (all.length) rows.push([inert(s.target), called(s), all.map(([name, n]) => inert(name) + " " + share(sum ? n / sum : null)).join(", ")]);
  }
  return rows.length ? [table("Shares of the answers by replica", ["target", "phase", "shares"], rows, 1, 2)] : [];
}
