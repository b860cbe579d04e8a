// The page's way to the control plane: asked relative to the page, so that cookie and path stay one thing. What is asked and answered is made from
// docs/openapi.json (schema.ts); here is what no document says: the lines of the access log, what was answered before, and when a session is over.

import { questions, type Event, type History, type PastEvent as ToldEvent, type Query, type Span as ToldSpan, type Trace as ToldTrace } from './schema';

export type {
  Certificate,
  Figures,
  Graph,
  GraphEdge,
  History,
  LinkTemplate,
  LongHistory,
  Node as GraphNode,
  Object as MeshObject,
  PageFacts,
  Proxy,
  Route,
  Service,
  Status,
  Verdicts,
  Workload,
  Located as Problem,
} from './schema';

type Fields<T> = T extends unknown ? keyof T : never;
type Field<T, K extends PropertyKey> = T extends unknown ? (K extends keyof T ? T[K] : never) : never;

/** Any event, with the fields of all of them: which are there is asked where they are shown. */
export type MeshEvent = { [K in Fields<Event>]?: Field<Event, K> } & { event: Event['event'] };
export type PastEvent = Omit<ToldEvent, 'what'> & { what: MeshEvent };
export type Span = Omit<ToldSpan, 'record'> & { record: Record<string, unknown> };
export type Trace = Omit<ToldTrace, 'spans'> & { spans: Span[] };

/** A line of the access log; see docs/access-log.md. */
export interface Flow {
  start_time_ms: number;
  duration_ms: number;
  reporter: string;
  protocol: string;
  security: string;
  method?: string;
  authority?: string;
  path?: string;
  response_code?: number;
  grpc_status?: number;
  response_flags: string;
  fault?: string;
  reason?: string;
  verdict_by?: string;
  listener?: string;
  source_workload: string;
  source_address?: string;
  client_address?: string;
  destination_workload: string;
  destination_service?: string;
  route?: string;
  rule?: string;
  backend?: string;
  endpoint?: string;
  attempt: number;
  request_id?: string;
  trace_id?: string;
  proxy?: string;
  [field: string]: unknown;
}

export interface TapQuery {
  from?: string;
  to?: string;
  route?: string;
}

export class Ended extends Error {}

/** The last answers with the names that they had: who asks by its name for one that is the same is not sent it again. */
const had = new Map<string, { name: string; value: unknown }>();
/** As many questions as one page asks, and some. */
const KEPT = 12;

function keep(path: string, name: string | null, value: unknown): void {
  had.delete(path);
  if (name) had.set(path, { name, value });
  for (const eldest of had.keys()) {
    if (had.size <= KEPT) break;
    had.delete(eldest);
  }
}

/** The very value that was answered before, where nothing is new. */
async function ask<T>(where: string, query: Query = {}): Promise<T> {
  const words = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`]));
  const path = words.length > 0 ? `${where}?${words.join('&')}` : where;
  const before = had.get(path);
  const headers: Record<string, string> = { accept: 'application/json' };
  if (before) headers['if-none-match'] = before.name;
  const answer = await fetch(`v1/${path}`, { headers, cache: 'no-store' });
  if (answer.status === 304 && before) return before.value as T;
  if (answer.status === 401) throw new Ended('the session has ended');
  if (!answer.ok) {
    const said = (await answer.json().catch(() => null)) as { error?: string } | null;
    throw new Error(said?.error ?? `${path}: ${answer.status}`);
  }
  const value = (await answer.json()) as T;
  keep(path, answer.headers.get('etag'), value);
  return value;
}

const asked = questions(ask);

/** When each last hour was told. */
const heard = new WeakMap<History, number>();

/** It is the same while nobody calls, and goes on all the same: it ends when it was asked for. */
async function history(of: Parameters<typeof asked.history>[0]): Promise<History> {
  const told = await asked.history(of);
  const now = Date.now();
  const since = heard.get(told) ?? now;
  heard.set(told, since);
  return { ...told, time: told.time + Math.max(0, Math.floor((now - since) / 1000)) };
}

export const api = {
  ...asked,
  history,
  objects: async () => (await asked.objects({ manifests: true })).items,
  proxies: async () => (await asked.proxies()).items,
  services: async () => (await asked.services()).items,
  routes: async () => (await asked.routes()).items,
  workloads: async () => (await asked.workloads()).items,
  certificates: async () => (await asked.certificates()).items,
  problems: async () => (await asked.problems()).items,
  logs: async (of: string) => (await asked.logs({ of })).items,
  events: async () => (await asked.eventsPast()).items as PastEvent[],
  trace: async (id: string) => (await asked.tracesById(id)) as Trace,
  flows: async () => (await asked.flows()) as { items: Flow[]; dropped: number },
};

/** Requests as they end, one by one, until the signal or the control plane ends it; `dropped` were too many to be told. */
export async function tap(query: TapQuery, signal: AbortSignal, told: (flow: Flow) => void, dropped: (count: number) => void): Promise<void> {
  const words = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  const answer = await fetch(`v1/tap?${words.toString()}`, { signal, cache: 'no-store' });
  if (answer.status === 401) throw new Ended('the session has ended');
  if (!answer.ok || !answer.body) {
    const said = (await answer.json().catch(() => null)) as { error?: string } | null;
    throw new Error(said?.error ?? `tap: ${answer.status}`);
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines.filter(Boolean)) {
      const read = JSON.parse(line) as Flow & { dropped?: number };
      if (typeof read.dropped === 'number') dropped(read.dropped);
      else told(read);
    }
  }
}
