// Where the reader is, kept in the address behind `#`: `#/service/shop/catalog?window=60`. So that a view can be sent to somebody, and Back works.

export const place = $state({ path: [] as string[], query: new URLSearchParams() });

function read(): void {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  place.path = path.split('/').filter(Boolean).map(decodeURIComponent);
  place.query = new URLSearchParams(query);
}

read();
addEventListener('hashchange', read);

export const to = (...path: string[]): string => `#/${path.map(encodeURIComponent).join('/')}`;

/** Puts a filter into the address without a step in the history. */
export function put(name: string, value: string): void {
  const query = new URLSearchParams(place.query);
  if (value) query.set(name, value);
  else query.delete(name);
  const text = query.toString();
  history.replaceState(null, '', `#/${place.path.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`);
  place.query = query;
}

/** The page of a node of the graph by its id. */
export function nodeLink(id: string): string {
  const [kind = '', namespace = '', ...name] = id.split('/');
  return to('node', kind, namespace || '-', name.join('/'));
}
