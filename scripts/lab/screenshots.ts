// Takes the screenshots of the cards in docs/images, with the real server and the sandbox: npm run lab -- screenshots
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import type { FrameLocator, Page } from 'playwright-core';
import { stringify } from 'yaml';
import type { CardHost, HostAppearance } from '../../ui/host-page/card-host.ts';
import { findChromium } from '../chromium.mjs';
import { serverEnv, serverFile, startLocalSandbox } from '../local-sandbox.ts';
import { connectCardClient } from '../ui-client.ts';
import { startCardHost } from '../ui-host.ts';

declare global {
  /** The API of the host page. */
  var cardHost: CardHost;
}

const root = path.resolve(import.meta.dirname, '../..');
const images = path.join(root, 'docs', 'images');

/** One screenshot. Each continues from the state of the previous one. */
interface Shot {
  readonly name: string;
  readonly look: HostAppearance;
  readonly prepare: (page: Page, card: FrameLocator) => Promise<unknown>;
}

const call = (page: Page, tool: string, input: Record<string, unknown>): Promise<unknown> =>
  page.evaluate(
    async ([name, given]) => {
      globalThis.cardHost.clear();
      await globalThis.cardHost.call(name, given);
    },
    [tool, input] as const,
  );

const LIGHT: HostAppearance = { theme: 'light', width: 760, locale: 'en-US', timeZone: 'UTC' };
const DARK: HostAppearance = { ...LIGHT, theme: 'dark' };

const SHOTS: readonly Shot[] = [
  {
    name: 'card-plan-light',
    look: LIGHT,
    async prepare(page, card) {
      await call(page, 'plan', { file: 'train.dstack.yml' });
      await card.locator('button.primary:enabled').waitFor();
    },
  },
  {
    name: 'card-plan-narrow',
    look: { ...DARK, width: 360 },
    prepare: (_page, card) => card.getByRole('button', { name: 'Approve' }).waitFor(),
  },
  {
    name: 'card-run-dark',
    look: DARK,
    async prepare(_page, card) {
      await card.getByRole('button', { name: 'Approve' }).click();
      await card.getByText('running', { exact: true }).waitFor();
      await card.getByText('epoch 5').waitFor();
    },
  },
  {
    name: 'card-command-light',
    look: LIGHT,
    async prepare(page, card) {
      const command = { run: 'train', command: 'nvidia-smi && python3 -c "print(sum(range(100)))"' };
      await call(page, 'exec', command);
      await card.getByRole('button', { name: 'Approve' }).click();
      await card.getByText('Approved by you').waitFor();
      await call(page, 'exec', command);
      await card.getByText('4950').waitFor();
    },
  },
  {
    name: 'card-runs-light',
    look: LIGHT,
    async prepare(page, card) {
      for (const file of ['evaluate.dstack.yml', 'serve.dstack.yml']) {
        await call(page, 'plan', { file });
        await card.getByRole('button', { name: 'Approve' }).click();
        await card
          .getByText(/^(?:running|done)$/)
          .first()
          .waitFor();
      }
      await call(page, 'ps', { all: true });
      await card.locator('td.column-cost').filter({ hasText: '$' }).nth(2).waitFor();
    },
  },
  {
    name: 'card-offers-dark',
    look: DARK,
    async prepare(page, card) {
      await call(page, 'offer', { gpu: '1..' });
      await card.locator('tbody tr').first().waitFor();
    },
  },
];

const sandbox = await startLocalSandbox(console.log);
const profile = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-screenshots-'));
try {
  await writeRuns(sandbox.workspace);
  sandbox.controls.scenarios.set('train', { gpuUtilization: 72, memoryBytes: 18 * 2 ** 30 });
  const client = await connectCardClient({
    server: serverFile,
    env: serverEnv(sandbox),
  });
  const host = await startCardHost(client);
  await draw(host.url);
  await host.close();
  await client.close();
} finally {
  await sandbox.stop();
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}

async function writeRuns(folder: string): Promise<void> {
  const epochs = [0.98, 0.61, 0.44, 0.37, 0.33].map((loss, index) => `echo "epoch ${index + 1}: loss ${loss}"`);
  const small = { cpu: '1..', memory: '1GB..', disk: '1GB..' };
  const runs: readonly Record<string, unknown>[] = [
    {
      type: 'task',
      name: 'train',
      commands: [...epochs, 'sleep infinity'],
      resources: { gpu: '24GB..80GB' },
      fleets: ['cloud'],
      max_duration: '2h',
    },
    { type: 'task', name: 'evaluate', commands: ['echo done'], resources: small },
    { type: 'service', name: 'serve', port: 8000, auth: false, commands: ['sleep infinity'], resources: small },
  ];
  for (const run of runs) await writeFile(path.join(folder, `${String(run['name'])}.dstack.yml`), stringify(run));
}

async function draw(url: string): Promise<void> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error('Chromium not found: install it, or set CHROME_PATH.');
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync'],
    viewport: { width: 800, height: 2_000 },
    reducedMotion: 'reduce',
  });
  const page = await browser.newPage();
  await page.goto(url);
  await mkdir(images, { recursive: true });
  for (const { name, look, prepare } of SHOTS) {
    await page.evaluate((given) => globalThis.cardHost.setAppearance(given), look);
    await prepare(page, page.frameLocator('iframe'));
    await page.locator('iframe').screenshot({ path: path.join(images, `${name}.png`), animations: 'disabled' });
    console.log(`docs/images/${name}.png`);
  }
  await browser.close();
}
