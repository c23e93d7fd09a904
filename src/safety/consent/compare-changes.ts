import type { Binding, PendingChange } from '../../core/change.ts';
import { formatPrice } from '../../core/format-values.ts';
import { sha256 } from '../../core/values.ts';

/** The price may rise by this factor between the plan and its redemption. */
const PRICE_TOLERANCE = 1.05;

/** Returns the SHA-256 (hex) of everything that the token binds. */
export function digestChange(change: PendingChange): string {
  const { operation, argv, binding } = change;
  return sha256(toCanonicalJson({ operation, argv, binding }));
}

/** Serializes to JSON with sorted keys, so that equal values have equal texts. */
function toCanonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** Describes what differs from the change as it was shown. Returns an empty list if it is still the same change. */
export function describeDifferences(shown: PendingChange, now: PendingChange): string[] {
  const before = shown.binding;
  const after = now.binding;
  return [
    ...differ('the action was', shown.operation, now.operation),
    ...differ('the tool was', before.tool, after.tool),
    ...differ('the resource was', nameResource(before.resource), nameResource(after.resource)),
    ...differ('the project was', before.project, after.project),
    ...differ('the server was', before.server, after.server),
    ...differ('the command was', quote(shown.argv), quote(now.argv)),
    ...differ('the working directory was', before.cwd, after.cwd),
    ...differ('the name to type was', shown.nameToType ?? '', now.nameToType ?? ''),
    ...describeFiles(before.files, after.files),
    ...describePresent(before, after),
    ...describeAffected(before.affected, after.affected),
    ...describePrice('price', before.pricePerHour, after.pricePerHour),
    ...describePrice('highest possible price', before.mostPerHour, after.mostPerHour),
    ...differ('the dstack CLI was version', before.cliVersion, after.cliVersion),
    ...(before.requests === after.requests ? [] : ['dstack would send another request than before']),
  ];
}

const differ = (what: string, before: string, after: string): string[] =>
  before === after ? [] : [`${what} ${before}, now it is ${after}`];

const nameResource = (resource: Binding['resource']): string =>
  resource.name === undefined ? resource.kind : `${resource.kind} ${resource.name}`;

// Quoted as JSON, so that ["a b"] and ["a","b"] differ.
const quote = (argv: readonly string[]): string =>
  argv.map((word) => (/^[\w./:=@-]+$/.test(word) ? word : JSON.stringify(word))).join(' ');

function describeFiles(before: Binding['files'], after: Binding['files']): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].sort().flatMap((path) => {
    const was = before[path] ?? 'absent';
    const is = after[path] ?? 'absent';
    if (was === is) return [];
    if (was === 'absent') return [`the file ${path} has appeared`];
    return [is === 'absent' ? `the file ${path} is gone` : `the file ${path} was edited`];
  });
}

function describePresent(before: Binding, after: Binding): string[] {
  if (before.present === after.present) return [];
  const name = nameResource(after.resource);
  if (before.present === null) return [`a ${name} exists now (${after.present})`];
  if (after.present === null) return [`the ${name} (${before.present}) no longer exists`];
  return [`the ${name} is a different one now (${after.present} instead of ${before.present})`];
}

function describeAffected(before: readonly string[], after: readonly string[]): string[] {
  const more = after.filter((item) => !before.includes(item));
  const less = before.filter((item) => !after.includes(item));
  return [
    ...(more.length > 0 ? [`it would now also affect: ${more.join(', ')}`] : []),
    ...(less.length > 0 ? [`it would no longer affect: ${less.join(', ')}`] : []),
  ];
}

function describePrice(what: string, before: number | null, after: number | null): string[] {
  if (before === after) return [];
  if (before === null) return [`the ${what} was unknown, now it is ${formatPrice(after)}`];
  if (after === null) return [`the ${what} was ${formatPrice(before)}, now it is unknown`];
  // The comparison is this way round so that NaN counts as a difference.
  if (after <= before * PRICE_TOLERANCE && after >= 0) return [];
  return [`the ${what} rose from ${formatPrice(before)} to ${formatPrice(after)}`];
}
