import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  readdirSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { PULL, PUSH, RECEIVE, SCRIPT_EXIT, SEND, STAGE_PREFIX } from '../../../src/remote/copy-scripts.ts';
import { download } from '../../../src/remote/download.ts';
import type { RemoteLeader, RemoteProgram, RemoteShell } from '../../../src/remote/remote-shell.ts';
import { createStage } from '../../../src/remote/stage.ts';
import { createSshShell } from '../../../src/remote/ssh-shell.ts';
import { RealSshd, whyNoSshd } from '../../support/real-sshd.ts';
import { namesIn, readFiles, setUpCopy, writeFiles } from '../../support/set-up-copy.ts';
import type { CopySetupOptions } from '../../support/set-up-copy.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';
import { lookUpProcess } from '../../../src/dstack/run/processes.ts';
import { until } from '../../support/wait.ts';

const BIG = Buffer.alloc(20_000_000, 'x');
/** ssh itself reads and writes it. */
const LARGE = Buffer.alloc(40_000_000, 'x');

/** Sets up a copy whose progress calls a function once, in the middle of the first file. */
function setUpMiddle(onMiddle: () => unknown, { big = BIG, ...options }: CopySetupOptions & { big?: Buffer } = {}) {
  let isCalled = false;
  const copy = setUpCopy({
    ...options,
    onProgress: ({ bytes }) => {
      if (isCalled || bytes < 2_000_000) return;
      isCalled = true;
      onMiddle();
    },
  });
  writeFiles(copy.here, { 'up/a': 'mine', 'up/big': big });
  writeFiles(copy.run, { 'out/a': 'its', 'out/big': big });
  return { ...copy, isCalled: () => isCalled };
}

const LEFT_HERE = ['up', 'up/a', 'up/big'];
const LEFT_IN_RUN = ['out', 'out/a', 'out/big'];

/** The programs in a run end on their own once they notice that nobody is at the other end. */
const untilClean = (folder: string): Promise<readonly string[]> =>
  until(
    async () => {
      // Folders vanish while they are listed.
      const hasStage = readdirSync(folder).some((name) => name.startsWith(STAGE_PREFIX));
      return hasStage ? undefined : namesIn(folder);
    },
    (names) => names !== undefined,
  ).then((names = []) => names);

// Waits until nobody is at the other end anymore, and goes on as if it had been slow.
const STALL = `exec 9>&2
stall() { (trap '' PIPE; while printf x; do sleep 0.1; done) >&9 2>/dev/null; }
`;
const STALLED_SEND = `${STALL}head -c 3000000 <"$1/$2"; stall`;
const STALLED_RECEIVE = `${STALL}cat() { head -c 3000000; stall; command cat; }
${RECEIVE}`;
const STALLED_PUSH = `${STALL}tar() {
  case " $* " in *' -x '*) (head -c 6000000; stall; cat) | command tar "$@" ;; *) command tar "$@" ;; esac
}
${PUSH}`;

/** Makes the first program that copies such a file get stuck in it: it could be through before its middle is noticed. */
function stallOnce(big: Buffer): (program: RemoteProgram) => RemoteProgram {
  const stalled = new Map(
    big === LARGE
      ? [
          [RECEIVE, STALLED_RECEIVE],
          [SEND, STALLED_SEND],
        ]
      : [[PUSH, STALLED_PUSH]],
  );
  return (program) => {
    const script = stalled.get(program.script);
    if (script === undefined) return program;
    stalled.clear();
    return { ...program, script };
  };
}

