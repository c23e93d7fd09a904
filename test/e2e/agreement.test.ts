import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { collectEnds } from '../support/collect-ends.ts';
import { agreeing, connect } from '../support/connect.ts';
import type { Answer, AtEnd, PersonAnswer } from '../support/connect.ts';
import { startFaultyServer } from '../support/faulty-server.ts';
import { startGitHost } from '../support/git-host.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';

const TOKEN = 'gho_neverSentBeforeConsent';
const SECRET = 'neverSentAtAll';

interface Given {
  readonly policy?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly atEnd?: AtEnd;
}

/** A user with a token of `gh`, private keys and a secret file, whose requests to the dstack server are recorded. */
async function setUp({ policy, env = {}, atEnd = onTestFinished }: Given) {
  const server = await startFaultyServer(inject('sandbox').url, atEnd);
  const home = await createTestHome({ url: server.url, atEnd });
  const at = (...parts: string[]): string => path.join(home.home, ...parts);
  for (const folder of ['.ssh', '.config/gh', 'other']) await mkdir(at(folder), { recursive: true });
  for (const name of ['id_rsa', 'fleet'])
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at('.ssh', name)]);
  await writeFile(at('.config/gh/hosts.yml'), `127.0.0.1:\n  oauth_token: ${TOKEN}\n`);
  await writeFile(at('other/secret.txt'), SECRET);
  if (policy !== undefined) await writeFile(at('policy.yml'), policy);
  const keys = await Promise.all(['id_rsa', 'fleet'].map((name) => readFile(at('.ssh', name), 'utf8')));
  const questions: string[] = [];
  const client = await connect({
    atEnd,
    env: {
      ...home.env,
      AWS_SECRET_ACCESS_KEY: 'x'.repeat(20),
      // Nobody signed the certificate of the test's Git host.
      GIT_SSL_NO_VERIFY: '1',
      ...(policy === undefined ? {} : { DSTACK_MCP_POLICY: at('policy.yml') }),
      ...env,
    },
    person: (message, field) => {
      questions.push(message);
      return agreeing(message, field);
    },
  });
  const before = { bytes: 0, requests: 0 };
  return {
    server,
    home,
    at,
    client,
    questions,
    plan: (file: string): Promise<Answer> => client.call('plan', { file }),
    apply: ({ facts }: Answer): Promise<Answer> => client.call('apply', { token: facts['token'] }),
    /** Forgets the questions, and what the dstack server has received. */
    forget: (): void => {
      questions.length = 0;
      Object.assign(before, { bytes: server.received().length, requests: server.seen.length });
    },
    /** The paths of the requests that the dstack server has received. */
    requested: (): readonly string[] => server.seen.slice(before.requests).map((one) => one.path),
    /** The secrets that the dstack server has received. */
    sent: (): readonly string[] => {
      const received = server.received();
      // A line of a key: its line breaks are escaped in JSON.
      const secrets = { token: TOKEN, secret: SECRET, id_rsa: keys[0]?.split('\n')[2], fleet: keys[1]?.split('\n')[2] };
      return Object.entries(secrets).flatMap(([name, text]) =>
        received.includes(text ?? '', before.bytes) ? [name] : [],
      );
    },
  };
}

let shared: Awaited<ReturnType<typeof setUp>>;
beforeAll(async () => {
  shared = await setUp({ atEnd: collectEnds(afterAll) });
});

/** Returns the shared user without a policy, who was asked nothing yet, and whose server has received nothing yet. */
function useShared(): typeof shared {
  shared.forget();
  return shared;
}

test('a repository is contacted, and its token sent, only after consent, and then without asking again', async () => {
  const { server, home, client, questions, plan, apply, sent } = useShared();
  const host = await startGitHost(TOKEN);
  const file = await home.write('code.dstack.yml', task(uniqueName('code'), { repos: [{ url: host.url }] }));

  const asked = await plan(file);
  expect(asked.facts, asked.text).toMatchObject({ outcome: 'waiting', operation: 'send', token: expect.any(String) });
  expect(asked.text).toContain(`contact 127.0.0.1 for the Git repository ${host.url}`);
  const agreed = await apply(asked);
  expect(agreed.facts, agreed.text).toMatchObject({ outcome: 'done', operation: 'send' });
  expect(questions).toEqual([expect.stringContaining(`on ${server.url}`)]);
  expect(questions[0]).toContain(`contact 127.0.0.1 for the Git repository ${host.url}`);
  expect(host.seen).toEqual([]);
  expect(sent()).toEqual([]);

  for (let round = 0; round < 2; round += 1) {
    const planned = await plan(file);
    expect(planned.facts, planned.text).toMatchObject({ outcome: 'done', operation: 'create' });
  }
  expect(questions).toHaveLength(1);
  expect(host.seen.map(({ password }) => password)).toContain(TOKEN);
  expect(sent()).toEqual(['token']);
  expect(`${asked.text}${agreed.text}${questions.join('')}`).not.toContain(TOKEN);

  const doctor = await client.call('doctor');
  expect(doctor.text).toContain(`Git credentials for ${host.url} to ${server.url} (person-form`);
  const agreements = path.join(home.stateDir, 'agreements');
  for (const name of await readdir(agreements)) await rm(path.join(agreements, name));
  expect((await plan(file)).facts).toMatchObject({ operation: 'send' });
});

