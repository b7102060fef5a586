// The stream of a run under way: what it says goes to whoever follows, and what becomes of the stream itself is said in the notice.
import { Update } from "./model";
import { inert, say } from "./show";

const retryMs = 31_000; // the server keeps what has failed for 30 s

export interface Taker {
  take(u: Update): void;
  // over is that nobody writes the run any more; missed is that the stream has not given what came last.
  over(status: string, missed: boolean): void;
}

export class Follower {
  private source: EventSource | null = null;
  private again = 0; // timer
  private clock = { at: 0, heard: 0 }; // of the server when it said something, and of this page then; ms
  private ended = false;
  private lost = false; // the notice says that there is no stream
  private readonly notice = document.getElementById("notice");

  constructor(private readonly base: string, private readonly taker: Taker) {
    addEventListener("pagehide", () => this.leave());
    addEventListener("pageshow", e => { if (e.persisted && !this.ended) this.listen(); });
    this.listen();
  }

  // now is the time by the clock that the events of the run are dated by, in ms. That of this machine may be another one, and may be
  // set while the page is open.
  now(): number { return this.clock.at + performance.now() - this.clock.heard; }

  say(text: string): void { say(this.notice, text); }

  private leave(): void {
    clearTimeout(this.again);
    this.source?.close();
  }

  private later(): void { this.again = setTimeout(() => this.listen(), retryMs); }

  // listen takes events until nobody writes the run. The browser connects again by itself, and names the last event that it has.
  private listen(): void {
    this.leave();
    const source = this.source = new EventSource(this.base + "events");
    const heard = <T>(e: Event): T => {
      const of = JSON.parse((e as MessageEvent<string>).data) as T & { clock: number };
      this.clock = { at: of.clock, heard: performance.now() };
      return of;
    };
    source.onopen = () => { if (this.lost) this.found(); };
    source.onmessage = e => {
      const u = heard<Update>(e);
      if (this.lost) this.found();
      if (u.skipped) this.say("This page was too slow for " + u.skipped + " updates. What it shows now is whole again.");
      this.taker.take(u);
    };
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) void this.refused();
      else this.lose("The connection is lost; trying again. 'bakeoff dashboard' shows a run whose page is gone.");
    };
    source.addEventListener("end", e => {
      this.leave();
      const of = heard<{ status: string; missed: boolean }>(e);
      this.over(of.status, of.missed);
    });
    source.addEventListener("failed", e => {
      this.leave();
      this.lose("The run cannot be followed: " + inert(heard<{ text: string }>(e).text) + ". The page tries again in half a minute.");
      this.later();
    });
  }

  private over(status: string, missed: boolean): void {
    this.ended = status !== "incomplete";
    this.lost = !this.ended;
    if (this.ended) this.say("The run has ended. 'bakeoff dashboard' shows it again.");
    else {
      this.say("Nobody writes this run any more, and it has not ended: its controller is gone, or what copied it from a cluster. "
        + "'bakeoff run --resume' continues it; this page looks for that every half a minute.");
      this.later();
    }
    this.taker.over(status, missed);
  }

  // refused asks why there is no stream: a browser does not say it.
  private async refused(): Promise<void> {
    const stop = new AbortController();
    const answer = await fetch(this.base + "events", { signal: stop.signal }).catch(() => null);
    const why = answer && !answer.ok ? inert((await answer.text().catch(() => "")).trim()) || "status " + answer.status : "";
    stop.abort();
    this.lose((why ? "The server refuses this page: " + why : "The connection is lost") + ". The page tries again in half a minute.");
    this.later();
  }

  private lose(text: string): void {
    this.lost = true;
    this.say(text);
  }

  private found(): void {
    this.lost = false;
    this.say("");
  }
}
