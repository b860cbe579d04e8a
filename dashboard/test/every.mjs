// Everything that the page is to show, thing by thing: answers as the control plane's tests record them (`wire/testdata/api`), with what a small mesh does not
// have at once, and where each is seen.
import { readFileSync } from 'node:fs';

const recorded = (name) => JSON.parse(readFileSync(new URL(`../../wire/testdata/api/${name}.json`, import.meta.url), 'utf8'));

/** Answers by path, of a mesh in which everything is under way. */
function answers() {
  const [graph, services, proxies, history, status] = ['graph', 'services', 'proxies', 'history', 'status'].map(recorded);
  const [catalog, called] = [graph.nodes[0], graph.edges[0]];
  const now = status.time;
  const still = { ...catalog.figures, requests: 0, failures: 0, requests_per_second: 0 };
  const node = (id, more = {}) => ({ id, kind: id.split('/')[0], namespace: id.split('/')[1], name: id.split('/')[2], figures: catalog.figures, versions: [], marks: [], ...more });
  const version = (name, healthy, weight_percent) => ({ ...catalog.versions[0], version: name, healthy, weight_percent });
  const edge = (source, destination, protocol = 'http', more = {}) => ({ ...called, id: `${source}→${destination}/${protocol}`, source, destination, protocol, versions: [], ...more });
  const [web, shop, store] = ['service/shop/web', 'service/shop/catalog', 'service/shop/store'];
  graph.time = now;
  graph.nodes = [
    node('outside//strangers', { name: 'strangers' }),
    node('gateway/shop/edge'),
    node(web),
    node(shop, { versions: [version('v1', 2, 90), version('v2', 1, 10)], marks: ['breaker', 'denied', 'fault', 'mirror', 'split', 'unhealthy'] }),
    node(store),
    node('service/shop/asleep', { figures: still }),
    node('outside//api.example', { name: 'api.example' }),
  ];
  graph.edges = [
    edge('outside//strangers', 'gateway/shop/edge', 'http', { security: 'tls' }),
    edge('gateway/shop/edge', web),
    edge(web, shop),
    edge(shop, store, 'tcp', { open: 4, opened: 9, figures: { ...called.figures, failures: 2, bytes_received: 1_048_576, bytes_sent: 0 } }),
    edge(web, 'outside//api.example', 'http', { security: 'plain' }),
    edge(web, 'service/shop/asleep', 'http', { figures: still }),
  ];
  services.items[0] = { ...services.items[0], name: 'catalog', namespace: 'shop', hostnames: ['catalog.shop'] };
  services.items[0].endpoints[0].checks.push({ proxy: 'gateway-edge', passed: false, said: 'GET /healthz answered 500 in 3 ms', at: now });
  history.time = now;
  history.points = Array.from({ length: 60 }, (_, n) => ({ ...history.points[0], time: now - (now % 10) - 600 + n * 10 }));
  const long = recorded('history-long');
  long.time = now;
  long.points = Array.from({ length: 360 }, (_, n) => ({ ...long.points[0], time: now - (now % 60) - 360 * 60 + n * 60 }));
  const change = { change: 'changed', kind: 'HTTPRoute', namespace: 'shop', name: 'catalog', file: 'a.yaml', summary: 'HTTPRoute catalog 100/0 → 90/10' };
  const flow = { start_time_ms: now * 1000, duration_ms: 1.5, reporter: 'destination', protocol: 'http', security: 'mutual_tls', method: 'GET', path: '/admin', response_code: 403, response_flags: 'UAEX', fault: 'access_denied', reason: 'it denies web', verdict_by: 'AccessPolicy shop/no-admin', verdict_rule: 'admins', source_workload: 'web-v1', destination_workload: 'catalog-v1', attempt: 1, proxy: 'catalog-v1' };
  const refused = { ...flow, reporter: 'source', protocol: 'grpc', security: 'none', method: 'POST', path: '/shop.Admin/Say', response_code: 200, grpc_status: 7, listener: 'shop/edge/grpc', source_workload: 'gateway-edge', source_address: '10.0.0.9:4711', destination_workload: 'unknown', proxy: 'gateway-edge' };
  const objects = recorded('objects');
  objects.items.push({ ...objects.items[0], kind: 'AccessPolicy', namespace: 'shop', name: 'no-admin', manifest: { apiVersion: 'organza.dev/v1alpha1', kind: 'AccessPolicy', metadata: { name: 'no-admin', namespace: 'shop' }, spec: { targetRefs: [{ kind: 'Service', name: 'catalog' }] } } });
  const verdicts = recorded('verdicts');
  verdicts.time = now;
  verdicts.items[0].policy = 'AccessPolicy shop/no-admin';
  verdicts.items[0].since = now - 7200;
  verdicts.items[0].points = history.points.map(({ time }) => ({ ...verdicts.items[0].points[0], time }));
  const certificates = recorded('certificates');
  certificates.items.push({ ...certificates.items[0], identity: 'spiffe://organza.local/ns/shop/sa/old', proxy: 'old-1', not_before: now - 1000, not_after: now + 60 });
  const page = recorded('page');
  page.long_history = true;
  page.links.push({ name: 'Grafana', url: 'https://grafana.example/d/x?var-service={service}' });
  const trace = recorded('trace');
  trace.spans.unshift({ ...trace.spans[0], span_id: '53995c3f42cd8ad8', depth: 0, kind: 'client', workload: 'web-v1', proxy: 'web-v1', service: 'catalog', failed: false, status: 200 });
  return {
    graph,
    services,
    proxies,
    history,
    'history/long': long,
    status,
    objects,
    verdicts,
    certificates,
    page,
    flows: { items: [flow, refused], dropped: 3 },
    'events/past': { items: [{ time: now - 300, what: { event: 'generation', generation: 12, time: now - 300, changes: [change] } }] },
    traces: recorded('traces'),
    [`traces/${trace.trace_id}`]: trace,
    problems: recorded('problems'),
    routes: recorded('routes'),
    workloads: recorded('workloads'),
    consumers: recorded('consumers'),
  };
}

