import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkArgv } from '../../../../src/dstack/argv/check-argv.ts';
import type { CommandRequest, DocumentedFlag } from '../../../../src/dstack/argv/command.ts';
import { flagOwner, RUNNABLE_COMMANDS } from '../../../../src/dstack/argv/command-rules.ts';
import { ToolError } from '../../../../src/core/errors.ts';
import { recordedCatalog } from '../../../support/recorded-catalog.ts';
import { propertyRuns } from '../../../support/effort.ts';

const catalog = recordedCatalog('0.22.5');
const TYPES = ['task', 'service', 'dev-environment', 'fleet', 'volume', 'gateway'];
const everyType = RUNNABLE_COMMANDS.flatMap((command) =>
  (command === 'apply' ? TYPES : [undefined]).map((configurationType) => ({ command, configurationType })),
);

interface Documented {
  readonly command: string;
  readonly configurationType: string | undefined;
  readonly flag: DocumentedFlag;
  readonly all: ReadonlyMap<string, DocumentedFlag>;
}

/** Every flag that the recorded CLI documents, of every command that may be run. */
const documented: readonly Documented[] = (
  await Promise.all(
    everyType.map(async ({ command, configurationType }) => {
      const { own, parent } = await catalog.flagsOf(command, configurationType);
      const all = new Map([...parent, ...own]);
      return [...all.values()].map((flag) => ({ command, configurationType, flag, all }));
    }),
  )
).flat();

const anyFlag = fc.constantFrom(...documented);

async function codeOf(request: CommandRequest, allowedFlags: readonly string[] = []): Promise<string> {
  try {
    await checkArgv(request, catalog, () => allowedFlags);
    return 'accepted';
  } catch (error) {
    if (error instanceof ToolError) return error.code;
    throw error;
  }
}

const requestOf = (
  { command, configurationType }: Documented,
  extraFlags: Record<string, unknown>,
): CommandRequest => ({
  command,
  ...(configurationType === undefined ? {} : { configurationType }),
  ...(command === 'apply' || command === 'delete' ? { flags: { '--file': 'f.dstack.yml' } } : {}),
  extraFlags,
});

test('there is something to check', () => {
  expect(documented.length).toBeGreaterThan(150);
});

test('no prefix of a documented flag is accepted for it, although argparse accepts it', async () => {
  await fc.assert(
    fc.asyncProperty(anyFlag, fc.nat(40), async (one, length) => {
      const short = one.flag.long.slice(0, length % one.flag.long.length);
      fc.pre(!one.all.has(short));
      expect(await codeOf(requestOf(one, { [short]: true }), [short, one.flag.long])).toBe('unknown-flag');
    }),
    { numRuns: propertyRuns(50) },
  );
});

test('no flag with something in, before or after its name is accepted', async () => {
  const wedge = fc.constantFrom(
    '=',
    ' ',
    '=x',
    ' x',
    '\n',
    '\0',
    '\t',
    '\u200b',
    '\u00ad',
    '-',
    '_',
    '\ufeff',
    '\u202e',
    'x',
  );
  await fc.assert(
    fc.asyncProperty(anyFlag, wedge, fc.nat(40), async (one, text, at) => {
      const place = at % (one.flag.long.length + 1);
      const name = one.flag.long.slice(0, place) + text + one.flag.long.slice(place);
      fc.pre(!one.all.has(name));
      expect(await codeOf(requestOf(one, { [name]: 'x' }), [name])).toBe('unknown-flag');
    }),
    { numRuns: propertyRuns(50) },
  );
});

test('no spelling with other letters is accepted: uppercase, Unicode look-alikes, full width', async () => {
  const looks: Readonly<Record<string, string>> = {
    a: '\u0430',
    e: '\u0435',
    o: '\u043e',
    p: '\u0440',
    c: '\u0441',
    x: '\u0445',
    i: '\u0456',
    '-': '\u2010',
  };
  await fc.assert(
    fc.asyncProperty(anyFlag, fc.nat(40), fc.constantFrom('case', 'look', 'wide'), async (one, at, how) => {
      const { long } = one.flag;
      const place = at % long.length;
      const letter = long[place] ?? '';
      const other =
        how === 'case'
          ? letter.toUpperCase()
          : how === 'look'
            ? (looks[letter] ?? letter)
            : String.fromCodePoint((letter.codePointAt(0) ?? 0) + 0xfee0);
      fc.pre(other !== letter);
      const name = long.slice(0, place) + other + long.slice(place + 1);
      expect(await codeOf(requestOf(one, { [name]: 'x' }), [name])).toBe('unknown-flag');
    }),
    { numRuns: propertyRuns(50) },
  );
});

test('a flag that models cannot use is rejected; a tool-owned one even with the operator’s permission', async () => {
  const reserved = documented.filter(({ flag }) => flagOwner(flag) !== 'model');
  expect(reserved.length).toBeGreaterThan(50);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...reserved),
      fc.oneof(fc.constant(true), fc.string(), fc.integer()),
      async (one, value) => {
        const permitted = flagOwner(one.flag) === 'tool' ? [one.flag.long] : [];
        const request = requestOf(one, { [one.flag.long]: value });
        expect(await codeOf(request)).toMatch(/^(forbidden-flag|invalid-value)$/);
        expect(await codeOf(request, permitted)).toMatch(/^(forbidden-flag|invalid-value)$/);
      },
    ),
    { numRuns: propertyRuns(50) },
  );
});

test('an accepted request is in the argv unchanged: one word per flag, one per value', async () => {
  const usable = documented.filter(
    ({ flag }) => flagOwner(flag) === 'model' && flag.value !== 'none' && flag.choices === undefined,
  );
  let passed = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...usable),
      fc.oneof(fc.string(), fc.stringMatching(/^[a-z0-9.]{1,12}$/), fc.integer()),
      async (one, value) => {
        const request = requestOf(one, { [one.flag.long]: value });
        const argv = await checkArgv(request, catalog).catch(() => undefined);
        if (argv === undefined) return;
        passed += 1;
        const at = argv.argv.indexOf(one.flag.long);
        expect(argv.argv[at + 1]).toBe(String(value));
        expect(argv.argv.filter((word) => word === one.flag.long)).toHaveLength(1);
        expect(argv.argv[at + 1]).not.toMatch(/^-|[\p{C}]/u);
        expect(argv.effect).toBe(one.command === 'attach' ? 'change' : 'read');
      },
    ),
    { numRuns: propertyRuns(100) },
  );
  expect(passed).toBeGreaterThan(20);
});
