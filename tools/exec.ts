import * as z from 'zod';
import { previewFacts } from '../src/changes/change-facts.ts';
import { jobChoice, project, resourceName } from '../src/core/fields.ts';
import { joinWords, readDurationHours } from '../src/core/values.ts';
import { refuse } from '../src/core/report.ts';
import { execFacts } from '../src/remote/report-exec.ts';
import { defineTool } from '../src/tool/tool.ts';
import type { ToolContext } from '../src/tool/tool-context.ts';

/** Quoted and with its program, it has to fit into one argument. */
const MAX_COMMAND_BYTES = 80_000;
const MAX_STDIN_BYTES = 2_000_000;

const TIMEOUT = 'a duration, for example "30s"';

const input = z.strictObject({
  run: resourceName,
  command: z.string().min(1).max(MAX_COMMAND_BYTES).optional(),
  stdin: z.string().max(MAX_STDIN_BYTES).optional(),
  cwd: z.string().max(4_000).optional(),
  timeout: z
    .string(TIMEOUT)
    .regex(/^\d{1,6}[smhd]$/, TIMEOUT)
    .optional()
    .describe('30s'),
  background: z.boolean().optional(),
  action: z.enum(['run', 'output', 'stop', 'list', 'revoke']).optional(),
  id: z
    .string()
    .regex(/^[0-9a-f]{8}$/, 'the id of a background command')
    .optional(),
  cursor: z
    .string()
    .regex(/^\d{1,15}\.\d{1,15}$/, '`newer` of another page')
    .optional(),
  ...jobChoice,
  project,
});
type Input = z.output<typeof input>;

export const exec = defineTool({
  name: 'exec',
  title: 'Run a command in a run',
  description:
    'Run a shell command in a running dev environment, task or service. Long ones: background, then action "output" or "stop" by id. The first one in a run asks for consent, and apply then runs it; "revoke" ends that.',
  effect: 'change',
  card: 'use',
  input,
  // The first command in a run returns the preview of a consent.
  facts: z.object({ ...previewFacts.shape, ...execFacts.shape }),
  async run(request, { exec: service }) {
    switch (request.action) {
      case undefined:
      case 'run':
        return service.run(commandOf(request));
      case 'output':
        return service.output({ ...request, id: idOf(request) });
      case 'stop':
        return service.stop({ ...request, id: idOf(request) });
      case 'list':
        return service.list(request);
      case 'revoke':
        return service.revoke(request);
      default:
        return request.action satisfies never;
    }
  },
});

function idOf({ id, action }: Input): string {
  return id ?? refuse(`Set \`id\` for action "${action}".`, 'Action "list" lists the background commands of a run.');
}

/** Checks what the schema alone can't reject. */
function commandOf({ command, background, timeout, ...request }: Input): Parameters<ToolContext['exec']['run']>[0] {
  if (command === undefined)
    refuse('exec needs `command` or `action`.', 'The actions are output, stop, list and revoke.');
  if (request.id !== undefined || request.cursor !== undefined)
    refuse('A new command has no `id` and no `cursor`.', 'Pass them with action "output" or "stop".');
  if (background === true && timeout !== undefined)
    refuse('A background command has no `timeout`.', 'End it with action "stop".');
  if (Buffer.byteLength(joinWords([command, request.cwd ?? ''])) > MAX_COMMAND_BYTES)
    refuse('The command is too long.', 'Pass it as `stdin` of the command `bash`.');
  if (Buffer.byteLength(request.stdin ?? '') > MAX_STDIN_BYTES)
    refuse('`stdin` is too long.', 'Upload a file with copy.');
  // A shell would take it for the end of its text.
  if ([command, request.cwd ?? ''].some((text) => text.includes('\0')))
    refuse("A command can't contain a NUL.", 'Write it as \\0.');
  const hours = readDurationHours(timeout);
  const timeoutMs = hours === undefined ? undefined : hours * 3_600_000;
  return { ...request, command, timeoutMs, isBackground: background };
}
