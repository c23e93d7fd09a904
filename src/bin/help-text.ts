import { describeSettings } from '../settings/settings.ts';
import { VERSION } from '../settings/version.ts';

/** The text of `--help`. */
export function showHelp(): string {
  const settings = describeSettings().map(
    ({ option, env, meaning, default: fallback }) =>
      `  ${option.padEnd(14)} ${env.padEnd(24)} ${meaning} [${fallback}]`,
  );
  return `dstack-mcp ${VERSION}: the dstack CLI as MCP tools, over stdio

Usage: dstack-mcp [command] [settings]

Commands:
  (none)     serve MCP over standard input and output; a client starts it
  setup      enter this server in a client's configuration: setup <client> [settings], after it has shown the difference and asked
             (--list, --dry-run, --yes, --undo, --name, --file)
  doctor     check the executable, server, project, ssh, workspace and policy (--json)
  sandbox    start a real dstack server over simulated machines, to try everything without GPUs
  demo       a whole round against the sandbox, shown as it happens

Settings, as an option or as an environment variable [default]:
${settings.join('\n')}

  -h, --help     show this help
  -v, --version  show the version
`;
}
