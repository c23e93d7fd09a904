import { joinOr } from '../core/format-values.ts';
import path from 'node:path';
import { ToolError } from '../core/errors.ts';
import { isRecord } from '../core/values.ts';
import { nearestNames } from '../dstack/argv/nearest-names.ts';
import type { AnyTool } from './tool.ts';

/** Look-ups for a better explanation. */
export interface ErrorSources {
  /** Returns the paths of the workspace's configurations. */
  readonly findFiles: () => Promise<readonly string[]>;
}

/** Adds the next step that only the tool knows: the file that was meant, or its argument for a flag. */
export async function explainError(
  failure: unknown,
  { tool, raw }: { readonly tool: Pick<AnyTool, 'name' | 'input'>; readonly raw: unknown },
  { findFiles }: ErrorSources,
): Promise<unknown> {
  if (!(failure instanceof ToolError)) return failure;
  const { code, hint } = failure;
  if (code === 'unknown-flag') return withHint(failure, [hint, nameArguments(tool, hint)]);
  const file = isRecord(raw) ? raw['file'] : undefined;
  if ((code !== 'file-not-found' && code !== 'not-a-configuration') || typeof file !== 'string') return failure;
  const near = nearestFiles(file, await findFiles().catch(() => []));
  return withHint(failure, [near.length === 0 ? '' : `Did you mean ${joinOr(near)}?`, hint]);
}

function withHint(error: ToolError, parts: readonly string[]): ToolError {
  const { code, message, untrusted } = error;
  return new ToolError(code, message, parts.filter(Boolean).join(' '), { cause: error, untrusted });
}

/** Returns the configurations whose names without folders and endings are the same as that of a file, or nearly so. */
function nearestFiles(file: string, files: readonly string[]): readonly string[] {
  const wanted = stemOf(file);
  const same = files.filter((one) => stemOf(one) === wanted);
  if (same.length > 0) return same.slice(0, 2);
  const near = nearestNames(wanted, [...new Set(files.map(stemOf))]).slice(0, 2);
  return near.flatMap((stem) => files.find((one) => stemOf(one) === stem) ?? []);
}

const stemOf = (file: string): string => path.posix.basename(file).replace(/(?:\.dstack)?(?:\.ya?ml)?$/i, '');

/** The arguments that have another name than their flag. */
const RENAMED: ReadonlyMap<string, string> = new Map([['--spot-policy', 'spot']]);

/** Names the arguments of a tool for the flags that an error suggests. */
function nameArguments({ name, input }: Pick<AnyTool, 'name' | 'input'>, hint: string): string {
  const [suggestion = ''] = hint.split(/(?<=[?.]) /);
  const named = [...suggestion.matchAll(/--[a-z-]+/g)].flatMap(([flag]) => {
    const argument = RENAMED.get(flag) ?? flag.slice(2).replaceAll('-', '_');
    return Object.hasOwn(input.shape, argument) ? [`\`${argument}\` for ${flag}`] : [];
  });
  return named.length === 0 ? '' : `${name} has its own argument: ${named.join(', ')}.`;
}