test('a host of the policy is contacted without asking, and a credential for it stays here until consent', async () => {
  const { home, questions, plan, apply, sent } = await setUp({ policy: 'hand_over: {hosts: {allow: [127.0.0.1]}}\n' });
  const open = await startGitHost();
  const planned = await plan(
    await home.write('open.dstack.yml', task(uniqueName('open'), { repos: [{ url: open.url }] })),
  );
  expect(planned.facts, planned.text).toMatchObject({ outcome: 'done', operation: 'create' });
  expect(open.seen).not.toEqual([]);

  const closed = await startGitHost(TOKEN);
  const file = await home.write('closed.dstack.yml', task(uniqueName('closed'), { repos: [{ url: closed.url }] }));
  const asked = await plan(file);
  expect(asked.facts, asked.text).toMatchObject({ outcome: 'waiting', operation: 'send' });
  expect(questions).toEqual([]);
  expect(sent()).toEqual([]);
  await apply(asked);
  expect((await plan(file)).facts).toMatchObject({ operation: 'create' });
  expect(sent()).toEqual(['token']);
});

test('the private key of an SSH fleet is sent only after consent, and no other key', async () => {
  const { home, questions, plan, apply, sent } = useShared();
  const fleet = { type: 'fleet', name: uniqueName('ssh') };
  const file = await home.write('fleet.dstack.yml', {
    ...fleet,
    ssh_config: { user: 'u', identity_file: '~/.ssh/fleet', hosts: ['127.0.0.1'] },
  });
  const asked = await plan(file);
  expect(asked.facts, asked.text).toMatchObject({ outcome: 'waiting', operation: 'send' });
  expect(asked.text).toContain('send the private SSH key ~/.ssh/fleet to the dstack server');
  expect(sent()).toEqual([]);
  await apply(asked);
  expect(questions).toEqual([expect.stringContaining('send the private SSH key ~/.ssh/fleet')]);
  expect(sent()).toEqual([]);
  const planned = await plan(file);
  expect(planned.facts, planned.text).toMatchObject({ outcome: 'done', operation: 'create' });
  expect(sent()).toEqual(['fleet']);
  await home.write('fleet.dstack.yml', {
    ...fleet,
    ssh_config: { user: 'u', hosts: [{ hostname: '127.0.0.1', identity_file: '~/.ssh/id_rsa' }] },
  });
  expect((await plan(file)).facts).toMatchObject({ operation: 'send' });
  expect(sent()).toEqual(['fleet']);
});

