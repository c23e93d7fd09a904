import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ToolError } from '../../../src/core/errors.ts';
import { CLIENTS } from '../../../src/setup/clients.ts';
import { runSetup } from '../../../src/setup/setup-command.ts';
import { readSetupLine } from '../../../src/setup/setup-line.ts';
import { describeSettings } from '../../../src/settings/settings.ts';

let home: string;
let printed: string[];
beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-setup ä-'));
  printed = [];
});
afterEach(() => rm(home, { recursive: true, force: true }));

interface Person {
  readonly says: boolean;
}

/** Runs `dstack-mcp setup …` in an empty home; without a person it is as in a pipe. */
function setUp(words: string, person?: Person): Promise<number> {
  const line = readSetupLine(words.split(' '), describeSettings());
  if (line.kind === 'help') throw new Error('That asks for help.');
  return runSetup(line, {
    places: { platform: 'linux', env: {}, home, cwd: home },
    installation: { platform: 'linux', node: '/opt/node', server: '/opt/dstack-mcp.mjs' },
    print: (text) => printed.push(text),
    ask: person === undefined ? undefined : () => Promise.resolve(person.says),
  });
}

const cursor = (): string => path.join(home, '.cursor', 'mcp.json');
const OLD = '{\n  // mine\n  "mcpServers": { "files": { "command": "files" } }\n}\n';

async function writeCursor(text: string, mode = 0o600): Promise<void> {
  await mkdir(path.dirname(cursor()), { recursive: true });
  await writeFile(cursor(), text);
  await chmod(cursor(), mode);
}

describe('entering the server', () => {
  test.each(CLIENTS)('$id: a file that is not there is made, and undone it is gone', async ({ id, file }) => {
    expect(await setUp(`${id} --yes`)).toBe(0);
    const made = file({ platform: 'linux', env: {}, home, cwd: home });
    expect(await readFile(made, 'utf8')).toContain('/opt/dstack-mcp.mjs');
    expect(await setUp(`${id} --yes`)).toBe(0);
    expect(printed.at(-1)).toContain('It is entered already. Nothing was changed.');
    expect(await setUp(`${id} --undo --yes`)).toBe(0);
    expect(
      await readdir(path.dirname(made)).then((names) => names.filter((name) => name === path.basename(made))),
    ).toEqual([]);
  });

  test('the difference is shown and the person asked; after a yes it is written, with a backup and the rights of before', async () => {
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
    ['the person says no', 'cursor', { says: false }, 1],
    ['it is a dry run', 'cursor --dry-run', { says: true }, 0],
  ])('nothing is written where %s', async (_why, words, person, code) => {
    await writeCursor(OLD);
    expect(await setUp(words, person)).toBe(code);
    expect(printed.join('\n')).toContain('Nothing was changed');
    expect(await readFile(cursor(), 'utf8')).toBe(OLD);
    expect(await readdir(path.dirname(cursor()))).toEqual(['mcp.json']);
  });

  test('where nobody can be asked, nothing is written without --yes', async () => {
    await writeCursor(OLD);
    await expect(setUp('cursor')).rejects.toMatchObject({
      code: 'person-needed',
      hint: expect.stringContaining('--yes'),
    });
    expect(await readFile(cursor(), 'utf8')).toBe(OLD);
  });

  test('what a person added to the entry, and settings of before, stay', async () => {
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

  test('a broken file is refused with its line, and left as it is', async () => {
    await writeCursor('{\n  "mcpServers": {\n');
    await expect(setUp('cursor --yes')).rejects.toThrow(/mcp\.json, line 3: .*\. Nothing was changed\./);
    expect(await readFile(cursor(), 'utf8')).toBe('{\n  "mcpServers": {\n');
  });

  test('a file that can not be edited safely is refused, with what to paste', async () => {
    const file = path.join(home, '.codex', 'config.toml');
    await mkdir(path.dirname(file));
    await writeFile(file, 'mcp_servers = { files = { command = "files" } }\n');
    await expect(setUp('codex --yes')).rejects.toMatchObject({ hint: expect.stringContaining('[mcp_servers.dstack]') });
  });

  test('what is no text is refused', async () => {
    await writeCursor('');
    await writeFile(cursor(), Buffer.from([0x7b, 0xff, 0x7d]));
    await expect(setUp('cursor --yes')).rejects.toMatchObject({ code: 'invalid-file' });
  });
});

describe('taking it out again', () => {
  test('a file that nobody else has changed is as it was, byte for byte, and the backup is gone', async () => {
    await writeCursor(OLD);
    await setUp('cursor --yes');
    await setUp('cursor --yes --confirm person');
    expect(await setUp('cursor --undo', { says: true })).toBe(0);
    expect(await readFile(cursor(), 'utf8')).toBe(OLD);
    expect(await readdir(path.dirname(cursor()))).toEqual(['mcp.json']);
  });

  test('what has changed since stays, and the entry alone goes', async () => {
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

  test('where it is not entered, nothing is changed', async () => {
    expect(await setUp('cursor --undo --yes')).toBe(0);
    await writeCursor(OLD);
    expect(await setUp('cursor --undo --yes')).toBe(0);
    expect(await readFile(cursor(), 'utf8')).toBe(OLD);
  });
});

test('the clients that are here are listed, with their files', async () => {
  await mkdir(path.join(home, '.cursor'));
  expect(await setUp('--list')).toBe(0);
  expect(printed.filter((line) => line.startsWith('✓ '))).toEqual([expect.stringMatching(/^✓ cursor .*mcp\.json$/)]);
  for (const { id } of CLIENTS) expect(printed.join('\n')).toContain(id);
});

test.each([
  ['', /Which client/],
  ['emacs', /no client emacs/],
  ['cursor vscode', /no client vscode/],
  ['cursor --nonsense', /--nonsense/],
  ['cursor --name a.b', /can't be a server's name/],
])('`setup %s` is refused, and says what there is', (words, says) => {
  const read = (): unknown => readSetupLine(words === '' ? [] : words.split(' '), describeSettings());
  expect(read).toThrow(ToolError);
  expect(read).toThrow(says);
});
