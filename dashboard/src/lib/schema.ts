// Made from docs/openapi.json by generate.mjs; not written by hand.

/** Every answer whose HTTP status is not 2xx. */
export interface Refused {
  error: string;
  /** What to do about it. */
  fix?: string | null;
}

export interface Status {
  mesh: string;
  trust_domain: string;
  /** Of this organza. */
  version: string;
  pid: number;
  started: number;
  /** Of the answer, in seconds since the Unix epoch. */
  time: number;
  generation: number;
  proxies_connected: number;
  proxies_current: number;
  /** Where proxies connect (`127.0.0.1:15012`). */
  xds_address: string;
  /** Reads of the configuration that are refused now; the generation above is still served. */
  problems: Located[];
  process?: Process;
}

/** A Kubernetes condition. */
export interface Condition {
  type: string;
  /** `True`, `False` or `Unknown`. */
  status: string;
  reason: string;
  message: string;
}

export interface Parent {
  /** Empty for the core group. */
  group: string;
  kind: string;
  namespace: string;
  name: string;
  section?: string | null;
  port?: number | null;
  conditions: Condition[];
}

export interface Listener {
  name: string;
  /** Kinds of route that it takes, as `group/kind`. */
  supported_kinds?: string[];
  attached_routes: number;
  conditions: Condition[];
}

export interface Object {
  group: string;
  kind: string;
  namespace: string;
  name: string;
  /** `routes.yaml:12`; empty for what no file declares. */
  place: string;
  labels?: Record<string, string>;
  /** The object as it was written, with its schema's defaults and without secrets; only where `?manifests=true` asked for it. */
  manifest?: unknown;
  conditions: Condition[];
  parents?: Parent[];
  listeners?: Listener[];
  /** Proxies that serve this object as it is now, of those that it concerns. */
  applied: number;
  concerned: number;
}

export interface ObjectList {
  generation: number;
  items: Object[];
}

export interface Proxy {
  name: string;
  role: Role;
  namespace: string;
  /** The service it stands for, or the gateway; empty for a client. */
  service: string;
  /** Label `version` of its workload. */
  revision: string;
  /** Labels of its workload. */
  labels?: Record<string, string>;
  identity: string;
  /** The release of organza it runs. */
  version: string;
  /** Processes that had its doors before and finish what they began. */
  leaving?: number;
  connected: boolean;
  /** The last generation it acknowledged; `None` before the first. */
  acknowledged: number | null;
  /** Keys it refused, with the reason. */
  refused?: Record<string, string>;
  resources: number;
  /** Whether its control connection proved an SVID. */
  mtls: boolean;
  /** When its connection began. */
  since: number;
  /** What it costs, where it said so. */
  process?: Process | null;
  /** Its program calls others mostly without the trace that it was called with. */
  drops_trace_context?: boolean;
}

/** A process as the kernel sees it. */
export interface Process {
  /** Of one core, over the last report. */
  cpu_percent: number;
  resident_bytes: number;
  threads: number;
  descriptors: number;
}

export interface ProxyList {
  generation: number;
  items: Proxy[];
}

/** One resource as a proxy acknowledged it. */
export interface Resource {
  key: string;
  version: string;
  /** The encoded `organza.wire.v1.Resource` in base64; `None` for certificates, whose keys stay where they are needed. */
  encoded?: string | null;
}

export interface ProxyResources {
  proxy: string;
  generation: number;
  subscriptions: string[];
  items: Resource[];
  /** Issuers of tokens of which it has no keys, and why it cannot fetch them. */
  keyless?: Record<string, string>;
  /** Some of these it will be told when it calls the host that was asked about, and not before. */
  first_call?: boolean;
}

export interface ServicePort {
  number: number;
  name?: string | null;
  protocol: string;
}

export interface Endpoint {
  id: string;
  address: string;
  workload: string;
  revision: string;
  healthy: boolean;
  /** `none`, `hbone` or `organza`. */
  tunnel: string;
  identity: string | null;
  /** Who leaves it out for a while, and why. */
  ejected?: Ejected[];
  /** How its last health checks ended, by the proxy that made them; those that passed too. */
  checks?: Check[];
}

/** What one proxy says of an endpoint that it leaves out. */
export interface Ejected {
  proxy: string;
  /** `5 × 503`, or `GET /healthz answered 503 (3 in a row)`. */
  cause: string;
  since_millis: number;
  /** Until it is tried again; 0 while it is, and where it is unhealthy. */
  left_millis: number;
  /** It fails its health checks, whatever it answers to requests. */
  unhealthy?: boolean;
}

