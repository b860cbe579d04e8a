// The slots of an hour for charts: those that were told, and the empty ones between them.

interface Told<T> {
  time: number;
  slot_seconds: number;
  points: T[];
}

export interface Hour<T> {
  from: number;
  until: number;
  times: number[];
  /** One for each time; nothing where nobody was called. */
  slots: (T | undefined)[];
}

/** Every slot, empty ones too: a line must not jump over silence. Of a mesh that is younger than an hour what there is, ten minutes at least. */
export function hour<T extends { time: number }>(told: Told<T> | null, now: number): Hour<T> {
  const until = told?.time ?? now;
  const first = told?.points[0]?.time;
  const from = Math.max(until - 3600, Math.min(until - 600, (first ?? until) - 30));
  if (!told) return { from, until, times: [], slots: [] };
  const known = new Map(told.points.map((point) => [point.time, point]));
  const times = [];
  for (let time = first ?? told.time; time <= told.time - told.slot_seconds; time += told.slot_seconds) times.push(time);
  return { from, until, times, slots: times.map((time) => known.get(time)) };
}
