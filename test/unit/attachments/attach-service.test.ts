import { describe, expect, test } from 'vitest';
import { checkConnection } from '../../../src/attachments/attach-service.ts';

const INJECTED = 'host\n  ProxyCommand touch /tmp/owned';

const provisioned = (more: object = {}): object => ({
  hostname: '192.0.2.7',
  username: 'ubuntu',
  ssh_port: 22,
  ssh_proxy: null,
  ...more,
});

interface Parts {
  readonly name?: string;
  readonly provisioning?: object | null;
  readonly runtime?: object | null;
  readonly proxy?: object | null;
  readonly spec?: object;
}

const run = ({
  name = 'train',
  provisioning = provisioned(),
  runtime = null,
  proxy = null,
  spec = {},
}: Parts = {}) => ({
  id: '1',
  run_spec: { run_name: name },
  jobs: [
    {
      job_spec: { job_name: 'train-0-0', job_num: 0, replica_num: 0, user: null, app_specs: [{ port: 8000 }], ...spec },
      job_submissions: [{ job_provisioning_data: provisioning, job_runtime_data: runtime }],
      job_connection_info: proxy,
    },
  ],
});

const check = (parts?: Parts): string => checkConnection(run(parts), { run: 'train' });

describe('the address of a run', () => {
  test.each([
    [provisioned()],
    [provisioned({ hostname: 'ec2-1.eu-west-1.compute.example.com', username: 'azureuser' })],
    [provisioned({ hostname: '2001:db8::1', username: 'tok_A-b.9' })],
    [provisioned({ ssh_proxy: { hostname: '::1', username: 'root', port: 2222 } })],
  ])('is known and safe: %j', (provisioning) => {
    expect(check({ provisioning })).toBe('known');
    expect(check({ provisioning, runtime: { username: 'root', ports: { 10022: 32768 } } })).toBe('known');
  });

  test('is known by its SSH proxy', () => {
    const proxy = { sshproxy_hostname: 'ssh.example.com', sshproxy_port: null, sshproxy_upstream_id: 'a1b2' };
    expect(check({ provisioning: null, proxy })).toBe('known');
  });

  test.each([[null], [provisioned({ hostname: null })], [provisioned({ ssh_port: null })]])(
    "isn't known yet: %j",
    (provisioning) => {
      expect(check({ provisioning })).toBe('not-yet');
    },
  );

  test('is that of the wanted job', () => {
    expect(checkConnection(run(), { run: 'train', job: 1 })).toBe('not-yet');
    expect(checkConnection(run(), { run: 'train', replica: 1 })).toBe('not-yet');
    expect(checkConnection(run(), { run: 'train', replica: 0, job: 0 })).toBe('known');
  });
});

describe('attaching is refused', () => {
  const UNSAFE = [INJECTED, 'host\rx', 'a b', '-oProxyCommand=x', '%h', 'a"b', 'a\u2028b', '', 'h;x', '$(x)', '`x`'];

  test.each(UNSAFE)('for the name %j, wherever it is', (bad) => {
    const cases: Parts[] = [
      { provisioning: provisioned({ hostname: bad }) },
      { provisioning: provisioned({ username: bad }) },
      { provisioning: provisioned({ ssh_proxy: { hostname: bad, username: 'root', port: 22 } }) },
      { provisioning: provisioned({ ssh_proxy: { hostname: 'h', username: bad, port: 22 } }) },
      { runtime: { username: bad } },
      { spec: { user: { username: bad } } },
      { spec: { job_name: bad } },
      { proxy: { sshproxy_hostname: bad, sshproxy_upstream_id: 'x' } },
      { proxy: { sshproxy_hostname: 'h', sshproxy_upstream_id: bad } },
      { name: bad },
    ];
    for (const parts of cases)
      expect(() => check(parts), JSON.stringify(parts)).toThrow(/isn't plain at .* attached\./s);
  });

  test.each([[0], [65_536], [1.5], ['22\n  ProxyCommand x']])('for the port %j', (bad) => {
    const cases: Parts[] = [
      { provisioning: provisioned({ ssh_port: bad }) },
      { provisioning: provisioned({ ssh_proxy: { hostname: 'h', username: 'root', port: bad } }) },
      { runtime: { ports: { 10022: bad } } },
      { proxy: { sshproxy_hostname: 'h', sshproxy_upstream_id: 'x', sshproxy_port: bad } },
    ];
    for (const parts of cases) expect(() => check(parts), JSON.stringify(parts)).toThrow("isn't plain");
  });

  test('for another job of the run, and for data that is not a run; the error quotes no value', () => {
    const other = run({ provisioning: provisioned({ hostname: INJECTED }) }).jobs;
    const both = { ...run(), jobs: [...run().jobs, ...other] };
    expect(() => checkConnection(both, { run: 'train' })).toThrow(
      expect.objectContaining({ code: 'invalid-value', message: expect.not.stringContaining('ProxyCommand') }),
    );
    expect(() => checkConnection({ jobs: 1 }, { run: 'train' })).toThrow("isn't plain");
  });
});