/** How the last health check of an endpoint ended that one proxy made. */
export interface Check {
  proxy: string;
  passed: boolean;
  /** What was asked and what came of it: `GET /healthz answered 200 in 1.2 ms`. */
  said: string;
  /** When it ended. */
  at: number;
}

/** What one proxy says of a service that it does not call now, but for a few requests that try it. */
export interface OpenBreaker {
  proxy: string;
  /** Of so many requests so many percent failed. */
  percent: number;
  requests: number;
  since_millis: number;
  half_open: boolean;
}

/** One proxy's connections to a service of which there may be no more. */
export interface Crowded {
  proxy: string;
  /** Open now, to all endpoints. */
  open: number;
  /** To the service; 0 where endpoints alone are limited. */
  limit: number;
  /** Calls that wait for one. */
  waiting: number;
}

export interface Service {
  namespace: string;
  name: string;
  labels?: Record<string, string>;
  hostnames: string[];
  ports: ServicePort[];
  endpoints: Endpoint[];
  identities: string[];
  /** Proxies whose circuit breaker is not closed. */
  breakers?: OpenBreaker[];
  /** Proxies that have as many connections to it as they may. */
  crowded?: Crowded[];
}

export interface ServiceList {
  generation: number;
  items: Service[];
}

export interface WeightedBackend {
  weight: number;
  /** `shop/catalog-v1:8080`, a host outside, or the reason why it is invalid. */
  backend: string;
  valid: boolean;
}

export interface RouteRule {
  name: string;
  backends: WeightedBackend[];
}

export interface Route {
  kind: string;
  namespace: string;
  name: string;
  place: string;
  labels?: Record<string, string>;
  hosts: string[];
  /** Gateways and services it hangs on. */
  parents: string[];
  rules: RouteRule[];
  conditions: Condition[];
  applied: number;
  concerned: number;
}

export interface RouteList {
  generation: number;
  items: Route[];
}

export interface Edge {
  source_namespace: string;
  source: string;
  source_version: string;
  service_namespace: string;
  /** The service that was dialled; empty where none is known. */
  service: string;
  destination_namespace: string;
  destination: string;
  destination_version: string;
  protocol: string;
  security: Security;
  /** Since the control plane started. */
  requests: number;
  failures: number;
  retries: number;
  /** Over the last seconds. */
  requests_per_second: number;
  /** 0 to 1, over the last seconds where there was traffic, else over all time. */
  success_rate: number;
  /** Over the last seconds where there was traffic, else over the last ten in which there was. */
  p50_millis: number | null;
  p99_millis: number | null;
}

export interface EdgeList {
  generation: number;
  items: Edge[];
}

export interface Call {
  source: string;
  /** Services that this identity answers for; of who called in plaintext those that are answered at its address, which proves nothing. */
  source_services: string[];
  namespace: string;
  service: string;
  workload?: string;
  port: number;
  protocol: string;
  method: string;
  path: string;
  allowed: number;
  denied: number;
  first_seen: number;
  last_seen: number;
  last_allowed?: number;
}

export interface ConsumerList {
  generation: number;
  items: Consumer[];
  days: number;
}

export interface Consumer {
  namespace: string;
  name: string;
  labels?: Record<string, string>;
  groups: string[];
  /** How many keys are believed to be its own. */
  keys: number;
  requests: number;
  /** Of the requests: refused by policies of access or limits. */
  refused: number;
  /** Of the rest: answered with a 4xx. */
  client_errors: number;
  /** Of the rest: answered with a 5xx, or not at all. */
  failures: number;
  first_seen?: number;
  last_seen?: number;
  apis: ConsumedApi[];
  conditions: Condition[];
  applied: number;
  concerned: number;
}

export interface ConsumedApi {
  api: string;
  requests: number;
  refused: number;
  client_errors: number;
  failures: number;
  first_seen: number;
  last_seen: number;
  /** Days on which it was used, the oldest first; only where `?days=true` asked for them. */
  by_day?: ConsumedDay[];
}

export interface ConsumedDay {
  /** When it began (UTC). */
  day: number;
  requests: number;
  refused: number;
  client_errors: number;
  failures: number;
}

export interface CallList {
  generation: number;
  items: Call[];
  days: number;
  left_out: number;
}