describe.each([
  ['up', 'a file', BIG],
  ['up', 'a large file', LARGE],
  ['down', 'a file', BIG],
  ['down', 'a large file', LARGE],
] as const)('%s: in the middle of %s', (direction, _what, big) => {
  const start = (copy: ReturnType<typeof setUpMiddle>) =>
    direction === 'up' ? copy.upload('up', 'new') : copy.download('out', 'new');

  test('a canceled call leaves nothing, on either end', async () => {
    const cancel = new AbortController();
    const copy = setUpMiddle(() => cancel.abort(), { signal: cancel.signal, big, onStart: stallOnce(big) });
    await expect(start(copy)).rejects.toMatchObject({ code: 'cancelled' });
    expect(copy.isCalled()).toBe(true);
    expect(namesIn(copy.here)).toEqual(LEFT_HERE);
    expect(await untilClean(copy.run)).toEqual(LEFT_IN_RUN);
  });

  test('a file that is written to ends it, and nothing has its final name', async () => {
    const write = (): void =>
      writeFileSync(
        path.join(direction === 'up' ? copy.here : copy.run, direction === 'up' ? 'up/big' : 'out/big'),
        'short',
      );
    // Reading a large one takes no time here.
    const onStart: CopySetupOptions['onStart'] = (program) => {
      if (program.script === RECEIVE || program.script === SEND) write();
      return program;
    };
    const copy = setUpMiddle(big === LARGE ? () => undefined : write, { big, onStart });
    await expect(start(copy)).rejects.toThrow('Nothing was copied.');
    expect(namesIn(copy.here)).toEqual(LEFT_HERE);
    expect(await untilClean(copy.run)).toEqual(LEFT_IN_RUN);
  });
});

describe.skipIf(whyNoSshd !== undefined)('over a real sshd', () => {
  const sshd = new RealSshd();
  const shellOf = () => createSshShell(sshd.connection);

  /** A shell in which the first program that copies such a file gets stuck in it. */
  const stalling = (big: Buffer): RemoteShell => {
    const stall = stallOnce(big);
    return { start: (program, options) => shellOf().start(stall(program), options) };
  };

  const ways = [
    ['up', 'a file', BIG],
    ['up', 'a large file', LARGE],
    ['down', 'a file', BIG],
    ['down', 'a large file', LARGE],
  ] as const;

  test.each(ways)(
    '%s: a connection that is dropped in %s leaves nothing, and the copy can be repeated',
    async (direction, _what, big) => {
      const dropped: Promise<unknown>[] = [];
      const stalled = stalling(big);
      const copy = setUpMiddle(() => dropped.push(sshd.dropConnection()), { shellOf: () => stalled, big });
      const place = path.join(copy.run, direction === 'up' ? 'new' : 'out');
      const start = () => (direction === 'up' ? copy.upload('up', place) : copy.download(place, 'new'));
      await expect(start()).rejects.toThrow('connection to the run was lost');
      await Promise.all(dropped);
      expect(namesIn(copy.here)).toEqual(LEFT_HERE);
      expect(await untilClean(copy.run)).toEqual(LEFT_IN_RUN);
      await sshd.openMaster();
      expect(await start()).toMatchObject({ files: 2, bytes: big.length + (direction === 'up' ? 4 : 3) });
    },
  );

  test('a run that sends more of a large file than it has is not listened to', async () => {
    let leader: Promise<RemoteLeader | undefined> = Promise.resolve(undefined);
    const shell: RemoteShell = {
      start(program, options) {
        const script = program.script === SEND ? 'cat /dev/zero' : program.script;
        const running = shellOf().start({ ...program, script }, options);
        if (program.script === SEND) ({ leader } = running);
        return running;
      },
    };
    const copy = setUpMiddle(() => undefined, { shellOf: () => shell, big: LARGE });
    await expect(copy.download(path.join(copy.run, 'out'), 'new')).rejects.toThrow('changed while it was copied');
    expect(namesIn(copy.here)).toEqual(LEFT_HERE);
    const { pid = NaN } = (await leader) ?? {};
    await until(
      () => lookUpProcess(pid),
      (facts) => facts === undefined,
    );
  });

  test('a large file ends once nobody holds this end of it, as after a server that was killed', async () => {
    const folder = emptyFolder();
    writeFileSync(path.join(folder, 'big'), '');
    truncateSync(path.join(folder, 'big'), 2 ** 40);
    const nowhere = openSync('/dev/null', 'w');
    onTestFinished(() => closeSync(nowhere));
    const { signal } = new AbortController();
    const running = shellOf().start({ script: SEND, data: [folder, 'big'] }, { signal, stdout: nowhere });
    expect(await running.leader).toBeDefined();
    running.stdin.destroy();
    expect(await running.ended).toEqual({ kind: 'exited', exitCode: SCRIPT_EXIT.incomplete });
  });

  test.each(ways)(
    '%s: a job that is killed in %s leaves nothing under a final name, and the copy can be repeated',
    async (direction, _what, big) => {
      let leader: Promise<RemoteLeader | undefined> | undefined;
      const stalled = stalling(big);
      const shell: RemoteShell = {
        start(program, options) {
          const running = stalled.start(program, options);
          const isCopying = program.script === PULL || program.script === (big === LARGE ? RECEIVE : PUSH);
          if (isCopying || program.script === SEND) ({ leader } = running);
          return running;
        },
      };
      const killed: Promise<unknown>[] = [];
      const copy = setUpMiddle(
        () => killed.push(Promise.resolve(leader).then((found) => process.kill(-(found?.pid ?? NaN), 'SIGKILL'))),
        { shellOf: () => shell, big },
      );
      const place = path.join(copy.run, direction === 'up' ? 'new' : 'out');
      const start = () => (direction === 'up' ? copy.upload('up', place) : copy.download(place, 'new'));
      await expect(start()).rejects.toThrow('Nothing was copied.');
      await Promise.all(killed);
      expect(namesIn(copy.here)).toEqual(LEFT_HERE);
      expect(namesIn(copy.run).filter((name) => !name.startsWith(STAGE_PREFIX))).toEqual(LEFT_IN_RUN);
      expect(await start()).toMatchObject({ files: 2 });
    },
  );
});

