import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { candidatePlaces } from '../../../../src/dstack/locate/candidate-paths.ts';
import { findExecutable, interpreterNamedIn } from '../../../../src/dstack/locate/find-executable.ts';
import { emptyFolder } from "../../../support/temporary-folders.ts";

describe('the places where it may be', () => {
  const indexOf = (places: readonly string[], file: string): number => {
    expect(places).toContain(file);
    return places.indexOf(file);
  };

  test('PATH comes first, the installers’ own places next, the working directory’s environments last', () => {
    const env = { PATH: '/opt/mine:/usr/bin' };
    const places = candidatePlaces({ env, platform: 'linux', homeDir: '/home/me', cwd: '/home/me/project' });
    expect(places.slice(0, 2)).toEqual(['/opt/mine/dstack', '/usr/bin/dstack']);
    const order = [
      '/home/me/.local/bin/dstack',
      '/home/me/.local/share/uv/tools/dstack/bin/dstack',
      '/home/me/.local/share/pipx/venvs/dstack/bin/dstack',
      '/home/linuxbrew/.linuxbrew/bin/dstack',
      '/home/me/miniconda3/bin/dstack',
      '/home/me/miniconda3/envs/*/bin/dstack',
      '/home/me/.pyenv/versions/*/bin/dstack',
      '/home/me/.pyenv/shims/dstack',
      '/home/me/project/.venv/bin/dstack',
      '/home/me/project/venv/bin/dstack',
    ].map((file) => indexOf(places, file));
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(places.at(-1)).toBe('/home/me/project/venv/bin/dstack');
  });

  test('an empty or relative entry of PATH, which means the working directory, is left out', () => {
    const places = candidatePlaces({
      env: { PATH: ':.:bin:/a' },
      platform: 'linux',
      homeDir: '/home/me',
      cwd: '/home/me/project',
    });
    expect(places[0]).toBe('/a/dstack');
    expect(places.filter((file) => !path.posix.isAbsolute(file))).toEqual([]);
    expect(places).not.toContain('/home/me/project/dstack');
  });

  test('on a Mac with the bare PATH of a desktop program: Homebrew, Python’s own installers, pipx', () => {
    const places = candidatePlaces({
      env: { PATH: '/usr/bin:/bin' },
      platform: 'darwin',
      homeDir: '/Users/me',
      cwd: '/',
    });
    expect(places).toEqual(
      expect.arrayContaining([
        '/opt/homebrew/bin/dstack',
        '/usr/local/bin/dstack',
        '/Users/me/.local/bin/dstack',
        '/Users/me/Library/Python/*/bin/dstack',
        '/Library/Frameworks/Python.framework/Versions/*/bin/dstack',
      ]),
    );
  });

  test('on Windows: Path by any case, the endings of programs, Scripts folders', () => {
    const env = { Path: String.raw`C:\Tools;D:\x ä`, APPDATA: String.raw`C:\Users\me\AppData\Roaming` };
    const places = candidatePlaces({
      env,
      platform: 'win32',
      homeDir: String.raw`C:\Users\me`,
      cwd: String.raw`C:\work`,
    });
    expect(places[0]).toBe(String.raw`C:\Tools\dstack.exe`);
    indexOf(places, String.raw`D:\x ä\dstack.cmd`);
    indexOf(places, String.raw`C:\Users\me\.local\bin\dstack.exe`);
    indexOf(places, String.raw`C:\Users\me\AppData\Roaming\uv\tools\dstack\Scripts\dstack.exe`);
    indexOf(places, String.raw`C:\Users\me\AppData\Roaming\Python\*\Scripts\dstack.exe`);
    indexOf(places, String.raw`C:\Users\me\.pyenv\pyenv-win\shims\dstack.bat`);
    indexOf(places, String.raw`C:\work\.venv\Scripts\dstack.exe`);
  });

  test('what the environment says about an installer’s folders is believed', () => {
    const env = {
      UV_TOOL_DIR: '/uv',
      PIPX_HOME: '/pipx',
      PYENV_ROOT: '/pyenv',
      CONDA_PREFIX: '/conda',
      UV_TOOL_BIN_DIR: '/uvbin',
      VIRTUAL_ENV: '/v',
    };
    const places = candidatePlaces({ env, platform: 'linux', homeDir: '/home/me', cwd: '/home/me/project' });
    const wanted = [
      '/uvbin',
      '/uv/dstack/bin',
      '/pipx/venvs/dstack/bin',
      '/pyenv/versions/*/bin',
      '/conda/bin',
      '/v/bin',
    ];
    expect(places).toEqual(expect.arrayContaining(wanted.map((folder) => `${folder}/dstack`)));
  });
});

