import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import getPort from 'get-port';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { createAttachments } from '../../src/attachments/attachments.ts';
import type { Attachments, AttachmentsOptions } from '../../src/attachments/attachments.ts';
import type { Attachment, Connection } from '../../src/attachments/attachment-view.ts';
import { lookUpProcess } from '../../src/dstack/run/processes.ts';
import type { ProcessFacts } from '../../src/dstack/run/processes.ts';
import type { AttachOptions } from '../../src/attachments/start-attachment.ts';
import { checkArgv } from '../../src/dstack/argv/check-argv.ts';
import type { FlagValue } from '../../src/dstack/argv/command.ts';
import { recordedCatalog } from './recorded-catalog.ts';
import type { TestUser } from './start-test-sandbox.ts';
import { usedNames } from './used-names.ts';
import { until } from './wait.ts';

/** A user with the running task `web`, and for each test a separate state folder. */
export class AttachmentsSetup<User extends TestUser> {
  #sandbox: User | undefined;
  #stateDir = '';
  #opened: Attachments[] = [];
  #logged: string[] = [];

  /** Registers the hooks of the test file. */
  constructor(open: () => Promise<User>) {
    beforeAll(async () => {
      this.#sandbox = await open();
      await this.startTask('web', { ports: [8123] });
    });
    afterAll(() => this.#sandbox?.stop());
    beforeEach(async () => {
      this.#stateDir = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-attach-'));
      this.#opened = [];
      this.#logged = [];
    });
    afterEach(async () => {
      const attachments = this.open();
      for (const { id } of await attachments.list()) await attachments.stop(id);
      for (const each of this.#opened) each.close();
      await rm(this.#stateDir, { recursive: true, force: true });
    });
  }

  get sandbox(): User {
    if (this.#sandbox === undefined) throw new Error('the sandbox runs during the tests only');
    return this.#sandbox;
  }

  get stateDir(): string {
    return this.#stateDir;
  }

  /** The log lines of the test so far. */
  get logged(): readonly string[] {
    return this.#logged;
  }

  /** Creates the attachments of one server in the test's state folder. */
  open(more: Partial<AttachmentsOptions> = {}): Attachments {
    const logged = this.#logged;
    const attachments = createAttachments({
      stateDir: this.#stateDir,
      executable: async () => this.sandbox.cli,
      env: this.sandbox.env,
      log: pino({ level: 'warn' }, { write: (line: string) => void logged.push(line) }),
      ...more,
    });
    this.#opened.push(attachments);
    return attachments;
  }

  async startTask(name: string, more: Record<string, unknown> = {}): Promise<void> {
    usedNames.push(name);
    await this.sandbox.apply({ type: 'task', name, commands: ['echo up', 'sleep infinity'], ...more });
    await this.sandbox.waitFor(name, ({ status }) => status === 'running');
  }
}

const catalog = recordedCatalog('0.22.5');

interface StartOptions extends Partial<AttachOptions> {
  readonly ports?: readonly string[];
}

export async function start(
  attachments: Attachments,
  run: string,
  { ports = [], ...options }: StartOptions = {},
): ReturnType<Attachments['start']> {
  const flags: Record<string, FlagValue> = { '--logs': true };
  if (ports.length > 0) flags['--port'] = ports;
  if (options.replica !== undefined) flags['--replica'] = options.replica;
  const argv = await checkArgv({ command: 'attach', flags, positionals: [run] }, catalog);
  return await attachments.start(argv, { run, deadlineMs: 60_000, ...options });
}

/** Returns a free local port, and the mapping of `web`'s port to it. */
export async function mappedPort(): Promise<{ readonly port: number; readonly mapping: string }> {
  const port = await getPort();
  return { port, mapping: `${port}:8123` };
}

export function connectionOf({ state }: Attachment): Connection {
  if (state.kind !== 'attached') throw new Error(`not attached: ${JSON.stringify(state)}`);
  return state.connection;
}

export async function leaderOf({ pid }: Attachment): Promise<ProcessFacts> {
  const facts = pid === undefined ? undefined : await lookUpProcess(pid);
  if (facts === undefined) throw new Error('dstack attach is not running');
  return facts;
}

export async function fetchText(port: number): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })).text();
}

export async function untilTrue(isTrue: () => Promise<boolean>): Promise<void> {
  await until(isTrue, Boolean);
}
