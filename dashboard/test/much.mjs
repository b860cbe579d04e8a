// What is much for a page: five hundred services, and a day of looking. The control plane's answers are made up in the browser itself, so that a mesh of
// that size and a day need none; the page is the one that is served.

/** In the browser: answers as a mesh of so many services would give them, another each time that one is asked for. */
function madeUp({ services, faster, days }) {
  const told = { graphs: 0, asked: 0 };
  globalThis.madeUp = told;
  const began = Math.floor(Date.now() / 1000);
  const namespaces = Math.max(1, Math.ceil(services / 25));
  const wave = (n) => (n * 7919 + told.graphs * 104729) % 1000;
  const figures = (n) => ({
    requests: 10 + wave(n),
    failures: wave(n) % 97 === 0 ? 3 : 0,
    client_errors: 0,
    denied: 0,
    faults: 0,
    retries: wave(n) % 7,
    attempts: 10 + wave(n) + (wave(n) % 7),
    requests_per_second: (10 + wave(n)) / 10,
    success_rate: 0.999,
    actual_success_rate: 0.99,
    p50_millis: 1 + wave(n) / 100,
    p95_millis: 3 + wave(n) / 50,
    p99_millis: 9 + wave(n) / 10,
    bytes_received: 1000,
    bytes_sent: 2000,
  });
  // One of them is another every so often: what is kept by name must not be kept for ever.
  const name = (n) => (n === 3 ? `pod-${Math.floor(told.graphs / 40)}` : `service-${n}`);
  const space = (n) => `team-${n % namespaces}`;
  const id = (n) => `service/${space(n)}/${name(n)}`;
  const nodes = () =>
    Array.from({ length: services }, (_, n) => ({ id: id(n), kind: 'service', namespace: space(n), name: name(n), figures: figures(n), versions: [{ version: 'v1', endpoints: 2, healthy: 2, figures: figures(n) }], marks: wave(n) % 50 === 0 ? ['fault'] : [] }));
  const edges = () =>
    Array.from({ length: Math.min(services, 5001) - 1 }, (_, n) => ({ id: `${id(Math.floor(n / 3))}→${id(n + 1)}/http`, source: id(Math.floor(n / 3)), destination: id(n + 1), protocol: 'http', security: 'mtls', mixed: false, figures: figures(n), opened: 0, open: 0, total_requests: told.graphs * 10, total_failures: 0, seen: began, versions: [] }));
  const time = () => began + Math.floor(told.graphs * 1.5);
  const change = (n) => ({ time: time() - n, what: { event: 'generation', generation: told.graphs + n, time: time() - n, changes: [{ change: 'changed', kind: 'HTTPRoute', namespace: 'team-0', name: `route-${told.graphs + n}`, file: 'a.yaml', summary: `HTTPRoute route-${told.graphs + n} 90/10 → 50/50` }] } });
  const flow = (n) => ({ start_time_ms: (time() - n) * 1000, proxy: `pod-${told.graphs}`, reporter: 'source', method: 'GET', path: `/items/${told.graphs + n}`, response_code: 503, fault: 'no_endpoint', reason: `nobody answers ${told.graphs + n}`, source_workload: 'service-0', destination_workload: 'service-1', trace_id: `${told.graphs}-${n}`, duration_ms: 1.5 });
  const problem = (n) => ({ severity: 'warning', file: 'a.yaml', line: 1, column: 1, object: `HTTPRoute team-0/route-${told.graphs + n}`, path: 'spec', reason: 'Made', message: `made up ${told.graphs + n}` });
  const list = (length, one) => ({ generation: 1, dropped: 0, items: Array.from({ length }, (_, n) => one(n)) });
  const service = (n) => ({ namespace: space(n), name: name(n), hostnames: [`${name(n)}.${space(n)}.svc.cluster.local`], ports: [{ number: 80, name: 'http', protocol: 'http' }], endpoints: [{ id: `e-${told.graphs}`, address: '10.0.0.1:80', workload: name(n), revision: 'v1', healthy: true, tunnel: 'organza', identity: null, checks: [{ proxy: 'web', passed: true, said: `GET /healthz answered 200 in ${wave(n) / 100} ms`, at: time() }] }], identities: [] });
  const answers = {
    graph: () => {
      told.graphs += 1;
      return { generation: 1, time: time(), window_seconds: 10, nodes: nodes(), edges: edges(), left_out: 0 };
    },
    status: () => ({ mesh: 'much', trust_domain: 'a', version: '0', pid: 1, started: began, time: time(), generation: told.graphs, proxies_connected: services, proxies_current: services, xds_address: '', problems: [] }),
    page: () => ({ role: 'tapper', long_history: false, links: [] }),
    'events/past': () => list(512, change),
    flows: () => list(200, flow),
    problems: () => list(20, problem),
    services: () => list(services, service),
    history: () => ({ time: time(), slot_seconds: 10, points: Array.from({ length: 359 }, (_, n) => ({ time: time() - time() % 10 - 3590 + n * 10, figures: figures(n) })) }),
  };
  globalThis.fetch = async (where) => {
    told.asked += 1;
    const path = String(where).replace(/^.*v1\//, '').split('?')[0];
    return new Response(JSON.stringify((answers[path] ?? (() => list(0, String)))()), { headers: { 'content-type': 'application/json', etag: `"${told.asked}"` } });
  };
  if (!faster) return;
  // Time passes as fast as the page can follow: whatever waits for half a second or more waits for its turn alone, in the order in which it would have been due.
  const [later, stop] = [globalThis.setTimeout.bind(globalThis), globalThis.clearTimeout.bind(globalThis)];
  const { port1, port2 } = new MessageChannel();
  const waiting = new Map();
  let [now, last] = [0, 1e9];
  port1.onmessage = () => {
    if (told.graphs >= days) return;
    const [first] = [...waiting].sort((a, b) => a[1].due - b[1].due);
    if (first) {
      now = first[1].due;
      if (first[1].every) first[1].due = now + first[1].every;
      else waiting.delete(first[0]);
      first[1].work();
    }
    port2.postMessage(0);
  };
  port2.postMessage(0);
  const wait = (work, pause, every) => {
    waiting.set(++last, { work, due: now + pause, every });
    return last;
  };
  globalThis.setTimeout = (work, pause = 0, ...rest) => (pause >= 500 ? wait(() => work(...rest), pause, 0) : later(work, pause, ...rest));
  globalThis.setInterval = (work, pause) => wait(work, pause, pause);
  globalThis.clearTimeout = (which) => (waiting.delete(which) ? undefined : stop(which));
  globalThis.clearInterval = globalThis.clearTimeout;
}

/** `context` was let in to `base`; `check` and `until` are the test's own. */
export async function much(context, base, folder, check, until) {
  const page = await context.newPage();
  const said = [];
  page.on('pageerror', (error) => said.push(error.message));
  await page.addInitScript(madeUp, { services: 500, faster: false, days: 0 });
  const begun = Date.now();
  await page.goto(`${base}/#/graph`);
  await page.waitForSelector('[data-node]', { timeout: 20_000 });
  const first = Date.now() - begun;
  // On a quiet machine it is well below a second; who tests on a busy one waits for others.
  check(first < 4000, `500 services: first picture after ${first} ms`);
  await page.screenshot({ path: `${folder}/many-graph.png` });
  const drawn = await page.locator('[data-node]').count();
  check(drawn > 0 && drawn <= 60, `500 services are drawn as ${drawn} nodes`);
  await page.keyboard.press('2');
  await until('500 services are listed', async () => (await page.locator('tbody tr').count()) === 500);
  await page.keyboard.press('/');
  const typed = Date.now();
  await page.keyboard.type('service-499');
  await until('a word finds one of 500', async () => (await page.locator('tbody tr').count()) === 1);
  check(Date.now() - typed < 4000, `a word finds one of 500 after ${Date.now() - typed} ms`);
  await page.goto(`${base}/#/graph?ns=team-3`);
  await until('one namespace of twenty is drawn', async () => (await page.locator('[data-node]').count()) >= 25);
  await page.screenshot({ path: `${folder}/many-namespace.png` });
  await page.close();

  // Ten thousand services, of which the control plane tells as many edges as it holds: what is drawn is bounded, and what is not is said.
  const crowd = await context.newPage();
  crowd.on('pageerror', (error) => said.push(error.message));
  await crowd.addInitScript(madeUp, { services: 10_000, faster: false, days: 0 });
  const opened = Date.now();
  await crowd.goto(`${base}/#/graph`);
  await crowd.waitForSelector('[data-node]', { timeout: 60_000 });
  console.log(`     10,000 services: first picture after ${Date.now() - opened} ms`);
  const many = await crowd.locator('[data-node]').count();
  check(many > 50 && many <= 150, `10,000 services are drawn as ${many} nodes`);
  check(await until('what is not drawn is said', () => crowd.getByText('are not drawn: search, or choose a namespace').count()), 'what is not drawn is said');
  await crowd.screenshot({ path: `${folder}/crowd-graph.png` });
  await crowd.goto(`${base}/#/services`);
  await until('500 of 10,000 services are listed', async () => (await crowd.locator('tbody tr').count()) === 500);
  check(await until('the rest is said', () => crowd.getByText('9,500 more').count()), 'the rest of 10,000 services is said');
  await crowd.close();

  // A day is 57,600 of the page's questions (DAY_UPDATES=57600); what grows with them grows with some thousands, too.
  const days = Number(process.env.DAY_UPDATES ?? 2_000);
  for (const path of ['graph', 'node/service/team-0/service-0']) {
    const day = await context.newPage();
    day.on('pageerror', (error) => said.push(error.message));
    const tools = await context.newCDPSession(day);
    await tools.send('Performance.enable');
    const weight = async () => {
      await tools.send('HeapProfiler.collectGarbage');
      const { metrics } = await tools.send('Performance.getMetrics');
      const of = (name) => metrics.find((one) => one.name === name).value;
      return { heap: of('JSHeapUsedSize'), nodes: of('Nodes'), listeners: of('JSEventListeners') };
    };
    await day.addInitScript(madeUp, { services: 12, faster: true, days: days / 2 });
    await day.goto(`${base}/#/${path}`);
    const at = (share) => day.waitForFunction((graphs) => globalThis.madeUp.graphs >= graphs, (days / 2) * share, { timeout: Math.max(600_000, days * 100), polling: 20 });
    await at(0.2);
    const early = await weight();
    await at(1);
    const late = await weight();
    const grown = (late.heap - early.heap) / 1e6;
    check(grown < 4 && late.nodes < early.nodes * 1.5 + 500 && late.listeners < early.listeners * 1.5 + 100, `a page that is looked at for long (${path.split('/')[0]}, ${days / 2} updates): ${(late.heap / 1e6).toFixed(1)} MB, ${grown.toFixed(1)} more than after a fifth of it; ${late.nodes} nodes of the document (${early.nodes}), ${late.listeners} listeners (${early.listeners})`);
    await day.close();
  }
  check(said.length === 0, `no error in what is much${said.length ? `: ${said.slice(0, 3).join('; ')}` : ''}`);
}
