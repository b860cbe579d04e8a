// The page in a real browser, on a mesh that runs. `cargo xtask test dashboard` starts both and calls this:
//   node test/run.mjs ORGANZA MESH GATEWAY-URL FOLDER
// It fails with words; screenshots of what it saw lie in FOLDER.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { every } from './every.mjs';
import { first } from './first.mjs';
import { much } from './much.mjs';

const [organza, mesh, gateway, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PATIENCE = 20_000;
mkdirSync(folder, { recursive: true });

let failed = 0;
function check(good, what) {
  if (!good) failed += 1;
  console.log(`${good ? 'ok  ' : 'FAIL'} ${what}`);
}

function run(...words) {
  return new Promise((done) => {
    const child = spawn(organza, words, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (part) => (text += part));
    child.on('close', () => done(text.trim()));
  });
}

/** Asks again until it is so, or patience ends. */
async function until(what, question) {
  const end = Date.now() + PATIENCE;
  let last;
  for (;;) {
    try {
      last = await question();
      if (last) return last;
    } catch (error) {
      last = error.message;
    }
    if (Date.now() > end) {
      check(false, `${what} (last: ${JSON.stringify(last)})`);
      return undefined;
    }
    await new Promise((again) => setTimeout(again, 100));
  }
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: 'light', reducedMotion: 'reduce' });
const page = await context.newPage();
const said = [];
page.on('console', (message) => message.type() === 'error' && said.push(message.text()));
page.on('pageerror', (error) => said.push(error.message));
const asked = new Set();
page.on('request', (request) => asked.add(new URL(request.url()).origin));

const link = (await run('dashboard', '--no-open', '--mesh', mesh)).split('\n')[0];
const base = link.slice(0, link.lastIndexOf('/'));
const at = (path) => page.goto(`${base}/#/${path}`);

// Who was not let in is told how to be.
const stranger = await (await browser.newContext()).newPage();
check((await stranger.goto(`${base}/`)).status() === 401, 'a browser without a cookie is refused');
await stranger.close();

await page.goto(link);
await page.waitForSelector('[data-node]', { timeout: PATIENCE });
check(!page.url().includes('code='), 'the code is not left in the address');
const again = await (await browser.newContext()).newPage();
check((await again.goto(link)).status() === 401, 'a link lets one browser in, once');
await again.close();
await first(context, base, check);

// Every edge shows what the load generator itself counted.
const load = JSON.parse(await run('load', gateway, '--rate', '100', '--connections', '4', '--for', process.env.LOAD_FOR ?? '12s'));
check(load.failed === 0 && load.requests > 500, `the load generator sent ${load.requests} requests, ${load.failed} failed`);
const edges = await page.$$eval('[data-edge]', (all) => all.map((one) => one.dataset.edge));
check(edges.length >= 5, `${edges.length} edges are drawn`);
for (const id of edges) {
  await at(`graph?on=${encodeURIComponent(id)}`);
  const counted = async () => {
    const text = await page.locator('aside[aria-label="What is chosen"] dl', { hasText: 'Since start' }).innerText();
    return Number(/([\d.,\s]+) calls/.exec(text)[1].replace(/\D/g, ''));
  };
  // The last reports take a second; what is shown then stays, for nobody calls any more.
  const seen = await until(`${id} shows ${load.requests}`, async () => {
    const n = await counted();
    return Math.abs(n - load.requests) <= load.requests / 100 && n;
  });
  if (seen) check(true, `${id} shows ${seen} of ${load.requests}`);
}

