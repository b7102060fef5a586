// What a reader has chosen, which is the same on every view. The address of the page holds it.

export interface Choice { p: number; log: boolean; block: number | null; phase: string; from: number | null; to: number | null }

export const choice: Choice = read();

function read(): Choice {
  const q = new URLSearchParams(location.search);
  const number = (key: string): number | null => {
    const text = q.get(key);
    return text !== null && text !== "" && isFinite(Number(text)) ? Number(text) : null;
  };
  return { p: number("p") ?? 50, log: q.get("scale") === "log", block: number("block"), phase: q.get("phase") ?? "", from: number("from"), to: number("to") };
}

// keep writes the choice into the address, and into the links to other views.
export function keep(): void {
  history.replaceState(null, "", at(location.pathname + location.search));
  for (const a of document.querySelectorAll<HTMLAnchorElement>("nav a[href^='/run/']")) a.setAttribute("href", at(a.getAttribute("href")!));
}

function at(address: string): string {
  const u = new URL(address, location.origin);
  const set = (key: string, value: string | null) => value === null || value === "" ? u.searchParams.delete(key) : u.searchParams.set(key, value);
  set("p", choice.p === 50 ? null : String(choice.p));
  set("scale", choice.log ? "log" : null);
  set("block", choice.block === null ? null : String(choice.block));
  set("phase", choice.phase);
  set("from", choice.from === null ? null : String(choice.from));
  set("to", choice.to === null ? null : String(choice.to));
  return u.pathname + u.search;
}
