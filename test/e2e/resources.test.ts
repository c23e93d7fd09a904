import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import * as z from 'zod';
import { RESOURCES } from '../../src/mcp/resources.ts';
import { stopRuns } from '../support/ask-server.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { CLIENTS, connect } from '../support/connect.ts';
import type { ClientKind, TestClient } from '../support/connect.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';
import { until, waitForLog, waitForRun } from '../support/wait.ts';

const atEnd = collectEnds(afterAll);
const RUN = uniqueName('resource');
const clients = new Map<ClientKind, TestClient>();
let home: TestHome;
let first: TestClient;

const contents = z.object({
  contents: z.tuple([z.looseObject({ uri: z.string(), text: z.string(), mimeType: z.string() })]),
});
const clientOf = (kind: ClientKind): TestClient => {
  const client = clients.get(kind);
  if (client === undefined) throw new Error(`no client for ${kind}`);
  return client;
};
const completion = z.looseObject({ completion: z.looseObject({ values: z.array(z.string()).max(100) }) });

async function readContent(client: TestClient, uri: string): Promise<{ text: string; mimeType: string }> {
  const [content] = contents.parse(await client.features.readResource({ uri })).contents;
  expect(content.uri).toBe(uri);
  return content;
}

const read = async (client: TestClient, uri: string): Promise<string> => (await readContent(client, uri)).text;

async function complete(client: TestClient, uri: string, name: string, value: string): Promise<readonly string[]> {
  const answer = await client.features.complete({ ref: { type: 'ref/resource', uri }, argument: { name, value } });
  return completion.parse(answer).completion.values;
}

async function start(name: string): Promise<void> {
  const file = await home.write(`${name}.dstack.yml`, task(name));
  const plan = await first.call('plan', { file });
  await first.call('apply', { token: plan.facts['token'] });
  atEnd(() => stopRuns(name));
  await waitForRun(first, name, 'running');
}

beforeAll(async () => {
  home = await createTestHome({ atEnd });
  for (const kind of CLIENTS) clients.set(kind, await connect({ env: home.env, kind, atEnd }));
  first = clientOf(CLIENTS[0]);
  await start(RUN);
  await waitForLog(first, RUN, 'the first line');
});

