import { execa } from 'execa';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { applyBare, applyWarm, judgeByApply } from '../support/judge-by-apply.ts';
import type { Apply } from '../support/judge-by-apply.ts';
import { readCorpus } from '../support/read-corpus.ts';
import type { CorpusCase } from '../support/read-corpus.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { createTestHome } from '../support/test-home.ts';

// All of it, for any dstack: npm run corpus.
const atEnd = collectEnds(afterAll);
let corpus: readonly CorpusCase[];
let warm: Apply;
let bare: Apply;

beforeAll(async () => {
  const { cli } = inject('sandbox');
  const home = await createTestHome({ atEnd });
  const place = { cli, env: home.env, folder: home.workspace };
  warm = applyWarm(place);
  bare = applyBare(place);
  atEnd(() => warm.close());
  const { stdout } = await execa(cli, ['--version']);
  corpus = readCorpus(/\d+\.\d+\S*/.exec(stdout)?.[0] ?? '');
});

/** So many cases of each type and verdict, from all over the file. */
function sample(size: number): readonly CorpusCase[] {
  const kinds = new Set(corpus.map(kindOf));
  return [...kinds].flatMap((kind) => {
    const cases = corpus.filter((one) => kindOf(one) === kind);
    const every = Math.max(1, Math.floor(cases.length / size));
    return cases.filter((_case, at) => at % every === 0).slice(0, size);
  });
}

const kindOf = ({ type, valid }: CorpusCase): string => `${type}, ${valid ? 'valid' : 'invalid'}`;

async function judgeAll(apply: Apply, cases: readonly CorpusCase[]): Promise<string[]> {
  const wrong: string[] = [];
  const queue = cases.values();
  const judge = async (): Promise<void> => {
    for (const { title, text, valid } of queue) {
      const answer = await judgeByApply(apply, text);
      if (answer.verdict !== (valid ? 'accepted' : 'refused'))
        wrong.push(`${title}: ${answer.verdict}\n${answer.text}`);
    }
  };
  await Promise.all([judge(), judge()]);
  return wrong;
}

test('`dstack apply` itself takes what the corpus calls valid and nothing else, of each type five and five', async () => {
  const cases = sample(5);
  // Before 0.21 no preset is valid.
  expect(new Set(cases.map(kindOf)).size).toBeGreaterThanOrEqual(15);
  expect(await judgeAll(warm, cases)).toEqual([]);
});

test('it says the same as a process of its own', async () => {
  const cases = sample(1).filter((_case, at) => at % 4 < 2 && at < 8);
  expect([cases.length, cases.filter(({ valid }) => valid).length]).toEqual([4, 2]);
  expect(await judgeAll(bare, cases)).toEqual([]);
});