describe('finding it', () => {
  let home: string;
  let bin: string;
  beforeEach(async () => {
    home = emptyFolder();
    bin = path.join(home, 'bin');
    await mkdir(bin);
  });

  async function program(file: string, text = '#!/bin/sh\n', mode = 0o755): Promise<string> {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
    await chmod(file, mode);
    return file;
  }

  test('the first on PATH that can be run, past folders and files that can’t', async () => {
    const other = path.join(home, 'other');
    await mkdir(path.join(other, 'dstack'), { recursive: true });
    await program(path.join(home, 'third/dstack'), 'x', 0o644);
    const wanted = await program(path.join(bin, 'dstack'));
    const env = { PATH: [other, path.join(home, 'third'), bin].join(':') };
    const found = await findExecutable({ env, homeDir: home, cwd: home });
    expect(found).toEqual({
      path: wanted,
      tried: [path.join(other, 'dstack'), path.join(home, 'third/dstack'), wanted],
    });
  });

  test('in a folder with spaces and letters of any language, and on Windows by the ending of a script', async () => {
    const folder = path.join(home, 'Jörg Müller', '工具 x');
    const wanted = await program(path.join(folder, 'dstack'));
    expect((await findExecutable({ env: { PATH: folder }, homeDir: home, cwd: home })).path).toBe(wanted);
    const script = await program(path.join(folder, 'dstack.cmd'));
    const windows = { platform: 'win32', env: { Path: folder }, homeDir: home, cwd: home } as const;
    expect((await findExecutable({ configured: 'dstack', ...windows })).path).toBe(script);
    expect((await findExecutable({ configured: 'dstack.cmd', ...windows })).path).toBe(script);
  });

  test('the newest of several versions in one place', async () => {
    await program(path.join(home, '.pyenv/versions/3.9.1/bin/dstack'));
    const newest = await program(path.join(home, '.pyenv/versions/3.12.0/bin/dstack'));
    await mkdir(path.join(home, '.pyenv/versions/3.13.0'));
    const found = await findExecutable({ env: { PATH: '' }, homeDir: home, cwd: home });
    expect(found.path).toBe(newest);
  });

  test('a configured one is taken before all others, by path, by ~ and by name', async () => {
    await program(path.join(bin, 'dstack'));
    const mine = await program(path.join(home, 'mine/dstack-next'));
    const env = { PATH: `${bin}:${path.join(home, 'mine')}` };
    for (const configured of [mine, '~/mine/dstack-next', 'dstack-next', './mine/dstack-next']) {
      expect((await findExecutable({ configured, env, homeDir: home, cwd: home })).path).toBe(mine);
    }
  });

  test('a configured one that is not there is an error, and no other takes its place', async () => {
    await program(path.join(bin, 'dstack'));
    const unrunnable = await program(path.join(home, 'plain'), 'x', 0o644);
    for (const configured of ['/nowhere/dstack', 'dstack-next', unrunnable, bin]) {
      const error: unknown = await findExecutable({ configured, env: { PATH: bin }, homeDir: home, cwd: home }).catch(
        (reason: unknown) => reason,
      );
      expect(error).toMatchObject({
        code: 'cli-not-found',
        message: expect.stringContaining(`DSTACK_MCP_CLI is ${configured}`),
      });
    }
  });

  test('nowhere: the error says where it looked, how to install it and which setting names it', async () => {
    const error: unknown = await findExecutable({ env: { PATH: bin }, homeDir: home, cwd: home }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({
      code: 'cli-not-found',
      message: expect.stringContaining(path.join(home, '.local/share/uv/tools/dstack/bin/dstack')),
      hint: expect.stringMatching(/uv tool install dstack -U.*pip install dstack -U.*DSTACK_MCP_CLI/),
    });
  });

  test('the interpreter of an entry script is named by its place, not by what it links to', async () => {
    const python = path.join(home, 'venv-with-link/bin/python3');
    await mkdir(path.dirname(python), { recursive: true });
    await symlink('/bin/sh', python);
    const script = await program(path.join(bin, 'dstack'), `#!${python}\nimport sys\n`);
    expect(await findExecutable({ configured: script, env: {}, homeDir: home })).toMatchObject({ interpreter: python });
  });

  test('a script whose interpreter is gone, and one of another language, have none', async () => {
    for (const text of ['#!/nowhere/python3\n', '#!/bin/sh\nexec pyenv exec dstack "$@"\n', '\u007fELF']) {
      const script = await program(path.join(bin, 'dstack'), text);
      expect(await findExecutable({ configured: script, env: {}, homeDir: home })).not.toHaveProperty('interpreter');
    }
  });

  test.each([
    ['#!/a/b/python3\n', '/a/b/python3'],
    ['#! /a/b/python3.12\r\n', '/a/b/python3.12'],
    ['#!/usr/bin/env python3\n', 'python3'],
    ['#!/usr/bin/env -S python3\n', 'python3'],
    [`#!/bin/sh\n'''exec' "/with space/python" "$0" "$@"\n' '''\n`, '/with space/python'],
    [`#!/bin/sh\n'''exec' /long/python "$0" "$@"\n' '''\n`, '/long/python'],
    ['#!/a/python3 -I\n', undefined],
    ['import sys\n', undefined],
    ['', undefined],
  ])('%j names %s', (text, interpreter) => {
    expect(interpreterNamedIn(text)).toBe(interpreter);
  });
});
