import { execa } from 'execa';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { readJudgedConfiguration } from '../../../src/configuration/read-configuration.ts';
import { ToolError } from '../../../src/core/errors.ts';
import { isRecord } from '../../../src/core/values.ts';
import { workerFolder } from '../../../src/settings/installation.ts';
import { isNightly } from '../../support/effort.ts';
import { installedPython } from '../../support/installed-dstack.ts';
import { readCorpus } from '../../support/read-corpus.ts';

const FILES = isNightly ? 100_000 : 1_000;
const BATCH = 1_000;

/** Reads each file as the worker does, and as dstack does: from a text file, with PyYAML's own loader. Types stay apart. */
const READ = `
import base64, datetime, io, json, sys, yaml
sys.path.insert(0, sys.argv[1])
import parsed_configuration

def typed(value):
    if isinstance(value, dict):
        return {"map": [[typed(key), typed(item)] for key, item in value.items()]}
    if isinstance(value, list):
        return [typed(item) for item in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return {"number": repr(value)}
    return {"other": "date" if isinstance(value, datetime.date) else type(value).__name__}

def outcome(read):
    try:
        return {"value": read()}
    except Exception as error:
        return {"error": str(error)}

def compare(content):
    text = content.decode()
    return [
        outcome(lambda: parsed_configuration._comparable(parsed_configuration.load_yaml(text))),
        outcome(lambda: typed(yaml.safe_load(io.TextIOWrapper(io.BytesIO(content), "utf-8")))),
    ]

json.dump([compare(base64.b64decode(one)) for one in json.load(sys.stdin)], sys.stdout)
`;

const outcome = z.union([z.object({ value: z.unknown() }), z.object({ error: z.string() })]);
const answers = z.array(z.tuple([outcome, outcome]));

async function readByDstack(files: readonly Buffer[]): Promise<z.output<typeof answers>> {
  const { stdout } = await execa(installedPython, ['-B', '-c', READ, workerFolder()], {
    input: JSON.stringify(files.map((file) => file.toString('base64'))),
    env: { PYTHONUTF8: '1' },
  });
  return answers.parse(JSON.parse(stdout));
}

/** Pieces that YAML's versions, dialects and libraries read differently, or that change how what follows is read. */
const PIECES = [
  ['\r', '\r\n', '\u0085', '\u2028', '\u2029', '\ufeff', '\t', '\u00a0', '\u200b', '\\u0085', '\0', '\u{1F600}'],
  ['%YAML 1.2\n---\n', '%YAML 1.1\n---\n', '---\n', '\n---\nname: other\n', '\n...\n', '%TAG ! !!\n---\n'],
  [
    '<<: ',
    '<<: *a\n',
    '<<: [*a, *a]\n',
    '&a ',
    '*a',
    '&a {name: other}\n',
    '!!str ',
    '!!int ',
    '!!binary ',
    '! ',
    '!x ',
  ],
  [
    '010',
    '0o10',
    '0x1F',
    '0b11',
    '1_000',
    '1e3',
    '1.e3',
    '1E+3',
    '.5',
    '-.5',
    '+1',
    '1:20',
    '1:20.5',
    '.inf',
    '.NaN',
    '-0',
  ],
  [
    '9007199254740993',
    '1e400',
    'yes',
    'No',
    'on',
    'OFF',
    'y',
    'n',
    'TRUE',
    'null',
    '~',
    'Null',
    '=',
    '',
    '2020-01-01',
    '2020-01-01 10:00:00',
  ],
  [
    '? a\n: b\n',
    '? ',
    ': ',
    '- ',
    '-',
    ' #',
    '#',
    '|',
    '|+2\n',
    '>-\n',
    '>#',
    "'",
    '"',
    '"\\x41"',
    '"\\/"',
    "''",
    '{',
    '}',
    '[',
    ']',
    ',',
  ],
  [
    'name: prod\n',
    '\nname: prod',
    '\n  name: prod',
    '1: x\n',
    'true: x\n',
    '"name": prod\n',
    '? name\n',
    ' ',
    '  ',
    '\n',
    '\n\n',
    '@',
    '`',
    '%',
  ],
].flat();

const corpus = readCorpus('0.22.5').map(({ text }) => text);

type Edit = readonly [at: number, cut: number, piece: string];

/** A configuration of the corpus, with pieces put at random places, some instead of what was there. */
const hostileFile = fc
  .tuple(
    fc.constantFrom(...corpus),
    fc.array(fc.tuple(fc.nat(), fc.constantFrom(0, 0, 0, 1, 3, 9), fc.constantFrom(...PIECES)), {
      minLength: 1,
      maxLength: 4,
    }),
  )
  .map(([text, edits]) => Buffer.from(edits.reduce(edit, text)));

function edit(text: string, [random, cut, piece]: Edit): string {
  const at = random % (text.length + 1);
  return text.slice(0, at) + piece + text.slice(at + cut);
}

/** Returns the value that this server judges a file by; undefined if it refuses the file. */
async function judged(bytes: Buffer, loaded: z.output<typeof outcome>): Promise<unknown> {
  const reader = { introspection: { load: () => Promise.resolve(loaded) }, isPython: true };
  try {
    return (await readJudgedConfiguration(reader, { bytes, relativePath: 'x.dstack.yml' })).value;
  } catch (error) {
    if (error instanceof ToolError && error.code === 'invalid-file') return undefined;
    throw error;
  }
}

/** Whether both are the same value. Numbers are compared as such: dstack converts them to the type that it needs. */
function isSame(own: unknown, other: unknown): boolean {
  if (Array.isArray(other))
    return Array.isArray(own) && own.length === other.length && other.every((item, at) => isSame(own[at], item));
  if (!isRecord(other)) return own === other;
  if ('number' in other) return typeof own === 'number' && own === Number(other['number']);
  if ('other' in other) return other['other'] === 'date' && own instanceof Date;
  const { map } = z.object({ map: z.array(z.tuple([z.unknown(), z.unknown()])) }).parse(other);
  return (
    isRecord(own) &&
    Object.keys(own).length === map.length &&
    map.every(([key, item]) => typeof key === 'string' && Object.hasOwn(own, key) && isSame(own[key], item))
  );
}

test(`${FILES.toLocaleString('en')} hostile files: what this server judges is what dstack reads, or is refused`, async () => {
  const seed = isNightly ? Date.now() : 1;
  const counts = { same: 0, refused: 0, rejected: 0 };
  const different: string[] = [];
  for (let batch = 0; batch < FILES / BATCH; batch += 1) {
    const files = fc.sample(hostileFile, { numRuns: BATCH, seed: seed + batch });
    const read = await readByDstack(files);
    for (const [at, [loaded, dstack]] of read.entries()) {
      const file = files[at] ?? Buffer.alloc(0);
      const own = await judged(file, loaded);
      if (own === undefined) counts.refused += 1;
      // What dstack's loader rejects, no command gets past.
      else if ('error' in dstack) counts.rejected += 1;
      else if (isSame(own, dstack.value)) counts.same += 1;
      else different.push(JSON.stringify(file.toString()));
    }
  }
  console.log(`seed ${seed}: ${JSON.stringify(counts)}`);
  expect(different).toEqual([]);
  // Most files have to get far enough to be compared.
  expect(counts.same).toBeGreaterThan(FILES / 10);
});
