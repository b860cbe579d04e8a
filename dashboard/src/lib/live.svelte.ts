// What the page knows now: asked again and again while it is looked at, and no more than that while it is hidden. The whole graph is asked for only while a
// page shows it.

import { untrack } from 'svelte';
import { Ended, api, type Graph, type PageFacts, type PastEvent, type Problem, type Status } from './api';

export const live = $state({
  graph: null as Graph | null,
  status: null as Status | null,
  problems: [] as Problem[],
  events: [] as PastEvent[],
  /** Seconds that figures are told over. */
  window: 10,
  /** The moment that the graph is shown of; 0 for now. */
  at: 0,
  paused: false,
  /** The control plane does not answer; what is shown is of before. */
  lost: false,
  /** The session is over: another link is needed. */
  ended: false,
});

/** What this reader may see and where links lead: asked once. */
export const facts = $state({ value: null as PageFacts | null });

/** Changes of configuration, for every chart. */
export const changes = (): { time: number; text: string }[] =>
  live.events
    .filter((event) => event.what.event === 'generation' && (event.what.changes?.length ?? 0) > 0)
    .map((event) => ({ time: event.time, text: event.what.changes?.map((change) => change.summary).join(', ').slice(0, 90) ?? '' }));

/** How often figures are asked for, and what changes rarely. */
export const FIGURES = 1500;
const REST = 5000;

/** Pages that show the whole graph. */
let shown = 0;
/** As it was answered, to see whether it is another one. */
let last: Graph | null = null;

/** Of which time and how long a graph is asked for. */
export const period = () => ({ seconds: live.window, ...(live.at > 0 && { at: live.at }) });

/** The page that says so shows the whole graph for as long as it is there. */
export function showsGraph(): void {
  $effect(() => {
    shown += 1;
    untrack(() => void refresh());
    return () => {
      shown -= 1;
    };
  });
}

export async function refresh(): Promise<void> {
  try {
    const [graph, status] = await Promise.all([shown > 0 ? api.graph(period()) : last, api.status()]);
    if (graph !== last) live.graph = last = graph;
    live.status = status;
    live.lost = false;
  } catch (error) {
    note(error);
  }
}

let known: unknown[] = [];

async function rest(): Promise<void> {
  try {
    const told = await Promise.all([api.problems(), api.events()]);
    if (told.some((one, at) => one !== known[at])) [live.problems, live.events] = told;
    known = told;
  } catch (error) {
    note(error);
  }
}

function note(error: unknown): void {
  if (error instanceof Ended) live.ended = true;
  else live.lost = true;
}

/** Asks until the page goes. */
export function start(): () => void {
  let gone = false;
  const repeat = async (work: () => Promise<void>, pause: number) => {
    while (!gone && !live.ended) {
      if (!document.hidden && !live.paused) await work();
      await new Promise((done) => setTimeout(done, pause));
    }
  };
  void api.page().then((told) => (facts.value = told), note);
  void repeat(refresh, FIGURES);
  void repeat(rest, REST);
  return () => {
    gone = true;
  };
}

/** Something that a page asks for while it is open, again when its question changes. */
export class Asked<T> {
  /** The same as long as the same is answered, so that nothing is drawn anew for nothing. */
  value = $state.raw<T | null>(null);
  error = $state('');

  constructor(
    question: () => Promise<T>,
    key: () => unknown = () => null,
    pause = 3000,
  ) {
    $effect(() => {
      key();
      let gone = false;
      const ask = async () => {
        try {
          const value = await question();
          if (!gone) [this.value, this.error] = [value, ''];
        } catch (error) {
          if (error instanceof Ended) live.ended = true;
          if (!gone) this.error = error instanceof Error ? error.message : String(error);
        }
      };
      void ask();
      const timer = setInterval(() => {
        if (!document.hidden && !live.paused) void ask();
      }, pause);
      return () => {
        gone = true;
        clearInterval(timer);
      };
    });
  }
}