export interface Certificate {
  /** A SPIFFE ID, or what an authority is called. */
  identity: string;
  /** `root`, `issuing` or `workload`. */
  kind: string;
  /** The proxy that holds it; empty for authorities. */
  proxy: string;
  issuer: string;
  not_before: number;
  not_after: number;
}

export interface CertificateList {
  items: Certificate[];
}

/** Whom the members of the mesh believe. */
export interface Roots {
  /** The one that signs first. */
  items: Root[];
  /** There while a rotation is under way. */
  rotation?: RootRotation | null;
}

export interface Root {
  /** SHA-256 of the certificate, lower-case hexadecimal. */
  fingerprint: string;
  state: RootState;
  /** Seconds since the Unix epoch. */
  not_after: number;
  /** Until when a certificate under it is valid, in the same seconds; 0 where it has signed none. */
  used_until: number;
}

export interface RootRotation {
  /** Proxies that do not yet believe the next root. */
  waiting_for: string[];
}

/** Counts over the graph's window, and what follows from them. */
export interface Figures {
  /** Requests that ended, or opaque connections. */
  requests: number;
  /** No success: a fault of whoever it was, a 5xx, or for gRPC a status that means failure of the server. */
  failures: number;
  /** Of all requests: answered with a 4xx. */
  client_errors: number;
  /** Refused by policy, as the one who refused counted it. */
  denied: number;
  /** Of the failures: answered or ended by Organza itself, and neither policy nor the caller wanted that. */
  faults: number;
  retries: number;
  /** Requests and retries together: each request once, sent or not, and each try beyond it. 0 where who answers does not tell it. */
  attempts: number;
  requests_per_second: number;
  /** 0 to 1; 1 where nothing was asked. */
  success_rate: number;
  /** Of all attempts, retries counted, those that succeeded: what the rate would be if nothing were tried again. */
  actual_success_rate: number;
  /** Milliseconds, of all requests; `null` where there were none. */
  p50_millis: number | null;
  p95_millis: number | null;
  p99_millis: number | null;
  /** Of bodies, or of opaque connections that ended. */
  bytes_received: number;
  bytes_sent: number;
}

/** One version of a service. */
export interface NodeVersion {
  /** Label `version`; `latest` where there is none. */
  version: string;
  endpoints: number;
  /** Endpoints that no proxy leaves out. */
  healthy: number;
  /** The share that a route gives it, in percent, where one splits. */
  weight_percent?: number | null;
  figures: Figures;
}

export interface Node {
  /** `service/shop/catalog`: kind, namespace, name. */
  id: string;
  kind: NodeKind;
  namespace: string;
  name: string;
  /** Of the calls that it was asked; of a gateway or client, that it sent. */
  figures: Figures;
  versions: NodeVersion[];
  /** What a reader should know: `breaker`, `crowded`, `ejected`, `unhealthy`, `no endpoint`, `denied`, `fault`, `split`, `mirror`, `problem`. */
  marks: string[];
}

export interface GraphEdge {
  /** `SOURCE→DESTINATION/PROTOCOL`, by the ids of nodes. */
  id: string;
  source: string;
  destination: string;
  /** `http`, `grpc` or `tcp`. */
  protocol: string;
  /** The worst of its calls, as handshakes showed it; `null` towards a gateway, whose callers' hop is counted nowhere. */
  security: Security | null;
  /** Whether its calls differ in that. */
  mixed: boolean;
  figures: Figures;
  /** Opaque connections that were opened in the window, and that are open. */
  opened: number;
  open: number;
  /** Since the control plane started. */
  total_requests: number;
  total_failures: number;
  /** When something was reported last, in seconds since the Unix epoch. */
  seen: number;
  /** By version of who is called. */
  versions: EdgeVersion[];
}

export interface EdgeVersion {
  version: string;
  figures: Figures;
}

export interface Graph {
  generation: number;
  /** Of the answer, in seconds since the Unix epoch. */
  time: number;
  /** Over which figures are told. */
  window_seconds: number;
  nodes: Node[];
  edges: GraphEdge[];
  /** Reports that there was no room for, since the control plane started. */
  left_out: number;
}

/** Ten seconds of a node or an edge. */
export interface Point {
  /** When they began, in seconds since the Unix epoch. */
  time: number;
  figures: Figures;
}

/** The last hour of a node or an edge. Slots without a call are not there. */
export interface History {
  time: number;
  slot_seconds: number;
  points: Point[];
}

