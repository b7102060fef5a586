// The line on top of every view that says what is under way.
import { Model } from "./model";
import { clock, inert, none, number, say, seconds, share, unmeasured } from "./show";

const set = (key: string, text: string) => say(document.getElementById("strip-" + key), text);

// strip writes it of a run, at a time by the clock of its events, in ms.
export function strip(m: Model, at: number): void {
  const now = m.now;
  if (!now) return;
  const since = (from: string) => (at - Date.parse(from)) / 1000;
  set("progress", now.finished + " of " + now.trials + (now.refused ? ", " + now.refused + " refused" : "") + (now.blocks ? "; block " + now.block + " of " + now.blocks : ""));
  if (now.live) {
    const step = now.expect_s ? " (" + clock(since(now.since)) + " of " + clock(now.expect_s) + ")" : "";
    set("status", "under way");
    set("doing", [now.target ? inert(now.target) : "", (now.attempt ?? 1) > 1 ? "attempt " + now.attempt : "", inert(now.text) + step].filter(Boolean).join(", ") || none);
  } else stripOver(now.status);
  set("left", !now.live ? none : now.ends ? "about " + clock(-since(now.ends)) : "known after the first block");
  const last = now.last;
  set("rate", last ? (last.open ? number(last.offered) : none) + " / " + number(last.ok) + " per s" : none);
  set("notok", last ? share(last.not_ok) : none);
  const late = !last ? none : last.late === null ? unmeasured : share(last.late) + (last.lateness === null ? "" : ", p99 " + seconds(last.lateness));
  set("late", (m.agents.length || m.head.agents) + ", " + late);
}

// stripOver says that nobody writes a run any more.
export function stripOver(status: string): void {
  set("status", inert(status));
  set("doing", status === "incomplete" ? "nothing: nobody writes the run, and it has not ended" : "nothing: the run has ended");
}
