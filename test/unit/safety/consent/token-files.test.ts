import {
  chmodSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PendingChange } from '../../../../src/core/change.ts';
import { ToolError } from '../../../../src/core/errors.ts';
import {
  TokenFiles,
  createRandomText,
  createToken,
  findByFingerprint,
  fingerprintToken,
} from '../../../../src/safety/consent/token-files.ts';
import { pendingChange } from '../../../support/pending-change.ts';
import { ask, refusal, setUp, yes } from '../../../support/set-up-gate.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';

const LIFE_MS = 600_000;

/** Returns the files of a folder as each of its processes sees them, with clocks that a test sets. */
function setUpFiles(tokenFolder = path.join(emptyFolder(), 'tokens')) {
  const clocks = { wall: 1_000_000_000, sinceBoot: 50_000 };
  const open = (): TokenFiles =>
    new TokenFiles({
      folder: tokenFolder,
      lifeMs: LIFE_MS,
      wall: () => clocks.wall,
      sinceBoot: () => clocks.sinceBoot,
    });
  const names = (): string[] => readdirSync(tokenFolder).filter((name) => name !== 'key');
  const only = (): string => path.join(tokenFolder, names()[0] ?? '');
  return { tokenFolder, clocks, open, names, only };
}

/** Returns two processes of one user with one state folder. */
function twoProcesses() {
  const tokenFolder = path.join(emptyFolder(), 'tokens');
  return { tokenFolder, first: setUp({ tokenFolder }), second: setUp({ tokenFolder }) };
}

/** Has the first of two processes ask a person, and then fail in the change. */
async function askInFirst() {
  const { first, second } = twoProcesses();
  const token = first.mint();
  first.setWorld(new Error('dstack can’t be reached'));
  const form = ask({ canAskPerson: true });
  const asked = await first.gate.redeem(token, form, first.steps);
  if (asked.kind !== 'question') throw new Error(`expected a question, got ${asked.kind}`);
  return { first, second, token, form, asked };
}

/** Returns the code that a token is refused with, or its state. */
function load(files: TokenFiles, token: string): unknown {
  try {
    return files.load(token)?.change;
  } catch (error) {
    return error instanceof ToolError ? error.code : error;
  }
}

