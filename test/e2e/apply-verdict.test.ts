import { execa } from 'execa';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { collectEnds } from '../support/collect-ends.ts';
import { applyWarm, findMisjudged } from '../support/judge-by-apply.ts';
import type { Apply } from '../support/judge-by-apply.ts';
import { kindOf, readCorpus, sampleCorpus } from '../support/read-corpus.ts';
import type { CorpusCase } from '../support/read-corpus.ts';
import { createTestHome } from '../support/test-home.ts';

// `npm run lab -- corpus` checks the whole corpus, with any dstack.
const atEnd = collectEnds(afterAll);
let corpus: readonly CorpusCase[];
let apply: Apply;

beforeAll(async () => {
  const { cli } = inject('sandbox');
  const home = await createTestHome({ atEnd });
  apply = applyWarm({ cli, env: home.env, folder: home.workspace });
  atEnd(() => apply.close());
  const { stdout } = await execa(cli, ['--version']);
  corpus = readCorpus(/\d+\.\d+\S*/.exec(stdout)?.[0] ?? '');
});

test('`dstack apply` accepts what the corpus calls valid and nothing else, for five cases of each type and verdict', async () => {
  const cases = sampleCorpus(corpus, 5);
  // Before 0.21 no preset is valid.
  expect(new Set(cases.map(kindOf)).size).toBeGreaterThanOrEqual(15);
  expect(await findMisjudged(apply, cases)).toEqual([]);
});
