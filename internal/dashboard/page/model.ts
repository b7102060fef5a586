// What the server sends, and what is known of the run from it.

export interface Point {
  s: number; offered: number; answered: number; ok: number; not_ok: number;
  times: (number | null)[]; over?: boolean[]; late: number | null; lateness: number | null; cpu: number | null; requests: number;
}

export interface Phase { number: number; name: string; model: string; duration_s?: number; rate?: number; stage?: boolean }

export interface Sum {
  planned: number; sent: number; ok: number; bad: number; timeout: number; error: number; dropped: number; late: number | null;
  outcomes?: Record<string, number>; replicas?: Record<string, number>;
}

export interface Series {
  block: number; attempt: number; target: string; phase: Phase; status?: string; step_s: number; service?: boolean; points: Point[]; sum: Sum;
}

export interface Head { name: string; targets: string[] | null; blocks: number; trials: number; agents: number; phases: Phase[] | null; cores: number; objectives?: Objective[] }

export interface Objective { text: string; phase?: string; target?: string; p: number; seconds: number }

export interface Last extends Point { target: string; phase: number; open: boolean; so_far: (number | null)[] | null }

export interface Now {
  at: string; status: string; live: boolean; block: number; blocks: number; trial: number; trials: number; attempt?: number;
  target?: string; text: string; since: string; expect_s?: number; finished: number; judged: number; refused: number; ends?: string; last?: Last;
}

export interface Second { at: string; cores: Record<string, number> }
export interface Member { tier: string; name: string; cores: number | null; rss_bytes: number; values?: Record<string, number> }
export interface Agent {
  agent: number; phase: number; late: number | null; dropped: number; cores: number; cores_most: number; ports: number; ports_most: number;
  descriptors: number; descriptor_limit: number; stopped_s: number; unmeasured?: boolean;
}

export interface Update {
  whole?: boolean; skipped?: number; head?: Head; now: Now; block: number; series?: Series[]; seconds?: Second[]; members?: Member[]; agents?: Agent[];
  damage?: string[]; damaged?: number;
}

export const percents = [50, 90, 95, 99, 99.9];

// Model is everything of the blocks that were sent.
export class Model {
  head: Head = { name: "", targets: [], blocks: 0, trials: 0, agents: 0, phases: [], cores: 0 };
  now: Now | null = null;
  block = 0; // of the newest series
  series = new Map<string, Series>();
  seconds = new Map<string, Record<string, number>>();
  members: Member[] = [];
  agents: Agent[] = [];
  damage: string[] = [];
  damaged = 0;

  apply(u: Update): void {
    if (u.whole) {
      this.series.clear();
      this.seconds.clear();
    }
    if (u.head) this.head = u.head;
    this.now = u.now;
    for (const s of u.series ?? []) this.merge(s);
    const last = Date.parse(u.seconds?.at(-1)?.at ?? "");
    for (const at of this.seconds.keys()) if (Date.parse(at) > last + 10_000) this.seconds.delete(at); // the clock was set back
    for (const one of u.seconds ?? []) this.seconds.set(one.at, one.cores);
    this.members = u.members ?? [];
    this.agents = u.agents ?? [];
    if (u.damage) {
      this.damage = u.damage;
      this.damaged = u.damaged ?? u.damage.length;
    }
    this.block = u.whole ? u.block : Math.max(this.block, ...(u.series ?? []).map(s => s.block));
    for (const [key, s] of this.series) if (s.block < this.block - 1) this.series.delete(key);
  }

  private merge(s: Series): void {
    const key = [s.block, s.attempt, s.phase.number, s.target].join(" ");
    const old = this.series.get(key);
    if (!old) {
      this.series.set(key, s);
      return;
    }
    const points = new Map(old.points.map(p => [p.s, p]));
    if (old.step_s !== s.step_s) points.clear();
    for (const p of s.points) points.set(p.s, p);
    this.series.set(key, { ...s, points: [...points.values()].sort((a, b) => a.s - b.s) });
  }

  // targets are those of the plan, and any other that was measured.
  targets(): string[] {
    const out = [...(this.head.targets ?? [])];
    for (const s of this.series.values()) if (!out.includes(s.target)) out.push(s.target);
    return out;
  }

  // of are the phases of the last attempt of each target in the block, in order.
  of(block: number): Series[] {
    const last = new Map<string, number>();
    for (const s of this.series.values()) if (s.block === block) last.set(s.target, Math.max(last.get(s.target) ?? 0, s.attempt));
    return [...this.series.values()].filter(s => s.block === block && s.attempt === last.get(s.target)).sort((a, b) => a.phase.number - b.phase.number);
  }
}

// begins is when each phase begins on a common axis on which the phases follow each other.
export function begins(all: Series[]): Map<number, number> {
  const lengths = new Map<number, number>();
  for (const s of all) {
    const end = s.points.length ? s.points[s.points.length - 1].s + s.step_s : 0;
    lengths.set(s.phase.number, Math.max(lengths.get(s.phase.number) ?? 0, end, s.phase.duration_s ?? 0));
  }
  const out = new Map<number, number>();
  let at = 0;
  for (const number of [...lengths.keys()].sort((a, b) => a - b)) {
    out.set(number, at);
    at += lengths.get(number)!;
  }
  return out;
}
