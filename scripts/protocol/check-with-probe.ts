import { execa } from 'execa';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { installPython } from '../install-packages.ts';
import type { Place } from './place.ts';

/** What needs a token or a click can't be called by a program that makes its arguments up. */
const NOT_CALLED = ['apply', 'decide'];

/**
 * Has amagi-mcp-probe call each tool once, with arguments that mean something here: no noise on standard output, no crash, no hang, and
 * structured content that is what the schema says. A refusal counts as a failure.
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
    delete: { kind: 'fleet', name: 'cloud' },
  };
  const argsFile = path.join(workspace, 'probe-arguments.json');
  await writeFile(argsFile, JSON.stringify(args));
  const options = ['--strict', '--allow-destructive', '--timeout', '120', '--args', argsFile];
  const skipped = NOT_CALLED.flatMap((tool) => ['--skip', tool]);
  const { stdout, failed } = await execa(
    path.join(programs, 'amagi-mcp-probe'),
    [...options, ...skipped, '--', process.execPath, serverFile],
    { env, extendEnv: false, stdin: 'ignore', reject: false, timeout: 400_000 },
  );
  if (failed) throw new Error(stdout);
  return stdout.trim().split('\n').at(-1) ?? '';
}
