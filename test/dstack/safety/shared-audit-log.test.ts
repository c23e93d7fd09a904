import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { auditEntry } from '../../../src/safety/audit/audit-log.ts';
import { inRepository, repositoryRoot } from '../../support/paths.ts';
import { pendingChange } from '../../support/pending-change.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';

const entry = auditEntry('id1', pendingChange(), { event: 'approved', level: 'token' });

function readIds(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .flatMap((name) => readFileSync(path.join(folder, name), 'utf8').split('\n'))
    .filter((line) => line !== '')
    .map((line): string => JSON.parse(line).id);
}

test('two servers that share a folder lose and mix no lines during many rotations', async () => {
  const root = emptyFolder();
  const folder = path.join(root, 'state');
  const script = path.join(root, 'writer.ts');
  writeFileSync(
    script,
    `import { createAuditLog } from ${JSON.stringify(inRepository('src/safety/audit/audit-log.ts'))};
const log = createAuditLog({ folder: ${JSON.stringify(folder)}, redact: (text) => text, maxBytes: 4_000, keepFiles: 1_000 });
for (let index = 0; index < 300; index += 1) log.write({ ...${JSON.stringify(entry)}, id: process.argv[2] + index });
`,
  );
  const writers = ['a', 'b'].map((name) =>
    spawn(process.execPath, ['--import', 'tsx', script, name], {
      cwd: repositoryRoot,
      stdio: ['ignore', 'inherit', 'inherit'],
    }),
  );
  const codes = await Promise.all(writers.map(async (writer) => (await once(writer, 'exit'))[0]));
  expect(codes).toEqual([0, 0]);
  const ids = readIds(folder);
  expect(ids.toSorted()).toEqual(
    ['a', 'b'].flatMap((name) => Array.from({ length: 300 }, (_, index) => `${name}${index}`)).toSorted(),
  );
  expect(readdirSync(folder).length).toBeGreaterThan(5);
});
