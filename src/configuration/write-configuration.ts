import { randomUUID } from 'node:crypto';
import { unlink } from 'node:fs/promises';
import path from 'node:path';
import { ToolError } from '../core/errors.ts';
import { sha256 } from '../core/values.ts';
import { MASK } from '../render/mask-secrets.ts';
import { cleanText } from '../render/untrusted.ts';
import type { AuditSink } from '../safety/audit/audit-log.ts';
import { asToolError, replaceFile } from '../safety/files/regular-files.ts';
import type { Workspace } from '../safety/files/workspace.ts';
import type { CheckConfiguration, CheckResult } from './check-configuration.ts';
import { diffTexts, editText, decodeText, parseText } from './configuration-text.ts';
import type { Edit } from './configuration-text.ts';
import { assertOneReading, readConfigurationHead } from './read-configuration.ts';
import type { DstackReader } from './read-configuration.ts';
import { maskConfiguration } from './mask-configuration.ts';

/** A configuration to write: the whole text, or edits of the existing file. */
export interface WriteRequest {
  readonly file: string;
  readonly text?: string | undefined;
  readonly edits?: readonly Edit[] | undefined;
  /** The hash of the file when it was read; undefined for a new file. */
  readonly expectedHash?: string | undefined;
}

/** The result of a write. Nothing is written unless dstack's parser finds the new text valid. */
export interface WriteResult {
  readonly kind: 'written' | 'unchanged' | 'invalid';
  readonly checked: CheckResult;
  readonly diff: string;
  readonly hash: string;
  readonly previous: { readonly text: string; readonly hash: string } | undefined;
  /** The previous text can be shown unchanged, to undo the change: it is short, and has no secrets or hidden characters. */
  readonly isRepeatable: boolean;
  /** The file was written, but its last audit log entry wasn't. */
  readonly unrecorded: boolean;
}

/** The files that this server has created, by their path, with the SHA-256 of what it wrote last. */
export type CreatedFiles = Map<string, string>;

export interface WriteSources {
  readonly workspace: Workspace;
  readonly audit: AuditSink;
  readonly createdFiles: CreatedFiles;
  readonly check: CheckConfiguration;
  readonly reader: () => Promise<DstackReader>;
}

/** Writes a configuration in the workspace. @throws ToolError if the existing file changed since it was read, or isn't a configuration. */
export async function writeConfiguration(
  { workspace, audit, createdFiles, check, reader }: WriteSources,
  request: WriteRequest,
): Promise<WriteResult> {
  const { file, expectedHash } = request;
  const place = await workspace.resolveForWrite(file);
  const previous = place.exists ? await readPrevious(workspace, file) : undefined;
  assertHashMatches(file, expectedHash, previous?.hash);
  const text = newText(request, previous?.text);
  const checked = await check({ text, shownPath: file, folder: path.dirname(place.realPath) });
  const hash = sha256(text);
  const result = {
    checked,
    diff: diffMasked(file, previous?.text, text),
    hash,
    previous,
    isRepeatable: isRepeatable(previous?.text ?? ''),
    unrecorded: false,
  };
  if (checked.verdict !== 'valid') return { kind: 'invalid', ...result };
  await assertOneReading(await reader(), { text, value: parseText(text, file).value, shownPath: file });
  if (previous?.hash === hash) return { kind: 'unchanged', ...result };
  const record = recorder(audit, previous === undefined ? 'create' : 'update', { path: place.realPath, hash });
  record('approved');
  await replaceFile(place.realPath, text, {
    exists: place.exists,
    isUnchanged: async () => {
      const now = await workspace.resolveForWrite(file);
      if (now.realPath !== place.realPath || now.exists !== place.exists) return false;
      return previous === undefined || (await workspace.readConfiguration(file)).sha256 === previous.hash;
    },
  });
  if (previous === undefined || createdFiles.get(place.realPath) === previous.hash)
    createdFiles.set(place.realPath, hash);
  return { kind: 'written', ...result, unrecorded: !succeeds(() => record('done', 'done')) };
}

