import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { PendingChange } from '../core/change.ts';
import { ToolError } from '../core/errors.ts';

/** Arguments of a preview that a call repeats next to its token. */
export interface RepeatedArguments {
  readonly file?: string | undefined;
  readonly run?: readonly string[] | undefined;
  readonly type?: string | undefined;
  readonly name?: string | undefined;
  readonly instance?: number | undefined;
  readonly abort?: boolean | undefined;
  readonly project?: string | undefined;
  readonly flags?: Readonly<Record<string, unknown>> | undefined;
}

/** Compares repeated arguments with the change that the token stands for. @throws ToolError `invalid-input` that names the differences */
export function assertSameArguments(change: PendingChange, given: RepeatedArguments): void {
  const { flags = {}, ...others } = given;
  const shown = shownArguments(change);
  const differences = [
    ...Object.entries(others).filter(([name, value]) => value !== undefined && !isSame(change, shown, [name, value])),
    ...Object.entries(flags).filter(([name, value]) => value !== undefined && !isSame(change, shown, [name, value])),
  ].map(([name, value]) => `${name} is ${say(shown[name])} there and ${say(value)} here`);
  if (differences.length === 0) return;
  throw new ToolError(
    'invalid-input',
    `The token stands for another change than these arguments: ${differences.join('; ')}. Nothing was changed.`,
    `If the user wants what these arguments say, call ${PREVIEWS[change.binding.tool]} with them: it returns another token.`,
  );
}

/** The tools that preview a change. */
const PREVIEWS = { apply: 'plan', stop: 'stop', delete: 'delete', access: 'exec or copy' } as const satisfies Record<
  PendingChange['binding']['tool'],
  string
>;

type Shown = Readonly<Record<string, unknown>>;

/** Returns the arguments that the change was previewed with, and what they led to. */
function shownArguments({ request, binding }: PendingChange): Shown {
  const { kind: type, name } = binding.resource;
  const common = { type, name, project: binding.project };
  if (request.tool === 'apply') return { ...common, file: request.file, ...request.extraFlags };
  if (request.tool === 'access') return { ...common, run: [request.run] };
  if (request.tool === 'stop')
    return 'runs' in request
      ? { ...common, run: request.runs, abort: false }
      : { ...common, run: [request.run], abort: request.abort };
  return { ...common, ...('file' in request ? { file: request.file } : { instance: request.instance }) };
}

function isSame({ binding }: PendingChange, shown: Shown, [name, value]: readonly [string, unknown]): boolean {
  const before = shown[name];
  if (name === 'file' && typeof value === 'string' && typeof before === 'string')
    return path.normalize(value) === path.normalize(before) || Object.hasOwn(binding.files, value);
  if (name === 'run' && Array.isArray(value) && Array.isArray(before))
    return isDeepStrictEqual(new Set(value), new Set(before));
  return isDeepStrictEqual(value, before);
}

const say = (value: unknown): string => (value === undefined ? 'not set' : JSON.stringify(value));
