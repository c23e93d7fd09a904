import { parseArgs } from 'node:util';
import { ToolError } from '../core/errors.ts';

/** The options of a command line, by their long names without dashes. */
export type Options = Readonly<Record<string, { readonly type: 'string' | 'boolean'; readonly short?: string }>>;

/** Reads a command line. @throws ToolError `invalid-input` that names the options that there are. */
export function parseOptions(
  argv: readonly string[],
  options: Options,
): { values: Record<string, string | boolean | undefined>; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
    return { values, positionals };
  } catch (error) {
    const [problem = ''] = (error instanceof Error ? error.message : String(error)).split('. ');
    const names = Object.keys(options).map((name) => `--${name}`);
    throw new ToolError('invalid-input', `${problem}.`, `Options: ${names.join(', ')}. See dstack-mcp --help.`, {
      cause: error,
    });
  }
}