describe('a token of a process that has ended', () => {
  test('is redeemed by the next one, once, for exactly the change that was shown', async () => {
    const { first, second, tokenFolder } = twoProcesses();
    const change = pendingChange();
    const token = first.mint(change);
    await first.gate.close();
    second.setWorld(change);
    expect(await second.gate.redeem(token, ask(), second.steps)).toMatchObject({ kind: 'redeemed', level: 'token' });
    expect(second.consents).toHaveLength(1);
    expect(second.audit.map(({ event }) => event)).toEqual(['asked', 'approved', 'done']);
    const third = setUp({ tokenFolder });
    expect(await refusal(third.gate.redeem(token, ask(), third.steps))).toMatchObject({ code: 'token-used' });
    expect(third.consents).toHaveLength(0);
  });

  test.each<[string, PendingChange]>([
    ['a stop', { ...pendingChange({ operation: 'stop' }), request: { tool: 'stop', run: 'train', abort: false } }],
    [
      'the deletion of an instance',
      {
        ...pendingChange({ operation: 'delete', nameToType: 'gpus' }),
        request: { tool: 'delete', kind: 'instance', name: 'gpus', instance: 0 },
      },
    ],
    [
      'a deletion by file',
      { ...pendingChange({ operation: 'delete' }), request: { tool: 'delete', file: 'train.dstack.yml' } },
    ],
    [
      'a stop of several runs',
      {
        ...pendingChange({ operation: 'stop', argv: [] }),
        request: { tool: 'stop', runs: ['exp-1', 'exp-2'] },
        parts: ['exp-1', 'exp-2'].map((run) => ({
          ...pendingChange({ operation: 'stop', binding: { tool: 'stop', resource: { kind: 'run', name: run } } }),
          request: { tool: 'stop', run, abort: false } as const,
        })),
      },
    ],
    [
      'an apply with flags',
      {
        ...pendingChange({ summary: { flags: ['--spot'], totalPrice: 'unlimited' } }),
        request: { tool: 'apply', file: 'a', extraFlags: { '--spot': true } },
      },
    ],
  ])('keeps every property of %s', (_what, change) => {
    const { open } = setUpFiles();
    const token = createRandomText();
    open().save(token, change);
    expect(open().load(token)?.change).toEqual(change);
  });

  test('is refused if the plan has changed, and ended', async () => {
    const { first, second } = twoProcesses();
    const token = first.mint();
    second.setWorld(pendingChange({ binding: { mostPerHour: 2 } }));
    expect(await refusal(second.gate.redeem(token, ask(), second.steps))).toMatchObject({ code: 'plan-changed' });
    expect(await refusal(first.gate.redeem(token, ask(), first.steps))).toMatchObject({ code: 'token-used' });
    expect([...first.consents, ...second.consents]).toEqual([]);
  });

  test('is not sufficient alone while another one asks a person, and after an answer that nobody gave', async () => {
    for (const answers of [false, true]) {
      const { tokenFolder, second } = twoProcesses();
      const first = setUp({ tokenFolder, readMs: 1 });
      const [token, later] = [first.mint(), first.mint()];
      const form = ask({ canAskPerson: true });
      const asked = await first.gate.redeem(token, form, first.steps);
      if (asked.kind !== 'question') throw new Error(`expected a question, got ${asked.kind}`);
      if (answers) {
        const instantly = { ...form, answer: { kind: 'declined', nonce: asked.nonce } } as const;
        await refusal(first.gate.redeem(token, instantly, first.steps));
      }
      expect(await refusal(second.gate.redeem(token, ask(), second.steps))).toMatchObject({ code: 'person-needed' });
      expect(second.consents).toEqual([]);
      expect(await second.gate.redeem(token, form, second.steps)).toMatchObject({ kind: 'question' });
      expect(await second.gate.redeem(later, ask(), second.steps)).toMatchObject({ level: 'token' });
    }
  });

  test('is sufficient alone if the other one could not ask anybody', async () => {
    const { first, second, token, form, asked } = await askInFirst();
    const unusable = { ...form, answer: { kind: 'unusable', nonce: asked.nonce } } as const;
    await expect(first.gate.redeem(token, unusable, first.steps)).rejects.toThrow('reached');
    expect(await second.gate.redeem(token, ask(), second.steps)).toMatchObject({ level: 'token' });
  });

  test('has no approval of the first one: a person is asked again', async () => {
    const { first, second, token, form, asked } = await askInFirst();
    const approved = { ...form, answer: yes(asked.nonce) };
    await expect(first.gate.redeem(token, approved, first.steps)).rejects.toThrow('reached');
    expect(await second.gate.redeem(token, form, second.steps)).toMatchObject({ kind: 'question' });
  });
});

describe('of several processes with one token', () => {
  test('one makes the change, although all have planned it again', async () => {
    const { first, second } = twoProcesses();
    const token = first.mint();
    const steps = {
      ...second.steps,
      replan: async () => (await first.gate.redeem(token, ask(), first.steps), pendingChange()),
    };
    expect(await refusal(second.gate.redeem(token, ask(), steps))).toMatchObject({ code: 'token-used' });
    expect(first.consents).toHaveLength(1);
    expect(second.consents).toHaveLength(0);
    expect(second.audit.map(({ event }) => event)).toEqual(['asked', 'refused']);
  });

  test('none makes it after the user declined in one', async () => {
    const { first, second } = twoProcesses();
    const token = first.mint();
    const form = ask({ canAskPerson: true });
    const asked = await first.gate.redeem(token, form, first.steps);
    if (asked.kind !== 'question') throw new Error(`expected a question, got ${asked.kind}`);
    expect(await second.gate.redeem(token, form, second.steps)).toMatchObject({ kind: 'question' });
    const no = { ...form, answer: yes(asked.nonce, { approve: false }) };
    expect(await refusal(first.gate.redeem(token, no, first.steps))).toMatchObject({ code: 'person-declined' });
    expect(await refusal(second.gate.redeem(token, form, second.steps))).toMatchObject({ code: 'token-used' });
  });

  test('the token stays valid if the audit log can’t be written', async () => {
    const tokenFolder = path.join(emptyFolder(), 'tokens');
    let broken = true;
    const write = ({ event }: { event: string }): void => {
      if (broken && event === 'approved') throw new ToolError('audit-unavailable', 'The disk is full.', '');
    };
    const first = setUp({ tokenFolder, audit: { write } });
    const token = first.mint();
    expect(await refusal(first.gate.redeem(token, ask(), first.steps))).toMatchObject({ code: 'audit-unavailable' });
    broken = false;
    const second = setUp({ tokenFolder });
    expect(await second.gate.redeem(token, ask(), second.steps)).toMatchObject({ kind: 'redeemed' });
  });

  test('a change that is shown in a card stays with the process of the card', async () => {
    const { first, second } = twoProcesses();
    const { token } = first.show();
    expect(await refusal(second.gate.redeem(token, ask(), second.steps))).toMatchObject({ code: 'token-unknown' });
  });
});

