// Numbers and times as people read them.

export function rate(perSecond: number): string {
  if (perSecond === 0) return '0';
  if (perSecond < 10) return perSecond.toFixed(1);
  if (perSecond < 1000) return String(Math.round(perSecond));
  if (perSecond < 10_000) return `${(perSecond / 1000).toFixed(1)}k`;
  return `${Math.round(perSecond / 1000)}k`;
}

/** Rounding must not call a hundred what is not. */
export function percent(requests: number, failures: number, successRate: number): string {
  if (requests === 0) return '–';
  if (failures === 0) return '100 %';
  return `${Math.min(successRate * 100, 99.99).toFixed(successRate > 0.9 ? 2 : 1)} %`;
}

export function millis(value: number | null): string {
  if (value === null) return '–';
  if (value < 1) return `${Math.round(value * 1000)} µs`;
  if (value < 10) return `${value.toFixed(1)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  return `${(value / 1000).toFixed(value < 10_000 ? 1 : 0)} s`;
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${value < 10 && at > 0 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

export function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 2 * 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} days`;
}

export function clock(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
}

export const secured = (security: string | null, mixed = false): string =>
  mixed ? 'mixed' : ({ mtls: 'mTLS', tls: 'TLS', plain: 'plain', mutual_tls: 'mTLS', none: 'plain' }[security ?? ''] ?? '–');

const GRPC = [
  'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED',
];

/** What a caller was answered; by gRPC what failed is in its status. As `organza tap` has it. */
export function answered(code: number | undefined, grpc: number | undefined): string {
  if (grpc) return `gRPC ${grpc} ${GRPC[grpc] ?? ''}`.trim();
  return code === 0 ? 'none' : String(code ?? '–');
}

const NEGATIVE = ['Conflicted', 'PartiallyInvalid', 'OverlappingTLSConfig', 'organza.dev/NeedsHttp'];

/** These are good when false, all others when true; as `organza get` has it. */
export const isBad = (type: string, status: string): boolean => status !== (NEGATIVE.includes(type) ? 'False' : 'True');

/** `spiffe://domain/ns/shop/sa/web` in short. */
export function account(identity: string): string {
  const found = /\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(identity);
  return found ? `${found[1]}/${found[2]}` : identity;
}

/** A manifest as YAML, plain enough to be copied into a file. */
export function yaml(value: unknown, indent = 0): string {
  const pad = '  '.repeat(indent);
  if (Array.isArray(value)) {
    if (value.length === 0) return ' []\n';
    return '\n' + value.map((one) => `${pad}-${nested(one, indent + 1, true)}`).join('');
  }
  if (value !== null && typeof value === 'object') {
    const fields = Object.entries(value);
    if (fields.length === 0) return ' {}\n';
    return '\n' + fields.map(([name, one]) => `${pad}${scalar(name)}:${nested(one, indent + 1, false)}`).join('');
  }
  return ` ${scalar(value)}\n`;
}

function nested(value: unknown, indent: number, inList: boolean): string {
  const text = yaml(value, indent);
  // The first field of an object in a list stands beside its dash.
  if (inList && value !== null && typeof value === 'object' && !Array.isArray(value) && text.startsWith('\n')) {
    return ' ' + text.slice(1).trimStart();
  }
  return text;
}

function scalar(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value) ?? 'null';
  const plain = /^[A-Za-z_./][A-Za-z0-9_./ -]*$/.test(value) && !/^(true|false|null|yes|no|on|off|y|n|~)$/i.test(value) && !value.endsWith(' ');
  return plain ? value : JSON.stringify(value);
}