/** Requests and connections of bytes, by what was decided of them. */
export interface Verdicts {
  allowed: number;
  denied: number;
  /** Denied, and what is only tried out would have allowed it. */
  would_allow: number;
  /** Allowed, and what is only tried out would have denied it. */
  would_deny: number;
  /** A limit of rates had no room for it. */
  limited: number;
}

/** Of one rule, since its policy was first known to decide. */
export interface RuleVerdicts {
  /** By its name, a limit's too; empty where no rule decided. */
  rule: string;
  counts: Verdicts;
}

export interface VerdictPoint {
  /** When the slot began. */
  time: number;
  counts: Verdicts;
}

/** Of one policy, or of what holds where none decides. */
export interface PolicyVerdicts {
  /** `AccessPolicy shop/orders`; `default` where nobody wrote one. */
  policy: string;
  /** When it was first known to decide, in seconds since 1970: what is counted is since then, over restarts of the control plane too. What decides nothing for 31 days is forgotten. */
  since: number;
  counts: Verdicts;
  rules: RuleVerdicts[];
  /** The last hour, as far as this control plane was there, where the question was of this policy alone; slots without a verdict are not there. */
  points?: VerdictPoint[];
}

export interface VerdictList {
  time: number;
  slot_seconds: number;
  items: PolicyVerdicts[];
  /** Of policies that there was no room for, since the control plane started. */
  left_out: number;
}

/** A moment of a node, as a Prometheus tells it. */
export interface LongPoint {
  time: number;
  requests_per_second: number;
  failures_per_second: number;
  p50_millis: number | null;
  p95_millis: number | null;
  p99_millis: number | null;
}

/** Hours or days of a node, oldest first. What was not scraped is not there. */
export interface LongHistory {
  time: number;
  slot_seconds: number;
  points: LongPoint[];
}

/** What one process wrote last. */
export interface Log {
  name: string;
  lines: string[];
}

export interface LogList {
  items: Log[];
}

/** Where a page of somebody else's shows more of a service or a trace. */
export interface LinkTemplate {
  name: string;
  /** An http or https URL with {service} (and perhaps {namespace}), or with {trace} */
  url: string;
}

/** What the dashboard may show. */
export interface PageFacts {
  role: 'viewer' | 'tapper' | 'operator' | 'admin';
  long_history: boolean;
  links: LinkTemplate[];
}

/** A process of the mesh. */
export interface Workload {
  namespace: string;
  name: string;
  /** Several processes may be one workload to their callers. */
  canonical_name: string;
  version: string;
  identity: string;
  labels: Record<string, string>;
  addresses: string[];
  ports: number[];
  /** `none`, `hbone` or `organza`. */
  tunnel: string;
  /** `REGION/ZONE`; empty where it is not known. */
  locality: string;
  /** Keys of the services that it backs. */
  services: string[];
  /** The node of the graph that it is drawn as. */
  node: string;
}

export interface WorkloadList {
  generation: number;
  items: Workload[];
}

/** All that is wrong, the worst first. */
export interface ProblemList {
  generation: number;
  items: Located[];
}

/** What happened before, oldest first, with when it did. */
export interface PastEvents {
  items: PastEvent[];
}

export interface PastEvent {
  /** Seconds since the Unix epoch. */
  time: number;
  what: Event;
}

/** Lets one browser in, once. */
export interface DashboardLink {
  url: string;
  /** Seconds since the Unix epoch. */
  expires: number;
}

export interface FlowList {
  /** The latest first. */
  items: unknown[];
  /** Flows that proxies or the control plane had no room for, since it started. */
  dropped: number;
}

/** What stands behind the `?` of a tap. What is left out matches everything. */
export interface TapQuery {
  /** Workload or app that calls: NAME or NAMESPACE/NAME. */
  from?: string | null;
  /** Workload or service that is called. */
  to?: string | null;
  route?: string | null;
  status?: string | null;
}

export interface WorkloadPort {
  /** The service's port. */
  service: number;
  /** The port that the application listens on. */
  target: number;
}

/** Asks for a place in the mesh. Without a service the workload is a client only. */
export interface RegistrationRequest {
  /** What the workload is called (`catalog-v1`); made unique by the control plane. */
  name: string;
  namespace: string;
  service_account: string;
  service?: string | null;
  ports: WorkloadPort[];
  /** `appProtocol` of these ports, if anybody said. */
  protocol?: string | null;
  labels: Record<string, string>;
  /** Where other proxies reach this one's inbound side (`127.0.0.1:41008`). Empty for a client. */
  addresses: string[];
}