describe('the file of a token', () => {
  test.skipIf(process.platform === 'win32')('is only for its owner', () => {
    const { tokenFolder, open, only } = setUpFiles();
    open().save(createRandomText(), pendingChange());
    const modes = [tokenFolder, only(), path.join(tokenFolder, 'key')].map((name) => statSync(name).mode & 0o777);
    expect(modes).toEqual([0o700, 0o600, 0o600]);
  });

  test('shows neither the token nor the change', () => {
    const { open, only } = setUpFiles();
    const token = createRandomText();
    open().save(token, pendingChange());
    const text = `${only()} ${readFileSync(only(), 'latin1')}`;
    expect(text).not.toContain('train');
    expect(text).not.toContain(token.slice(0, 7));
  });

  test.each<[string, (files: ReturnType<typeof setUpFiles>) => void]>([
    [
      'was changed',
      ({ only }) => {
        const content = readFileSync(only());
        content[content.length - 1] = (content.at(-1) ?? 0) ^ 1;
        writeFileSync(only(), content);
      },
    ],
    ['was cut short', ({ only }) => writeFileSync(only(), readFileSync(only()).subarray(0, 40))],
    ['is empty', ({ only }) => writeFileSync(only(), '')],
    ['can be read by others', ({ only }) => chmodSync(only(), 0o644)],
    [
      'is a link',
      ({ only, tokenFolder }) => {
        const name = path.basename(only());
        renameSync(only(), path.join(tokenFolder, 'elsewhere'));
        symlinkSync('elsewhere', path.join(tokenFolder, name));
      },
    ],
    ['was sealed with another key', ({ tokenFolder }) => rmSync(path.join(tokenFolder, 'key'))],
    ['has a key of another length', ({ tokenFolder }) => writeFileSync(path.join(tokenFolder, 'key'), 'short')],
  ])('is not believed if it %s', (_what, damage) => {
    const files = setUpFiles();
    const token = createRandomText();
    files.open().save(token, pendingChange());
    expect(files.open().load(token)).toBeDefined();
    damage(files);
    expect(files.open().load(token)).toBeUndefined();
  });

  test('of one token doesn’t open with another', () => {
    const files = setUpFiles();
    const [mine, other] = [createRandomText(), createRandomText()];
    files.open().save(mine, pendingChange());
    const name = files.only();
    files.open().save(other, pendingChange({ operation: 'stop' }));
    const otherName = files.names().find((one) => !name.endsWith(one)) ?? '';
    renameSync(path.join(files.tokenFolder, otherName), name);
    expect(load(files.open(), mine)).toBeUndefined();
  });

  test.each<[string, number, number, unknown]>([
    ['within its time', LIFE_MS - 1, LIFE_MS - 1, pendingChange()],
    ['after its time', LIFE_MS, LIFE_MS, 'token-expired'],
    ['after its time, with the wall clock set back', 1_000, LIFE_MS, 'token-expired'],
    ['with the wall clock set back before its creation', -1_000, 1_000, 'token-expired'],
    ['after a restart of the computer', 60_000, -49_000, 'token-expired'],
  ])('%s', (_when, wall, sinceBoot, expected) => {
    const { open, clocks } = setUpFiles();
    const token = createRandomText();
    open().save(token, pendingChange());
    clocks.wall += wall;
    clocks.sinceBoot += sinceBoot;
    expect(load(open(), token)).toEqual(expected);
  });

  test('that another process loads expires when it would have in the first one', () => {
    const { open, clocks } = setUpFiles();
    const token = createRandomText();
    open().save(token, pendingChange());
    clocks.wall += 60_000;
    clocks.sinceBoot += 90_000;
    expect(open().load(token)?.remainingMs).toBe(LIFE_MS - 90_000);
  });

  test('is removed a day later, when the next token is stored', () => {
    const { tokenFolder, open, clocks, names } = setUpFiles();
    clocks.wall = Date.now();
    open().save(createRandomText(), pendingChange())?.end();
    // The folder may have been the user's before.
    writeFileSync(path.join(tokenFolder, 'notes.txt'), '');
    clocks.wall += 25 * 3_600_000;
    const token = createRandomText();
    open().save(token, pendingChange());
    expect(names()).toHaveLength(2);
    expect(names()).toContain('notes.txt');
    expect(load(open(), token)).toEqual(pendingChange());
  });

  test('is not written into a full folder or one that can’t be created: the token is valid in its process only', async () => {
    const { tokenFolder, clocks, open } = setUpFiles();
    clocks.wall = Date.now();
    open().save(createRandomText(), pendingChange());
    for (let count = 0; count < 512; count += 1) writeFileSync(path.join(tokenFolder, `${count}.ended`), '');
    expect(open().save(createRandomText(), pendingChange())).toBeUndefined();
    const file = path.join(tokenFolder, 'key');
    const alone = setUp({ tokenFolder: path.join(file, 'tokens') });
    const token = alone.mint();
    expect(await alone.gate.redeem(token, ask(), alone.steps)).toMatchObject({ kind: 'redeemed' });
  });
});