/** In the browser: some column of a chart is, for a third of its height, of the colour in which changes are drawn. */
function hasMark(canvas) {
  const probe = document.createElement('canvas').getContext('2d');
  probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--warn-line').trim();
  probe.fillRect(0, 0, 1, 1);
  const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
  const { data, width, height } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const is = (x, y) => {
    const at = (y * width + x) * 4;
    return Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue) < 40 && data[at + 3] > 100;
  };
  for (let x = 0; x < width; x += 1) {
    let count = 0;
    for (let y = 0; y < height; y += 1) if (is(x, y)) count += 1;
    if (count > height / 3) return true;
  }
  return false;
}

/** `context` was let in to `base`; `check` and `until` are the test's own. */
export async function every(context, base, folder, check, until) {
  const page = await context.newPage();
  await page.setViewportSize({ width: 1440, height: 900 });
  const said = [];
  page.on('pageerror', (error) => said.push(error.message));
  const told = answers();
  let histories = 0;
  await page.route(/\/v1\//, (route) => {
    const asked = new URL(route.request().url()).pathname.split('/v1/')[1];
    // Each is another one, as of a mesh that is called.
    if (asked === 'history') told.history.points.at(-1).figures.requests_per_second = 48 + (histories += 1) / 1000;
    return route.fulfill({ status: told[asked] ? 200 : 404, contentType: 'application/json', body: JSON.stringify(told[asked] ?? { error: `nobody made up ${asked}` }) });
  });
  const at = async (path) => {
    await page.goto(`${base}/#/${path}`);
    await page.waitForSelector('main h1');
  };
  const shows = async (what, question) => {
    if (await until(what, question)) check(true, what);
  };
  const has = (what, place, ...words) => shows(what, async () => {
    const text = (await page.locator(place).allInnerTexts()).join('\n');
    return words.every((word) => text.includes(word));
  });
  /** What is written on a node or edge of the graph. */
  const drawn = (what, place, ...words) => shows(what, async () => {
    const text = (await page.locator(place).allTextContents()).join('\n');
    return words.every((word) => text.includes(word));
  });
  const card = (title) => `section.card:has(h2:text-is("${title}"))`;
  const labelled = async (id) => (await page.locator(`[data-edge="${id}"]`).getAttribute('aria-label')) ?? '';

  /** The charts of a page are these, and the change is drawn on each and told where one points at it; it was so far back, as a share of what is shown. */
  const marked = async (where, ago, ...titles) => {
    await shows(`${where}: its charts are ${titles.join(', ')}`, async () => (await page.locator('section.card:has(.u-over) h2').allInnerTexts()).join() === titles.join());
    for (const title of titles) {
      const section = page.locator(card(title));
      await shows(`${where}: a change of configuration is marked on ${title}`, async () => {
        const over = section.locator('.u-over');
        await over.scrollIntoViewIfNeeded();
        const box = await over.boundingBox();
        for (let x = Math.max(0, 0.97 - ago) * box.width; x < (1.03 - ago) * box.width; x += 1) {
          await page.mouse.move(box.x + x, box.y + box.height / 2);
          if (await section.locator('.change', { hasText: '100/0 → 90/10' }).count()) break;
        }
        return (await section.locator('.change').count()) > 0 && (await section.locator('canvas').evaluate(hasMark));
      });
    }
  };

  await at('graph');
  await page.waitForSelector('[data-node]');
  const catalog = 'g.node:has([data-node="service/shop/catalog"])';
  await drawn('the graph: requests per second, success and latency of a service', catalog, '48', '/s', '99.80 %');
  await drawn('the graph: versions with their share', catalog, 'v1', 'v2', '50 %');
  await shows('the graph: the weight that a route gives each version', async () => (await page.locator(`${catalog} path.wanted`).count()) === 2);
  await drawn('the graph: marks of breaker, denial, fault, mirror and health', `${catalog} text.mark`, 'breaker', 'denied', 'fault', 'mirror', 'unhealthy');
  await shows('the graph: an edge says its latency, and mutual TLS as it was seen', async () => /requests|\/s/.test(await labelled('service/shop/web→service/shop/catalog/http')) && (await labelled('service/shop/web→service/shop/catalog/http')).includes('mTLS'));
  await shows('the graph: a lock is open where it was plain', async () => (await page.locator('[data-edge="service/shop/web→outside//api.example/http"] .lock.plain').count()) === 1 && (await labelled('service/shop/web→outside//api.example/http')).includes('plain'));
  await shows('the graph: an edge of TCP says open connections, bytes and resets', async () => (await labelled('service/shop/catalog→service/shop/store/tcp')).includes('4 open · 1.0 MiB · 2 broken off'));
  await shows('the graph: callers and destinations outside are nodes', async () => (await page.locator('g.node.outside').count()) === 2);
  await shows('the graph: what is idle is faded', async () => (await page.locator('g.node.idle').count()) === 1 && (await page.locator('[data-edge="service/shop/web→service/shop/asleep/http"].idle').count()) === 1);
  await page.screenshot({ path: `${folder}/every-graph.png` });
  await at(`graph?on=${encodeURIComponent('service/shop/catalog')}`);
  await has('the graph: p50, p95 and p99, versions and weights of what is chosen', 'aside[aria-label="What is chosen"]', 'p50', '1.5 ms', 'p95', '3.5 ms', 'p99', 'weight 90 %');
  await at(`graph?on=${encodeURIComponent('service/shop/catalog→service/shop/store/tcp')}`);
  await shows('the graph: a change of configuration is marked on both lines of a chosen edge', async () => (await page.locator('aside figure path.mark').count()) === 2 && (await page.locator('aside figure path.mark title').allTextContents()).every((text) => text.includes('100/0 → 90/10')));
  await has('the graph: protocol, connections, resets of a chosen edge', 'aside[aria-label="What is chosen"]', 'tcp', '4 open, 9 opened, 2 broken off');

  await at('node/service/shop/catalog');
  await has('a service: success with retries and without', 'main', 'Success', '99.80 %', 'Without retries', '99.2');
  await has('a service: who calls it and whom it calls', card('Called by'), 'web');
  await has('a service: whom it calls, by bytes', card('Calls'), 'store', '4 open, 1.0 MiB');
  await has('a service: versions, weights and health', card('Versions'), 'v2', '10 %', '1 of 2');
  await has('a service: health checks with their output', card('Endpoints'), 'GET /healthz answered 200 in 1.2 ms', 'GET /healthz answered 500 in 3 ms', 'failed');
  await has('a service: policies that name it', card('Routes and policies'), 'no-admin', 'AccessPolicy');
  await has('a service: links out by template', '.head', 'Grafana');
  await shows('a service: the link has its name', async () => (await page.getByRole('link', { name: /Grafana/ }).getAttribute('href')) === 'https://grafana.example/d/x?var-service=catalog');
  await marked('a service', 0.5, 'Requests per second', 'Failures per second', 'Latency');
  await page.locator(`${card('Latency')} canvas`).evaluate((canvas) => (canvas.dataset.first = 'yes'));
  const before = histories;
  if (await until('a service: its history is asked for again', () => histories > before + 1)) check((await page.locator('canvas[data-first]').count()) === 1, 'a service: its charts are fed, and not made anew');
  await page.screenshot({ path: `${folder}/every-service.png`, fullPage: true });

  await at('node/service/shop/catalog?hours=6');
  await marked('six hours of a service', 300 / 21_600, 'Requests per second', 'Failures per second', 'Latency');
  await at('node/gateway/shop/edge');
  await marked('a gateway', 0.5, 'Requests per second', 'Failures per second', 'Latency');
  await at('object/HTTPRoute/shop/catalog');
  await marked('a route', 0.5, 'Requests per second · catalog', 'Failures per second · catalog', 'Latency · catalog');

  await at('object/AccessPolicy/shop/no-admin');
  await marked('a policy', 0.5, 'Verdicts per second', 'Requests per second · catalog', 'Failures per second · catalog', 'Latency · catalog');
  await has('a policy: what it decided, by rule, since when', 'main', 'Verdicts per second', 'Verdicts by rule, over 2 h 0 min', 'web-writes', '1,200');
  await has('a policy: as it was written, to copy', 'pre.manifest', 'kind: AccessPolicy', 'name: no-admin');
  await shows('a policy: its manifest can be copied', () => page.getByRole('button', { name: /copy/i }).count());

  await at('workload/shop/web-v1');
  await has('a workload: identity, proxy, generation, CPU, memory and certificate', 'main', 'spiffe://organza.local/ns/shop/sa/web', '12 of 12', '5.2 % of a core', '15 MiB', 'ends in');
  await marked('a workload', 0.5, 'Requests per second', 'Failures per second', 'Latency');
  await at('proxies');
  await has('proxies: acknowledged version, CPU and memory of each', 'tbody', 'web-v1', '12', '5.2 %', '15 MiB', '1 refused');
  await has('proxies: the health of the control plane', '[aria-label="Control plane"]', 'answers', '12', '5 of 6', '0.4 %', '40 MiB');
  await at('certificates');
  await has('certificates: whose, and when they end', 'tbody', 'shop/web', 'issuing', '23 h 59 min', 'shop/old', '1 min');
  await shows('certificates: one that soon ends stands out', async () => (await page.locator('tbody .bad-text').count()) === 1);
  await at('problems');
  await has('problems: what, where, why and what to do', 'main', 'BackendNotFound', 'HTTPRoute shop/catalog', 'routes.yaml:12:5', 'there is no Service catalog-v3', 'name one that exists');
  await at('flows');
  await has('flows: verdict and reason', 'tr.flow', 'access_denied', 'it denies web', 'AccessPolicy shop/no-admin');
  await has('flows: a stranger that a gateway refused, by the status of gRPC', 'tr.flow:nth-child(2)', '10.0.0.9:4711', 'gateway-edge', 'gRPC 7 PERMISSION_DENIED', 'it denies web by AccessPolicy');
  await has('flows: what was too much is said', '.head', '3 more were too many');
  await page.locator('tr.flow button').first().click();
  await has('why: object, rule and hop of a denied request', 'dl.why', 'AccessPolicy shop/no-admin', 'admins', 'catalog-v1 (destination)', 'access_denied: it denies web');
  await at('traces');
  await has('traces: a list with what failed', 'tbody', 'GET /items', '1 failed', 'catalog-v1, web-v1');
  await page.locator('tbody a').first().click();
  await shows('a trace: a waterfall with the hop that failed', async () => (await page.locator('tbody rect.bar').count()) === 2 && (await page.locator('tbody rect.bar.bad').count()) === 1);
  await shows('a trace: a link out by template', async () => (await page.getByRole('link', { name: /Jaeger/ }).getAttribute('href')) === 'https://jaeger.example/trace/4bf92f3577b34da6a3ce929d0e0e4736');
  await page.getByRole('button', { name: 'catalog-v1' }).click();
  await has('a trace: a clock that was an hour off is set right, and said', 'dl.facts', 'set right by 3600 s');
  check(said.length === 0, `no error where everything is shown${said.length ? `: ${said.slice(0, 3).join('; ')}` : ''}`);
  await page.close();
}
