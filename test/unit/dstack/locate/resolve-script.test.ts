import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { findExecutable } from '../../../../src/dstack/locate/find-executable.ts';
import type { FoundExecutable } from '../../../../src/dstack/locate/find-executable.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';

let home: string;
beforeEach(() => {
  home = emptyFolder();
});

async function write(file: string, text: string): Promise<string> {
  const whole = path.join(home, file);
  await mkdir(path.dirname(whole), { recursive: true });
  await writeFile(whole, text);
  await chmod(whole, 0o755);
  return whole;
}

/** A virtual environment with dstack. */
async function install(folder: string): Promise<{ python: string; script: string }> {
  const python = await write(`${folder}/bin/python`, 'a program');
  return { python, script: await write(`${folder}/bin/dstack`, `#!${python}\nimport dstack\n`) };
}

const find = (more: Partial<Parameters<typeof findExecutable>[0]> = {}): Promise<FoundExecutable> =>
  findExecutable({ env: { PATH: path.join(home, 'bin') }, homeDir: home, cwd: '/', ...more });

const PYENV = '#!/usr/bin/env bash\nset -e\nprogram="${0##*/}"\nexec "/x/libexec/pyenv" exec "$program" "$@"\n';

describe('a shim of pyenv', () => {
  beforeEach(async () => {
    await write('bin/dstack', PYENV);
    await write('.pyenv/version', '3.12.0\n3.11.7\n');
  });

  test('leads to the first version that pyenv is set to and that has dstack', async () => {
    const { python, script } = await install('.pyenv/versions/3.11.7');
    await install('.pyenv/versions/3.10.1');
    expect(await find()).toMatchObject({
      path: script,
      interpreter: python,
      wrapper: { path: path.join(home, 'bin/dstack'), env: {} },
    });
  });

  test('follows PYENV_VERSION, and no path in its place', async () => {
    const { script } = await install('.pyenv/versions/3.10.1');
    await install('elsewhere');
    const PATH = path.join(home, 'bin');
    expect((await find({ env: { PATH, PYENV_VERSION: '3.10.1' } })).path).toBe(script);
    expect((await find({ env: { PATH, PYENV_VERSION: '../../elsewhere' } })).interpreter).toBeUndefined();
  });

  test('is not resolved if none of them has dstack', async () => {
    expect(await find()).toMatchObject({
      path: path.join(home, 'bin/dstack'),
      notPython: 'it is a shim of pyenv, and no version that pyenv is set to has dstack',
    });
  });
});

test('a shim of asdf leads to the version that it lists; of several, to that of the environment', async () => {
  const { script } = await install('.asdf/installs/python/3.11.7');
  await install('.asdf/installs/python/3.12.0');
  const shim = (...versions: string[]): Promise<string> =>
    write(
      'bin/dstack',
      `#!/usr/bin/env bash\n${versions.map((one) => `# asdf-plugin: python ${one}\n`).join('')}exec asdf exec "dstack" "$@"\n`,
    );
  await shim('3.11.7');
  expect((await find()).path).toBe(script);
  await shim('3.12.0', '3.11.7');
  expect((await find()).interpreter).toBeUndefined();
  const env = { PATH: path.join(home, 'bin'), ASDF_PYTHON_VERSION: '3.11.7' };
  expect((await find({ env })).path).toBe(script);
});

test('a shim of mise leads to the only dstack that mise installed', async () => {
  await write('.local/bin/mise', 'a program');
  await mkdir(path.join(home, 'bin'));
  await symlink(path.join(home, '.local/bin/mise'), path.join(home, 'bin/dstack'));
  const { script } = await install('.local/share/mise/installs/pipx-dstack/0.22.5');
  // mise names the same version twice.
  await symlink('./0.22.5', path.join(home, '.local/share/mise/installs/pipx-dstack/latest'));
  expect((await find()).path).toBe(script);
  await install('.local/share/mise/installs/python/3.12.0');
  expect(await find()).toMatchObject({ notPython: expect.stringContaining('mise') });
});

test('a wrapper of a wrapper is followed, with the variables of both; a circle is not', async () => {
  const { python, script } = await install('venv');
  const inner = await write('inner', `#!/bin/sh\nexport A=1\nexec ${python} ${script} "$@"\n`);
  await write('bin/dstack', `#!/bin/sh\nexport B=2\nexec ${inner} "$@"\n`);
  expect(await find()).toMatchObject({ path: script, interpreter: python, wrapper: { env: { A: '1', B: '2' } } });
  await write('inner', `#!/bin/sh\nexec ${inner} "$@"\n`);
  expect(await find()).toMatchObject({ notPython: 'its wrappers lead to each other' });
});

describe('a wrapper that leads into the workspace', () => {
  test.each(['exec', 'a shebang', 'a link'])('is passed over, by %s', async (how) => {
    const { python, script } = await install('project/.venv');
    if (how === 'exec') await write('bin/dstack', `#!/bin/sh\nexec ${script} "$@"\n`);
    if (how === 'a shebang') await write('bin/dstack', `#!${python}\n`);
    if (how === 'a link') {
      await mkdir(path.join(home, 'bin'));
      await symlink(script, path.join(home, 'bin/dstack'));
    }
    const own = await write('own/dstack', '#!/bin/sh\n');
    const env = { PATH: `${path.join(home, 'bin')}:${path.join(home, 'own')}` };
    const workspace = [path.join(home, 'project')];
    expect(await find({ env, workspace })).toMatchObject({ path: own, passedOver: [path.join(home, 'bin/dstack')] });
    expect(await find({ env, workspace, configured: path.join(home, 'bin/dstack') })).toHaveProperty('interpreter');
  });
});

test('a launcher of Windows names its interpreter, as pip and as uv write it', async () => {
  const python = await write(String.raw`C:\venv\Scripts\python.exe`, 'a program');
  const named = String.raw`C:\venv\Scripts\python.exe`;
  const end = Buffer.alloc(22);
  end.write('PK\u0005\u0006', 'latin1');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(named.length);
  const launchers = {
    pip: Buffer.concat([Buffer.from(`MZ...#!not this\n...#!"${named}"\n`), end]),
    uv: Buffer.concat([Buffer.from('MZ...'), end, Buffer.from(named), length, Buffer.from('UVSC')]),
  };
  expect(path.basename(python)).toBe(named);
  for (const content of Object.values(launchers)) {
    const { readLauncher } = await import('../../../../src/dstack/locate/read-launcher.ts');
    expect(readLauncher(content)).toBe(named);
    expect(readLauncher(content.subarray(0, content.length - 1))).toBeUndefined();
  }
});
