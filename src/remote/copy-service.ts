import { lstat, mkdir } from 'node:fs/promises';
import type { AccessGate } from '../changes/access-gate.ts';
import type { ChangeFacts } from '../changes/change-facts.ts';
import type { Deadline } from '../core/waiting.ts';
import { ToolError } from '../core/errors.ts';
import { formatBytes, plural, sha256 } from '../core/values.ts';
import { containsPath, expandHome, homeFolder } from '../core/paths.ts';
import type { Picture, Report } from '../core/report.ts';
import { readPicture } from '../core/report.ts';
import type { Introspection } from '../dstack/warm/introspection.ts';
import { cleanText } from '../render/untrusted.ts';
import type { RecordedUse } from '../safety/audit/use-journal.ts';
import { resolveLinks } from '../safety/files/workspace.ts';
import { neverSent } from '../safety/files/named-path.ts';
import type { Workspace, WorkspacePath } from '../safety/files/workspace.ts';
import { readRegularFile } from '../safety/files/regular-files.ts';
import type { PolicySnapshot } from '../safety/policy/policy-watch.ts';
import { MAX_COPY_ENTRIES, sumBytes } from './copy-tree.ts';
import type { Copied, CopyLimits, CopyRequest, CopyState } from './copy-tree.ts';
import { assertPlace, download, MAX_PICTURE_BYTES } from './download.ts';
import { isInGit } from './local-tree.ts';
import type { RemoteRequest, RemoteRun, RemoteService } from './remote-service.ts';
import type { Transfer, Transfers } from './transfers.ts';
import { findUpload, upload } from './upload.ts';
import type { UploadSource } from './upload.ts';

export interface CopyCall extends RemoteRequest {
  readonly direction: 'upload' | 'download';
  readonly local: string;
  readonly remote: string;
  readonly replace: boolean;
}

export interface CopySources {
  readonly workspace: Pick<Workspace, 'resolve'>;
  readonly remote: Pick<RemoteService, 'look' | 'connect' | 'dropOutdated' | 'use'>;
  readonly access: Pick<AccessGate, 'require' | 'claim' | 'journal'>;
  readonly transfers: Transfers<Copied>;
  readonly cli: () => Promise<{
    readonly introspection: Pick<Introspection, 'walk'>;
    readonly env: Readonly<Record<string, string | undefined>>;
  }>;
  readonly policy: { readonly snapshot: () => Pick<PolicySnapshot, 'handOver' | 'assertDownloadAllowed'> };
  readonly settings: { readonly maxCopyBytes: number };
  readonly deadline: Deadline;
}

/** The result of one call: the copy, its state if it takes longer than the call, or the question for consent. */
export type CopyResult =
  | NeedsConsent
  | {
      readonly kind: 'done';
      readonly copied: Copied;
      readonly durationMs: number;
      readonly pictures: readonly Picture[];
    }
  | { readonly kind: 'running'; readonly state: CopyState | undefined };

interface NeedsConsent {
  readonly kind: 'needs-consent';
  readonly report: Report<ChangeFacts>;
}

/** Time to answer in. */
const ANSWER_MS = 2_000;
/** The call that fetches the end of an upload comes soon; later, the files in the run may have changed. */
const KEEP_ENDED_MS = 5 * 60_000;
/** Clients show each message. */
const PROGRESS_EVERY_MS = 500;

/** Copies files between the workspace and runs. Uploads, and downloads from places with secrets, need the consent to use the run. */
export class CopyService {
  readonly #sources: CopySources;

  constructor(sources: CopySources) {
    this.#sources = sources;
  }

