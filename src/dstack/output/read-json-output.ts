import { ToolError } from '../../core/errors.ts';

/**
 * Parses the JSON that a command with `--json` printed, past anything that the CLI prints ahead of it: once a day "A new version
 * of dstack is available" (cli/utils/updates.py), and warnings of its logger, all to standard output.
 * @throws ToolError `cli-not-understood` where there is no JSON.
 */
export function readJsonOutput(stdout: string): unknown {
  const end = stdout.trimEnd().at(-1);
  for (const { 0: start, index } of stdout.matchAll(/^[[{]/gm)) {
    // Only what can be whole is parsed: a flood of brackets would be read to its end from each of them.
    if (end !== (start === '[' ? ']' : '}')) continue;
    try {
      const value: unknown = JSON.parse(stdout.slice(index));
      return value;
    } catch {
      // A line of a warning may start with a bracket as well (`[08:15:00] …`): look further.
    }
  }
  throw new ToolError(
    'cli-not-understood',
    'dstack printed no JSON where it was asked for JSON.',
    'Check with doctor which version of the CLI is installed.',
  );
}
