import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { sha256 } from '../core/values.ts';
import type { AttachmentRecord } from './attachment-store.ts';
import { findByEnvironment } from './process-identity.ts';
import type { MarkedProcess } from './process-identity.ts';
import { MARKER_VARIABLE } from './ssh-tunnel.ts';

// Every process of an attachment carries its mark: the state folder, a random part, and the id. So it is found even if its record was
// deleted, and only by the servers of its state folder.

const ownerOf = (folder: string): string => sha256(path.resolve(folder)).slice(0, 16);

/** Creates the mark of a new attachment, whose records are in this folder. */
export const createMark = (folder: string, id: string): string => `${ownerOf(folder)}.${randomUUID()}.${id}`;

/** Returns records of the running attachments of this folder that have none. Finds none on systems other than Linux. */
export async function findUnrecorded(
  folder: string,
  recorded: readonly AttachmentRecord[],
): Promise<AttachmentRecord[]> {
  const known = new Set(recorded.map(({ marker }) => marker));
  const marked = (await findByEnvironment(MARKER_VARIABLE)) ?? [];
  const own = marked.filter(({ value }) => value.startsWith(`${ownerOf(folder)}.`) && !known.has(value));
  const marks = [...new Set(own.map(({ value }) => value))];
  return marks.map((mark) =>
    toRecord(
      mark,
      own.filter(({ value }) => value === mark),
    ),
  );
}

function toRecord(marker: string, processes: readonly MarkedProcess[]): AttachmentRecord {
  const id = marker.split('.').slice(2).join('.');
  // dstack's names have no such characters.
  const [run = ''] = id.split(/[.@]/);
  const project = /@(.*)$/.exec(id)?.[1];
  const leader = processes.find(({ pid, groupId, argv }) => pid === groupId && argv.includes('attach'));
  return {
    version: 1,
    id,
    run,
    argv: leader?.argv.slice(leader.argv.indexOf('attach')) ?? ['attach', run],
    marker,
    createdAt: new Date().toISOString(),
    ...(project === undefined ? {} : { project: decodeURIComponent(project) }),
    ...(leader === undefined ? {} : { leader: { pid: leader.pid, startedAt: leader.startedAt } }),
  };
}
