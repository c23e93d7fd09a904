import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { tools } from '../../../tools/index.ts';
import { repositoryRoot } from '../../support/paths.ts';

/** A call in a text: `list with type "volumes"`, or ``ps with `all` ``. */
const CALL = /\b([a-z_]+)`? with (?:`(\w+)`|(\w+) "([\w-]+)")/g;

const sources = ['src', 'tools'].flatMap((folder) =>
  readdirSync(path.join(repositoryRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => path.join(folder, file)),
);

const calls = sources.flatMap((file) =>
  [...readFileSync(path.join(repositoryRoot, file), 'utf8').matchAll(CALL)].flatMap(
    ([text, name, flag, field, value]) => {
      const tool = tools.find((one) => one.name === name);
      return tool === undefined ? [] : [{ text, file, tool, field: flag ?? field ?? '', value }];
    },
  ),
);

test('texts that name a next call are found', () => {
  expect(calls.length).toBeGreaterThan(30);
});

test.each(calls)('$text ($file) is a call that the tool accepts', ({ tool, field, value }) => {
  const schema = tool.input.shape[field];
  expect(Object.keys(tool.input.shape)).toContain(field);
  const isAccepted = [value, [value]].some((given) => schema?.safeParse(given).success === true);
  expect(isAccepted || value === undefined).toBe(true);
});
