import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { beforeEach, describe, expect, test } from 'vitest';
import { installedPython } from '../../support/installed-dstack.ts';
import { workerFiles } from '../../support/warm-fixtures.ts';
import { runPython } from '../../support/run-python.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-pinned-'));
  await writeFile(path.join(folder, 'x.yml'), 'on the disk');
  return () => rm(folder, { recursive: true });
});

/** Pins x.yml to "approved" and prints the value of `result`. */
const pinned = (code: string): Promise<unknown> =>
  runPython(
    `import os, pathlib, io\nfrom pinned_file import pin_file, PinnedFileError\npin_file(${JSON.stringify(path.join(folder, 'x.yml'))}, "apprövéd\\r\\nx".encode())\n${code}\nprint(json.dumps(result))`,
    { cwd: folder },
  );

describe('a pinned file', () => {
  test('is served from memory to all ways of opening files in Python, any number of times', async () => {
    const result = await pinned(`
result = [open("x.yml").read(), open(pathlib.Path("x.yml"), "r").read(), io.open("./x.yml", encoding="utf-8", newline="").read(),
  pathlib.Path("x.yml").read_text(), pathlib.Path("x.yml").read_bytes().decode(), open(b"x.yml", "rb").read().decode(),
  [line for line in open(os.path.abspath("x.yml"))], pathlib.Path("x.yml").open("rb").read().decode()]`);
    const text = 'apprövéd\nx';
    const raw = 'apprövéd\r\nx';
    expect(result).toEqual([text, text, raw, text, raw, raw, ['apprövéd\n', 'x'], raw]);
  });

  test('stays the same after the file was changed, replaced or deleted', async () => {
    const result = await pinned(`
result = []
os.unlink("x.yml"); result.append(open("x.yml").read())
os.symlink("/etc/hostname", "x.yml"); result.append(open("x.yml").read())`);
    expect(result).toEqual(['apprövéd\nx', 'apprövéd\nx']);
  });

  test('has the name that it was opened with, which YAML quotes in its errors', async () => {
    expect(
      await pinned('result = [open("x.yml").name, str(open(pathlib.Path("x.yml")).name), open("x.yml").mode]'),
    ).toEqual(['x.yml', 'x.yml', 'r']);
  });

  test('does not affect other files and writing', async () => {
    const result = await pinned(`
open("y.yml", "w").write("other")
with open("x.yml", "a") as file: file.write(" and more")
result = open("y.yml").read()`);
    expect(result).toBe('other');
    expect(await readFile(path.join(folder, 'x.yml'), 'utf8')).toBe('on the disk and more');
  });

  test('cannot be read in a way that bypasses the pin', async () => {
    const result = await pinned(`
result = []
for read in (lambda: os.read(os.open("x.yml", os.O_RDONLY), 100), lambda: open("x.yml", "r+").read()):
  try: result.append(read().decode())
  except PinnedFileError as error: result.append(str(error))`);
    const refusal = `${path.join(folder, 'x.yml')} is read in a way that can't be restricted to the approved content`;
    expect(result).toEqual([refusal, refusal]);
  });

  test('can be read from disk after it was served from memory, as by an upload of the folder', async () => {
    expect(await pinned('open("x.yml").read(); result = os.read(os.open("x.yml", os.O_RDONLY), 100).decode()')).toBe(
      'on the disk',
    );
  });

  test('says whether it was read, and not another file of its name', async () => {
    const code = `import os
from pinned_file import pin_file
was_read = pin_file(${JSON.stringify(path.join(folder, 'x.yml'))}, b"approved")
os.mkdir("moved"); open("moved/x.yml", "w").write("another"); os.chdir("moved")
result = [open("x.yml").read(), was_read()]
os.chdir("..")
print(json.dumps([*result, open("x.yml").read(), was_read()]))`;
    expect(await runPython(code, { cwd: folder })).toEqual(['another', false, 'approved', true]);
  });

  test('is recognized by the real path of a folder that was given by a link', async () => {
    await symlink(folder, `${folder}-link`);
    const link = JSON.stringify(path.join(`${folder}-link`, 'x.yml'));
    const code = `from pinned_file import pin_file\npin_file(${link}, b"approved")\nprint(json.dumps([open("x.yml").read(), open(${link}).read()]))`;
    expect(await runPython(code, { cwd: folder })).toEqual(['approved', 'approved']);
    await rm(`${folder}-link`);
  });
});

describe('the launcher', () => {
  const script = (text: string): Promise<void> => writeFile(path.join(folder, 'entry'), text);
  const frame = (file: string, content: string): Buffer => {
    const description = Buffer.from(JSON.stringify({ pinned: file, pinnedLength: content.length }));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(description.length);
    return Buffer.concat([length, description, Buffer.from(content)]);
  };
  const launch = (input: Buffer, args: readonly string[] = [], env: NodeJS.ProcessEnv = process.env) =>
    execa(installedPython, ['-B', path.join(workerFiles, 'launch_dstack.py'), path.join(folder, 'entry'), ...args], {
      cwd: folder,
      env,
      extendEnv: false,
      stdio: ['ignore', 'pipe', 'pipe', input],
      reject: false,
    });

  test('runs the script like the interpreter: argv, path, name, file and exit code', async () => {
    await script('import sys\nprint(sys.argv, sys.path[0], __name__, __file__, open("x.yml").read())\nsys.exit(7)\n');
    const { stdout, exitCode } = await launch(frame(path.join(folder, 'x.yml'), 'approved'), ['a', '--b']);
    const entry = path.join(folder, 'entry');
    expect(stdout).toBe(`['${entry}', 'a', '--b'] ${folder} __main__ ${entry} approved`);
    expect(exitCode).toBe(7);
  });

  test('runs the script without its folder on the path if the interpreter is configured so', async () => {
    await script(
      'import sys\nprint([entry for entry in sys.path if "dstack-mcp" in entry or entry.endswith("worker")])\n',
    );
    const safe = { PATH: process.env['PATH'], PYTHONSAFEPATH: '1' };
    const bare = await execa(installedPython, [path.join(folder, 'entry')], { env: safe, extendEnv: false });
    const { stdout, stderr } = await launch(frame(path.join(folder, 'x.yml'), 'approved'), [], safe);
    expect({ stdout, stderr }).toEqual({ stdout: bare.stdout, stderr: '' });
  });

  test('shows the traceback of the script itself', async () => {
    await script('def fail():\n    raise ValueError("oh")\n\nfail()\n');
    const bare = await execa(installedPython, [path.join(folder, 'entry')], { reject: false });
    const { stderr, exitCode } = await launch(frame(path.join(folder, 'x.yml'), 'approved'));
    expect({ stderr, exitCode }).toEqual({ stderr: bare.stderr, exitCode: 1 });
  });

  test('runs nothing if the pinned file arrives incomplete, or with extra bytes', async () => {
    await script('open("ran", "w")\n');
    const whole = frame(path.join(folder, 'x.yml'), 'approved');
    for (const input of [whole.subarray(0, 3), whole.subarray(0, -1), Buffer.concat([whole, Buffer.from('x')])]) {
      const { stderr, exitCode } = await launch(input);
      expect(stderr).toMatch(/^dstack was not started: /);
      expect(exitCode).toBe(70);
    }
    expect(await readdir(folder)).not.toContain('ran');
  });
});