// A graph in which nothing is new is not sent again, and who shows none asks for none.
const told = [];
page.on('response', (answer) => answer.url().includes('/v1/') && told.push([answer.url(), answer.status()]));
const graphs = () => told.filter(([url]) => url.includes('/v1/graph'));
await at('graph');
check(await until('a graph in which nothing is new is not sent again', () => graphs().some(([, status]) => status === 304)), 'a graph in which nothing is new is not sent again');
for (const path of ['flows', 'traces', 'certificates', 'problems', 'workloads', 'proxies']) {
  await at(path);
  await page.waitForSelector('main h1');
  told.length = 0;
  const statuses = () => told.filter(([url]) => url.endsWith('/v1/status')).length;
  if (await until(`${path} asks on`, () => statuses() >= 2)) check(graphs().length === 0, `${path} asks for no graph`);
}
await at('node/service/default/catalog');
const part = await until('a page of one service asks for its part of the graph', () => graphs().some(([url]) => url.includes('node=service%2Fdefault%2Fcatalog')));
check(part && graphs().every(([url]) => url.includes('node=')), 'a page of one service asks for its part of the graph, and for no more');

// The address decides; TLS is what was seen.
await at('graph');
await page.waitForSelector('[data-node]');
check(await until('all hops are mutual TLS', async () => (await page.locator('.bar').innerText()).includes('all mTLS')), 'all hops are mutual TLS');

