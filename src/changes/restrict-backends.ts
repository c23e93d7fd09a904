import type { FlagValue } from '../dstack/argv/command.ts';
import { ToolError } from '../core/errors.ts';

/** A kind of place that the operator may limit, and where a plan's own choice of it stands. */
const PLACES = [
  { flag: '--backend', property: 'backends' },
  { flag: '--region', property: 'regions' },
] as const;

/** Patterns can't be handed on; what they forbid is found in the plan's offers. */
const isPattern = (name: string): boolean => name.includes('*');

/**
 * The backends and regions that dstack is told to keep to: the operator's, narrowed by those of the call or else of the file. Given
 * on the command line they override the file.
 * @throws ToolError `policy` where nothing that was asked for is allowed.
 */
export function restrictBackends(
  allowed: { readonly backends: readonly string[] | undefined; readonly regions: readonly string[] | undefined },
  configuration: Readonly<Record<string, unknown>>,
  extraFlags: Readonly<Record<string, unknown>>,
): { flags: Readonly<Record<string, FlagValue>>; extraFlags: Readonly<Record<string, unknown>> } {
  const flags: Record<string, FlagValue> = {};
  const left = { ...extraFlags };
  for (const { flag, property } of PLACES) {
    const names = allowed[property];
    if (names === undefined || names.some(isPattern)) continue;
    const asked = toNames(extraFlags[flag] ?? configuration[property]);
    const chosen = asked === undefined ? names : names.filter((name) => asked.includes(name));
    if (chosen.length === 0) {
      throw new ToolError(
        'policy',
        `None of the ${property} asked for (${asked?.join(', ') ?? ''}) is allowed here. Nothing was planned.`,
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
