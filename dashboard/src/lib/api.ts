// What the control plane answers, as `docs/openapi.yaml` describes it. Asked relative to the page, so that cookie and path stay one thing.

export type Security = 'plain' | 'tls' | 'mtls';

export interface Figures {
  requests: number;
  failures: number;
  client_errors: number;
  denied: number;
  faults: number;
  retries: number;
  attempts: number;
  requests_per_second: number;
  success_rate: number;
  actual_success_rate: number;
  p50_millis: number | null;
  p95_millis: number | null;
  p99_millis: number | null;
  bytes_received: number;
  bytes_sent: number;
}

export interface NodeVersion {
  version: string;
  endpoints: number;
  healthy: number;
  weight_percent?: number;
  figures: Figures;
}

export type NodeKind = 'gateway' | 'service' | 'client' | 'outside';

export interface GraphNode {
  id: string;
  kind: NodeKind;
  namespace: string;
  name: string;
  figures: Figures;
  versions: NodeVersion[];
  marks: string[];
}

export interface GraphEdge {
  id: string;
  source: string;
  destination: string;
  protocol: string;
  security: Security | null;
  mixed: boolean;
  figures: Figures;
  opened: number;
  open: number;
  total_requests: number;
  total_failures: number;
  seen: number;
  versions: { version: string; figures: Figures }[];
}

export interface Graph {
  generation: number;
  time: number;
  window_seconds: number;
  nodes: GraphNode[];
  edges: GraphEdge[];
  left_out: number;
}

export interface Point {
  time: number;
  figures: Figures;
}

export interface History {
  time: number;
  slot_seconds: number;
  points: Point[];
}

export interface LongPoint {
  time: number;
  requests_per_second: number;
  failures_per_second: number;
  p50_millis: number | null;
  p95_millis: number | null;
  p99_millis: number | null;
}

export interface LongHistory {
  time: number;
  slot_seconds: number;
  points: LongPoint[];
}

export interface LinkTemplate {
  name: string;
  url: string;
}

export interface PageFacts {
  role: 'viewer' | 'tapper' | 'operator' | 'admin';
  long_history: boolean;
  links: LinkTemplate[];
}

export interface TapQuery {
  from?: string;
  to?: string;
  route?: string;
}

export interface Problem {
  severity: 'note' | 'warning' | 'error';
  file: string;
  line: number;
  column: number;
  object: string;
  path: string;
  reason: string;
  message: string;
  fix?: string;
}

export interface Status {
  mesh: string;
  trust_domain: string;
  version: string;
  pid: number;
  started: number;
  generation: number;
  proxies_connected: number;
  proxies_current: number;
  xds_address: string;
  problems: Problem[];
  /** Absent where an older control plane answers. */
  process?: { cpu_percent: number; resident_bytes: number; threads: number; descriptors: number };
}

export interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
}

export interface MeshObject {
  group: string;
  kind: string;
  namespace: string;
  name: string;
  place: string;
  labels?: Record<string, string>;
  manifest?: unknown;
  conditions: Condition[];
  parents?: { kind: string; namespace: string; name: string; section?: string; conditions: Condition[] }[];
  listeners?: { name: string; attached_routes: number; conditions: Condition[] }[];
  applied: number;
  concerned: number;
}

export interface Proxy {
  name: string;
  role: 'gateway' | 'workload';
  namespace: string;
  service: string;
  revision: string;
  labels?: Record<string, string>;
  identity: string;
  version: string;
  leaving?: number;
  connected: boolean;
  acknowledged: number | null;
  refused?: Record<string, string>;
  resources: number;
  mtls: boolean;
  since: number;
  process?: { cpu_percent: number; resident_bytes: number; threads: number; descriptors: number };
}

export interface Ejected {
  proxy: string;
  cause: string;
  since_millis: number;
  left_millis: number;
  unhealthy?: boolean;
}

export interface Endpoint {
  id: string;
  address: string;
  workload: string;
  revision: string;
  healthy: boolean;
  tunnel: string;
  identity: string | null;
  ejected?: Ejected[];
  checks?: { proxy: string; passed: boolean; said: string; at: number }[];
}