export interface Registration {
  identity: string;
  /** Name of the proxy: `node.id` of its discovery stream. */
  proxy: string;
  /** Key of the workload. */
  workload: string;
  /** Keys of the services that it backs. */
  services: string[];
  xds_address: string;
  /** The control plane's own identity, which the proxy must see in the handshake. */
  control_identity: string;
  /** PEM. */
  trust_roots: string;
}

export interface SignRequest {
  /** The proxy that was registered. */
  proxy: string;
  /** PKCS#10, PEM. */
  csr: string;
}

export interface SignResponse {
  identity: string;
  /** PEM, leaf first. */
  chain: string;
  /** PEM. */
  roots: string;
  not_after: number;
}

/** A field that is not known may narrow what the token is good for: then none is given. */
export interface TokenRequest {
  namespace: string;
  service_account: string;
  services: string[];
  ttl_seconds: number;
}

/** The only time that the token itself is told; it is stored as a hash. */
export interface TokenResponse {
  id: string;
  token: string;
  expires: number;
}

export interface Token {
  id: string;
  identity: string;
  services: string[];
  created: number;
  expires: number;
  /** When it was used, if it was. */
  used?: number | null;
}

export interface TokenList {
  items: Token[];
}

/** What happened to one object, in words: `HTTPRoute catalog 90/10 → 50/50`. */
export interface Change {
  change: ChangeKind;
  kind: string;
  namespace: string;
  name: string;
  /** The file it is in, without line; empty where there is none. */
  file: string;
  summary: string;
}

/** Asks what would change if these were all files of the mesh: texts of YAML by file name. */
export interface DiffRequest {
  files: Record<string, string>;
}

export interface Diff {
  /** The generation that was compared with. */
  generation: number;
  changes: Change[];
  /** Problems that there are not now. */
  problems: Located[];
}

/** A problem with its place. */
export interface Located {
  severity: Severity;
  file: string;
  line: number;
  column: number;
  /** `HTTPRoute shop/catalog`; empty for a file that is no object. */
  object: string;
  /** `spec.rules[0].backendRefs[1].name`. */
  path: string;
  reason: string;
  message: string;
  fix?: string | null;
}

export type Role = 'gateway' | 'workload';

/** How a hop was secured, as the handshake showed it. */
export type Security = 'plain' | 'tls' | 'mtls';

export type RootState = 'signing' | 'next' | 'retiring';

/** What a node is. */
export type NodeKind = 'gateway' | 'service' | 'client' | 'outside';

/** What happened. A reader skips an event that it does not know. */
export type Event = {
  event: 'hello';
  generation: number;
  time: number;
} | {
  event: 'generation';
  generation: number;
  time: number;
  changes: Change[];
} | {
  event: 'applied';
  generation: number;
  applied: number;
  concerned: number;
  millis: number;
} | {
  event: 'refused';
  problems: Located[];
  serving: number;
  time: number;
} | {
  event: 'mended';
  serving: number;
  time: number;
} | {
  event: 'nack';
  proxy: string;
  generation: number;
  key: string;
  reason: string;
} | {
  event: 'proxyConnected';
  proxy: string;
  time: number;
} | {
  event: 'proxyDisconnected';
  proxy: string;
  /** Empty where it was taken out before: it left as it should. */
  reason: string;
  time: number;
};

export type ChangeKind = 'added' | 'changed' | 'removed';

export type Severity = 'note' | 'warning' | 'error';

export interface TraceQuery {
  /** NAME or NAMESPACE/NAME of a workload or service that took part. */
  service?: string | null;
  /** Only those in which something failed. */
  failed?: boolean;
  /** Only those that took so many milliseconds or more. */
  slower?: number | null;
}

/** One of the last traces. */
export interface TraceSummary {
  /** 32 hexadecimal digits. */
  trace_id: string;
  /** What began it: `GET /`. */
  name: string;
  /** The service or workload that was asked first. */
  service: string;
  /** Milliseconds since the Unix epoch. */
  started_millis: number;
  duration_millis: number;
  spans: number;
  /** Spans that ended badly. */
  failed: number;
  /** All that took part. */
  workloads: string[];
}

export interface TraceList {
  /** The latest first. */
  items: TraceSummary[];
  /** Spans that the control plane had no room for, since it started. */
  dropped: number;
}

