import { expect, test } from 'vitest';
import { ToolError } from '../../../src/core/errors.ts';
import { explainError } from '../../../src/tool/explain-error.ts';
import { plan } from '../../../tools/plan.ts';
import { ps } from '../../../tools/ps.ts';

const FILES = ['train.dstack.yml', 'train2.dstack.yml', 'jobs/serve.dstack.yml', '.dstack.yml'];

async function hintOf(failure: ToolError, raw: unknown = {}, tool = plan): Promise<string> {
  const explained = await explainError(failure, { tool, raw }, { findFiles: () => Promise.resolve(FILES) });
  if (!(explained instanceof ToolError)) throw new Error('expected an error of the tool');
  expect(explained).toMatchObject({ code: failure.code, message: failure.message });
  return explained.hint;
}

test.for([
  ['train2.yml', 'Did you mean train2.dstack.yml? Look.'],
  ['serve.yaml', 'Did you mean jobs/serve.dstack.yml? Look.'],
  ['./trian.dstack.yml', 'Did you mean train.dstack.yml? Look.'],
  ['something-else.yml', 'Look.'],
] as const)('a file that is missing is answered with the one that is meant: %s', async ([file, hint]) => {
  for (const code of ['file-not-found', 'not-a-configuration'] as const)
    expect(await hintOf(new ToolError(code, 'Not there.', 'Look.'), { file })).toBe(hint);
});

test('a mistaken flag is answered with the argument for the flag that is meant', async () => {
  const unknown = (hint: string): ToolError => new ToolError('unknown-flag', 'No.', hint);
  expect(await hintOf(unknown('Did you mean --gpu? See `dstack apply --help`.'))).toMatch(
    / plan has its own argument: `gpu` for --gpu\.$/,
  );
  expect(await hintOf(unknown('Did you mean --spot-policy or --max-price or --max-offers? See.'))).toMatch(
    /: `spot` for --spot-policy, `max_price` for --max-price\.$/,
  );
  const other = 'Omit it. Flags of `ps`: --all, --last.';
  expect(await hintOf(unknown(other), {}, ps)).toBe(other);
});

test('any other error, and what cannot be looked up, stays unchanged', async () => {
  const bug = new TypeError('a bug');
  const findFiles = (): Promise<never> => Promise.reject(new Error('no folder'));
  expect(await explainError(bug, { tool: plan, raw: {} }, { findFiles })).toBe(bug);
  const missing = new ToolError('file-not-found', 'Not there.', 'Look.');
  expect(await explainError(missing, { tool: plan, raw: { file: 'x' } }, { findFiles })).toMatchObject({
    hint: 'Look.',
  });
});
