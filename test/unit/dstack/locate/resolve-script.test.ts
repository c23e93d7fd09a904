import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { findExecutable } from '../../../../src/dstack/locate/find-executable.ts';
import type { FoundExecutable } from '../../../../src/dstack/locate/find-executable.ts';
import { interpreterNamedIn, readWrapper } from '../../../../src/dstack/locate/resolve-script.ts';
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
    const { readLauncher } = await import('../../../../src/dstack/locate/resolve-script.ts');
    expect(readLauncher(content)).toBe(named);
    expect(readLauncher(content.subarray(0, content.length - 1))).toBeUndefined();
  }
});

test.each([
  ['#!/a/b/python3\n', '/a/b/python3'],
  ['#! /a/b/python3.12\r\n', '/a/b/python3.12'],
  ['#!/usr/bin/env python3\n', 'python3'],
  ['#!/usr/bin/env -S python3\n', 'python3'],
  [`#!/bin/sh\n'''exec' "/with space/python" "$0" "$@"\n' '''\n`, '/with space/python'],
  [`#!/bin/sh\n'''exec' '/with space/python' "$0" "$@"\n' '''\n`, '/with space/python'],
  [`#!/bin/sh\n'''exec' /long/python "$0" "$@"\n' '''\n`, '/long/python'],
  [`#!/bin/sh\n'''exec' "$(dirname -- "$0")"/python "$0" "$@"\n' '''\n`, '/bin/sh'],
  ['#!/a/python3 -I\n', undefined],
  ['import sys\n', undefined],
  ['', undefined],
])('%j names %s', (text, interpreter) => {
  expect(interpreterNamedIn(text)).toBe(interpreter);
});

const read = (text: string) => readWrapper(text, { HOME: '/home/me', PATH: '/usr/bin' });

test('the shim of pyenv and those of asdf are recognized, with the versions that they list', () => {
  const pyenv = `#!/usr/bin/env bash
set -e
[ -n "$PYENV_DEBUG" ] && set -x

program="\${0##*/}"

export PYENV_ROOT="/home/me/.pyenv"
exec "/home/me/.pyenv/libexec/pyenv" exec "$program" "$@"
`;
  expect(read(pyenv)).toEqual({ kind: 'shim', tool: 'pyenv', versions: [] });
  const asdf = '#!/usr/bin/env bash\n# asdf-plugin: python 3.11.7\n# asdf-plugin: python 3.12.0\n';
  const versions = ['3.11.7', '3.12.0'];
  expect(read(`${asdf}exec /home/me/.asdf/bin/asdf exec "dstack" "$@" # asdf_allow: ' asdf '\n`)).toEqual({
    kind: 'shim',
    tool: 'asdf',
    versions,
  });
  expect(read(`${asdf}exec asdf exec "dstack" "$@"\n`)).toMatchObject({ tool: 'asdf', versions });
});

test.each([
  ['#!/bin/sh\nexec /v/bin/python /v/bin/dstack "$@"\n', ['/v/bin/python', '/v/bin/dstack'], {}],
  ['#!/bin/bash\n# mine\nset -eu\nexec "$HOME/my venv/bin/dstack" "$@"\n', ['/home/me/my venv/bin/dstack'], {}],
  [`#!/bin/sh\nexport A='x y'\nB=1\nexport B\nexec -a "$0" '/v/dstack' "$@"`, ['/v/dstack'], { A: 'x y', B: '1' }],
])('%j runs %j', (text, argv, env) => {
  expect(read(text)).toEqual({ kind: 'exec', argv, env });
});

test('a wrapper of Nix is followed, with its folders in front of PATH', () => {
  const text = String.raw`#! /nix/store/b-bash-5.2/bin/bash -e
PATH=${"${PATH:+':'$PATH':'}"}
PATH=${"${PATH/':''/nix/store/a-git/bin'':'/':'}"}
PATH='/nix/store/a-git/bin'$PATH
PATH=${"${PATH#':'}"}
PATH=${"${PATH%':'}"}
export PATH
export PYTHONNOUSERSITE='true'
exec -a "$0" "/nix/store/d-dstack/bin/.dstack-wrapped" "$@"
`;
  expect(read(text)).toEqual({
    kind: 'exec',
    argv: ['/nix/store/d-dstack/bin/.dstack-wrapped'],
    env: { PATH: '/nix/store/a-git/bin:/usr/bin', PYTHONNOUSERSITE: 'true' },
  });
});

test.each([
  ['\u007fELF', 'it is a program, not a script'],
  ['#!/usr/bin/perl\n', 'it is a script in another language'],
  ['#!/a/python3 -I\n', 'it starts Python with options'],
  ['#!/bin/sh\n/v/bin/dstack "$@"\n', "it is a shell script that doesn't end in `exec python script`"],
  ['#!/bin/sh\nexec dstack "$@"\n', "it is a shell script that doesn't end in `exec python script`"],
  ['#!/bin/sh\nexec /v/dstack $@\n', "it is a shell script that doesn't end in `exec python script`"],
  ['#!/bin/sh\nexec "$VENV/bin/dstack" "$@"\n', "it is a shell script that doesn't end in `exec python script`"],
  ['#!/bin/sh\nexec "/v/$(id)/dstack" "$@"\n', "it is a shell script that doesn't end in `exec python script`"],
  ['#!/bin/sh\nexec /v/dstack "$@"; rm x "$@"\n', "it is a shell script that doesn't end in `exec python script`"],
  ['#!/bin/sh\n. /v/activate\nexec /v/dstack "$@"\n', 'it is a shell script that does more than start Python'],
  ['#!/bin/sh\nPATH=/x\nexec /v/dstack "$@"\n', 'it is a shell script that does more than start Python'],
  ['#!/bin/sh\nexport A=$(id)\nexec /v/dstack "$@"\n', 'it is a shell script that does more than start Python'],
])('%j is not resolved: %s', (text, why) => {
  expect(read(text)).toEqual({ kind: 'other', why });
});
