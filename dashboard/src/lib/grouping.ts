// What is drawn of a graph of many services: nodes and edges of one namespace added up, and of what is still too much the busiest.

import type { Figures, GraphEdge, GraphNode } from './api';

const PREFIX = 'namespace/';

/** The namespace that a grouped node stands for. */
export const groupOf = (id: string): string | null => (id.startsWith(PREFIX) ? id.slice(PREFIX.length) : null);

const none = (): Figures => ({
  requests: 0,
  failures: 0,
  client_errors: 0,
  denied: 0,
  faults: 0,
  retries: 0,
  attempts: 0,
  requests_per_second: 0,
  success_rate: 1,
  actual_success_rate: 1,
  p50_millis: null,
  p95_millis: null,
  p99_millis: null,
  bytes_received: 0,
  bytes_sent: 0,
});

const higher = (a: number | null, b: number | null): number | null => (a === null ? b : b === null ? a : Math.max(a, b));

/** Quantiles cannot be added: the highest stands for all. */
export function plus(a: Figures, b: Figures): Figures {
  const requests = a.requests + b.requests;
  const failures = a.failures + b.failures;
  const attempts = a.attempts + b.attempts;
  return {
    requests,
    failures,
    client_errors: a.client_errors + b.client_errors,
    denied: a.denied + b.denied,
    faults: a.faults + b.faults,
    retries: a.retries + b.retries,
    attempts,
    requests_per_second: a.requests_per_second + b.requests_per_second,
    success_rate: requests === 0 ? 1 : 1 - failures / requests,
    actual_success_rate: attempts === 0 ? 1 : (requests - failures) / attempts,
    p50_millis: higher(a.p50_millis, b.p50_millis),
    p95_millis: higher(a.p95_millis, b.p95_millis),
    p99_millis: higher(a.p99_millis, b.p99_millis),
    bytes_received: a.bytes_received + b.bytes_received,
    bytes_sent: a.bytes_sent + b.bytes_sent,
  };
}

export function grouped(nodes: GraphNode[], edges: GraphEdge[]): { nodes: GraphNode[]; edges: GraphEdge[] } {
  const place = new Map(nodes.map((node) => [node.id, node.kind === 'outside' ? node.id : PREFIX + node.namespace]));
  const drawn = new Map<string, GraphNode>();
  const members = new Map<string, number>();
  for (const node of nodes) {
    const id = place.get(node.id) ?? node.id;
    const known = drawn.get(id);
    members.set(id, (members.get(id) ?? 0) + 1);
    if (!known) drawn.set(id, node.kind === 'outside' ? node : { ...node, id, kind: 'service', name: node.namespace, versions: [], marks: [...node.marks] });
    else {
      known.figures = plus(known.figures, node.figures);
      known.marks = [...new Set([...known.marks, ...node.marks])];
    }
  }
  for (const node of drawn.values()) {
    if (groupOf(node.id) !== null) node.namespace = `${members.get(node.id) ?? 0} nodes`;
  }
  const lines = new Map<string, GraphEdge>();
  for (const edge of edges) {
    const [source, destination] = [place.get(edge.source) ?? edge.source, place.get(edge.destination) ?? edge.destination];
    if (source === destination) continue;
    const id = `${source}→${destination}`;
    const known = lines.get(id);
    if (!known) lines.set(id, { ...edge, id, source, destination, versions: [], figures: plus(none(), edge.figures) });
    else {
      known.figures = plus(known.figures, edge.figures);
      known.open += edge.open;
      known.total_requests += edge.total_requests;
      known.total_failures += edge.total_failures;
      known.mixed ||= edge.mixed || known.security !== edge.security;
    }
  }
  return { nodes: [...drawn.values()], edges: [...lines.values()] };
}

/** What a reader can take in, and a layout makes in a moment. */
const NODES = 150;
const LINES = 400;

/** Of too many the busiest, by what was called since the control plane started: they stay the same while figures change. `chosen` is among them. */
export function busiest(whole: { nodes: GraphNode[]; edges: GraphEdge[] }, chosen: string): { nodes: GraphNode[]; edges: GraphEdge[]; left: number } {
  if (whole.nodes.length <= NODES && whole.edges.length <= LINES) return { ...whole, left: 0 };
  const called = new Map<string, number>();
  const ends = (edge: GraphEdge) => [edge.source, edge.destination];
  for (const edge of whole.edges) for (const end of ends(edge)) called.set(end, (called.get(end) ?? 0) + edge.total_requests);
  const first = (a: number, b: number, one: string, other: string) => b - a || one.localeCompare(other);
  const nodes = whole.nodes
    .toSorted((a, b) => Number(b.id === chosen) - Number(a.id === chosen) || first(called.get(a.id) ?? 0, called.get(b.id) ?? 0, a.id, b.id))
    .slice(0, NODES);
  const kept = new Set(nodes.map((node) => node.id));
  const edges = whole.edges
    .filter((edge) => ends(edge).every((end) => kept.has(end)))
    .toSorted((a, b) => Number(b.id === chosen) - Number(a.id === chosen) || first(a.total_requests, b.total_requests, a.id, b.id))
    .slice(0, LINES);
  return { nodes, edges, left: whole.nodes.length - nodes.length + (whole.edges.length - edges.length) };
}