test('a token ends with 140 bits in four groups, without look-alike letters', () => {
  const texts = Array.from({ length: 2_000 }, createRandomText);
  for (const text of texts) expect(text).toMatch(/^[0-9a-hjkmnp-tv-z]{7}(?:-[0-9a-hjkmnp-tv-z]{7}){3}$/);
  expect(new Set(texts).size).toBe(texts.length);
  // Every letter of the alphabet occurs at every position: no bits are lost.
  const letters = Array.from({ length: 31 }, (_, place) => new Set(texts.map((text) => text[place])).size);
  expect(letters.filter((_, place) => place % 8 !== 7)).toEqual(Array.from({ length: 28 }, () => 32));
});

const RANDOM = '[0-9a-z]{7}(?:-[0-9a-z]{7}){3}';

test.each<[string, Parameters<typeof pendingChange>[0]]>([
  ['create-task-train-1.00usd', {}],
  ['create-task-train-0.39usd', { binding: { pricePerHour: 0.39 } }],
  ['create-task-train-1234.50usd', { binding: { pricePerHour: 1234.5 } }],
  ['create-task-train', { binding: { pricePerHour: null } }],
  ['create-fleet-1.00usd', { binding: { resource: { kind: 'fleet' } } }],
  ['stop-run-train', { operation: 'stop', binding: { resource: { kind: 'run', name: 'train' }, pricePerHour: null } }],
  [
    'send-configuration-gpu-0-01usd-x-dstack-yml',
    {
      operation: 'send',
      binding: { resource: { kind: 'configuration', name: '../GPU ü_0.01usd\nx.dstack.yml' }, pricePerHour: null },
    },
  ],
  [
    `delete-volume-${'v'.repeat(30)}`,
    { operation: 'delete', binding: { resource: { kind: 'volume', name: 'v'.repeat(500) }, pricePerHour: null } },
  ],
])('a token says what it does: %s', (prefix, change) => {
  const token = createToken(pendingChange(change));
  expect(token).toMatch(new RegExp(`^${prefix.replaceAll('.', String.raw`\.`)}-${RANDOM}$`));
  expect(token.length).toBeLessThanOrEqual(130);
});

test('the whole token has to match, the words that a person reads included', () => {
  const token = createToken(pendingChange());
  const entries = [{ fingerprint: fingerprintToken(token) }];
  expect(findByFingerprint(entries, fingerprintToken(` ${token}\n`))).toBe(entries[0]);
  for (const text of [
    '',
    token.slice(1),
    token.replace('create-task-train-1.00usd-', ''),
    token.replace('1.00usd', '0.10usd'),
    token.replace('train', 'trai-n'),
    token.toUpperCase(),
    `${token}0`,
    `${token}\u0000`,
    `${token}\u200b`,
    token.replace('-', '_'),
  ])
    expect(findByFingerprint(entries, fingerprintToken(text)), text).toBeUndefined();
});

test('a token with one changed character finds no entry', () => {
  fc.assert(
    fc.property(fc.nat(56), fc.constantFrom(...'0123456789abcdefghjkmnpqrstvwxyz.-'.split('')), (place, letter) => {
      const token = createToken(pendingChange());
      fc.pre(token[place] !== letter);
      const entries = [{ fingerprint: fingerprintToken(token) }];
      const forged = token.slice(0, place) + letter + token.slice(place + 1);
      expect(findByFingerprint(entries, fingerprintToken(forged))).toBeUndefined();
    }),
  );
});