export interface Service {
  namespace: string;
  name: string;
  labels?: Record<string, string>;
  hostnames: string[];
  ports: { number: number; name?: string; protocol: string }[];
  endpoints: Endpoint[];
  identities: string[];
  breakers?: { proxy: string; percent: number; requests: number; since_millis: number; half_open: boolean }[];
}

export interface Route {
  kind: string;
  namespace: string;
  name: string;
  place: string;
  hosts: string[];
  parents: string[];
  rules: { name: string; backends: { weight: number; backend: string; valid: boolean }[] }[];
  conditions: Condition[];
  applied: number;
  concerned: number;
}

export interface Workload {
  namespace: string;
  name: string;
  canonical_name: string;
  version: string;
  identity: string;
  labels: Record<string, string>;
  addresses: string[];
  ports: number[];
  tunnel: string;
  locality: string;
  services: string[];
  node: string;
}

export interface Certificate {
  identity: string;
  kind: 'root' | 'issuing' | 'workload';
  proxy: string;
  issuer: string;
  not_before: number;
  not_after: number;
}

export interface MeshEvent {
  event: string;
  generation?: number;
  serving?: number;
  applied?: number;
  concerned?: number;
  millis?: number;
  proxy?: string;
  reason?: string;
  key?: string;
  changes?: { change: string; kind: string; namespace: string; name: string; file: string; summary: string }[];
  problems?: Problem[];
}

export interface PastEvent {
  time: number;
  what: MeshEvent;
}

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
  source_workload: string;
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

export interface TraceSummary {
  trace_id: string;
  name: string;
  service: string;
  started_millis: number;
  duration_millis: number;
  spans: number;
  failed: number;
  workloads: string[];
}

export interface Span {
  span_id: string;
  parent_span_id?: string;
  depth: number;
  kind: 'server' | 'client';
  name: string;
  proxy: string;
  workload: string;
  service: string;
  start_millis: number;
  duration_millis: number;
  status: number;
  failed: boolean;
  clock_millis?: number;
  /** The line of the access log. */
  record: Record<string, unknown>;
}

/** Times within are milliseconds since it began. */
export interface Trace {
  trace_id: string;
  started_millis: number;
  duration_millis: number;
  spans: Span[];
  left_out: number;
}

interface Items<T> {
  items: T[];
}

export class Ended extends Error {}

async function ask<T>(path: string): Promise<T> {
  const answer = await fetch(`v1/${path}`, { headers: { accept: 'application/json' }, cache: 'no-store' });
  if (answer.status === 401) throw new Ended('the session has ended');
  if (!answer.ok) {
    const said = (await answer.json().catch(() => null)) as { error?: string } | null;
    throw new Error(said?.error ?? `${path}: ${answer.status}`);
  }
  return (await answer.json()) as T;
}

const items = async <T>(path: string): Promise<T[]> => (await ask<Items<T>>(path)).items;

export const api = {
  status: () => ask<Status>('status'),
  page: () => ask<PageFacts>('page'),
  graph: (seconds: number, at = 0) => ask<Graph>(`graph?seconds=${seconds}${at > 0 ? `&at=${at}` : ''}`),
  longHistory: (node: string, hours: number) => ask<LongHistory>(`history/long?node=${encodeURIComponent(node)}&hours=${hours}`),
  history: (of: { node: string } | { edge: string }) =>
    ask<History>('node' in of ? `history?node=${encodeURIComponent(of.node)}` : `history?edge=${encodeURIComponent(of.edge)}`),
  objects: () => items<MeshObject>('objects?manifests=true'),
  proxies: () => items<Proxy>('proxies'),
  services: () => items<Service>('services'),
  routes: () => items<Route>('routes'),
  workloads: () => items<Workload>('workloads'),
  certificates: () => items<Certificate>('certificates'),
  problems: () => items<Problem>('problems'),
  logs: (of: string) => items<{ name: string; lines: string[] }>(`logs?of=${encodeURIComponent(of)}`),
  events: () => items<PastEvent>('events/past'),
  traces: (failed: boolean) => ask<{ items: TraceSummary[]; dropped: number }>(failed ? 'traces?failed=true' : 'traces'),
  trace: (id: string) => ask<Trace>(`traces/${encodeURIComponent(id)}`),
  flows: () => ask<{ items: Flow[]; dropped: number }>('flows'),
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
