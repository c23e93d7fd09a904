// Measures the time from a tool result to the first paint of a plan card with 50 offers. The target is at most 200 ms.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import type { CardHost } from '../../ui/host-page/card-host.ts';
import { findChromium } from '../chromium.mjs';
import { connectCardClient } from '../ui-client.ts';
import { startCardHost } from '../ui-host.ts';

declare global {
  /** The API of the host page. */
  var cardHost: CardHost;
}

const ROUNDS = 20;

/** Runs in the card before its own script. Measures from the result message to the frame that shows the table. */
const WATCH = `addEventListener('message', ({ data }) => {
  if (data?.method !== 'ui/notifications/tool-result') return;
  const since = performance.now();
  const look = () => {
    if (document.querySelector('tbody tr') === null) requestAnimationFrame(look);
    else requestAnimationFrame(() => setTimeout(() => { globalThis.firstPaintMs = performance.now() - since; }));
  };
  look();
});`;

const offers = Array.from({ length: 50 }, (_, index) => ({
  backend: `cloud-${index % 5}`,
  region: `region-${index % 9}`,
  instanceType: `machine.${index}`,
  resources: `cpu=x86:8 mem=48GB disk=500GB gpu=RTX4090:24GB:${(index % 8) + 1}`,
  gpu: `RTX4090:24GB:${(index % 8) + 1}`,
  spot: index % 3 === 0,
  pricePerHour: 0.39 + index / 10,
  availability: 'available',
}));
const resource = { kind: 'task', name: 'train' };
const summary = {
  action: 'Create task train',
  resource,
  project: 'main',
  server: 'http://127.0.0.1:3000',
  losses: [],
  warnings: [],
};

/** Returns a plan result in the server's format. */
function makePlan(): unknown {
  const now = Date.now();
  const [from, to] = [new Date(now).toISOString(), new Date(now + 600_000).toISOString()];
  const terms = { offers, offersTotal: 50, machines: { min: 2, max: 2 }, maxDurationHours: 2 };
  const card = {
    view: 'change',
    operation: 'create',
    nonce: 'n',
    now: from,
    expiresAt: to,
    summary,
    ...terms,
  };
  const facts = {
    outcome: 'done',
    summary: 'Create task train',
    output: '',
    operation: 'create',
    resource,
    project: 'main',
  };
  return { content: [], structuredContent: facts, _meta: { 'dstack-mcp/card': card } };
}

const executablePath = findChromium();
if (executablePath === undefined) throw new Error('Chromium not found: install it, or set CHROME_PATH.');
const home = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-paint-'));
const server = path.resolve(import.meta.dirname, '../../dist/dstack-mcp.mjs');
const client = await connectCardClient({
  server,
  env: { HOME: home, PATH: '', DSTACK_MCP_WARM: 'off', DSTACK_MCP_LOG_LEVEL: 'silent' },
});
const host = await startCardHost(client);
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--no-first-run'] });
// Playwright evaluates its condition with `eval`, which the card's policy forbids.
const page = await browser.newPage({ viewport: { width: 800, height: 1_200 }, bypassCSP: true });
await page.addInitScript(WATCH);
await page.goto(host.url);
const times: number[] = [];
for (let round = 0; round < ROUNDS; round += 1) {
  await page.evaluate((result) => globalThis.cardHost.show(result), makePlan());
  const frame = page.frames().at(-1);
  const handle = await frame?.waitForFunction('globalThis.firstPaintMs');
  times.push(Number(await handle?.jsonValue()));
  await page.evaluate(() => globalThis.cardHost.clear());
}
await browser.close();
await host.close();
await client.close();
await rm(home, { recursive: true, force: true });
const sorted = times.sort((a, b) => a - b).map((time) => time.toFixed(0));
console.log(`First paint of a plan card with 50 offers, ${ROUNDS} times, in ms:`);
console.log(`median ${sorted[ROUNDS / 2] ?? ''}, fastest ${sorted[0] ?? ''}, slowest ${sorted.at(-1) ?? ''}`);
