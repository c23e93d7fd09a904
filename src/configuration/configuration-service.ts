import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { ToolError } from '../core/errors.ts';
import { isRecord } from '../core/values.ts';
import { CommandFailed } from '../core/report.ts';
import { isBelow } from '../core/paths.ts';
import { ownText } from '../core/transcript.ts';
import type { Transcript } from '../core/transcript.ts';
import type { Cli } from '../dstack/dstack-cli.ts';
import type { AuditSink } from '../safety/audit/audit-log.ts';
import { MASK } from '../render/mask-secrets.ts';
import { cleanLine, cleanText } from '../render/untrusted.ts';
import type { Workspace } from '../safety/files/workspace.ts';
import { checkConfiguration } from './check-configuration.ts';
import type { CheckRequest, CheckResult } from './check-configuration.ts';
import type { EnvFiles } from './env-files.ts';
import { maskConfiguration } from './mask-configuration.ts';
import { decodeText, parseText } from './configuration-text.ts';
import { describe, formatSchema, typesOf } from './reference.ts';
import { requireIndex } from './schema-index.ts';
import type { SchemaIndex } from './schema-index.ts';
import { STARTER_FILES } from './examples.ts';
import { deleteCreated, writeConfiguration } from './write-configuration.ts';
import type { CreatedFiles, WriteRequest, WriteResult } from './write-configuration.ts';

/** The content of a configuration file. */
export interface ReadFile {
  readonly text: string;
  /** The `expectedHash` for a later write. */
  readonly hash: string;
  /** The folder of the file. */
  readonly folder: string;
}

/** A starter file, with the result of checking it. */
export interface StarterFile {
  readonly text: string;
  readonly checked: CheckResult;
}

/** A configuration in the workspace. */
export interface FoundConfiguration {
  /** Relative to the workspace's first folder if the file is in it, else absolute. */
  readonly path: string;
  readonly type: string;
  readonly name: string;
}

/** Dependencies of the service: the workspace, env files, the audit log, and dstack's interpreter. */
export interface ConfigurationSources {
  readonly workspace: Workspace;
  readonly envFiles: EnvFiles;
  readonly audit: AuditSink;
  readonly createdFiles: CreatedFiles;
  cli(): Promise<Pick<Cli, 'introspection' | 'env' | 'isPython'>>;
}

const MAX_FILES = 200;
const MAX_DEPTH = 6;
const MAX_FOLDERS = 500;

/** Checks, describes, finds, starts, reads and writes configurations. */
export class ConfigurationService {
  readonly #sources: ConfigurationSources;

  constructor(sources: ConfigurationSources) {
    this.#sources = sources;
  }

