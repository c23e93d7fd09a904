import { createHash, randomUUID } from 'node:crypto';
import path from 'node:path';
import { diffTexts, editText } from './edit-text.ts';
import type { Edit } from './edit-text.ts';
import { decodeText } from './parse-text.ts';
import { readConfigurationHead } from './read-configuration.ts';
import { ToolError } from '../core/errors.ts';
import type { AuditSink } from '../safety/audit/audit-log.ts';
import { replaceFile } from '../safety/files/replace-file.ts';
import type { Workspace } from '../safety/files/workspace.ts';
import type { Checked } from './check-configuration.ts';
import type { ConfigurationService } from './configuration-service.ts';

/** A configuration to be written: as a whole, or by edits of the one that is there. */
export interface WriteRequest {
  readonly file: string;
  readonly text?: string | undefined;
  readonly edits?: readonly Edit[] | undefined;
  /** The hash of the file as it was read; none for a new one. */
  readonly expectedHash?: string | undefined;
}

/** What came of it. Nothing is written unless dstack's parser finds the new text valid. */
export interface Written {
  readonly kind: 'written' | 'unchanged' | 'invalid';
  readonly checked: Checked;
  readonly diff: string;
  readonly hash: string;
  readonly previous: { readonly text: string; readonly hash: string } | undefined;
  /** It was written, but the last line about it isn't in the audit log. */
  readonly unrecorded: boolean;
}

export interface WriteSources {
  readonly workspace: Workspace;
  readonly audit: AuditSink;
  readonly check: ConfigurationService['check'];
}

/** Writes a configuration of the workspace. @throws ToolError where the file isn't the one that was read, or isn't a configuration. */
export async function writeConfiguration(
  { workspace, audit, check }: WriteSources,
  request: WriteRequest,
): Promise<Written> {
  const { file, expectedHash } = request;
  const place = await workspace.resolveForWrite(file);
  const previous = place.exists ? await readPrevious(workspace, file) : undefined;
  assertHashMatches(file, expectedHash, previous?.hash);
  const text = newText(request, previous?.text);
  const checked = await check({ text, shownPath: file, folder: path.dirname(place.realPath) });
  const hash = sha256(text);
  const result = { checked, diff: diffTexts(file, previous?.text, text), hash, previous, unrecorded: false };
  if (checked.verdict !== 'valid') return { kind: 'invalid', ...result };
  if (previous?.hash === hash) return { kind: 'unchanged', ...result };
  const id = randomUUID();
  const record = (event: 'approved' | 'done', outcome?: string): void =>
    audit.write({
      id,
      event,
      tool: 'write_config',
      operation: previous === undefined ? 'create' : 'update',
      resource: { kind: 'file', name: place.realPath },
      project: '',
      server: '',
      argv: [],
      files: { [place.realPath]: hash },
      pricePerHour: null,
      ...(outcome === undefined ? {} : { outcome }),
    });
  record('approved');
  await replaceFile(place.realPath, text, {
    exists: place.exists,
    isUnchanged: async () => {
      const now = await workspace.resolveForWrite(file);
      if (now.realPath !== place.realPath || now.exists !== place.exists) return false;
      return previous === undefined || (await workspace.readConfiguration(file)).sha256 === previous.hash;
    },
  });
  return { kind: 'written', ...result, unrecorded: !succeeds(() => record('done', 'done')) };
}

function succeeds(act: () => void): boolean {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}

async function readPrevious(workspace: Workspace, file: string): Promise<{ text: string; hash: string }> {
  const { bytes, sha256: hash } = await workspace.readConfiguration(file);
  // What isn't a configuration isn't overwritten, whatever it is called.
  readConfigurationHead(bytes, file);
  return { text: decodeText(bytes, file), hash };
}

function assertHashMatches(file: string, expected: string | undefined, present: string | undefined): void {
  if (expected === present) return;
  const message =
    present === undefined
      ? `${file} is no longer there.`
      : expected === undefined
        ? `${file} exists already.`
        : `${file} isn't as it was read: it changed meanwhile.`;
  throw new ToolError(
    'plan-changed',
    `${message} Nothing was written.`,
    present === undefined
      ? 'Leave `expected_hash` out to create it.'
      : 'Read it with config (action validate), and give its `hash` as `expected_hash`.',
  );
}

function newText({ text, edits }: WriteRequest, previous: string | undefined): string {
  if ((text === undefined) === (edits === undefined))
    throw new ToolError(
      'invalid-input',
      'Give `text` or `edits`, one of the two. Nothing was written.',
      'See the tool.',
    );
  if (text?.includes(MASK) === true && previous?.includes(MASK) !== true)
    throw new ToolError(
      'invalid-input',
      `The text holds ${MASK} where a secret was masked: written so, the secret would be lost. Nothing was written.`,
      'Change single properties by `edits`, which leave the others as they are.',
    );
  if (text !== undefined) return text === '' || text.endsWith('\n') ? text : `${text}\n`;
  if (previous === undefined)
    throw new ToolError(
      'file-not-found',
      'There is no such file to edit. Nothing was written.',
      'Give its whole `text`.',
    );
  return editText(previous, edits ?? []);
}

/** What stands in an output in place of a secret. */
const MASK = '[masked]';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
