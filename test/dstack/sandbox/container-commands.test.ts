import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createHash, randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import type ssh2 from 'ssh2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSshKey } from '../../../sandbox/ssh-keys.ts';
import { findIsolation } from '../../../sandbox/machines/isolation.ts';
import { SFTP_SERVERS } from '../../../sandbox/machines/real-session.ts';
import { Scenarios } from '../../../sandbox/machines/scenarios.ts';
import { SimulatedHost } from '../../../sandbox/machines/simulated-host.ts';
import { callPort, connectSsh, forward } from '../../support/machine-client.ts';
import { repositoryRoot } from '../../support/paths.ts';
import { RealSshd, whyNoSshd } from '../../support/real-sshd.ts';

const isolation = await findIsolation();
const sshd = new RealSshd();

let folder: string;
let config: string;
let client: ssh2.Client;
let host: SimulatedHost;
const scenarios = new Scenarios();

async function call(port: number, line: string, body: unknown): Promise<void> {
  await callPort(client, { port, line, body });
}

/** Options for one command in a container. */
interface RunOptions {
  readonly input?: string | Buffer;
  readonly container?: string;
  readonly options?: readonly string[];
}

async function run(command: string, { input = '', container = 'one', options = [] }: RunOptions = {}) {
  const result = await execa('ssh', ['-F', config, ...options, container, command], {
    input,
    reject: false,
    encoding: 'buffer',
    stripFinalNewline: false,
    maxBuffer: 2 ** 28,
  });
  const { stdout, stderr, exitCode } = result;
  return {
    bytes: Buffer.from(stdout),
    stdout: Buffer.from(stdout).toString(),
    stderr: Buffer.from(stderr).toString(),
    exitCode,
  };
}

/** Starts a container for a run with one node. Each has its own ports on the host. */
async function startContainer(name: string, key: string): Promise<void> {
  await call(10_998, 'POST /api/tasks', {
    id: name,
    name: `${name}-0-0`,
    network_mode: 'bridge',
    container_ssh_keys: [key],
  });
  const ports = 30_000 + 2 * (host.tasks.length - 1);
  const configuration = { type: 'dev-environment' };
  await call(ports, 'POST /api/submit', {
    run: { id: 'id', run_spec: { run_name: name, configuration } },
    job_spec: {
      replica_num: 0,
      job_num: 0,
      jobs_per_replica: 1,
      commands: [],
      working_dir: '/workflow/sub',
      env: { QUOTED: `it's "$HOME"` },
    },
  });
  await call(ports, 'POST /api/run', {});
  const jump = `ssh -F ${config} -W localhost:${ports + 1} machine`;
  const master = `ControlMaster auto\n  ControlPath ${path.join(folder, '%n.socket')}\n  ControlPersist yes`;
  const text = `Host ${name}\n  ProxyCommand ${jump}\n  ${master}\n`;
  await writeFile(config, text, { flag: 'a' });
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'container-'));
  const [key, other] = await Promise.all([createSshKey(folder, 'key'), createSshKey(folder, 'other')]);
  const hardware = {
    gpuCount: 2,
    gpuName: 'A100',
    cpus: 8,
    memoryBytes: 2 ** 35,
    diskBytes: 2 ** 38,
    address: '10.0.0.1/24',
  };
  const common = { name: 'machine', hardware, hostKey: Buffer.from(other.privateKey), dstackVersion: '0.22.5' };
  host = await SimulatedHost.start({ ...common, scenarios, isolation }, { address: '127.0.0.1' });
  client = await connectSsh({ host: host.address, port: host.port }, key.privateKey);
  config = path.join(folder, 'config');
  const shared = ['User root', 'StrictHostKeyChecking no', 'UserKnownHostsFile /dev/null', 'LogLevel ERROR'];
  const own = [...shared, 'BatchMode yes', 'IdentitiesOnly yes', `IdentityFile ${key.file}`];
  await writeFile(config, [...own, 'Host machine', 'HostName 127.0.0.1', `Port ${host.port}`, ''].join('\n'));
  scenarios.set('small', { diskBytes: 2 ** 22 });
  await startContainer('one', key.publicKey);
  await startContainer('small', key.publicKey);
  await startContainer('foreign', other.publicKey);
});

afterAll(async () => {
  client.end();
  await host.stop();
  await rm(folder, { recursive: true });
});

