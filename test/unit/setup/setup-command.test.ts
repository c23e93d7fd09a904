import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readCommandLine } from '../../../src/bin/command-line.ts';
import { ToolError } from '../../../src/core/errors.ts';
import { CLIENTS } from '../../../src/setup/clients.ts';
import type { SetupClient } from '../../../src/setup/clients.ts';
import { describeStart, listClients, runSetup } from '../../../src/setup/setup-command.ts';
import type { ListOptions, SetupOptions } from '../../../src/setup/setup-command.ts';

let home: string;
let printed: string[];
beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-setup ä-'));
  printed = [];
});
afterEach(() => rm(home, { recursive: true, force: true }));

interface Person {
  readonly says: boolean;
  /** The answer to the question for a folder; by default the suggestion. */
  readonly folder?: string;
  /** The answer to the question who approves changes; by default `ask`. */
  readonly approval?: string;
}

/** Runs `dstack-mcp setup …` in an empty home; without a person, as in a pipe. */
function setUp(words: string, person?: Person, cwd = home): Promise<number> {
  const line = readCommandLine(['setup', ...words.split(' ')]);
  if (line.command !== 'setup') throw new Error(`not setup: ${line.command}`);
  const options: SetupOptions & ListOptions = {
    command: 'dstack-mcp',
    places: { platform: 'linux', env: {}, home, cwd },
    installation: { platform: 'linux', node: '/opt/node', server: '/opt/dstack-mcp.mjs' },
    print: (text) => printed.push(text),
    asker: person && {
      confirm: () => Promise.resolve(person.says),
      folder: (_question, suggested) => Promise.resolve(person.folder ?? suggested),
      approval: () => Promise.resolve(person.approval ?? 'ask'),
    },
  };
  return line.order === 'list' ? listClients(options) : runSetup(line.order, options);
}

const cursor = (): string => path.join(home, '.cursor', 'mcp.json');
const OLD = '{\n  // mine\n  "mcpServers": { "files": { "command": "files" } }\n}\n';

async function writeCursor(text: string, mode = 0o600): Promise<void> {
  await mkdir(path.dirname(cursor()), { recursive: true });
  await writeFile(cursor(), text);
  await chmod(cursor(), mode);
}

/** A file of a client with another server and, where the format has them, comments. */
function otherServers({ format, section, isList = false }: SetupClient): string {
  const [key = '', inner] = section;
  if (format === 'toml')
    return `# mine\n${isList ? `[[${key}]]\nname = "files"` : `[${key}.files]`}\ncommand = "files" # so\n`;
  if (format === 'yaml') {
    const lines = isList ? ['- name: files', '  command: files # so'] : ['files:', '  command: files # so'];
    const depth = inner === undefined ? '  ' : '    ';
    return [
      `# mine`,
      `${key}:`,
      ...(inner === undefined ? [] : [`  ${inner}:`]),
      ...lines.map((line) => depth + line),
      '',
    ].join('\n');
  }
  const comment = format === 'jsonc' ? '  // mine\n' : '';
  return `{\n${comment}  "${key}": {\n    "files": { "command": "files" }\n  }\n}\n`;
}