  /** Copies, or waits for the same copy if it is running. @throws ToolError, CommandFailed */
  async copy(call: CopyCall): Promise<CopyResult> {
    const request = await this.#request(call);
    const source = call.direction === 'upload' ? await this.#findUpload(request) : undefined;
    const text = describeUse(call, request, source);
    const { transfers, deadline, remote } = this.#sources;
    const startedAt = performance.now();
    const found = await remote.look(call);
    const key = JSON.stringify([found.place, found.runId, found.run.deployment, text]);
    transfers.forgetEnded(key, source === undefined ? 0 : KEEP_ENDED_MS);
    const work = transfers.has(key) ? startsNothing : await this.#prepare(call, { found, request, source, text });
    if (typeof work !== 'function') return work;
    const waitMs = deadline.remainingMs() - ANSWER_MS;
    const onProgress = throttle((state) => deadline.progress(describeState(state)));
    const wait = { waitMs, signal: deadline.signal, onProgress };
    const result = await transfers.wait(key, wait, work).catch(async (error: unknown) => {
      if (!(error instanceof ConsentMissing)) throw error;
      await remote.dropOutdated(await remote.look(call));
      return { kind: 'needs-consent', report: error.report } as const;
    });
    if (result.kind !== 'done') return result;
    const { value: copied } = result;
    return { kind: 'done', copied, durationMs: performance.now() - startedAt, pictures: await readPictures(copied) };
  }

  async #request({ direction, local, remote, replace }: CopyCall): Promise<CopyRequest> {
    assertRemotePath(remote);
    const place = await this.#sources.workspace.resolve(local);
    const intoLocal = /[/\\]$/.test(local);
    if (direction === 'download') {
      if (place.relativePath !== '') assertPlace(place.relativePath);
      // Unfinished files are in the nearest folder that exists, which has to be in the workspace.
      await mkdir(place.folder, { recursive: true });
    } else if (isInGit(place.relativePath)) throw notUploaded(local);
    return { local: place.realPath, localKind: await kindOf(place), intoLocal, remote, replace };
  }

  async #findUpload(request: CopyRequest): Promise<UploadSource> {
    const { introspection, env } = await this.#sources.cli();
    const source = await findUpload(
      { walk: (question) => introspection.walk(question), limits: this.#limits() },
      request,
    );
    const home = homeFolder(env);
    const { never = [] } = this.#sources.policy.snapshot().handOver.folders ?? {};
    for (const folder of never) {
      const { realPath } = await resolveLinks(expandHome(folder, home));
      const file = source.tree.entries
        .map(({ name }) => source.placeOf(name))
        .find((one) => containsPath(realPath, one));
      if (file !== undefined) throw neverSent(file);
    }
    return source;
  }

  #limits(): CopyLimits {
    return { maxBytes: this.#sources.settings.maxCopyBytes, maxEntries: MAX_COPY_ENTRIES };
  }

  /** Checks the policy, gets the consent for an upload, and connects. */
  async #prepare(
    call: CopyCall,
    {
      found,
      request,
      source,
      text,
    }: { found: RemoteRun; request: CopyRequest; source: UploadSource | undefined; text: string },
  ): Promise<Transfer<Copied> | NeedsConsent> {
    const { remote, access } = this.#sources;
    const { run, runId, place } = found;
    const { project, server } = place;
    const { replica, job } = call;
    const wanted = { run, runId, project, server, what: 'upload', text, replica, job } as const;
    let level: RecordedUse['level'];
    const assertDownload = (): void =>
      this.#sources.policy.snapshot().assertDownloadAllowed({ name: run.name, project });
    if (source === undefined) assertDownload();
    else {
      const answer = await access.require(wanted, describeUse(call, request, source, { withState: false }));
      if (answer.kind === 'needs-consent') {
        await remote.dropOutdated(found);
        return answer;
      }
    }
    const session = await remote.connect(found);
    const { shell } = session;
    const limits = this.#limits();
    const allowSecrets = async (why: string): Promise<void> => {
      const secret = { ...wanted, what: 'download', text: `${text} (${why})` } as const;
      const answer = await access.require(secret);
      if (answer.kind === 'needs-consent') throw new ConsentMissing(answer.report, why);
      ({ level } = await access.claim(secret));
    };
    const work: Transfer<Copied> = (scope) =>
      source === undefined
        ? download({ ...scope, shell, limits, allowSecrets }, request)
        : upload({ ...scope, shell, limits }, source, request);
    const use: RecordedUse = {
      tool: 'copy',
      operation: call.direction,
      run: run.name,
      project,
      server,
      text,
      get level() {
        return level;
      },
    };
    return async (scope) => {
      if (source === undefined) assertDownload();
      else ({ level } = await access.claim(wanted));
      return access.journal.record(
        use,
        () => remote.use(session, () => work(scope)),
        ({ bytes }) => ({ outcome: 'done', bytes }),
      );
    };
  }
}

