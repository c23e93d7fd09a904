import { chmod, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as z from 'zod';
import { findExecutable } from '../../../src/dstack/locate/find-executable.ts';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { installedPython } from '../../support/installed-dstack.ts';
import { runPython } from '../../support/run-python.ts';
import { makeFakeDstack } from '../../support/warm-fixtures.ts';
import type { FakeDstack } from '../../support/warm-fixtures.ts';
import { checked, makeWarmRunner } from '../../support/warm-test-runner.ts';

const LONG = 60_000;
let fake: FakeDstack;
let runner: WarmRunner | undefined;

beforeEach(async () => {
  fake = await makeFakeDstack();
});
afterEach(async () => {
  await runner?.close();
  await fake.remove();
});

test('a shell wrapper gets a warm process, with the variables that it sets', async () => {
  const wrapper = path.join(fake.folder, 'wrapper');
  const { path: script } = fake.executable;
  await writeFile(
    wrapper,
    `#!/bin/sh\nexport FAKE_WORD='set by the wrapper'\nexec ${installedPython} ${script} "$@"\n`,
  );
  await chmod(wrapper, 0o755);
  const executable = await findExecutable({ configured: wrapper, env: {}, homeDir: fake.folder });
  const env = { PATH: process.env['PATH'], HOME: fake.folder, ...executable.wrapper?.env };
  runner = makeWarmRunner({ executable, env });
  const ps = await checked({ command: 'ps' }, 'read');
  const result = await runner.read(ps, { timeoutMs: LONG, cwd: '/usr', env: fake.env('show_place') });
  expect(result).toMatchObject({ ran: 'warm', exit: { kind: 'exited', code: 0 } });
  expect(result.stdout).toMatch(/^\/usr set by the wrapper /);
});

test.each(['on', 'spare', 'off'] as const)('a launcher of Windows runs with DSTACK_MCP_WARM=%s', async (mode) => {
  const launcher = path.join(fake.folder, 'dstack.exe');
  await runPython(`
import io, zipfile
content = io.BytesIO()
with zipfile.ZipFile(content, "w") as archive:
    archive.writestr("__main__.py", "from fake_cli import main\\nmain()\\n")
    archive.writestr("fake_cli.py", open(${JSON.stringify(path.join(fake.folder, 'fake_cli.py'))}).read())
open(${JSON.stringify(launcher)}, "wb").write(b"MZ program #!C:\\\\python.exe\\n" + content.getvalue())
print("null")`);
  expect((await readFile(launcher)).subarray(0, 2).toString()).toBe('MZ');
  const executable = { path: launcher, interpreter: installedPython, tried: [] };
  runner = makeWarmRunner({ executable, env: { PATH: process.env['PATH'], HOME: '/' }, mode });
  const ps = await checked({ command: 'ps' }, 'read');
  // The gate needs the launcher of plain processes.
  const wire = { server: null, project: null, handOver: false, asks: false };
  const result = await runner.read(ps, { timeoutMs: LONG, env: fake.env(), wire });
  expect(result).toMatchObject({ stdout: 'the answer to ps\n', ran: mode === 'off' ? 'plain' : 'warm' });
});

test('on Windows, the program that ends a tree of processes is not looked up in the working directory', async () => {
  const [program] = z.array(z.string()).parse(
    await runPython(`
import os, subprocess, end_tree
called = []
sys.platform, subprocess.call, os._exit = "win32", called.extend, lambda code: None
end_tree.end_tree(1)
print(json.dumps(called))`),
  );
  expect(program).toMatch(/^C:\\Windows.System32.taskkill\.exe$/);
});