describe.each(CLIENTS)('for the %s', (kind) => {
  let client: TestClient;
  beforeAll(() => {
    client = clientOf(kind);
  });

  test('resources are listed without asking dstack', async () => {
    const listed = [await client.features.listResources(), await client.features.listResourceTemplates()];
    const text = JSON.stringify(listed);
    for (const { uri, title } of RESOURCES) {
      expect(text).toContain(JSON.stringify(uri));
      expect(text).toContain(JSON.stringify(title));
    }
    expect(text).toContain('skill://');
  });

  test('each resource has the content of its tool', async () => {
    expect(await read(client, 'dstack://runs')).toMatch(new RegExp(`\\$ dstack ps\\n[^]*${RUN}`));
    const run = await read(client, `dstack://runs/${RUN}`);
    expect(run).toContain(`Run ${RUN} is running`);
    const logs = await read(client, `dstack://runs/${RUN}/logs`);
    expect(logs).toContain('the first line');
    // Fenced like the tool's, since a program wrote it.
    expect(logs).toMatch(/untrusted/i);
    expect(await read(client, 'dstack://fleets/on-prem')).toContain('Fleet on-prem is active');
    expect(await read(client, 'dstack://help/apply')).toContain('$ dstack apply --help');
    expect(await read(client, 'dstack://help/fleet%20delete')).toContain('$ dstack fleet delete --help');
  });

  test.each([
    ['dstack://runs/Not_A_Name', /not a valid name.*lowercase letters/],
    ['dstack://runs/--all', /not a valid name/],
    ['dstack://runs/a%20--all', /not a valid name/],
    ['dstack://runs/a%2F..%2Fb/logs', /not a valid name/],
    ['dstack://help/apply%20-y', /not a valid command/],
    ['dstack://help/invented', /doesn't document/],
    ['dstack://runs/no-such-run-here', /not found|no run/i],
    ['dstack://secrets/all', /not found/i],
    ['nonsense', /invalid/i],
  ])('%s returns a protocol error with the reason', async (uri, why) => {
    await expect(client.features.readResource({ uri })).rejects.toMatchObject({
      message: expect.stringMatching(why),
      code: -32602,
    });
  });

  test('names are completed from those in dstack, by their first letters', async () => {
    expect(await complete(client, 'dstack://runs/{name}', 'name', RUN.slice(0, -1))).toContain(RUN);
    expect(await complete(client, 'dstack://runs/{name}/logs', 'name', 'zzz')).toEqual([]);
    expect(await complete(client, 'dstack://fleets/{name}', 'name', 'on')).toEqual(['on-prem']);
    expect(await complete(client, 'dstack://help/{command}', 'command', 'app')).toEqual(['apply']);
    expect(await complete(client, 'dstack://help/{command}', 'command', 'fleet d')).toEqual(['fleet delete']);
  });

  test('the skill can be read', async () => {
    expect(await read(client, 'skill://dstack/SKILL.md')).toMatch(/^---\nname: dstack\n/);
  });

  test('configurations are the found files with their content, anywhere in the workspace', async () => {
    await mkdir(path.join(home.workspace, 'deep/er'), { recursive: true });
    const text = 'type: task # kept\nname: deep\ncommands: [a]';
    await home.write('deep/er/.dstack.yml', text);
    const all = 'dstack://configurations';
    expect(await read(client, all)).toContain('deep/er/.dstack.yml: task deep');
    const one = await readContent(client, `${all}/deep/er/.dstack.yml`);
    expect(one).toMatchObject({ text, mimeType: 'application/yaml' });
    expect(await complete(client, `${all}/{+path}`, 'path', 'deep/')).toEqual(['deep/er/.dstack.yml']);
    await expect(read(client, `${all}/none.dstack.yml`)).rejects.toThrow(/no file/);
    await expect(read(client, `${all}//etc/passwd`)).rejects.toThrow(/outside the workspace/);
    await expect(read(client, `${all}/.env`)).rejects.toThrow(/is not a configuration/);
  });

  test('the reference and the schema of each type can be read, with completion', async () => {
    expect(await read(client, 'dstack://reference/task')).toContain('Type task (dstack');
    expect(await read(client, 'dstack://reference/task.resources')).toContain('gpu');
    const { text, mimeType } = await readContent(client, 'dstack://schema/fleet');
    expect(mimeType).toBe('application/json');
    const { $defs } = z.looseObject({ $defs: z.record(z.string(), z.looseObject({})) }).parse(JSON.parse(text));
    const named = [...text.matchAll(/"#\/\$defs\/(\w+)"/g)].map(([, name]) => name);
    expect(named).not.toEqual([]);
    expect(Object.keys($defs)).toEqual(expect.arrayContaining(named));
    for (const uri of ['dstack://reference/{type}', 'dstack://schema/{type}']) {
      expect(await complete(client, uri, 'type', '')).toEqual(expect.arrayContaining(['task', 'fleet', 'profiles']));
      expect(await complete(client, uri, 'type', 'ta')).toEqual(['task']);
    }
    await expect(read(client, 'dstack://schema/tsk')).rejects.toThrow(/no type or property "tsk"/);
  });
});

test('each client that subscribed to a run gets an update when it is stopped, and none after it unsubscribed', async () => {
  const runs = [uniqueName('watched'), uniqueName('left')] as const;
  for (const run of runs) await start(run);
  const [watched, left] = runs.map((run) => `dstack://runs/${run}`);
  const subscriptions = await Promise.all(
    CLIENTS.map(async (kind) => {
      const { features } = clientOf(kind);
      const updates: string[] = [];
      const unsubscribe = await features.subscribe(left ?? '', (uri) => updates.push(uri));
      onTestFinished(await features.subscribe(watched ?? '', (uri) => updates.push(uri)));
      await unsubscribe();
      // The server compares later states with the first one, which it reads before this answer.
      await features.readResource({ uri: watched ?? '' });
      return { kind, updates };
    }),
  );
  await stopRuns(...runs);
  for (const { kind, updates } of subscriptions) {
    await until(
      () => Promise.resolve(updates),
      (seen) => seen.includes(watched ?? ''),
    );
    expect(updates, kind).not.toContain(left);
  }
});

test('a subscription to a resource without updates is refused', async () => {
  for (const kind of CLIENTS.slice(1)) {
    await expect(clientOf(kind).features.subscribe('dstack://fleets/on-prem', () => undefined)).rejects.toThrow(
      /sends no updates/,
    );
  }
});

test('without dstack, completions are empty, reads return the fix, and the rest works', async () => {
  const client = await connect({ env: { ...home.env, DSTACK_MCP_CLI: '/nonexistent/dstack' } });
  expect(await complete(client, 'dstack://fleets/{name}', 'name', '')).toEqual([]);
  expect(await complete(client, 'dstack://help/{command}', 'command', '')).toEqual([]);
  await expect(client.features.readResource({ uri: 'dstack://runs' })).rejects.toThrow(/DSTACK_MCP_CLI/);
  expect(client.stderr()).toContain('completions failed');
});
