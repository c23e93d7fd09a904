import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';

const BOMB = `type: task
a: &a [x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]
e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]
commands: [*e]
`;

/** Contents that no configuration has; each is refused before dstack runs. */
const CONTENTS: Readonly<Record<string, string | Buffer>> = {
  bomb: BOMB,
  aliases: `type: task\na: &a {x: 1}\nlist: [${'*a, '.repeat(2_000)}]\n`,
  deep: `type: task\na: ${'['.repeat(20_000)}${']'.repeat(20_000)}\n`,
  huge: `type: task\ncommands:\n${'  - echo hello\n'.repeat(700_000)}`,
  binary: Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0xff, 0xfe, 0x00, 0x80]),
  utf16: Buffer.from('type: task\ncommands: [echo]\n', 'utf16le'),
  'duplicate-keys': 'type: task\ntype: fleet\ncommands: [echo]\n',
  'no-type': 'commands: [echo hello]\n',
  list: '- type: task\n',
  scalar: 'type\n',
  empty: '',
  'two-documents': 'type: task\n---\ntype: fleet\n',
  unclosed: 'type: task\ncommands: ["echo\n',
  tabs: 'type: task\n\tcommands: x\n',
};

/** Fills a workspace with hostile files, links and a pipe; targets outside of the workspace are next to it. */
export async function writeHostileFiles(workspace: string): Promise<void> {
  const outside = path.join(path.dirname(workspace), 'outside');
  await mkdir(outside, { recursive: true });
  const task = 'type: task\nname: outside\ncommands: [echo]\n';
  await writeFile(path.join(outside, 'outside.dstack.yml'), task);
  await writeFile(path.join(path.dirname(workspace), 'outside.dstack.yml'), task);
  await writeFile(path.join(workspace, 'notes.txt'), task);
  await mkdir(path.join(workspace, 'sub'), { recursive: true });
  await mkdir(path.join(workspace, 'folder.dstack.yml'), { recursive: true });
  await mkdir(path.join(workspace, '.ssh'), { recursive: true });
  await writeFile(path.join(workspace, '.ssh', 'id_rsa'), 'secret');
  await symlink(path.join(outside, 'outside.dstack.yml'), path.join(workspace, 'link-out.dstack.yml'));
  await symlink(outside, path.join(workspace, 'folder-out'));
  await symlink('/dev/zero', path.join(workspace, 'link-zero.dstack.yml'));
  await symlink('link-loop.dstack.yml', path.join(workspace, 'link-loop.dstack.yml'));
  await execa('mkfifo', [path.join(workspace, 'pipe.dstack.yml')]);
  for (const [name, content] of Object.entries(CONTENTS))
    await writeFile(path.join(workspace, `${name}.dstack.yml`), content);
}
