import { execa } from 'execa';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { installPython } from '../install-packages.ts';
import type { Place } from './place.ts';

/** Tools that need a token or a click, which a program can't supply. */
const NOT_CALLED = ['apply', 'decide'];

/**
 * Calls each tool once with valid arguments through amagi-mcp-probe. It checks for noise on standard output, crashes, hangs and
 * structured content that doesn't match the schema. A refusal counts as a failure.
 */
export async function checkWithProbe({ cacheFolder, serverFile, env, workspace, run, file }: Place): Promise<string> {
  const programs = await installPython(path.join(cacheFolder, 'probe'), ['amagi-mcp-probe==0.1.0']);
  const args = {
    plan: { file },
    attach: { action: 'list' },
    get: { name: run },
    logs: { run },
    metrics: { run },
    config: { action: 'validate', file },
    write_config: { file: 'written.dstack.yml', text: 'type: task\ncommands: [echo written]\n' },
    stop: { run },
    delete: { type: 'fleet', name: 'cloud' },
  };
  const argsFile = path.join(workspace, 'probe-arguments.json');
  await writeFile(argsFile, JSON.stringify(args));
  const options = ['--strict', '--allow-destructive', '--timeout', '120', '--args', argsFile];
  const skipped = NOT_CALLED.flatMap((tool) => ['--skip', tool]);
  const { stdout, failed } = await execa(
    path.join(programs, 'amagi-mcp-probe'),
    [...options, ...skipped, '--', process.execPath, serverFile],
    {
      env: { ...env, DSTACK_MCP_STRUCTURED: 'on' },
      extendEnv: false,
      stdin: 'ignore',
      reject: false,
      timeout: 400_000,
    },
  );
  if (failed) throw new Error(stdout);
  return stdout.trim().split('\n').at(-1) ?? '';
}
