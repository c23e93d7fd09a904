import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { UneditableText, UnreadableText } from '../../../src/setup/client-file.ts';
import type { ConfigEditor, EntryPlace } from '../../../src/setup/client-file.ts';
import { EDITORS } from '../../../src/setup/editors.ts';

const { json, jsonc, yaml, toml } = EDITORS;
const place: EntryPlace = { section: ['servers'], name: 'dstack' };
const ENTRY = { command: '/my node/bin/node', args: ['/ä/server.mjs'], env: { DSTACK_PROJECT: 'main' } };

interface Sample {
  readonly editor: ConfigEditor;
  readonly text: string;
  readonly place: EntryPlace;
}

const WITH_COMMENTS: Readonly<Record<string, Sample>> = {
  jsonc: {
    editor: jsonc,
    place,
    text: `// mine\n{\n\t"theme": "dark", // so\n\t"servers": {\n\t\t// an older one\n\t\t"files": { "command": "files" },\n\t},\n}\n`,
  },
  yaml: {
    editor: yaml,
    place,
    text: `# mine\nGOOSE_MODEL: 'x' # so\nservers:\n  # an older one\n  files:\n    command: files\n    args: ["a b", 'c']\n\n# the end\nlast: ~\n`,
  },
  'yaml, in a list': {
    editor: yaml,
    place: { ...place, isList: true },
    text: `# mine\nname: x # so\nservers:\n  # an older one\n  - name: files\n    command: files\n    args: ["a b", 'c']\n\n# the end\nlast: ~\n`,
  },
  'yaml, deeper': {
    editor: yaml,
    place: { ...place, section: ['mcp', 'servers'] },
    text: `# mine\nmcp:\n  # an older one\n  servers:\n    files:\n      command: files\n  other: 1\n\n# the end\nlast: ~\n`,
  },
  'toml, in a list': {
    editor: toml,
    place: { ...place, isList: true },
    text: `# mine\nmodel = "x" # so\n\n[[servers]] # an older one\nname = "files"\ncommand = 'files'\n\n[servers.env]\nA = "1"\n\n# the last one\n[tui]\ntheme = "dark"\n`,
  },
  toml: {
    editor: toml,
    place,
    text: `# mine\nmodel = "x" # so\n\n[servers.files] # an older one\ncommand = 'files'\n\n# the last one\n[tui]\ntheme = "dark"\n`,
  },
};

const remnant = (text: string): readonly string[] => text.split(/\r?\n/).filter((line) => line.trim() !== '');

describe.each(Object.entries(WITH_COMMENTS))('%s', (_format, { editor, text, place }) => {
  // In a list, the name is a part of the entry.
  const named = (fields: object): Readonly<Record<string, unknown>> =>
    place.isList === true ? { name: place.name, ...fields } : { ...fields };
  const entry = named(ENTRY);
  const other = named({ command: 'npx', args: ['-y', 'dstack-mcp'] });

  test('adds an entry and keeps every existing line', () => {
    const after = editor.set(text, place, entry);
    expect(editor.get(after, place)).toEqual(entry);
    expect(editor.get(after, { ...place, name: 'files' })).toEqual(editor.get(text, { ...place, name: 'files' }));
    expect(remnant(after)).toEqual(expect.arrayContaining([...remnant(text)]));
  });

  test('replaces and removes an entry without touching anything else', () => {
    const twice = editor.set(editor.set(text, place, entry), place, other);
    expect(editor.get(twice, place)).toEqual(other);
    expect(twice).toBe(editor.set(text, place, other));
    const removed = editor.remove(twice, place);
    expect(editor.get(removed, place)).toBeUndefined();
    expect(remnant(removed)).toEqual(remnant(text));
  });

  test('keeps Windows line endings', () => {
    const after = editor.set(text.replaceAll('\n', '\r\n'), place, entry);
    expect(after.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    expect(editor.get(after, place)).toEqual(entry);
  });

  test('an empty or missing file gets only the entry', () => {
    for (const empty of ['', '\n']) expect(editor.get(editor.set(empty, place, entry), place)).toEqual(entry);
    expect(editor.get('', place)).toBeUndefined();
    expect(editor.show(place, entry)).toContain('/my node/bin/node');
  });
});

test.each([
  ['{}', '{\n  "servers": {\n    "dstack": {}\n  }\n}'],
  ['{ "a": 1 }', '{ "a": 1,\n  "servers": {\n    "dstack": {}\n  } }'],
  ['{\n  "a": 1 // so\n}\n', '{\n  "a": 1, // so\n  "servers": {\n    "dstack": {}\n  }\n}\n'],
  ['{\n  "servers": { /* none */ }\n}', '{\n  "servers": { /* none */\n    "dstack": {}\n  }\n}'],
  ['{\n  "servers": {\n    "a": {}, // so\n  }\n}', '{\n  "servers": {\n    "a": {}, // so\n    "dstack": {},\n  }\n}'],
])('JSON %j becomes %j', (text, after) => {
  expect(jsonc.set(text, place, {})).toBe(after);
});

test.each<[string, ConfigEditor, string, number, RegExp, EntryPlace?]>([
  ['a missing comma', json, '{\n  "a": 1\n  "b": 2\n}', 3, /comma expected/],
  ['a comment in plain JSON', json, '{\n  // mine\n  "a": 1\n}', 2, /comments are not allowed/],
  ['a list', json, '[]', 1, /not an object/],
  ['servers that is not an object', jsonc, '{\n  "servers": []\n}', 2, /servers is not an object/],
  ['an invalid indent', yaml, 'a:\n  b: 1\n c: 2\n', 3, /./],
  ['a list in YAML', yaml, '- a\n', 1, /not a mapping/],
  ['servers that are a list', yaml, 'servers:\n  - a\n', 1, /servers is not a mapping/],
  ['an unquoted value', toml, 'a = 1\nb = x\n', 2, /./],
  ['a list that is a mapping', yaml, 'servers:\n  a: 1\n', 1, /servers is not a list/, { ...place, isList: true }],
])('refuses %s and reports the line', (_what, editor, text, line, words, at = place) => {
  for (const act of [() => editor.set(text, at, ENTRY), () => editor.get(text, at)]) {
    const error = caught(act);
    expect(error).toBeInstanceOf(UnreadableText);
    expect(error).toMatchObject({ line, message: expect.stringMatching(words) });
  }
});

test.each<[string, string, EntryPlace?]>([
  ['a list in one line', 'servers = [{ name = "files" }]\n', { ...place, isList: true }],
  ['an inline table', 'servers = { files = { command = "files" } }\n'],
  ['dotted keys', '[servers]\ndstack.command = "old"\n'],
  ['text that looks like a table', '[servers.dstack]\ncommand = """\n[servers.x]\n"""\nargs = []\n'],
])('leaves TOML with %s to the user: other entries would change', (_what, text, at = place) => {
  expect(caught(() => toml.set(text, at, ENTRY))).toBeInstanceOf(UneditableText);
});

function caught(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
}

test("YAML 1.1, as clients in Python read it, has no boolean in an entry, and other servers' lines are left alone", () => {
  const place = { section: ['servers'], name: 'dstack' };
  const entry = { command: 'node', env: { DSTACK_MCP_SANDBOX: 'on', DSTACK_MCP_DIALOG: 'off' } };
  const written = yaml.set('mine: on\nservers:\n  files:\n    quiet: yes\n', place, entry);
  expect(written).toContain('mine: on\nservers:\n  files:\n    quiet: yes\n');
  for (const text of [written, yaml.show(place, entry)])
    expect(parse(text, { version: '1.1' })).toMatchObject({ servers: { dstack: entry } });
});