describe('adding the server', () => {
  test.each(CLIENTS)('$id: creates a missing file, and --undo deletes it', async ({ id, file }) => {
    expect(await setUp(`${id} --yes`)).toBe(0);
    const made = file({ platform: 'linux', env: {}, home, cwd: home });
    expect(await readFile(made, 'utf8')).toContain('/opt/dstack-mcp.mjs');
    expect(await setUp(`${id} --yes`)).toBe(0);
    expect(printed.at(-1)).toContain('The server is already configured. Nothing was changed.');
    expect(await setUp(`${id} --undo --yes`)).toBe(0);
    expect(
      await readdir(path.dirname(made)).then((names) => names.filter((name) => name === path.basename(made))),
    ).toEqual([]);
  });

  test.each(CLIENTS)('$id: --undo restores the bytes of a file with comments and other servers', async (client) => {
    const made = client.file({ platform: 'linux', env: {}, home, cwd: home });
    await mkdir(path.dirname(made), { recursive: true });
    const before = otherServers(client);
    await writeFile(made, before);
    expect(await setUp(`${client.id} --yes`)).toBe(0);
    const after = await readFile(made, 'utf8');
    for (const line of before.split('\n').filter((text) => /#|\/\/|files/.test(text))) expect(after).toContain(line);
    expect(await setUp(`${client.id} --undo --yes`)).toBe(0);
    expect(await readFile(made, 'utf8')).toBe(before);
  });

  test.each(['continue', 'openhands'])('%s gets names with a prefix, because it adds none', async (id) => {
    await setUp(`${id} --yes`);
    const client = CLIENTS.find((one) => one.id === id);
    const text = await readFile(client?.file({ platform: 'linux', env: {}, home, cwd: home }) ?? '', 'utf8');
    expect(text).toMatch(/DSTACK_MCP_TOOL_PREFIX"?: "?dstack_/);
  });

  test.each([
    ['opencode', '.config/opencode/opencode.jsonc', '// mine\n{}\n'],
    ['fast-agent', 'fastagent.config.yaml', '# mine\n'],
  ])('%s: another file that it reads is changed, if it exists', async (id, name, text) => {
    const file = path.join(home, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
    await setUp(`${id} --yes`);
    expect(await readFile(file, 'utf8')).toContain('/opt/dstack-mcp.mjs');
    expect(await readdir(path.dirname(file))).not.toContain(id === 'opencode' ? 'opencode.json' : 'fast-agent.yaml');
  });

  test('--sandbox adds a second entry, which stays the same each time the sandbox starts', async () => {
    await setUp('claude-desktop --yes --workspace /gpu');
    await setUp('claude-desktop --yes --sandbox', { says: true });
    expect(printed.at(-2)).toMatch(/while that runs: start it with `npm run sandbox` in /);
    const file = path.join(home, '.config', 'Claude', 'claude_desktop_config.json');
    const server = { command: '/opt/node', args: ['/opt/dstack-mcp.mjs'] };
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({
      mcpServers: {
        dstack: { ...server, env: { DSTACK_MCP_WORKSPACE: '/gpu' } },
        'dstack-sandbox': { ...server, env: { DSTACK_MCP_SANDBOX: 'on' } },
      },
    });
    await setUp('claude-desktop --yes --sandbox --undo');
    expect(await readFile(file, 'utf8')).not.toContain('sandbox');
    expect(await readFile(file, 'utf8')).toContain('/gpu');
  });

  test('codex waits for the server and for its answers longer than by default', async () => {
    await setUp('codex --yes');
    const text = await readFile(path.join(home, '.codex', 'config.toml'), 'utf8');
    expect(text).toMatch(/startup_timeout_sec = 30\ntool_timeout_sec = 120/);
  });

  test('keeps earlier settings in an entry with deeper parts', async () => {
    await setUp('cline --yes --read-only on');
    await setUp('cline --yes --confirm person');
    const text = await readFile(path.join(home, '.cline/data/settings/cline_mcp_settings.json'), 'utf8');
    for (const words of ['"DSTACK_MCP_READ_ONLY": "on"', '"DSTACK_MCP_CONFIRM": "person"'])
      expect(text).toContain(words);
  });

  test('shows the change and asks; once approved, writes it with a backup and the same file mode', async () => {
    await writeCursor(OLD);
    expect(await setUp('cursor --read-only on --workspace /my/runs', { says: true })).toBe(0);
    expect(printed[0]).toContain('+    "dstack": {');
    expect(printed[0]).toContain('   // mine');
    const text = await readFile(cursor(), 'utf8');
    expect(text).toContain('"DSTACK_MCP_READ_ONLY": "on"');
    expect(text).toContain('"DSTACK_MCP_WORKSPACE": "/my/runs"');
    expect(await readFile(`${cursor()}.before-dstack-mcp`, 'utf8')).toBe(OLD);
    for (const file of [cursor(), `${cursor()}.before-dstack-mcp`]) expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  test.each([
    ['the person declines', 'cursor', { says: false }, 1],
    ['it is a dry run', 'cursor --dry-run', { says: true }, 0],
  ])('writes nothing if %s', async (_why, words, person, code) => {
    await writeCursor(OLD);
    expect(await setUp(words, person)).toBe(code);
    expect(printed.join('\n')).toContain('Nothing was changed');
    expect(await readFile(cursor(), 'utf8')).toBe(OLD);
    expect(await readdir(path.dirname(cursor()))).toEqual(['mcp.json']);
  });

  test('writes nothing without --yes if no one can be asked', async () => {
    await writeCursor(OLD);
    await expect(setUp('cursor')).rejects.toMatchObject({
      code: 'person-needed',
      hint: expect.stringContaining('--yes'),
    });
    expect(await readFile(cursor(), 'utf8')).toBe(OLD);
  });

  test('keeps what a person added to the entry, and earlier settings', async () => {
    await setUp('cursor --yes --read-only on');
    const text = await readFile(cursor(), 'utf8');
    await writeFile(cursor(), text.replace('"command"', '"disabled": true,\n      "command"'));
    await setUp('cursor --yes --confirm person');
    const after = await readFile(cursor(), 'utf8');
    for (const words of ['"disabled": true', '"DSTACK_MCP_READ_ONLY": "on"', '"DSTACK_MCP_CONFIRM": "person"'])
      expect(after).toContain(words);
  });

  test('a link to a file elsewhere stays a link', async () => {
    const elsewhere = path.join(home, 'dotfiles.json');
    await writeFile(elsewhere, OLD);
    await mkdir(path.dirname(cursor()));
    await symlink(elsewhere, cursor());
    await setUp('cursor --yes');
    expect(await readFile(elsewhere, 'utf8')).toContain('dstack');
    expect(
      (await readdir(path.dirname(cursor()), { withFileTypes: true })).map((file) => file.isSymbolicLink()),
    ).toEqual([true]);
  });

  test('refuses an invalid file with its line and leaves it unchanged', async () => {
    await writeCursor('{\n  "mcpServers": {\n');
    await expect(setUp('cursor --yes')).rejects.toThrow(/mcp\.json, line 3: .*\. Nothing was changed\./);
    expect(await readFile(cursor(), 'utf8')).toBe('{\n  "mcpServers": {\n');
  });

  test('refuses a file that cannot be edited safely and prints the entry to paste', async () => {
    const file = path.join(home, '.codex', 'config.toml');
    await mkdir(path.dirname(file));
    await writeFile(file, 'mcp_servers = { files = { command = "files" } }\n');
    await expect(setUp('codex --yes')).rejects.toMatchObject({ hint: expect.stringContaining('[mcp_servers.dstack]') });
  });

  test('refuses a file that is not text', async () => {
    await writeCursor('');
    await writeFile(cursor(), Buffer.from([0x7b, 0xff, 0x7d]));
    await expect(setUp('cursor --yes')).rejects.toMatchObject({ code: 'invalid-file' });
  });
});

describe('the workspace of a client without a project', () => {
  const desktop = async (): Promise<string> =>
    readFile(path.join(home, '.config', 'Claude', 'claude_desktop_config.json'), 'utf8');

  test.each<[string, string, Person | undefined, string]>([
    ['is the current folder by default', 'claude-desktop', { says: true }, 'runs'],
    ['is the folder that the person names', 'claude-desktop', { says: true, folder: '~/other' }, 'other'],
    ['is absolute', 'claude-desktop', { says: true, folder: 'deeper' }, 'runs/deeper'],
    ['is not asked for with --workspace', 'claude-desktop --workspace ../b', { says: true, folder: '/no' }, 'b'],
    ['is the current folder with --yes', 'claude-desktop --yes', { says: false, folder: '/no' }, 'runs'],
  ])('%s', async (_what, words, person, expected) => {
    await mkdir(path.join(home, 'runs'));
    expect(await setUp(words, person, path.join(home, 'runs'))).toBe(0);
    expect(await desktop()).toContain(`"DSTACK_MCP_WORKSPACE": "${path.join(home, expected)}"`);
    expect(printed.some((text) => text.startsWith('Create the workspace'))).toBe(expected !== 'runs');
  });

  test('is kept, and not asked for again', async () => {
    await setUp('claude-desktop --yes --workspace /my/runs');
    await setUp('claude-desktop --confirm person', { says: true, folder: '/no' });
    expect(await desktop()).toContain('"DSTACK_MCP_WORKSPACE": "/my/runs"');
  });

  test('is a separate folder if the current one is the home folder, and nothing is written without an answer', async () => {
    await expect(setUp('claude-desktop', { says: true, folder: ' ' })).rejects.toMatchObject({
      message: 'No folder was chosen. Nothing was changed.',
      hint: expect.stringContaining('--workspace'),
    });
    expect(await setUp('claude-desktop', { says: true })).toBe(0);
    expect(await desktop()).toContain(`"DSTACK_MCP_WORKSPACE": "${path.join(home, 'dstack')}"`);
  });

  test('is left to a client that starts the server in a project', async () => {
    await setUp('cursor', { says: true, folder: '/no' });
    expect(await readFile(cursor(), 'utf8')).not.toContain('WORKSPACE');
  });
});

describe('who approves changes', () => {
  test('is asked, and written', async () => {
    await setUp('cursor', { says: true, approval: 'person' });
    expect(await readFile(cursor(), 'utf8')).toContain('"DSTACK_MCP_CONFIRM": "person"');
  });

  test.each(['cursor --confirm person', 'cursor --yes --confirm person'])('is not asked with `%s`', async (words) => {
    await setUp(words, { says: true, approval: 'token' });
    expect(await readFile(cursor(), 'utf8')).toContain('"DSTACK_MCP_CONFIRM": "person"');
  });

  test('is kept, and not asked again', async () => {
    await setUp('cursor --yes --confirm person');
    await setUp('cursor --read-only on', { says: true, approval: 'token' });
    expect(await readFile(cursor(), 'utf8')).toContain('"DSTACK_MCP_CONFIRM": "person"');
  });
});

describe('a policy file', () => {
  test('is written with its absolute path', async () => {
    await writeFile(path.join(home, 'rules.yml'), 'max_price: 3\n');
    expect(await setUp('cursor --yes --policy rules.yml')).toBe(0);
    expect(await readFile(cursor(), 'utf8')).toContain(`"DSTACK_MCP_POLICY": "${path.join(home, 'rules.yml')}"`);
  });

  test.each([
    ['is missing', undefined, /nope\.yml can't be used: there is no such file\. Nothing was changed/],
    ['is not valid', 'max_prise: 3\n', /nope\.yml can't be used: .*max_prise.* Nothing was changed/],
  ])('that %s is refused, and nothing is written', async (_what, text, message) => {
    if (text !== undefined) await writeFile(path.join(home, 'nope.yml'), text);
    await expect(setUp('cursor --yes --policy nope.yml')).rejects.toThrow(message);
    expect(await readdir(home)).not.toContain('.cursor');
  });
});

describe('a file that may not be written', () => {
  test('is refused if it is read-only, and stays unchanged', async () => {
    await writeCursor(OLD, 0o444);
    await expect(setUp('cursor --yes')).rejects.toMatchObject({
      code: 'invalid-file',
      message: `${cursor()} is read-only. Nothing was changed.`,
    });
    expect(await readFile(cursor(), 'utf8')).toBe(OLD);
    expect(await readdir(path.dirname(cursor()))).toEqual(['mcp.json']);
  });

  test('is refused in one sentence if its folder is a file', async () => {
    await writeFile(path.join(home, '.cursor'), '');
    await expect(setUp('cursor --yes')).rejects.toMatchObject({
      code: 'invalid-file',
      message: expect.stringContaining('Nothing was changed.'),
    });
  });
});

describe('removing the server', () => {
  test('restores an otherwise unchanged file byte for byte and deletes the backup', async () => {
    await writeCursor(OLD);
    await setUp('cursor --yes');
    await setUp('cursor --yes --confirm person');
    expect(await setUp('cursor --undo', { says: true })).toBe(0);
    expect(await readFile(cursor(), 'utf8')).toBe(OLD);
    expect(await readdir(path.dirname(cursor()))).toEqual(['mcp.json']);
  });

  test('keeps later changes and removes only the entry', async () => {
    await writeCursor(OLD);
    await setUp('cursor --yes');
    const text = await readFile(cursor(), 'utf8');
    await writeFile(cursor(), text.replace('"files": {', '"new": { "command": "new" },\n    "files": {'));
    await setUp('cursor --undo --yes');
    const after = await readFile(cursor(), 'utf8');
    expect(after).toContain('"new"');
    expect(after).toContain('// mine');
    expect(after).not.toContain('dstack');
  });

  test('removes one of two names, and says which one is left', async () => {
    await setUp('cursor --yes');
    await setUp('cursor --sandbox --yes');
    await setUp('cursor --undo --yes');
    expect(await readFile(cursor(), 'utf8')).not.toContain('"dstack":');
    expect(await readFile(cursor(), 'utf8')).toContain('"dstack-sandbox":');
    await setUp('cursor --undo --yes');
    expect(printed.at(-1)).toMatch(/Nothing was changed\. dstack-sandbox is configured there: .* add --sandbox\.$/);
    await setUp('cursor --sandbox --undo --yes');
    expect(await readFile(cursor(), 'utf8')).not.toContain('dstack');
  });

  test('changes nothing if the server is not configured', async () => {
    expect(await setUp('cursor --undo --yes')).toBe(0);
    await writeCursor(OLD);
    expect(await setUp('cursor --undo --yes')).toBe(0);
    expect(await readFile(cursor(), 'utf8')).toBe(OLD);
  });
});

test('lists the clients with their files and marks the installed ones', async () => {
  await mkdir(path.join(home, '.cursor'));
  expect(await setUp('--list')).toBe(0);
  expect(printed.filter((line) => line.startsWith('✓ '))).toEqual([expect.stringMatching(/^✓ cursor .*mcp\.json$/)]);
  for (const { id } of CLIENTS) expect(printed.join('\n')).toContain(id);
});

test.each([
  ['', /needs the name of a client\. Nothing was changed/],
  ['emacs', /^Unknown client: emacs\. Nothing was changed/],
  ['cursor vscode', /Too many arguments.*Nothing was changed/],
  ['cursor --nonsense', /--nonsense/],
  ['cursor --name a.b', /'a\.b' is invalid.*letters, digits/],
])('`setup %s` is refused with the valid choices', (words, message) => {
  const read = (): unknown => readCommandLine(['setup', ...(words === '' ? [] : words.split(' '))]);
  expect(read).toThrow(ToolError);
  expect(read).toThrow(message);
});

const settings = { DSTACK_MCP_READ_ONLY: 'on' };

test('an installed server is started by its path, with the Node that runs it', () => {
  const installed = { platform: 'linux', node: '/opt/my node/bin/node', server: '/opt/ä/dist/dstack-mcp.mjs' } as const;
  expect(describeStart(installed, { settings, barePath: true })).toEqual({
    command: '/opt/my node/bin/node',
    args: ['/opt/ä/dist/dstack-mcp.mjs'],
    env: settings,
  });
});

test('a server run by npx is started with npx, since its cache may be emptied', () => {
  const server = '/home/me/.npm/_npx/0a1b/node_modules/dstack-mcp/dist/dstack-mcp.mjs';
  const byNpx = { platform: 'darwin', node: '/opt/homebrew/bin/node', server } as const;
  expect(describeStart(byNpx, { settings: {}, barePath: false })).toEqual({
    command: 'npx',
    args: ['-y', 'dstack-mcp'],
    env: {},
  });
  // A desktop program finds neither npx nor the node that npx needs.
  expect(describeStart(byNpx, { settings, barePath: true })).toEqual({
    command: '/opt/homebrew/bin/npx',
    args: ['-y', 'dstack-mcp'],
    env: { PATH: '/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin', ...settings },
  });
});

test('on Windows npx is started with cmd, since it is a .cmd file', () => {
  const server = String.raw`C:\Users\me\AppData\Local\npm-cache\_npx\0a1b\node_modules\dstack-mcp\dist\dstack-mcp.mjs`;
  const byNpx = { platform: 'win32', node: String.raw`C:\Program Files\nodejs\node.exe`, server } as const;
  for (const barePath of [true, false]) {
    expect(describeStart(byNpx, { settings: {}, barePath })).toEqual({
      command: 'cmd',
      args: ['/c', 'npx', '-y', 'dstack-mcp'],
      env: {},
    });
  }
});
