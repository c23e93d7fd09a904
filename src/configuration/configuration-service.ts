import path from 'node:path';
import type { Cli } from '../dstack/dstack-cli.ts';
import type { Transcript } from '../core/transcript.ts';
import { decodeText } from './parse-text.ts';
import type { AuditSink } from '../safety/audit/audit-log.ts';
import type { Workspace } from '../safety/files/workspace.ts';
import { checkConfiguration } from './check-configuration.ts';
import type { Checked, CheckRequest } from './check-configuration.ts';
import { findConfigurations } from './find-configurations.ts';
import type { FoundConfiguration } from './find-configurations.ts';
import { describe, needIndex, shownAs, formatSchema } from './reference.ts';
import { startConfiguration } from './start-configuration.ts';
import type { Started } from './start-configuration.ts';
import { writeConfiguration } from './write-configuration.ts';
import type { WriteRequest, Written } from './write-configuration.ts';
import type { EnvFiles } from './env-files.ts';

/** A file as it was read. */
export interface ReadFile {
  readonly text: string;
  /** What a later write has to name. */
  readonly hash: string;
  /** The folder that it lies in. */
  readonly folder: string;
}

/** Judging, describing, finding, starting and writing configurations. */
export interface ConfigurationService {
  /** The verdict of dstack's own parser on a text, with every problem in its place. */
  check(request: CheckRequest): Promise<Checked>;
  /** Reads a configuration, or the profiles, of the workspace. */
  read(file: string): Promise<ReadFile>;
  /** The types where none is named. @throws ToolError `invalid-input` with the nearest names. */
  describe(property: string | undefined): Promise<Transcript>;
  /** The JSON schema of a type. @throws ToolError `invalid-input` with the nearest names. */
  schema(type: string): Promise<Transcript>;
  /** The types that the installed dstack knows. */
  types(): Promise<readonly string[]>;
  /** A first file of a type, from a few words of need. */
  start(type: string, need: string): Promise<Started>;
  find(): Promise<readonly FoundConfiguration[]>;
  /** A text, shown like the output of a command. */
  show(command: string, text: string): Transcript;
  /** Writes a configuration, if dstack's parser finds it valid. */
  write(request: WriteRequest): Promise<Written>;
}

/** What it goes by: the workspace, and dstack's interpreter. */
export interface ConfigSources {
  readonly workspace: Workspace;
  readonly envFiles: EnvFiles;
  readonly audit: AuditSink;
  cli(): Promise<Pick<Cli, 'introspection' | 'env'>>;
}

/** Creates the power of one call. */
export function createConfigurationService(sources: ConfigSources): ConfigurationService {
  const { workspace, audit } = sources;
  const check: ConfigurationService['check'] = (request) => checkConfiguration(sources, request);
  const index = async () => needIndex((await sources.cli()).introspection);
  return {
    check,
    async read(file) {
      const found = await (isProfiles(file) ? workspace.readProfile(file) : workspace.readConfiguration(file));
      return { text: decodeText(found.bytes, file), hash: found.sha256, folder: path.dirname(found.realPath) };
    },
    describe: async (property) => describe(await index(), property),
    schema: async (type) => formatSchema(await index(), type),
    types: async () => [...(await index()).types, 'profiles'],
    start: async (type, need) => startConfiguration({ index: await index(), check }, type, need),
    find: () => findConfigurations(workspace),
    show: shownAs,
    write: (request) => writeConfiguration({ workspace, audit, check }, request),
  };
}

const isProfiles = (file: string): boolean => /(?:^|[\\/])\.dstack[\\/]profiles\.ya?ml$/.test(file);
