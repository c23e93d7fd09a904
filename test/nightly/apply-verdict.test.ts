import { execa } from 'execa';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { collectEnds } from '../support/collect-ends.ts';
import { applyBare, findMisjudged } from '../support/judge-by-apply.ts';
import type { Apply } from '../support/judge-by-apply.ts';
import { readCorpus, sampleCorpus } from '../support/read-corpus.ts';
import type { CorpusCase } from '../support/read-corpus.ts';
import { createTestHome } from '../support/test-home.ts';

// `npm run lab -- corpus` checks the whole corpus, with any dstack.
const atEnd = collectEnds(afterAll);
let corpus: readonly CorpusCase[];
let apply: Apply;

beforeAll(async () => {
  const { cli } = inject('sandbox');
  const home = await createTestHome({ atEnd });
  apply = applyBare({ cli, env: home.env, folder: home.workspace });
  atEnd(() => apply.close());
  const { stdout } = await execa(cli, ['--version']);
  corpus = readCorpus(/\d+\.\d+\S*/.exec(stdout)?.[0] ?? '');
});

test('`dstack apply` in a separate process agrees with the corpus', async () => {
  const cases = sampleCorpus(corpus, 1).filter((_case, at) => at % 4 < 2 && at < 8);
  expect([cases.length, cases.filter(({ valid }) => valid).length]).toEqual([4, 2]);
  expect(await findMisjudged(apply, cases)).toEqual([]);
});
