// Where nodes stand and how edges run: laid out anew only when the graph has other nodes or edges, so that figures change without a jump.

import dagre from '@dagrejs/dagre';
import type { GraphEdge, GraphNode } from './api';

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Laid {
  boxes: Map<string, Box>;
  /** Points of each edge, its two ends included. */
  lines: Map<string, { x: number; y: number }[]>;
  width: number;
  height: number;
  direction: 'LR' | 'TB';
}

export const WIDTH = 190;
export const HEIGHT = 66;
const VERSION = 19;

export const height = (node: GraphNode): number => HEIGHT + (node.versions.length > 1 ? node.versions.length * VERSION + 4 : 0);

export function shape(nodes: GraphNode[], edges: GraphEdge[]): string {
  return `${nodes.map((node) => `${node.id}:${node.versions.length}`).join()} ${edges.map((edge) => edge.id).join()}`;
}

/** Left to right reads best; from top to bottom where that leaves the letters clearly larger, as on a phone or for a long chain. */
export function best(nodes: GraphNode[], edges: GraphEdge[], width: number, height: number): Laid {
  const scale = (laid: Laid) => Math.min(1.1, width / Math.max(1, laid.width), height / Math.max(1, laid.height));
  const [across, down] = [lay(nodes, edges, 'LR'), lay(nodes, edges, 'TB')];
  return scale(down) > scale(across) * 1.2 ? down : across;
}

export function lay(nodes: GraphNode[], edges: GraphEdge[], direction: 'LR' | 'TB'): Laid {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: direction, nodesep: direction === 'LR' ? 34 : 26, ranksep: direction === 'LR' ? 124 : 62, marginx: 16, marginy: 16 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of nodes) graph.setNode(node.id, { width: WIDTH, height: height(node) });
  for (const edge of edges) {
    if (graph.hasNode(edge.source) && graph.hasNode(edge.destination)) graph.setEdge(edge.source, edge.destination, {}, edge.id);
  }
  dagre.layout(graph);
  const boxes = new Map<string, Box>();
  for (const id of graph.nodes()) {
    const { x, y, width, height } = graph.node(id) as Box;
    boxes.set(id, { x, y, width, height });
  }
  const lines = new Map<string, { x: number; y: number }[]>();
  for (const edge of graph.edges()) lines.set(edge.name ?? '', (graph.edge(edge) as { points: { x: number; y: number }[] }).points);
  const size = graph.graph() as { width?: number; height?: number };
  return { boxes, lines, width: size.width ?? 0, height: size.height ?? 0, direction };
}

/** A smooth line through the points. */
export function path(points: { x: number; y: number }[], direction: 'LR' | 'TB'): string {
  const [first, ...rest] = points;
  const last = rest.at(-1);
  if (!first || !last) return '';
  if (points.length <= 3) {
    const half = direction === 'LR' ? (last.x - first.x) / 2 : (last.y - first.y) / 2;
    const [a, b] = direction === 'LR' ? [`${first.x + half} ${first.y}`, `${last.x - half} ${last.y}`] : [`${first.x} ${first.y + half}`, `${last.x} ${last.y - half}`];
    return `M${first.x} ${first.y}C${a} ${b} ${last.x} ${last.y}`;
  }
  let line = `M${first.x} ${first.y}`;
  for (let at = 1; at < points.length - 1; at += 1) {
    const [here, next] = [points[at], points[at + 1]];
    if (!here || !next) continue;
    const end = at === points.length - 2 ? next : { x: (here.x + next.x) / 2, y: (here.y + next.y) / 2 };
    line += `Q${here.x} ${here.y} ${end.x} ${end.y}`;
  }
  return line;
}
