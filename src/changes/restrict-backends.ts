import type { FlagValue } from '../dstack/argv/command.ts';
import { ToolError } from '../core/errors.ts';

/** The kinds of locations that the operator may limit, with the flag and the property that choose them. */
const LOCATIONS = [
  { flag: '--backend', property: 'backends' },
  { flag: '--region', property: 'regions' },
] as const;

/** dstack takes no patterns; what they forbid is found in the plan's offers. */
const isPattern = (name: string): boolean => name.includes('*');

/**
 * Returns the backends and regions that dstack is restricted to: the operator's, narrowed by those of the call or else of the file.
 * On the command line they override the file.
 * @throws ToolError `policy` if nothing that was requested is allowed.
 */
export function restrictBackends(
  allowed: { readonly backends: readonly string[] | undefined; readonly regions: readonly string[] | undefined },
  configuration: Readonly<Record<string, unknown>>,
  extraFlags: Readonly<Record<string, unknown>>,
): { flags: Readonly<Record<string, FlagValue>>; extraFlags: Readonly<Record<string, unknown>> } {
  const flags: Record<string, FlagValue> = {};
  const left = { ...extraFlags };
  for (const { flag, property } of LOCATIONS) {
    const names = allowed[property];
    if (names === undefined || names.some(isPattern)) continue;
    const requested = toNames(extraFlags[flag] ?? configuration[property]);
    const chosen = requested === undefined ? names : names.filter((name) => requested.includes(name));
    if (chosen.length === 0) {
      throw new ToolError(
        'policy',
        `None of the requested ${property} (${requested?.join(', ') ?? ''}) is allowed here. Nothing was planned.`,
        `Allowed: ${names.join(', ')}.`,
      );
    }
    flags[flag] = chosen;
    delete left[flag];
  }
  return { flags, extraFlags: left };
}

function toNames(value: unknown): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  return (Array.isArray(value) ? value : [value]).map(String);
}
