import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { candidatePaths, findExecutable, withoutProjects } from '../../../../src/dstack/locate/find-executable.ts';
import type { FoundExecutable } from '../../../../src/dstack/locate/find-executable.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';

describe('candidate paths', () => {
  const indexOf = (places: readonly string[], file: string): number => {
    expect(places).toContain(file);
    return places.indexOf(file);
  };

  test('start with PATH and continue with install locations', () => {
    const env = { PATH: '/opt/mine:/usr/bin' };
    const places = candidatePaths({ env, platform: 'linux', homeDir: '/home/me' });
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
    ].map((file) => indexOf(places, file));
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  });

  test('omit empty and relative entries of PATH, which mean the working directory', () => {
    const places = candidatePaths({
      env: { PATH: ':.:bin:/a' },
      platform: 'linux',
      homeDir: '/home/me',
    });
    expect(places[0]).toBe('/a/dstack');
    expect(places.filter((file) => !path.posix.isAbsolute(file))).toEqual([]);
  });

  test('include Homebrew, Python’s own installers and pipx on macOS with the minimal PATH of a desktop app', () => {
    const places = candidatePaths({
      env: { PATH: '/usr/bin:/bin' },
      platform: 'darwin',
      homeDir: '/Users/me',
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

  test('use Path in any case, executable extensions and Scripts folders on Windows', () => {
    const env = { Path: String.raw`C:\Tools;D:\x ä`, APPDATA: String.raw`C:\Users\me\AppData\Roaming` };
    const places = candidatePaths({
      env,
      platform: 'win32',
      homeDir: String.raw`C:\Users\me`,
    });
    expect(places[0]).toBe(String.raw`C:\Tools\dstack.exe`);
    indexOf(places, String.raw`D:\x ä\dstack.cmd`);
    indexOf(places, String.raw`C:\Users\me\.local\bin\dstack.exe`);
    indexOf(places, String.raw`C:\Users\me\AppData\Roaming\uv\tools\dstack\Scripts\dstack.exe`);
    indexOf(places, String.raw`C:\Users\me\AppData\Roaming\Python\*\Scripts\dstack.exe`);
    indexOf(places, String.raw`C:\Users\me\.pyenv\pyenv-win\shims\dstack.bat`);
  });

  test('follow the environment variables of installers', () => {
    const env = {
      UV_TOOL_DIR: '/uv',
      PIPX_HOME: '/pipx',
      PYENV_ROOT: '/pyenv',
      CONDA_PREFIX: '/conda',
      UV_TOOL_BIN_DIR: '/uvbin',
      VIRTUAL_ENV: '/v',
    };
    const places = candidatePaths({ env, platform: 'linux', homeDir: '/home/me' });
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

describe('finding the executable', () => {
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

  test('the first executable file on PATH is found, past folders and other files', async () => {
    const other = path.join(home, 'other');
    await mkdir(path.join(other, 'dstack'), { recursive: true });
    await program(path.join(home, 'third/dstack'), 'x', 0o644);
    const wanted = await program(path.join(bin, 'dstack'));
    const env = { PATH: [other, path.join(home, 'third'), bin].join(':') };
    const found = await findExecutable({ env, homeDir: home, cwd: home });
    expect(found).toEqual({
      path: wanted,
      notPython: "it is a shell script that doesn't end in `exec python script`",
      passedOver: [],
      tried: [path.join(other, 'dstack'), path.join(home, 'third/dstack'), wanted],
    });
  });

  test('folders can have spaces and letters of any language, and Windows scripts have an extension', async () => {
    const folder = path.join(home, 'Jörg Müller', '工具 x');
    const wanted = await program(path.join(folder, 'dstack'));
    expect((await findExecutable({ env: { PATH: folder }, homeDir: home, cwd: home })).path).toBe(wanted);
    const script = await program(path.join(folder, 'dstack.cmd'));
    const windows = { platform: 'win32', env: { Path: folder }, homeDir: home, cwd: home } as const;
    expect((await findExecutable({ configured: 'dstack', ...windows })).path).toBe(script);
    expect((await findExecutable({ configured: 'dstack.cmd', ...windows })).path).toBe(script);
  });

  test('the newest of several versions in one place is found', async () => {
    await program(path.join(home, '.pyenv/versions/3.9.1/bin/dstack'));
    const newest = await program(path.join(home, '.pyenv/versions/3.12.0/bin/dstack'));
    await mkdir(path.join(home, '.pyenv/versions/3.13.0'));
    const found = await findExecutable({ env: { PATH: '' }, homeDir: home, cwd: home });
    expect(found.path).toBe(newest);
  });

  test('a configured executable comes first, by path, ~ or name', async () => {
    await program(path.join(bin, 'dstack'));
    const mine = await program(path.join(home, 'mine/dstack-next'));
    const env = { PATH: `${bin}:${path.join(home, 'mine')}` };
    for (const configured of [mine, '~/mine/dstack-next', 'dstack-next', './mine/dstack-next']) {
      expect((await findExecutable({ configured, env, homeDir: home, cwd: home })).path).toBe(mine);
    }
  });

  test('a missing configured executable is an error and is not replaced by another', async () => {
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

  test('the error is short, and says how to install dstack and which setting to use', async () => {
    const error: unknown = await findExecutable({ env: { PATH: bin }, homeDir: home, cwd: home }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({
      code: 'cli-not-found',
      message: expect.stringMatching(
        /^The dstack CLI was not found on PATH or in the \d+ places where installers put it\.$/,
      ),
      hint: expect.stringMatching(/uv tool install dstack -U.*pip install dstack -U.*DSTACK_MCP_CLI/),
    });
  });

  describe('in the workspace', () => {
    let project: string;
    let planted: string;
    beforeEach(async () => {
      project = path.join(home, 'project');
      planted = await program(path.join(project, '.venv/bin/dstack'));
    });

    const find = (more: Partial<Parameters<typeof findExecutable>[0]>): Promise<FoundExecutable> =>
      findExecutable({ env: {}, homeDir: home, cwd: project, ...more });

    test('a planted executable is not run, and the error names it', async () => {
      for (const more of [
        {},
        { env: { VIRTUAL_ENV: path.join(project, '.venv') } },
        { cwd: bin, workspace: [project] },
      ])
        await expect(find(more)).rejects.toMatchObject({
          code: 'cli-not-found',
          message: expect.stringContaining(
            `Not used, because it is in the workspace or the working directory: ${planted}`,
          ),
          hint: expect.stringContaining(`set DSTACK_MCP_CLI to ${planted}`),
        });
    });

    test('an entry of PATH in the workspace is passed over, also behind a link and for a configured name', async () => {
      const link = path.join(home, 'link');
      await symlink(project, link);
      const own = await program(path.join(bin, 'dstack'));
      for (const folder of [project, link]) {
        const first = path.join(folder, '.venv/bin');
        const env = { PATH: `${first}:${bin}` };
        for (const configured of [undefined, 'dstack']) {
          const found = await find({ env, ...(configured === undefined ? {} : { configured }) });
          expect(found).toMatchObject({ path: own, passedOver: [path.join(first, 'dstack')] });
        }
      }
    });

    test('an interpreter is not taken from it', async () => {
      await program(path.join(project, '.venv/bin/python3'));
      const script = await program(path.join(bin, 'dstack'), '#!/usr/bin/env python3\n');
      const env = { PATH: `${path.join(project, '.venv/bin')}:${bin}` };
      for (const configured of [undefined, script]) {
        const found = await find({ env, ...(configured === undefined ? {} : { configured }) });
        expect(found).toMatchObject({ path: script });
        expect(found).not.toHaveProperty('interpreter');
      }
    });

    test('the operator can name its path', async () => {
      for (const configured of [planted, './.venv/bin/dstack', '~/project/.venv/bin/dstack'])
        expect((await find({ configured })).path).toBe(planted);
    });

    test('its folders are not in the search paths of what dstack starts', async () => {
      const inside = path.join(project, 'node_modules', '.bin');
      await mkdir(inside, { recursive: true });
      const link = path.join(home, 'link');
      await symlink(inside, link);
      const value = [inside, path.join(project, '..bin'), bin, link, project, `${project}-2`].join(path.delimiter);
      const env = { PATH: value, PYTHONPATH: value, OTHER: value, UNSET: undefined };
      const others = { OTHER: value, UNSET: undefined };
      const left = [bin, `${project}-2`].join(path.delimiter);
      const searched = { PATH: left, PYTHONPATH: left, ...others };
      expect(withoutProjects(env, { homeDir: home, cwd: project })).toEqual(searched);
      expect(withoutProjects(env, { homeDir: home, cwd: '/', workspace: [project] })).toEqual(searched);
      expect(withoutProjects(env, { homeDir: home, cwd: home })).toEqual(env);
    });

    test('on Windows, what is started by its name is not looked up in the working directory', () => {
      const options = { homeDir: home, cwd: project, platform: 'win32' } as const;
      expect(withoutProjects({ OTHER: 'x' }, options)).toEqual({ OTHER: 'x', NoDefaultCurrentDirectoryInExePath: '1' });
    });

    test('a working directory above the home folder forbids nothing', async () => {
      const own = await program(path.join(bin, 'dstack'));
      for (const cwd of ['/', home, path.dirname(home)])
        expect((await find({ cwd, env: { PATH: bin } })).path).toBe(own);
    });
  });

  test('the interpreter of an entry script is not resolved through links', async () => {
    const python = path.join(home, 'venv-with-link/bin/python3');
    await mkdir(path.dirname(python), { recursive: true });
    await symlink('/bin/sh', python);
    const script = await program(path.join(bin, 'dstack'), `#!${python}\nimport sys\n`);
    expect(await findExecutable({ configured: script, env: {}, homeDir: home })).toMatchObject({ interpreter: python });
  });

  test('a script with a missing interpreter or in another language has none', async () => {
    for (const text of ['#!/nowhere/python3\n', '#!/bin/sh\nexec pyenv exec dstack "$@"\n', '\u007fELF']) {
      const script = await program(path.join(bin, 'dstack'), text);
      expect(await findExecutable({ configured: script, env: {}, homeDir: home })).not.toHaveProperty('interpreter');
    }
  });
});
