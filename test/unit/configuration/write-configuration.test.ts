import { existsSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { deleteCreated, writeConfiguration } from '../../../src/configuration/write-configuration.ts';
import type { WriteRequest, WriteSources } from '../../../src/configuration/write-configuration.ts';
import { ownTranscript } from '../../../src/core/transcript.ts';
import type { AuditEntry } from '../../../src/safety/audit/audit-log.ts';
import { createWorkspace } from '../../../src/safety/files/workspace.ts';
import { refusal } from '../../support/set-up-gate.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';

const file = 'new.dstack.yml';
const valid = {
  verdict: 'valid',
  problems: [],
  omitted: 0,
  advice: [],
  unsetVariables: [],
  transcript: ownTranscript('', ''),
} as const;

function setUp() {
  const folder = realpathSync(emptyFolder());
  const audited: AuditEntry[] = [];
  const sources: WriteSources = {
    workspace: createWorkspace({ folders: [folder], home: folder }),
    audit: { write: (entry) => void audited.push(entry) },
    createdFiles: new Map(),
    check: async () => valid,
    reader: async () => ({ introspection: { load: async () => undefined }, isPython: false }),
  };
  return {
    audited,
    sources,
    place: path.join(folder, file),
    write: async (request: Partial<WriteRequest>) => (await writeConfiguration(sources, { file, ...request })).hash,
    undo: (expectedHash: string) => deleteCreated(sources, { file, expectedHash }),
  };
}

test('a created file is deleted again, by its hash, and that is in the audit log', async () => {
  const { audited, place, write, undo } = setUp();
  await undo(await write({ text: 'type: task\n' }));
  expect(existsSync(place)).toBe(false);
  expect(audited.map(({ event, operation }) => `${event} ${operation}`)).toEqual([
    'approved create',
    'done create',
    'approved delete',
    'done delete',
  ]);
});

test('so is one that was edited with this server since', async () => {
  const { place, write, undo } = setUp();
  const created = await write({ text: 'type: task\n' });
  const edited = await write({ text: 'type: task\nname: a1\n', expectedHash: created });
  expect(await refusal(undo(created))).toMatchObject({ code: 'plan-changed' });
  await undo(edited);
  expect(existsSync(place)).toBe(false);
});

test('a file of somebody else, or one that they have changed, is never deleted', async () => {
  const { audited, place, sources, write, undo } = setUp();
  const { workspace } = sources;
  const hashNow = async (): Promise<string> => (await workspace.readConfiguration(file)).sha256;
  const refused = { code: 'invalid-input', message: expect.stringContaining('Nothing was deleted.') };
  writeFileSync(place, 'type: service\n');
  expect(await refusal(undo(await hashNow()))).toMatchObject(refused);
  // An edit doesn't make it a file that this server has created.
  await write({ text: 'type: task\n', expectedHash: await hashNow() });
  expect(await refusal(undo(await hashNow()))).toMatchObject(refused);
  const other = setUp();
  await other.write({ text: 'type: task\n' });
  writeFileSync(other.place, 'type: task\nname: theirs\n');
  const theirs = (await other.sources.workspace.readConfiguration(file)).sha256;
  expect(await refusal(other.undo(theirs))).toMatchObject(refused);
  expect([existsSync(place), existsSync(other.place)]).toEqual([true, true]);
  expect(audited.filter(({ operation }) => operation === 'delete')).toEqual([]);
});
