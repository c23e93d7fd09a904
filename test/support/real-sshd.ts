import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import getPort from 'get-port';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { lookUpProcess } from '../../src/dstack/run/processes.ts';
import type { SharedConnection } from '../../src/remote/ssh-shell.ts';
import { emptyFolder } from './temporary-folders.ts';
import { until } from './wait.ts';
import { readUntil } from './run-command.ts';

const SSHD = '/usr/sbin/sshd';

/** The reason why tests with a real sshd are skipped; undefined if they can run. */
export const whyNoSshd =
  process.platform !== 'linux' ? 'a job is a Linux system' : existsSync(SSHD) ? undefined : `there is no ${SSHD}`;

/** A real sshd on loopback with its own keys, and a master connection to it as `dstack attach` makes one. */
export class RealSshd {
  #folder = '';
  #port = 0;
  #server: ChildProcessByStdio<null, null, Readable> | undefined;

  /** Registers the hooks of the test file. */
  constructor() {
    if (whyNoSshd !== undefined) return;
    beforeAll(async () => {
      this.#folder = emptyFolder();
      await this.#start();
      await this.openMaster();
    });
    // A test that failed may have left none.
    beforeEach(async () => {
      if (!existsSync(this.connection.controlSocket)) await this.openMaster();
    });
    afterAll(async () => {
      this.closeMaster();
      this.#server?.kill('SIGKILL');
    });
  }

  get folder(): string {
    return this.#folder;
  }

  get connection(): SharedConnection {
    const env = { PATH: process.env['PATH'] ?? '', HOME: this.#folder };
    return { ssh: { env, dstackSshDir: this.#folder }, controlSocket: path.join(this.#folder, 'run.control.sock') };
  }

  /** Opens the master in the background. */
  async openMaster(): Promise<void> {
    const { controlSocket } = this.connection;
    const port = String(this.#port);
    const options = ['ControlMaster=auto', 'BatchMode=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null'];
    const files = [
      '-i',
      path.join(this.#folder, 'user'),
      '-E',
      path.join(this.#folder, 'master.log'),
      '-S',
      controlSocket,
    ];
    const flags = ['-F', 'none', '-N', '-f', '-p', port, ...files, ...options.flatMap((option) => ['-o', option])];
    execFileSync('ssh', [...flags, `${userInfo().username}@127.0.0.1`]);
  }

  /** Returns the process ID of the master. */
  async masterPid(): Promise<number> {
    return Number(/pid=(\d+)/.exec(this.#control('check'))?.[1]);
  }

  /** Returns the processes of a connection that last: this one, the master, and sshd's own for it. */
  async pids(): Promise<readonly number[]> {
    const own = execFileSync('pgrep', ['-P', String(this.#server?.pid)]).toString();
    return [process.pid, await this.masterPid(), ...own.split('\n').filter(Boolean).map(Number)];
  }

  /** Kills the process of sshd that serves the master's connection, as a machine does that disappears. */
  async dropConnection(): Promise<void> {
    const master = await this.masterPid();
    execFileSync('pkill', ['-KILL', '-P', String(this.#server?.pid)]);
    await until(
      () => lookUpProcess(master),
      (facts) => facts === undefined,
    );
  }

  closeMaster(): void {
    if (existsSync(this.connection.controlSocket)) this.#control('exit');
  }

  #control(command: string): string {
    const argv = ['-F', 'none', '-S', this.connection.controlSocket, '-O', command, 'run'];
    return execFileSync('sh', ['-c', 'exec ssh "$@" 2>&1', 'sh', ...argv]).toString();
  }

  async #start(): Promise<void> {
    for (const key of ['host', 'user'])
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path.join(this.#folder, key)]);
    const place = (name: string): string => path.join(this.#folder, name);
    await writeFile(place('authorized'), readFileSync(place('user.pub')), { mode: 0o600 });
    await mkdir('/run/sshd', { recursive: true }).catch(() => undefined);
    this.#port = await getPort({ host: '127.0.0.1' });
    const lines = [
      `ListenAddress 127.0.0.1:${this.#port}`,
      `HostKey ${place('host')}`,
      `AuthorizedKeysFile ${place('authorized')}`,
      `PidFile ${place('sshd.pid')}`,
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
      // For scp.
      'Subsystem sftp internal-sftp',
      // Not the home folder of this computer's user.
      `SetEnv HOME=${this.#folder}`,
    ];
    await writeFile(place('sshd_config'), `${lines.join('\n')}\n`);
    this.#server = spawn(SSHD, ['-D', '-e', '-f', place('sshd_config')], { stdio: ['ignore', 'ignore', 'pipe'] });
    await readUntil(this.#server.stderr, 'Server listening');
  }
}