export type SpanKind = 'server' | 'client';

export interface Span {
  /** 16 hexadecimal digits. */
  span_id: string;
  /** As it was told; it may be a span of the program's own, which is not here. */
  parent_span_id?: string;
  /** How deep it is in the tree of those that are here: 0 for a root. */
  depth: number;
  kind: SpanKind;
  name: string;
  /** Whose proxy tells it. */
  proxy: string;
  workload: string;
  /** The service that was called; empty where none is known. */
  service: string;
  start_millis: number;
  duration_millis: number;
  status: number;
  failed: boolean;
  /** By how much its clock was set right, so that it lies within the call that it answers. */
  clock_millis?: number;
  /** The line of the access log. */
  record: unknown;
}

/** One trace, its spans in the order of the tree. Times within are milliseconds since it began. */
export interface Trace {
  trace_id: string;
  started_millis: number;
  duration_millis: number;
  spans: Span[];
  /** Spans of it that found no room. */
  left_out: number;
}

/** Words behind the `?`; those that are not there are left out. */
export type Query = Record<string, string | number | boolean | undefined>;

/** The questions of the API, asked by whoever knows where it is. */
export const questions = (ask: <T>(path: string, query?: Query) => Promise<T>) => ({
  /** The mesh in a few words */
  status: () => ask<Status>('status'),
  /** All that files declare, and what became of it */
  objects: (query: { manifests?: boolean } = {}) => ask<ObjectList>('objects', query),
  /** Processes that carry traffic */
  proxies: () => ask<ProxyList>('proxies'),
  /** What one proxy has acknowledged; on the socket alone */
  proxiesByProxyResources: (proxy: string, query: { host?: string } = {}) => ask<ProxyResources>(`proxies/${encodeURIComponent(proxy)}/resources`, query),
  /** What is called by name, and who answers */
  services: () => ask<ServiceList>('services'),
  /** Processes of the mesh */
  workloads: () => ask<WorkloadList>('workloads'),
  /** Routes, their weights and conditions */
  routes: () => ask<RouteList>('routes'),
  /** Who calls whom, by workload */
  edges: () => ask<EdgeList>('edges'),
  /** Calls seen in the last seven days, by caller, port, method and path */
  calls: () => ask<CallList>('calls'),
  /** Consumers of APIs and what they used in the last month */
  consumers: (query: { days?: boolean } = {}) => ask<ConsumerList>('consumers', query),
  /** What policies decided, as the proxies told that asked them */
  verdicts: (query: { policy?: string } = {}) => ask<VerdictList>('verdicts', query),
  /** The service graph */
  graph: (query: { seconds?: number; at?: number; node?: string; route?: string; proxy?: string } = {}) => ask<Graph>('graph', query),
  /** The last hour of a node, an edge or a workload: one of them must be named */
  history: (query: { node?: string; edge?: string; workload?: string; route?: string } = {}) => ask<History>('history', query),
  /** The last hours or days of a node, from the Prometheus that the mesh was given; refused with 404 where there is none, with 502 where it does not answer */
  historyLong: (query: { node: string; hours?: number }) => ask<LongHistory>('history/long', query),
  /** What the dashboard may show: the reader's role, links out, whether there is a longer history */
  page: () => ask<PageFacts>('page'),
  /** All that is wrong, worst first */
  problems: () => ask<ProblemList>('problems'),
  /** Requests that failed or were denied, the latest first */
  flows: () => ask<FlowList>('flows'),
  /** What each proxy on its way said of one request, by its identifier or its trace's */
  requests: (query: { id: string }) => ask<FlowList>('requests', query),
  /** The last lines of a process of this machine and its proxy */
  logs: (query: { of: string }) => ask<LogList>('logs', query),
  /** Authorities and what they signed */
  certificates: () => ask<CertificateList>('certificates'),
  /** Whom the members of the mesh believe */
  roots: () => ask<Roots>('roots'),
  /** What events told, the last 512 */
  eventsPast: () => ask<PastEvents>('events/past'),
  /** Join tokens, without their secrets */
  tokens: () => ask<TokenList>('tokens'),
  /** The last traces, the latest first */
  traces: (query: { service?: string; failed?: boolean; slower?: number } = {}) => ask<TraceList>('traces', query),
  /** One trace */
  tracesById: (id: string) => ask<Trace>(`traces/${encodeURIComponent(id)}`),
});
