import type { CommandRequest } from '../dstack/argv/command.ts';
import type { DocumentedFlag } from '../dstack/argv/catalog-types.ts';
import type { ConfigurationHead } from '../configuration/read-configuration.ts';
import type { App } from '../app.ts';
import { ToolError } from '../core/errors.ts';
import type { ConfigurationFile } from '../safety/files/workspace.ts';
import { maxPriceFlag } from './enforce-price-caps.ts';
import { restrictBackends } from './restrict-backends.ts';
import type { ApplyRequest } from '../core/change.ts';

/** The command that plans; the one that applies differs by `--yes --detach` alone. */
export async function applyCommand(
  engine: App,
  request: ApplyRequest,
  { file, head }: { file: ConfigurationFile; head: ConfigurationHead },
): Promise<{ command: CommandRequest; flags: readonly string[] }> {
  const priced = maxPriceFlag(engine.policy.caps(), head, request.extraFlags ?? {});
  const documented = await flagsOfType(engine, file, head);
  const placed = documented.has('--backend')
    ? restrictBackends(engine.policy.limits(), head.value, priced.extraFlags)
    : { flags: {}, extraFlags: priced.extraFlags };
  const limits = { '--max-price': documented.has('--max-price') ? priced.priceFlag : undefined, ...placed.flags };
  return {
    command: {
      command: 'apply',
      configurationType: head.type,
      flags: { '--file': file.relativePath, '--project': request.project, ...limits },
      extraFlags: placed.extraFlags,
    },
    flags: describeFlags({ ...placed.extraFlags, ...limits }, documented),
  };
}

/** Each flag as a person reads it: its name, its values, and what dstack says that it does. */
function describeFlags(
  given: Readonly<Record<string, unknown>>,
  documented: ReadonlyMap<string, DocumentedFlag>,
): string[] {
  return Object.entries(given)
    .filter(([, value]) => value !== undefined && value !== false)
    .map(([name, value]) => {
      const values = value === true ? '' : ` ${(Array.isArray(value) ? value : [value]).map(String).join(', ')}`;
      const help = documented.get(name)?.help ?? '';
      return `${name}${values}${help === '' ? '' : ` (${help})`}`;
    });
}

/** The flags of a configuration's type; a type that dstack doesn't know is a mistake in the file. */
async function flagsOfType(
  engine: App,
  file: ConfigurationFile,
  head: ConfigurationHead,
): Promise<ReadonlyMap<string, DocumentedFlag>> {
  const { catalog } = await engine.cli();
  try {
    return (await catalog.flagsOf('apply', head.type)).own;
  } catch (error) {
    if (!(error instanceof ToolError) || error.code !== 'unknown-command') throw error;
    throw new ToolError(
      'invalid-file',
      `${file.relativePath} has the type ${JSON.stringify(head.type.slice(0, 80))}, which dstack ${catalog.version} doesn't document. Nothing was run.`,
      'The types are task, service, dev-environment, fleet, volume and gateway; what is newer than the installed dstack needs an upgrade.',
      { cause: error },
    );
  }
}