describe.skipIf(isolation.kind === 'none')('a container where the system can isolate it', () => {
  test('runs commands with both streams, standard input and the exit code', async () => {
    const done = await run('cat; echo problem >&2; echo more > /dev/stderr; exit 7', { input: 'text' });
    expect(done).toMatchObject({ stdout: 'text', stderr: 'problem\nmore\n', exitCode: 7 });
  });

  test('reports a signal as sshd does, and ends a command whose input is unread', async () => {
    expect((await run('kill -TERM $$')).exitCode).toBe(255);
    expect((await run('exec true', { input: randomBytes(2 ** 22) })).exitCode).toBe(0);
  });

  test
    .skipIf(whyNoSshd !== undefined)
    .each([
      ['echo out; echo err >&2; exit 3'],
      ['exit 300'],
      ['kill -KILL $$'],
      ['kill -USR1 $$'],
      ['trap "echo trapped" TERM; kill $$; echo after'],
      ['cat | wc -c'],
      ['read -r line; echo "$line"; exec <&-; sleep 0.1; echo unread'],
      ['sleep 0.2 && echo later & echo at once'],
      ['umask; [ -t 0 ]; echo $?; [ "$(ps -o sid= -p $$ | tr -d " ")" = $$ ]; echo $?'],
      ['readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 | cut -d: -f1'],
      ['echo "a  \'b\' \\"; printf "%s\\n" "$0" "$#"; not-a-command 2> /dev/null; echo $?'],
    ])('does the same as a real sshd for: %s', async (command) => {
    const input = 'first line\nsecond line\n';
    const { controlSocket } = sshd.connection;
    const real = await execa('ssh', ['-F', 'none', '-S', controlSocket, 'machine', command], {
      input,
      reject: false,
      stripFinalNewline: false,
    });
    const { stdout, stderr, exitCode } = await run(command, { input });
    expect({ stdout, stderr, exitCode }).toEqual({
      stdout: real.stdout,
      stderr: real.stderr,
      exitCode: real.exitCode,
    });
  });

  test('has the environment of sshd, and dstack’s variables in the profile', async () => {
    const { stdout } = await run(
      'pwd; echo "$USER $HOME"; env | grep -c DSTACK; cat /proc/self/cmdline | tr "\\0" " "',
    );
    expect(stdout).toBe('/root\nroot /root\n0\ncat /proc/self/cmdline ');
    const profile = await run(
      '. /etc/profile; pwd; echo "$QUOTED"; echo "$DSTACK_RUN_NAME"; hostname; nvidia-smi | wc -l',
    );
    expect(profile.stdout).toBe(`/workflow/sub\nit's "$HOME"\none\none-0-0\n0\n`);
  });

  test('sees no file, process, network or device of the computer', async () => {
    const listed = await run('ls -A /root /home /mnt; ls /dev | xargs; ls /etc | xargs; ls -d /proc/[0-9]* | head -1');
    expect(listed.stdout.replace('alternatives ', '').replace('ld.so.cache ', '')).toBe(
      [
        '/home:\n\n/mnt:\n\n/root:',
        'fd full null ptmx pts random shm stderr stdin stdout tty urandom zero',
        'group hostname hosts passwd profile',
        '/proc/1\n',
      ].join('\n'),
    );
    const missing = await run(`ls ${JSON.stringify(folder)} ${JSON.stringify(process.cwd())}`);
    expect(missing.exitCode).toBe(2);
    const { stdout } = await run('cat /proc/net/dev | tail -n +3 | cut -d: -f1; ls /proc/self/fd; env');
    expect(stdout).toMatch(/^ +lo\n0\n1\n2\n3\n/);
    expect(stdout).not.toContain(folder);
  });

  test.each([
    ['write to the computer’s programs', 'touch /usr/never'],
    ['mount its programs writable', 'mount -o remount,rw,bind /usr'],
    ['mount anything', 'mount -t tmpfs none /mnt'],
    ['get capabilities in another namespace', 'unshare --user --map-root-user true'],
    ['change the kernel’s settings', 'echo 1 > /proc/sys/kernel/sysrq'],
    ['leave its root folder', 'mkdir /tmp/root && chroot /tmp/root /bin/true'],
    ['change how commands are started', 'echo > /opt/sandbox/enter'],
    ['end its first process', 'kill -9 1; [ ! -d /proc/1 ]'],
    ['raise its limit on processes', 'ulimit -u 4096'],
  ])('can’t %s', async (_what, command) => {
    const { exitCode, stderr } = await run(command);
    expect([exitCode, stderr === '' && !command.startsWith('kill')]).not.toEqual([0, false]);
    expect(exitCode).not.toBe(0);
  });

  test('transfers binary data at any size, unchanged, and no faster than the client reads', async () => {
    const bytes = randomBytes(8 * 2 ** 20);
    const written = await run('cat > /tmp/data; sha256sum < /tmp/data', { input: bytes });
    expect(written.stdout).toContain(createHash('sha256').update(bytes).digest('hex'));
    expect((await run('cat /tmp/data')).bytes.equals(bytes)).toBe(true);
    const endless = await run('yes | head -c 8000000; rm /tmp/data');
    expect(endless.stdout).toHaveLength(8_000_000);
  });

  test('unpacks 2,000 small files and packs them again', async () => {
    const source = path.join(folder, 'many');
    await mkdir(source);
    await Promise.all(
      Array.from({ length: 2_000 }, (_, n) => writeFile(path.join(source, `file ${n}`), `content ${n}`)),
    );
    const packed = await execa('tar', ['-C', source, '-cf', '-', '.'], { encoding: 'buffer', maxBuffer: 2 ** 28 });
    const { stdout } = await run('mkdir /tmp/many && tar -C /tmp/many -xf - && ls /tmp/many | wc -l', {
      input: Buffer.from(packed.stdout),
    });
    expect(stdout).toBe('2000\n');
    expect((await run('tar -C /tmp/many -cf - . | tar -tf - | wc -l')).stdout).toBe('2001\n');
  });

  test('says that a subsystem is missing, without keeping the client waiting', async () => {
    const asked = await run('nonsense', { options: ['-s'] });
    expect(asked).toMatchObject({ exitCode: 255, stderr: expect.stringContaining('has no server for the subsystem') });
  });

  test.skipIf(!SFTP_SERVERS.some((file) => existsSync(file)))('serves its own files to scp and sftp', async () => {
    const source = path.join(folder, 'source');
    await writeFile(source, 'from here');
    await execa('scp', ['-F', config, source, 'one:/workflow/there']);
    expect((await run('cat /workflow/there')).stdout).toBe('from here');
    await execa('scp', ['-F', config, 'one:/workflow/there', `${source}-again`]);
    expect(await readFile(`${source}-again`, 'utf8')).toBe('from here');
    // A link leads to a file of the container, not of the computer.
    await run(`ln -s ${source} /workflow/link`);
    const linked = await execa('scp', ['-F', config, 'one:/workflow/link', `${source}-linked`], { reject: false });
    expect(linked.exitCode).not.toBe(0);
  });

  test('says that its disk is full, and works again with space', async () => {
    const full = await run('head -c 8000000 /dev/zero > /workflow/big', { container: 'small' });
    expect(full).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('No space left on device') });
    const again = await run('rm /workflow/big; echo x > /workflow/small; cat /workflow/small', { container: 'small' });
    expect(again).toMatchObject({ exitCode: 0, stdout: 'x\n' });
  });

  test('a process in the background outlives its channel and a dropped connection', async () => {
    const detached = await run('(while [ ! -e /tmp/go ]; do sleep 0.05; done; echo > /tmp/gone) > /dev/null 2>&1 &');
    expect(detached.exitCode).toBe(0);
    const reading = run('touch /tmp/reading; sleep infinity');
    // As with sshd, only what still writes to the connection ends with it.
    const writing = run('bash -c "while echo tick; do sleep 0.02; done"; touch /tmp/ended');
    await run('while [ ! -e /tmp/reading ]; do sleep 0.05; done');
    host.dropConnections('one-0-0');
    expect([(await reading).exitCode, (await writing).exitCode]).toEqual([255, 255]);
    const wait = 'while [ ! -e /tmp/gone -o ! -e /tmp/ended ]; do sleep 0.05; done';
    const { exitCode } = await run(`touch /tmp/go; ${wait}; pkill sleep`);
    expect(exitCode).toBe(0);
  });

  test('accepts only the keys that dstack gave to the container', async () => {
    const refused = await run('true', { container: 'foreign' });
    expect(refused).toMatchObject({ exitCode: 255, stderr: expect.stringContaining('Permission denied (publickey)') });
  });

  test('has the limit of sshd on sessions in one connection', async () => {
    const key = await readFile(path.join(folder, 'key'));
    const inner = await connectSsh({ sock: await forward(client, 30_001) }, key);
    const open = (): Promise<ssh2.ClientChannel> =>
      new Promise((resolve, reject) =>
        inner.exec('cat', (error, channel) => (error ? reject(error) : resolve(channel))),
      );
    const channels = await Promise.all(Array.from({ length: 10 }, open));
    await expect(open()).rejects.toThrow(/open failed|failure/i);
    const [first] = channels;
    if (!first) throw new Error('no channel');
    const ended = once(first.resume(), 'close');
    first.end();
    await ended;
    (await open()).close();
    inner.end();
  });

  test('starts a shell in a terminal for a client that has one', async () => {
    const shell = await execa('ssh', ['-F', config, '-tt', 'one'], {
      input: 'tty; stty size; exit 5\n',
      reject: false,
    });
    expect(shell).toMatchObject({ exitCode: 5, stdout: expect.stringContaining('/dev/pts/0') });
  });

  test('ends with its processes, and with the sandbox even if that is killed', async () => {
    await run('sleep 98765 > /dev/null 2>&1 &', { container: 'small' });
    expect(await countSleeping('98765')).toBe(1);
    await call(10_998, 'POST /api/tasks/small/terminate', {});
    await expect.poll(() => countSleeping('98765')).toBe(0);

    const killed = execa(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', SLEEP_INSIDE], {
      cwd: repositoryRoot,
      reject: false,
    });
    await once(killed.stdout, 'data');
    await expect.poll(() => countSleeping('87654')).toBe(1);
    killed.kill('SIGKILL');
    await killed;
    await expect.poll(() => countSleeping('87654')).toBe(0);
  });
});

const SLEEP_INSIDE = `
  import { Namespace } from './sandbox/machines/namespace.ts';
  const options = { hostName: 'x', diskBytes: 2 ** 20, profile: '', gpus: '', workingFolder: '/' };
  const namespace = await Namespace.create(options);
  namespace.spawn(['bash', '-c', 'echo started; exec sleep 87654'], {}).stdout.pipe(process.stdout);
`;

/** Counts the processes of the computer that sleep for that long. */
async function countSleeping(seconds: string): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return lines.filter((line) => line.startsWith(`sleep\0${seconds}`)).length;
}
