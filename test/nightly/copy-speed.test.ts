import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { createSshShell } from '../../src/remote/ssh-shell.ts';
import { RealSshd, whyNoSshd } from '../support/real-sshd.ts';
import { readFiles, setUpCopy, writeFiles } from '../support/set-up-copy.ts';

// npm run lab -- copy. On loopback, both ends share the cores.

const ROUNDS = 7;
const BYTES = 100 * 1024 ** 2;

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

/** Returns the milliseconds of the cores that processes have used, with those of their children that have ended. */
const coreTimeOf = (pids: readonly number[]): number =>
  pids
    .flatMap((pid) => {
      const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
        .replace(/^.*\) /s, '')
        .split(' ');
      return fields.slice(11, 15).map(Number);
    })
    .reduce((sum, ticks) => sum + 10 * ticks, 0);

interface Measure {
  readonly rounds: number;
  /** Everything that works for a copy. */
  readonly pids: () => Promise<readonly number[]>;
}

/** Measures several ways in turn, so that a busy moment affects all of them, and prints the medians of time and of time of the cores. */
async function compare(
  title: string,
  { rounds, pids }: Measure,
  ways: Readonly<Record<string, (round: number) => unknown>>,
) {
  const all = Object.entries(ways).map(([name, way]) => ({ name, way, times: [] as number[], cores: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { way, times, cores } of all) {
      const [startedAt, before] = [performance.now(), coreTimeOf(await pids())];
      await way(round);
      times.push(performance.now() - startedAt);
      cores.push(coreTimeOf(await pids()) - before);
    }
  }
  const shown = all.map(({ name, times, cores }) => `${name} ${Math.round(median(times))} (${median(cores)}) ms`);
  console.log(`${title}: ${shown.join(', ')}`);
}

describe.skipIf(whyNoSshd !== undefined)('compared with scp over the same connection to a real sshd', () => {
  const sshd = new RealSshd();
  const setUp = () => setUpCopy({ shellOf: () => createSshShell(sshd.connection) });
  const scp = (...words: readonly string[]): void => {
    const { controlSocket, ssh } = sshd.connection;
    execFileSync('scp', ['-q', '-F', 'none', '-o', `ControlPath=${controlSocket}`, ...words], { env: ssh.env });
  };

  test('100 MB arrive unchanged', async () => {
    const { here, run, upload, download } = setUp();
    const bytes = randomBytes(BYTES);
    writeFileSync(path.join(here, 'big'), bytes);
    const measure = { rounds: ROUNDS, pids: () => sshd.pids() };
    await compare('100 MB up', measure, {
      scp: () => scp(path.join(here, 'big'), `run:${run}/scp`),
      copy: () => upload('big', path.join(run, 'copy'), { replace: true }).then(() => rmSync(path.join(run, 'copy'))),
    });
    writeFileSync(path.join(run, 'big'), bytes);
    await compare('100 MB down', measure, {
      scp: () => scp(`run:${run}/big`, path.join(here, 'scp')),
      copy: (round) => download(path.join(run, 'big'), `copy-${round}`),
    });
    await upload('big', path.join(run, 'again'));
    expect(readFileSync(path.join(run, 'again')).equals(bytes)).toBe(true);
    expect(readFileSync(path.join(here, 'copy-0')).equals(bytes)).toBe(true);
  });

  test('10,000 small files arrive unchanged', async () => {
    const { here, run, upload, download } = setUp();
    const files = Array.from({ length: 10_000 }, (_, at) => [`many/d${at % 100}/f${at}`, `file ${at}`] as const);
    writeFiles(here, Object.fromEntries(files));
    const measure = { rounds: 1, pids: () => sshd.pids() };
    await compare('10,000 files up', measure, {
      scp: () => scp('-r', path.join(here, 'many'), `run:${run}/scp`),
      copy: () => upload('many', path.join(run, 'many')),
      same: () => upload('many', path.join(run, 'many')),
    });
    await compare('10,000 files down', measure, {
      scp: () => scp('-r', `run:${run}/many`, path.join(here, 'scp')),
      copy: () => download(path.join(run, 'many'), 'back'),
    });
    expect(readFiles(path.join(here, 'back'))).toEqual(readFiles(path.join(here, 'many')));
  });
});