test.each([{}, { DSTACK_MCP_READ_ONLY: 'true' }])(
  'no byte of a forbidden file, a key or a token leaves before consent, and no program runs (%j)',
  async (env) => {
    const isShared = Object.keys(env).length === 0;
    const { home, at, client, requested, sent } = isShared ? useShared() : await setUp({ env });
    const host = await startGitHost(TOKEN);
    const git = (folder: string, ...args: string[]) => execa('git', args, { cwd: path.join(home.workspace, folder) });
    for (const folder of ['local', 'vendor/lib', 'folder'])
      await mkdir(path.join(home.workspace, folder), { recursive: true });
    for (const folder of ['local', 'vendor/lib']) await git(folder, 'init', '--quiet', '--initial-branch=main');
    await git('local', '-c', 'user.name=u', '-c', 'user.email=e', 'commit', '--quiet', '--allow-empty', '-m', 'x');
    await git('local', 'remote', 'add', 'origin', host.url);
    await git('local', 'update-ref', 'refs/remotes/origin/main', 'HEAD');
    await git('local', 'branch', '--set-upstream-to=origin/main');
    await writeFile(at('program.sh'), `#!/bin/sh\ntouch ${at('ran')}\n`);
    await chmod(at('program.sh'), 0o755);
    await git('vendor/lib', 'config', 'core.fsmonitor', at('program.sh'));
    await symlink(at('other/secret.txt'), path.join(home.workspace, 'folder', 'link'));
    await symlink(at('.ssh'), path.join(home.workspace, 'keys'));
    const fleet = { type: 'fleet', name: uniqueName('ssh') };
    const configurations = [
      ...[at('other/secret.txt'), '~/.ssh', '../other', 'folder', 'folder/link', 'keys', '.'].map((local) =>
        task(uniqueName('leak'), { files: [`${local}:/x`] }),
      ),
      ...['local', 'vendor/lib', at('other')].map((local) => task(uniqueName('leak'), { repos: [local] })),
      ...[host.url, host.url.replace('https:', 'ssh:')].map((url) => task(uniqueName('leak'), { repos: [{ url }] })),
      ...['~/.ssh/id_rsa', 'keys/id_rsa', at('other/secret.txt')].flatMap((file) => [
        { ...fleet, ssh_config: { user: 'u', identity_file: file, hosts: ['127.0.0.1'] } },
        { ...fleet, ssh_config: { user: 'u', hosts: [{ hostname: '127.0.0.1', identity_file: file }] } },
        {
          ...fleet,
          ssh_config: {
            user: 'u',
            identity_file: file,
            hosts: ['127.0.0.1'],
            proxy_jump: { hostname: '127.0.0.1', user: 'u', identity_file: file },
          },
        },
      ]),
    ];
    for (const configuration of configurations) {
      const { facts, text } = await client.call('plan', { file: await home.write('leak.dstack.yml', configuration) });
      const isStopped = facts['outcome'] === 'refused' || facts['operation'] === 'send';
      expect(isStopped, `${JSON.stringify(configuration)}: ${text}`).toBe(true);
    }
    expect(sent()).toEqual([]);
    expect(host.seen).toEqual([]);
    expect(existsSync(at('ran'))).toBe(false);
    expect(requested().filter((one) => /upload|repos\/init|get_plan/.test(one))).toEqual([]);
  },
);

/** A user whose file names another server than dstack's own variables. */
async function setUpTwoServers(more: Parameters<typeof connect>[0]) {
  const server = await startFaultyServer(inject('sandbox').url);
  const home = await createTestHome({ url: 'http://127.0.0.1:9', token: 'unused' });
  const variables = { DSTACK_SERVER_URL: server.url, DSTACK_TOKEN: inject('sandbox').token, DSTACK_PROJECT: 'main' };
  const client = await connect({ ...more, env: { ...home.env, ...variables, ...more.env } });
  const planned = await client.call('plan', { file: await home.write('named.dstack.yml', task(uniqueName('named'))) });
  expect(planned.facts, planned.text).toMatchObject({ outcome: 'done', operation: 'create' });
  expect(server.seen.map(({ path: one }) => one)).toContain('/api/project/main/runs/get_plan');
  return { home, client, planned, place: `Project: main on ${server.url}\n`, url: server.url };
}

describe("the server that dstack's own variables name is named", () => {
  test('in the card, and in the form', async () => {
    const questions: string[] = [];
    const person = (message: string): PersonAnswer => {
      questions.push(message);
      return { action: 'decline' };
    };
    const { client, planned, place, url } = await setUpTwoServers({ env: {}, person, showsCards: true });
    expect(planned.card).toMatchObject({ summary: { project: 'main', server: url } });
    await client.call('apply', { token: planned.facts['token'] });
    expect(questions).toEqual([expect.stringContaining(place)]);
  });

  // A program of the system would be used first.
  test.skipIf(existsSync('/usr/bin/zenity'))('in the dialog', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-dialog-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const asked = path.join(folder, 'asked');
    await writeFile(path.join(folder, 'zenity'), `#!/bin/sh\nprintf '%s\\n' "$@" > '${asked}'\nexit 1\n`, {
      mode: 0o755,
    });
    const { client, planned, place } = await setUpTwoServers({
      env: { DSTACK_MCP_DIALOG: 'auto', DISPLAY: ':77', PATH: `${folder}:${process.env['PATH'] ?? ''}` },
    });
    const declined = await client.call('apply', { token: planned.facts['token'] });
    expect(declined.facts['code'], declined.text).toBe('person-declined');
    expect(await readFile(asked, 'utf8')).toContain(place);
  });
});
