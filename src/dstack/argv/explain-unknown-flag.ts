import { joinOr } from '../../core/format-values.ts';
import { ToolError } from '../../core/errors.ts';
import type { FlagPlaces } from './catalog.ts';
import { flagOwner } from './command-rules.ts';
import { nearestNames } from './nearest-names.ts';

/** The command that a flag is for, and what is documented about it. */
export interface FlagContext {
  readonly command: string;
  readonly version: string;
  readonly places: FlagPlaces;
}

/** Lists of up to this many flags are shown in full. */
const SHORT_LIST = 12;

/** Returns the error for a flag that isn't documented: what is wrong with it, and which documented flags are similar. */
export function unknownFlag(name: string, where: FlagContext): ToolError {
  const all = [...new Set([...where.places.own.values(), ...where.places.parent.values()])];
  // Doesn't suggest flags that models aren't allowed to use.
  const flags = all.filter((flag) => flagOwner(flag) === 'model');
  const documented = flags.map((flag) => flag.long);
  const shown = JSON.stringify(name.slice(0, 80));
  const list = listOf(documented, where.command);
  const refuse = (problem: string, hint: string): ToolError =>
    new ToolError('unknown-flag', `${problem} Nothing was run.`, `${hint} ${list}`);

  const bare = name.split('=', 1)[0] ?? '';
  if (bare !== name && flags.some((flag) => flag.long === bare || flag.short === bare)) {
    return refuse(
      `${shown} contains the value.`,
      `Pass the flag and its value separately: { "${longOf(bare, flags)}": value }.`,
    );
  }
  const long = longOf(name, flags);
  if (long !== name) return refuse(`${shown} is a short flag; only long flags are supported.`, `Use ${long}.`);
  if (/^-[A-Za-z]/.test(name))
    return refuse(`${shown} isn't a long flag.`, 'Only long flags are supported, one at a time, such as --all.');
  const meant =
    name.startsWith('--') && name.length > 2 ? documented.filter((candidate) => candidate.startsWith(name)) : [];
  if (meant.length > 0)
    return refuse(`${shown} is abbreviated; only full names are supported.`, `Use ${joinOr(meant)}.`);
  const near = nearestNames(name, documented);
  const hint = near.length > 0 ? `Did you mean ${joinOr(near)}?` : 'Omit it.';
  return refuse(`dstack ${where.version} doesn't document ${shown} for \`${where.command}\`.`, hint);
}

const longOf = (name: string, flags: readonly { long: string; short?: string }[]): string =>
  flags.find((flag) => flag.short === name)?.long ?? name;

function listOf(documented: readonly string[], command: string): string {
  if (documented.length === 0) return `\`${command}\` accepts no flags here.`;
  if (documented.length > SHORT_LIST) return `See \`dstack ${command} --help\`.`;
  return `Flags of \`${command}\`: ${documented.join(', ')}.`;
}