/** Deletes a file that this server has created. @throws ToolError if it didn't, or if the file has changed since */
export async function deleteCreated(
  { workspace, audit, createdFiles }: Pick<WriteSources, 'workspace' | 'audit' | 'createdFiles'>,
  { file, expectedHash }: Pick<WriteRequest, 'file' | 'expectedHash'>,
): Promise<Pick<WriteResult, 'unrecorded'>> {
  const place = await workspace.resolveForWrite(file);
  const { sha256: hash } = await workspace.readConfiguration(file);
  assertHashMatches(file, expectedHash, hash);
  if (createdFiles.get(place.realPath) !== hash)
    throw new ToolError(
      'invalid-input',
      `This server didn't create ${file}, or somebody has changed it since. Nothing was deleted.`,
      'If the user wants it deleted, ask them to do that.',
    );
  const record = recorder(audit, 'delete', { path: place.realPath, hash });
  record('approved');
  await unlink(place.realPath).catch((error: unknown) => {
    throw asToolError(error, place.realPath);
  });
  createdFiles.delete(place.realPath);
  return { unrecorded: !succeeds(() => record('done', 'done')) };
}

/** Returns a function that writes the audit lines about one file. */
function recorder(
  audit: AuditSink,
  operation: 'create' | 'update' | 'delete',
  { path: name, hash }: { readonly path: string; readonly hash: string },
): (event: 'approved' | 'done', outcome?: string) => void {
  const id = randomUUID();
  return (event, outcome) =>
    audit.write({
      id,
      event,
      tool: 'write_config',
      operation,
      resource: { kind: 'file', name },
      project: '',
      server: '',
      argv: [],
      files: { [name]: hash },
      pricePerHour: null,
      ...(outcome === undefined ? {} : { outcome }),
    });
}

const MAX_REPEATED_CHARS = 20_000;

const isRepeatable = (text: string): boolean =>
  text.length <= MAX_REPEATED_CHARS && cleanText(text).text === text && maskConfiguration(text).text === text;

/** Returns the diff without secrets. One that only changes a secret says so. */
function diffMasked(file: string, before: string | undefined, after: string): string {
  const old = before === undefined ? undefined : maskConfiguration(before).text;
  const shown = maskConfiguration(after).text;
  return old === shown && before !== after ? `Only masked values of ${file} change.` : diffTexts(file, old, shown);
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
  // Throws for a file that isn't a configuration, so that it isn't overwritten.
  readConfigurationHead(bytes, file);
  return { text: decodeText(bytes, file), hash };
}

function assertHashMatches(file: string, expected: string | undefined, present: string | undefined): void {
  if (expected === present) return;
  const message =
    present === undefined
      ? `${file} no longer exists.`
      : expected === undefined
        ? `${file} already exists.`
        : `${file} changed since it was read.`;
  throw new ToolError(
    present !== undefined && expected === undefined ? 'file-exists' : 'plan-changed',
    `${message} Nothing was written.`,
    present === undefined
      ? 'Omit `expected_hash` to create it.'
      : 'Read it: config with action "read" returns its `hash`. Pass that as `expected_hash`.',
  );
}

function newText({ text, edits }: WriteRequest, previous: string | undefined): string {
  if ((text === undefined) === (edits === undefined))
    throw new ToolError(
      'invalid-input',
      'Pass exactly one of `text` and `edits`. Nothing was written.',
      '`text` is the whole file; `edits` change single properties.',
    );
  if (text?.includes(MASK) === true && previous?.includes(MASK) !== true)
    throw new ToolError(
      'invalid-input',
      `The text contains ${MASK} in place of a secret: writing it would lose the secret. Nothing was written.`,
      'Change single properties with `edits`, which keep the others unchanged.',
    );
  if (text !== undefined) return text === '' || text.endsWith('\n') ? text : `${text}\n`;
  if (previous === undefined)
    throw new ToolError(
      'file-not-found',
      'The file to edit does not exist. Nothing was written.',
      'Pass the whole `text` to create it.',
    );
  return editText(previous, edits ?? []);
}
