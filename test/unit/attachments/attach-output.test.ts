import { describe, expect, test } from 'vitest';
import { readAttachOutput } from '../../../src/attachments/attach-output.ts';

const HEAD = `Attached to run web (replica=0 job=0)
Forwarded ports (local -> remote):
  - localhost:18123 -> 8123
  - 0.0.0.0:8080 -> 80
To connect to the run via SSH, use \`ssh web\`.
Press Ctrl+C to detach...
`;

const failureOf = (text: string) => readAttachOutput(text).failure;

describe('the output of dstack attach', () => {
  test('has the job, the alias and the ports', () => {
    const output = readAttachOutput(`${HEAD}starting\n`);
    expect(output).toMatchObject({
      target: { run: 'web', replica: 0, job: 0 },
      sshAlias: 'web',
      ports: [
        { host: 'localhost', localPort: 18_123, remotePort: 8123 },
        { host: '0.0.0.0', localPort: 8080, remotePort: 80 },
      ],
      sshConfigNotWritten: false,
      detached: false,
    });
    expect(output.failure).toBeUndefined();
    expect(output.jobOutput).toBe('starting\n');
    expect(output.dstackOutput).toBe(HEAD.trimEnd());
  });

  test('has the alias of one of several jobs', () => {
    const output = readAttachOutput(
      'Attached to run svc2 (replica=1 job=0)\nTo connect to the run via SSH, use `ssh svc2-0-1`.\nPress Ctrl+C to detach...\n',
    );
    expect(output).toMatchObject({ target: { run: 'svc2', replica: 1, job: 0 }, sshAlias: 'svc2-0-1', ports: [] });
  });

  test('has no ports or alias from the output of the job', () => {
    const output = readAttachOutput(
      `${HEAD}  - localhost:22 -> 22\nTo connect to the run via SSH, use \`ssh evil\`.\nAttached to run evil (replica=9 job=9)\n`,
    );
    expect(output).toMatchObject({ target: { run: 'web' }, sshAlias: 'web' });
    expect(output.ports).toHaveLength(2);
  });

  test.each([
    ['vscode', 'vscode://vscode-remote/ssh-remote+web/workflow'],
    ['cursor', 'cursor://vscode-remote/ssh-remote+web/workflow'],
    ['windsurf', 'windsurf://vscode-remote/ssh-remote+web/work/flow'],
    ['zed', 'zed://ssh/web/workflow'],
    ['vscode-insiders', 'vscode-insiders://vscode-remote/ssh-remote+web'],
  ])('has the link of %s', (scheme, url) => {
    expect(readAttachOutput(`${HEAD}\nTo open in it, use link below:\n\n  ${url}\n\n`).ideLink).toEqual({
      scheme,
      url,
    });
  });

  test.each([
    ['of another host', 'vscode://vscode-remote/ssh-remote+other/workflow'],
    ['of a web page', 'https://vscode-remote/ssh-remote+web/workflow'],
    ['of a script', 'javascript://vscode-remote/ssh-remote+web/workflow'],
    ['inside other text', 'open vscode://vscode-remote/ssh-remote+web/workflow now'],
    ['with a query', 'vscode://vscode-remote/ssh-remote+web/workflow?command=rm'],
  ])('has no link %s', (_what, line) => {
    expect(readAttachOutput(`${HEAD}${line}\n`).ideLink).toBeUndefined();
  });

  test.each([
    [
      'Failed to attach: port 8123 is already in use. Use -p in dstack attach to override the local port mapping, e.g. -p 8124:8123.',
      { reason: 'port-in-use', port: 8123 },
    ],
    ['Cannot override port 999 not exposed by the run', { reason: 'port-not-exposed', port: 999 }],
    ['Run nosuch not found', { reason: 'run-not-found' }],
    ['Run fail3 is failed', { reason: 'run-ended', status: 'failed' }],
    ['Failed to find replica=7 job=0', { reason: 'no-such-job' }],
    ["Can't connect to the remote host", { reason: 'no-connection' }],
    ['SSH client not found.', { reason: 'ssh-missing' }],
    ['Failed to connect to dstack server http://127.0.0.1:3990', { reason: 'server-unreachable' }],
    [
      'Access to http://127.0.0.1:3990/api/runs/get is denied. Please check your access token',
      { reason: 'access-denied' },
    ],
    ['Something that no version has said yet', { reason: 'other' }],
  ])('has the failure in "%s"', (line, failure) => {
    expect(failureOf(`${line}\n`)).toEqual({ failure, message: line });
  });

  test('has the permission error from the last line of a traceback, not from a handled error', () => {
    const message = "PermissionError: [Errno 13] Permission denied: '/home/me/.dstack/ssh/config'";
    const text = `Traceback (most recent call last):\nFileNotFoundError: [Errno 2] No such file or directory: '/x'\n\nDuring handling\n${message}\n`;
    expect(failureOf(text)).toEqual({
      failure: { reason: 'no-permission', path: '/home/me/.dstack/ssh/config' },
      message,
    });
  });

  test('has the status of a run that failed while dstack waited for it', () => {
    expect(failureOf('\nProvisioning web completed (failed)\nRun web is failed\n')?.failure).toEqual({
      reason: 'run-ended',
      status: 'failed',
    });
  });

  test('shows that ssh does not know the alias if dstack could not write its configuration', () => {
    const warning =
      "[01:18:35] WARNING  dstack._internal.utils.ssh:245 Couldn't update `/home/me/.ssh/config` due to a permissions problem.\n";
    expect(readAttachOutput(`${warning}${HEAD}`)).toMatchObject({ sshConfigNotWritten: true, sshAlias: 'web' });
    expect(readAttachOutput(`${HEAD}${warning}`).sshConfigNotWritten).toBe(false);
  });

  test.each([
    ['Exited (0)', 'Exited (0)'],
    ['Exited (1)\nCheck dstack logs -d web for more details.', 'Exited (1)'],
  ])('has the end of the run from "%s"', (end, finished) => {
    expect(readAttachOutput(`${HEAD}line\n${end}\n`).finished).toBe(finished);
  });

  test('shows that dstack detached', () => {
    expect(readAttachOutput(`${HEAD}tick\n\nDetached\n`).detached).toBe(true);
  });

  test('is empty if dstack printed nothing', () => {
    expect(readAttachOutput('')).toEqual({
      ports: [],
      sshConfigNotWritten: false,
      detached: false,
      dstackOutput: '',
      jobOutput: '',
    });
  });
});