// A failure shows within seconds, with its cause.
const injected = Date.now();
const answer = await fetch(new URL('/%zz', gateway));
check(answer.status === 400, 'a malformed request is refused by the gateway');
await at('flows');
const shown = await until('the refused request is shown with its cause', () => page.locator('tr.flow', { hasText: 'malformed_request' }).count());
const took = Date.now() - injected;
if (shown) check(took < (process.env.CI ? 6000 : 3500), `a failure is shown with its cause after ${took} ms`);
await page.locator('tr.flow button').first().click();
check((await page.locator('dl.why').innerText()).includes('gateway-'), 'it names the hop');
const overlaid = await page.$$eval('dl.facts dt', (names) => names.filter((name) => name.scrollWidth > name.clientWidth).map((name) => name.textContent));
check(overlaid.length === 0, `names of a record's fields are no wider than their column: ${overlaid.join()}`);
const secret = 'canary-4e1f';
await fetch(new URL(`/status/503?token=${secret}`, gateway), { headers: { authorization: `Bearer ${secret}`, cookie: `id=${secret}`, 'x-key': secret } });
await page.getByRole('button', { name: /^All/ }).click();
await until('the failed request of the canary is shown', () => page.locator('tr.flow', { hasText: '/status/503' }).count());
await page.locator('tr.flow', { hasText: 'gateway-' }).filter({ hasText: '/status/503' }).last().locator('button').click();
const why = await page.locator('dl.why').last().innerText();
check(/HTTPRoute default\//.test(why) && /rule/.test(why) && why.includes('gateway-'), `a failed request names object, rule and hop: ${why.replaceAll('\n', ' ')}`);
const everything = await page.evaluate(async () => {
  const names = ['status', 'graph', 'services', 'workloads', 'routes', 'objects?manifests=true', 'problems', 'proxies', 'certificates', 'events/past', 'flows', 'traces'];
  return (await Promise.all(names.map(async (name) => (await fetch(`v1/${name}`)).text()))).join('\n');
});
check(everything.includes('/status/503') && !everything.includes(secret), 'a secret in header, cookie and query is in no answer');

// Requests as they end, for who may tap; a viewer is told what it takes, and is refused.
await at('node/service/default/catalog');
await page.getByRole('button', { name: 'Watch' }).click();
const watched = page.locator('section', { has: page.getByRole('heading', { name: 'Live requests' }) });
const live = await until('a request shows as it ends', async () => {
  await fetch(new URL('/items', gateway)).catch(() => {});
  return watched.locator('tr.flow').count();
});
if (live) check(true, 'a request shows as it ends');
await page.getByRole('button', { name: 'Stop' }).click();
const viewerContext = await browser.newContext();
const viewer = await viewerContext.newPage();
const viewerLink = (await run('dashboard', '--no-open', '--mesh', mesh, '--role', 'viewer')).split('\n')[0];
await viewer.goto(`${viewerLink}`);
await viewer.waitForSelector('[data-node]', { timeout: PATIENCE });
const refusals = await viewer.evaluate(async () => {
  const ask = async (path, method) => (await fetch(path, { method })).status;
  return [await ask('v1/tap', 'GET'), await ask('v1/proxies/x/resources', 'GET'), await ask('v1/roots/rotate', 'POST'), await ask('v1/registrations', 'POST')];
});
check(refusals.join() === '403,403,403,405', `a viewer may not tap, read resources, rotate or register: ${refusals.join()}`);
await viewer.goto(`${base}/#/node/service/default/catalog`);
check(await until('a viewer is told what it takes', () => viewer.getByText('--role tapper').count()), 'a viewer is told what it takes');
await viewer.route(/v1\/graph\?.*node=/, (route) => route.fulfill({ status: 500, contentType: 'application/json', body: '{"error": "no graph of it"}' }));
check(await until('a page whose own question fails says so', () => viewer.getByRole('alert').filter({ hasText: 'no graph of it' }).count()), 'a page whose own question fails says so');
await viewerContext.close();

// Lines of a program and of its proxy, for an operator; of one that keeps none where it writes to.
const outside = spawn(organza, ['run', '--mesh', mesh, '--service', 'lone', '--port', '1', '--', 'sleep', '600'], { stdio: 'ignore' });
const operatorContext = await browser.newContext({ viewport: { width: 1440, height: 900 } });
const operator = await operatorContext.newPage();
await operator.goto((await run('dashboard', '--no-open', '--mesh', mesh, '--role', 'operator')).split('\n')[0]);
await operator.waitForSelector('[data-node]', { timeout: PATIENCE });
for (const [name, program] of [['catalog-v1', 'catalog v1 listens on 127.0.0.1:'], ['lone', 'it writes to /dev/null']]) {
  await operator.goto(`${base}/#/workloads`);
  const row = operator.locator('tbody a.name', { hasText: name });
  if (!(await until(`${name} is among the workloads`, () => row.count()))) continue;
  await operator.goto(`${base}/${await row.first().getAttribute('href')}`);
  const card = operator.locator('section', { has: operator.getByRole('heading', { name: 'Logs' }) });
  await card.getByRole('button', { name: 'Show' }).click();
  const seen = await until(`the lines of ${name} are shown`, async () => (await card.getByLabel('Log of the program').innerText()).includes(program));
  if (seen) check((await card.getByLabel('Log of the proxy').count()) === 1, `the lines of ${name} are shown, and its proxy's`);
  await card.screenshot({ path: `${folder}/logs-${name}.png` });
}
await operatorContext.close();
outside.kill('SIGTERM');
await new Promise((ended) => (outside.exitCode === null ? outside.on('close', ended) : ended()));

// Of a process what it alone told; of a route what it decides about. Both end when nobody calls, so that calls go on until they are shown.
const calls = async () => {
  for (let n = 0; n < 5; n += 1) await fetch(new URL('/items', gateway)).catch(() => {});
};
await at('workloads');
await page.waitForSelector('tbody a.name');
await at((await page.locator('tbody a.name', { hasText: 'catalog-v1' }).first().getAttribute('href')).slice(2));
const own = page.locator('section', { has: page.getByRole('heading', { name: 'Called by, the last two minutes' }) });
const callers = await until('a process tells who calls it', async () => {
  await calls();
  return own.locator('tbody tr', { hasText: 'web' }).filter({ hasText: 'mTLS' }).count();
});
if (callers) check(callers === 1, 'a process tells who calls it');
await at('object/HTTPRoute/default/catalog');
const routed = page.locator('section', { has: page.getByRole('heading', { name: 'Who calls whom' }) });
const byRoute = await until('a route tells who calls whom by it', async () => {
  await calls();
  return routed.locator('tbody tr', { hasText: 'web' }).filter({ hasText: 'catalog' }).count();
});
if (byRoute) check((await page.locator('pre.manifest').innerText()).includes('kind: HTTPRoute') && (await page.getByText('Requests per second · catalog').count()) === 1, 'a route has its hour and its manifest');

// The last hour again.
await at('graph');
await page.waitForSelector('[data-node]');
await page.locator('#back').fill('-20');
await until('a moment that is over is shown', async () => (await page.locator('.replay label').innerText()).startsWith('As it was at'));
const past = await page.evaluate(async () => {
  const graph = async (query) => (await (await fetch(`v1/graph?${query}`)).json()).edges.reduce((sum, edge) => sum + edge.figures.requests, 0);
  const now = Math.floor(Date.now() / 1000);
  return [await graph(`seconds=3600`), await graph(`seconds=3600&at=${now - 3000}`)];
});
check(past[0] > 0 && past[1] === 0, `what was called now was not called fifty minutes ago: ${past.join()}`);
await page.getByRole('button', { name: 'Back to now' }).click();

// By keyboard.
await at('graph');
await page.waitForSelector('[data-node]');
await page.locator('[data-node]').first().focus();
await page.keyboard.press('Enter');
check(await page.locator('aside[aria-label="What is chosen"]').isVisible(), 'Enter chooses a node');
await page.locator('.view').focus();
await page.keyboard.press('Escape');
await until('Escape closes it', async () => (await page.locator('aside[aria-label="What is chosen"]').count()) === 0);
await page.keyboard.press('2');
await until('2 goes to the services', async () => (await page.locator('main h1').innerText()) === 'Services');
await page.keyboard.press('/');
check(await page.evaluate(() => document.activeElement?.getAttribute('type') === 'search'), '/ goes to the search');
await page.keyboard.type('catalog');
await until('a word narrows the table', async () => (await page.locator('tbody tr').count()) === 1 && page.url().includes('q=catalog'));

// Every page, two themes, three sizes.
const service = await page.locator('tbody a.name').first().getAttribute('href', { timeout: PATIENCE });
await at('workloads');
await page.waitForSelector('tbody a.name');
const workload = await page.locator('tbody a.name').first().getAttribute('href', { timeout: PATIENCE });
const pages = ['graph', 'services', service.slice(2), 'workloads', workload.slice(2), 'routes', 'object/HTTPRoute/default/catalog', 'flows', 'traces', 'proxies', 'certificates', 'events', 'consumers', 'problems'];
const sizes = [
  ['wide', 1440, 900],
  ['tablet', 820, 1180],
  ['phone', 390, 844],
];
for (const [size, width, height] of sizes) {
  await page.setViewportSize({ width, height });
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    for (const path of pages) {
      await at(path);
      await page.waitForSelector('main h1');
      await page.waitForLoadState('networkidle').catch(() => {});
      const name = path.split('/')[0];
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wide > 0) check(false, `${name} is ${wide} px too wide at ${size}`);
      if (name === 'flows') {
        const cut = await page.locator('tr.flow').first().evaluate((row) => row.closest('table').offsetWidth - row.closest('.card').clientWidth);
        check(cut <= 0, `why a request failed is to be read without moving the table: ${size}, ${cut} px too many`);
      }
      await page.screenshot({ path: `${folder}/${name}-${size}-${theme}.png` });
      if (size === 'tablet') continue;
      await page.evaluate(axe);
      const faults = await page.evaluate(async () => {
        const found = await globalThis.axe.run(document, { resultTypes: ['violations'] });
        return found.violations.filter((one) => ['serious', 'critical'].includes(one.impact)).map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(' ')).slice(0, 3).join(', ')}`);
      });
      check(faults.length === 0, `axe: ${name}, ${size}, ${theme}${faults.length ? `: ${faults.join('; ')}` : ''}`);
    }
  }
}

await every(context, base, folder, check, until);
await much(context, base, folder, check, until);

check(said.length === 0, `no error on the console${said.length ? `: ${said.join('; ')}` : ''}`);
check(asked.size === 1 && asked.has(new URL(base).origin), `nothing is asked of another host: ${[...asked].join(', ')}`);
const script = gzipSync(readFileSync(new URL('../dist/app.js', import.meta.url))).length;
check(script <= 250_000, `${Math.round(script / 1000)} kB of script, compressed`);
await browser.close();
console.log(failed === 0 ? 'dashboard: all good' : `dashboard: ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
