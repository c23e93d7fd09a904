import { ToolError } from '../../core/errors.ts';
import type { FlagPlaces } from './catalog-types.ts';
import { flagOwner } from './command-rules.ts';
import { nearestNames } from './nearest-names.ts';

interface FlagContext {
  readonly command: string;
  readonly version: string;
  readonly places: FlagPlaces;
}

/** Lists of up to this many flags are shown whole. */
const SHORT_LIST = 12;

/** The error for a flag that isn't documented in this spelling: what is wrong with it, and which documented ones are near. */
export function unknownFlag(name: string, where: FlagContext): ToolError {
  const all = [...new Set([...where.places.own.values(), ...where.places.parent.values()])];
  // A model isn't told of flags that it would be refused next.
  const flags = all.filter((flag) => flagOwner(flag) === 'model');
  const documented = flags.map((flag) => flag.long);
  const shown = JSON.stringify(name.slice(0, 80));
  const list = listOf(documented, where.command);
  const refuse = (problem: string, hint: string): ToolError =>
    new ToolError('unknown-flag', `${problem} Nothing was run.`, `${hint} ${list}`);

  const bare = name.split('=', 1)[0] ?? '';
  if (bare !== name && flags.some((flag) => flag.long === bare || flag.short === bare)) {
    return refuse(
      `${shown} holds the value in the flag.`,
      `Give the flag and its value apart: { "${longOf(bare, flags)}": value }.`,
    );
  }
  const long = longOf(name, flags);
  if (long !== name) return refuse(`${shown} is the short form of a flag; only long ones are taken.`, `Write ${long}.`);
  if (/^-[A-Za-z]/.test(name))
    return refuse(`${shown} is no long flag.`, 'Only long flags are taken, one by one, as in --all.');
  const meant =
    name.startsWith('--') && name.length > 2 ? documented.filter((candidate) => candidate.startsWith(name)) : [];
  if (meant.length > 0)
    return refuse(`${shown} is an abbreviation; only full names are taken.`, `Write ${meant.join(' or ')}.`);
  const near = nearestNames(name, documented);
  const hint = near.length > 0 ? `Did you mean ${near.join(' or ')}?` : 'Leave it out.';
  return refuse(`dstack ${where.version} doesn't document ${shown} for \`${where.command}\`.`, hint);
}

const longOf = (name: string, flags: readonly { long: string; short?: string }[]): string =>
  flags.find((flag) => flag.short === name)?.long ?? name;

function listOf(documented: readonly string[], command: string): string {
  if (documented.length === 0) return `\`${command}\` takes no flags here.`;
  if (documented.length > SHORT_LIST) return `See \`dstack ${command} --help\`.`;
  return `Flags of \`${command}\`: ${documented.join(', ')}.`;
}