/** Ends a download from a place with secrets. */
class ConsentMissing extends Error {
  readonly report: Report<ChangeFacts>;

  constructor({ details = [], ...report }: Report<ChangeFacts>, why: string) {
    super(`It needs consent: ${why}.`);
    this.report = { ...report, details: [`this download needs consent, because ${why}`, ...details] };
  }
}

const startsNothing: Transfer<Copied> = () => Promise.reject(new Error('The transfer had ended.'));

async function readPictures({ pictures }: Copied): Promise<readonly Picture[]> {
  const files = await Promise.all(pictures.map((file) => readRegularFile(file, MAX_PICTURE_BYTES)));
  return files.flatMap((file) => (file.kind === 'read' ? (readPicture(file.bytes) ?? []) : []));
}

const notUploaded = (local: string): ToolError =>
  new ToolError(
    'invalid-file',
    `${local} is in a .git folder, which is never copied. Nothing was copied.`,
    'Copy other files.',
  );

async function kindOf({ realPath, exists }: WorkspacePath & { exists: boolean }): Promise<CopyRequest['localKind']> {
  if (!exists) return 'missing';
  const found = await lstat(realPath);
  if (found.isFile()) return 'file';
  if (found.isDirectory()) return 'folder';
  throw new ToolError(
    'invalid-file',
    `${realPath} is neither a file nor a folder. Nothing was copied.`,
    'Copy a regular file or a folder.',
  );
}

/** @throws ToolError `invalid-value`. A path in the run is data everywhere, but people have to be able to read it. */
function assertRemotePath(remote: string): void {
  const problem =
    cleanText(remote).text !== remote || /[\t\n]/.test(remote)
      ? 'has control or invisible characters'
      : remote.split('/').includes('..')
        ? 'contains `..`'
        : undefined;
  if (problem !== undefined)
    throw new ToolError(
      'invalid-value',
      `\`remote\` ${problem}. Nothing was copied.`,
      'Pass a plain path: absolute, from ~/, or from the working directory of the run.',
    );
}

/** Describes a transfer for the audit log and the person who is asked; with the state of the files where only this upload is approved. */
function describeUse(
  { remote }: CopyCall,
  request: CopyRequest,
  source: UploadSource | undefined,
  { withState } = { withState: true },
): string {
  const replace = request.replace ? ', replacing files' : '';
  if (source === undefined) return `download ${remote} to ${request.local}${replace}`;
  const { entries } = source.tree;
  const files = entries.filter(({ kind }) => kind === 'file');
  const size = `${plural(files.length, 'file')}, ${formatBytes(sumBytes(files))}`;
  const state = withState ? `, state ${stateOf(entries)}` : '';
  return `upload ${request.local} (${size}${state}) to ${remote}${replace}`;
}

const stateOf = (entries: UploadSource['tree']['entries']): string =>
  sha256(JSON.stringify(entries.map(({ name, size, modifiedMs }) => [name, size, modifiedMs]))).slice(0, 12);

const describeState = ({ bytes, ofBytes }: CopyState): string =>
  `Copied ${formatBytes(bytes)} of ${formatBytes(ofBytes)}.`;

/** Passes on a state at most every half second, and the last one. */
function throttle(report: (state: CopyState) => void): (state: CopyState) => void {
  let last = -Infinity;
  return (state) => {
    const now = performance.now();
    if (now - last < PROGRESS_EVERY_MS && state.bytes < state.ofBytes) return;
    last = now;
    report(state);
  };
}
