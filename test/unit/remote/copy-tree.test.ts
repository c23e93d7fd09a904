import { expect, test } from 'vitest';
import { assertNames, findActedOn } from '../../../src/remote/copy-tree.ts';
import { isInGit } from '../../../src/remote/local-tree.ts';

const fileNamed = (name: string) => ({
  name,
  kind: 'file' as const,
  size: 1,
  modifiedMs: 0,
  executable: false,
  device: '1',
});

test.each([
  'AGENTS.md',
  'WARP.md',
  'codex.md',
  'docs/agents.MD',
  'AGENT.md',
  'AGENT\u017f.md',
  'AGENTS.override.md',
  'CLAUDE.local.md',
  'CONTEXT.md',
  'CRUSH.md',
  'GEMINI.md',
  'QWEN.md',
  'VIBE.md',
  'opencode.json',
  'sub/OpenCode.jsonc',
  'crush.json',
  'fast-agent.yaml',
  'fastagent.config.yaml',
  'fastagent.secrets.yml',
  'x.dstack.yml',
  'x.d\u017ftack.yml',
  'x.dstac\u212a.yaml',
  '.envrc',
  'a/.git/config',
  '\u2024git/config',
  'GIT~1/config',
])('programs on this computer act on %s', (name) => {
  expect(findActedOn(name)).toEqual(expect.any(String));
});

test.each([
  'train.py',
  'agents.py',
  'my-agents.md',
  'claude.txt',
  'opencode.md',
  'x.dstack.json',
  'notes~.md',
  'a.b/c',
])('nothing acts on %s', (name) => {
  expect(findActedOn(name)).toBeUndefined();
});

test.each([
  ['a', 'A'],
  ['s', '\u017f'],
  ['k', '\u212a'],
  ['\u00e9', 'e\u0301'],
])('%j and %j may be one file on this computer', (one, other) => {
  const entries = [fileNamed(one), fileNamed(other)];
  expect(() => assertNames(entries, { ignoreCase: true })).toThrow('the same on many computers. Nothing was copied.');
  expect(() => assertNames(entries, { ignoreCase: false })).not.toThrow();
});

test.each([
  ['.git', true],
  ['r/.git/config', true],
  ['r/.GIT/x', true],
  ['r/.gitignore', false],
  ['git/x', false],
  ['', false],
])("whether %j is Git's: %s", (name, isGits) => {
  expect(isInGit(name)).toBe(isGits);
});