/** Mounts a small file system until the end of the test, which is skipped where that isn't allowed. */
function mountSmall(skip: (note: string) => never, megabytes = 60): string {
  const folder = realpathSync(emptyFolder());
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    return skip('no file system can be mounted here');
  }
  onTestFinished(() => void execFileSync('umount', ['-l', folder]));
  return folder;
}

test.for([BIG, LARGE])('a full disk in the run is a clear error, and nothing is left there', async (big, { skip }) => {
  const small = mountSmall(skip);
  const copy = setUpMiddle(() => undefined, { big });
  writeFileSync(path.join(small, 'filler'), Buffer.alloc(50_000_000));
  await expect(copy.upload('up', path.join(small, 'new'))).rejects.toThrow(
    "The run's disk is full. Nothing was copied.",
  );
  expect(await untilClean(small)).toEqual(['filler']);
});

test('a full disk here is a clear error before anything is copied', async ({ skip }) => {
  const small = mountSmall(skip);
  const copy = setUpMiddle(() => undefined);
  await expect(download(copy.scope, requestTo(path.join(small, 'new')))).rejects.toThrow(
    /has .* free, too little for 19.1 MB and /,
  );
  expect(namesIn(small)).toEqual([]);
});

test.for([
  [BIG, 90],
  [LARGE, 110],
] as const)(
  'a disk that gets full here in the middle is a clear error, and nothing of the copy is left',
  async ([big, room], { skip }) => {
    const small = mountSmall(skip, room);
    const fill = (): void => {
      try {
        writeFileSync(path.join(small, 'filler'), Buffer.alloc(120_000_000));
      } catch {
        // Full.
      }
    };
    // The run's program writes a large one in no time.
    const onStart: CopySetupOptions['onStart'] = (program) => {
      if (program.script === SEND) fill();
      return program;
    };
    const copy = setUpMiddle(fill, { big, onStart });
    await expect(download(copy.scope, requestTo(path.join(small, 'new')))).rejects.toThrow(
      "can't be written: the disk is full",
    );
    expect(namesIn(small)).toEqual(['filler']);
  },
);