  /** Validates a text with dstack's own parser, and locates every problem. */
  check(request: CheckRequest): Promise<CheckResult> {
    return checkConfiguration(this.#sources, request);
  }

  /** Reads a configuration, or the profiles, of the workspace. */
  async read(file: string): Promise<ReadFile> {
    const { workspace } = this.#sources;
    const isProfiles = /(?:^|[\\/])\.dstack[\\/]profiles\.ya?ml$/.test(file);
    const found = await (isProfiles ? workspace.readProfile(file) : workspace.readConfiguration(file));
    return { text: decodeText(found.bytes, file), hash: found.sha256, folder: path.dirname(found.realPath) };
  }

  /** Reads the same for showing: without literal secrets, whose places are listed. */
  async readMasked(file: string): Promise<ReadFile & { readonly note: string }> {
    const found = await this.read(file);
    const { text, places, secrets } = maskConfiguration(found.text);
    this.#sources.envFiles.learn(secrets);
    const note =
      places.length === 0
        ? ''
        : `Masked here, not in the file: ${places.join(', ')}. A text with ${MASK} can't be written: change other properties with \`edits\` of write_config.`;
    return { ...found, text, note };
  }

  /** Describes a type or property, or lists the types. @throws ToolError `invalid-input` with the nearest names. */
  async describe(property: string | undefined): Promise<Transcript> {
    return describe(await this.#index(), property);
  }

  /** Returns the JSON schema of a type. @throws ToolError `invalid-input` with the nearest names. */
  async schema(type: string): Promise<Transcript> {
    return formatSchema(await this.#index(), type);
  }

  /** Returns the types that the installed dstack knows. */
  async types(): Promise<readonly string[]> {
    return typesOf(await this.#index());
  }

  /** Returns the starter file of a type. @throws ToolError `invalid-input` with the types that have one. */
  async start(type: string): Promise<StarterFile> {
    const types = (await this.types()).filter((one) => Object.hasOwn(STARTER_FILES, one));
    const text = types.includes(type) ? STARTER_FILES[type] : undefined;
    if (text === undefined)
      throw new ToolError(
        'invalid-input',
        `There is no starter file for ${JSON.stringify(type)}.`,
        `Set \`property\` to one of: ${types.join(', ')}.`,
      );
    return { text, checked: await this.check({ text, shownPath: `${type}.dstack.yml` }) };
  }

  /** Finds the workspace's configurations. */
  async find(): Promise<readonly FoundConfiguration[]> {
    const { workspace } = this.#sources;
    const all = (await Promise.all(workspace.folders.map(listFiles))).flat();
    // Files with hidden characters in their path can't be read either.
    const files = all.filter((file) => cleanText(file).text === file && !file.includes('\n')).slice(0, MAX_FILES);
    return Promise.all(
      files.map(async (file) => {
        const value = await workspace.readConfiguration(file).then(
          ({ bytes }) => parseText(decodeText(bytes, file), file).value,
          () => undefined,
        );
        const { type, name } = isRecord(value) ? value : {};
        return {
          path: shorten(file, workspace.folders[0]),
          type: typeof type === 'string' ? cleanLine(type, 200) : 'unreadable',
          name: typeof name === 'string' ? cleanLine(name, 200) : '',
        };
      }),
    );
  }

  /**
   * Writes a configuration if dstack's parser finds it valid.
   * @throws CommandFailed with what the file contains now, if it isn't what the caller has read
   */
  async write(request: WriteRequest): Promise<WriteResult> {
    const { workspace, audit, createdFiles } = this.#sources;
    const sources = { workspace, audit, createdFiles, check: this.check.bind(this), reader: () => this.#sources.cli() };
    try {
      return await writeConfiguration(sources, request);
    } catch (error) {
      throw await this.#withContent(request.file, error);
    }
  }

  /** Returns the refusal of a file that has changed with what it contains now, so that it needn't be read by another call. */
  async #withContent(file: string, error: unknown): Promise<unknown> {
    if (!(error instanceof ToolError) || (error.code !== 'file-exists' && error.code !== 'plan-changed')) return error;
    const found = await this.readMasked(file).catch(() => undefined);
    if (found === undefined) return error;
    const { text, hash, note } = found;
    return new CommandFailed({
      outcome: 'refused',
      summary: [error.message, 'This is what it contains now.', note].filter(Boolean).join(' '),
      printed: [{ transcript: ownText(text), rest: 'read it with config' }],
      facts: { code: error.code, hash },
      next: 'If the change still fits, write it again with this `hash` as `expected_hash`.',
    });
  }

  /** Deletes a file that this server has created, if it is unchanged. */
  deleteCreated(request: Pick<WriteRequest, 'file' | 'expectedHash'>): Promise<Pick<WriteResult, 'unrecorded'>> {
    return deleteCreated(this.#sources, request);
  }

  async #index(): Promise<SchemaIndex> {
    return requireIndex((await this.#sources.cli()).introspection);
  }
}

/** Relative paths are resolved from the first folder everywhere. */
function shorten(file: string, folder: string | undefined): string {
  return folder !== undefined && isBelow(folder, file) ? path.relative(folder, file).replaceAll(path.sep, '/') : file;
}

/** Lists configuration files breadth first. Skips folders of third-party code, and links. */
async function listFiles(root: string): Promise<string[]> {
  const found: string[] = [];
  let folders = [root];
  for (let depth = 0; depth < MAX_DEPTH && folders.length > 0 && found.length < MAX_FILES; depth++) {
    const next: string[] = [];
    for (const folder of folders.slice(0, MAX_FOLDERS)) {
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
      for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
        const place = path.join(folder, entry.name);
        if (entry.isDirectory() && !/^\.|^(?:node_modules|venv|__pycache__|dist)$/.test(entry.name)) next.push(place);
        if (entry.isFile() && /\.dstack\.ya?ml$/.test(entry.name)) found.push(place);
      }
    }
    folders = next;
  }
  return found;
}
