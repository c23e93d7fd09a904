/** Wide enough that no table of dstack's is cut; tables are as wide as their content, so nothing is padded to it. */
const COLUMNS = '1000';

/** What changes how dstack prints, or makes it print for a shell's completion, and so isn't handed on. */
const LEFT_OUT =
  /^(?:COLUMNS|LINES|FORCE_COLOR|CLICOLOR\w*|COLORTERM|TTY_\w+|_ARGCOMPLETE\w*|COMP_LINE|COMP_POINT|PYTHONIOENCODING|NODE_\w+|DSTACK_MCP_\w+)$/i;

/** The environment in which dstack is run: the given one, with plain, wide, UTF-8 output. */
export function cliEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(env))
    if (value !== undefined && !LEFT_OUT.test(name)) result[name] = value;
  return { ...result, COLUMNS, NO_COLOR: '1', TERM: 'dumb', PYTHONIOENCODING: 'utf-8', PYTHONUTF8: '1' };
}