test('a file system that is read-only is a clear error, on either end', async ({ skip }) => {
  const small = mountSmall(skip);
  const copy = setUpMiddle(() => undefined);
  execFileSync('mount', ['-o', 'remount,ro', small]);
  await expect(copy.upload('up', small)).rejects.toThrow(
    "The run's file system is read-only there. Nothing was copied.",
  );
  await expect(download(copy.scope, requestTo(path.join(small, 'new'), 'out/a'))).rejects.toThrow(
    "can't be written: the file system is read-only",
  );
});

const requestTo = (local: string, remote = 'out') =>
  ({ local, localKind: 'missing', intoLocal: false, remote, replace: false }) as const;

test.each([
  ['upload', 'less', RECEIVE, 'cat() { head -c 39999999; }', 'The files arrived incompletely. Nothing was copied.'],
  ['upload', 'more', RECEIVE, 'cat() { command cat; echo; }', 'The files arrived incompletely. Nothing was copied.'],
  ['download', 'less', SEND, 'cat() { head -c 39999999; }', 'A file changed while it was copied. Nothing was copied.'],
  ['download', 'more', SEND, 'cat() { command cat; echo; }', 'A file changed while it was copied. Nothing was copied.'],
] as const)('%s: a large file of which %s arrives is refused', async (direction, _what, changed, change, message) => {
  const onStart: CopySetupOptions['onStart'] = ({ script, data }) => ({
    script: script === changed ? `${change}\n${script}` : script,
    data,
  });
  const copy = setUpCopy({ onStart });
  writeFiles(direction === 'upload' ? copy.here : copy.run, { big: LARGE });
  await expect(copy[direction]('big', 'new')).rejects.toThrow(message);
  expect(namesIn(copy.here)).toEqual(direction === 'upload' ? ['big'] : []);
  expect(await untilClean(copy.run)).toEqual(direction === 'upload' ? [] : ['big']);
});

test('a large file that is written to in the run while it is read is refused, though its size is the same', async () => {
  const onStart: CopySetupOptions['onStart'] = ({ script, data }) => ({
    script: script === SEND ? `cat() { command cat; printf y | dd of="./big" conv=notrunc; }\n${script}` : script,
    data,
  });
  const copy = setUpCopy({ onStart });
  writeFiles(copy.run, { big: LARGE });
  await expect(copy.download('big', 'new')).rejects.toMatchObject({ code: 'plan-changed' });
  expect(namesIn(copy.here)).toEqual([]);
});

test('a large file that exists at its place is not sent to its end, and nothing of it is left', async () => {
  const copy = setUpCopy();
  writeFiles(copy.here, { big: LARGE, other: Buffer.alloc(LARGE.length, 'y'), longer: Buffer.alloc(50_000_000, 'x') });
  await copy.upload('big', 'new');
  expect(await copy.upload('big', 'new')).toMatchObject({ files: 0, same: 1 });
  for (const name of ['other', 'longer'])
    await expect(copy.upload(name, 'new')).rejects.toMatchObject({ code: 'file-exists' });
  expect(await untilClean(copy.run)).toEqual(['new']);
  expect(await copy.upload('other', 'new', { replace: true })).toMatchObject({ files: 1, checkedBy: 'size' });
  expect(readFileSync(path.join(copy.run, 'new')).equals(readFileSync(path.join(copy.here, 'other')))).toBe(true);
  expect(await untilClean(copy.run)).toEqual(['new']);
});

test('two copies to the same place: each file is whole, and none is replaced', async () => {
  const copy = setUpCopy();
  const other = Buffer.alloc(BIG.length, 'y');
  writeFiles(copy.here, { 'one/big': BIG, 'two/big': other });
  writeFiles(copy.run, { 'one/big': BIG, 'two/big': other });
  for (const [start, folder] of [
    [copy.upload, copy.run],
    [copy.download, copy.here],
  ] as const) {
    const ends = await Promise.allSettled([start('one', 'new'), start('two', 'new')]);
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const won = ends[0].status === 'fulfilled' ? BIG : other;
    expect(readFileSync(path.join(folder, 'new/big')).equals(won)).toBe(true);
    expect(namesIn(folder).filter((name) => name.includes(STAGE_PREFIX))).toEqual([]);
  }
});

test('a file that is created at its place meanwhile is left alone, on either end', async () => {
  const here = setUpCopy({ onStart: (program) => (program.script === PULL ? create(here.here, program) : program) });
  const create = <T>(folder: string, program: T): T => {
    writeFiles(folder, { 'new/b': 'theirs' });
    return program;
  };
  writeFiles(here.run, { 'out/a': '1', 'out/b': '2' });
  await expect(here.download('out', 'new')).rejects.toMatchObject({ code: 'plan-changed' });
  expect(readFiles(here.here)).toMatchObject({ 'new/b': 'theirs' });
  const there = setUpCopy({ onStart: (program) => (program.script === PUSH ? create(there.run, program) : program) });
  writeFiles(there.here, { 'up/a': '1', 'up/b': '2' });
  await expect(there.upload('up', 'new')).rejects.toThrow('was created in the run meanwhile, and was left alone');
  expect(readFiles(there.run)).toEqual({ new: 'folder', 'new/a': '1', 'new/b': 'theirs' });
});

test.each(['a link to a folder', 'a link to a file', 'another file'] as const)(
  'what is replaced by %s before it is read is not uploaded',
  async (what) => {
    const copy = setUpCopy({
      onStart: (program) => {
        if (program.script === PUSH) {
          renameSync(path.join(copy.here, 'up/sub'), path.join(copy.here, 'moved'));
          if (what === 'a link to a folder')
            symlinkSync(path.join(copy.here, 'secret'), path.join(copy.here, 'up/sub'));
          else mkdirSync(path.join(copy.here, 'up/sub'));
          if (what === 'a link to a file')
            symlinkSync(path.join(copy.here, 'secret/a'), path.join(copy.here, 'up/sub/a'));
          if (what === 'another file') writeFileSync(path.join(copy.here, 'up/sub/a'), '2');
        }
        return program;
      },
    });
    writeFiles(copy.here, { 'up/sub/a': '1', 'secret/a': 's' });
    // The same size and time, so that only the link shows it.
    for (const name of ['up/sub/a', 'secret/a']) utimesSync(path.join(copy.here, name), 1_000, 1_000);
    await expect(copy.upload('up', 'new')).rejects.toMatchObject({
      message: 'A file changed while it was copied. Nothing was copied.',
      untrusted: '"sub/a"',
    });
    expect(await untilClean(copy.run)).toEqual([]);
  },
);

test('a folder that is replaced by a link meanwhile is not written through', async () => {
  const copy = setUpCopy({
    onStart: (program) => {
      if (program.script === PULL) {
        renameSync(path.join(copy.here, 'new/sub'), path.join(copy.here, 'moved'));
        symlinkSync(path.join(copy.here, 'elsewhere'), path.join(copy.here, 'new/sub'));
      }
      return program;
    },
  });
  writeFiles(copy.here, { 'new/sub/x': '', 'elsewhere/x': '' });
  writeFiles(copy.run, { 'out/sub/a': '1' });
  await expect(copy.download('out', 'new')).rejects.toMatchObject({ code: 'plan-changed' });
  expect(readFiles(path.join(copy.here, 'elsewhere'))).toEqual({ x: '' });
});

test('the staging folder of a server that was killed is removed by the next copy, and that of a living one is not', async () => {
  const copy = setUpMiddle(() => undefined);
  const own = await createStage(path.join(copy.here, 'x'), 0);
  const name = namesIn(copy.here).find((one) => one.startsWith(STAGE_PREFIX)) ?? '';
  const dead = path.join(copy.here, name.replace(`-${process.pid}-`, '-999999999-'));
  mkdirSync(dead);
  writeFileSync(path.join(dead, '0'), 'half');
  await copy.download('out', 'new');
  expect([existsSync(dead), existsSync(path.join(copy.here, name))]).toEqual([false, true]);
  await own.remove();
});
