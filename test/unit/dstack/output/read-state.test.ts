import { describe, expect, it, test } from 'vitest';
import * as z from 'zod';
import { ToolError } from '../../../../src/core/errors.ts';
import { readJsonOutput } from '../../../../src/dstack/output/json-output.ts';
import {
  chooseJob,
  describeShownJob,
  nameJobs,
  readResource,
  readRun,
  resourceFacts,
} from '../../../../src/dstack/output/read-state.ts';
import { readFixture } from '../../../support/read-fixture.ts';

const json = (fixture: string, version?: string): unknown => readJsonOutput(readFixture(fixture, version).stdout);

describe('JSON output', () => {
  it('is found after what the CLI prints before it', () => {
    expect(readJsonOutput('A new version of dstack is available: 9.9.9\n\n[08:15:00] a warning\n{"a": [1]}\n')).toEqual(
      { a: [1] },
    );
  });

  it('that is missing is an error, not an empty value', () => {
    expect(() => readJsonOutput('Run x not found\n')).toThrow(ToolError);
    expect(() => readJsonOutput('{"a": 1')).toThrow('asked for JSON and printed none');
  });
});

describe('a run', () => {
  it.each([['0.22.5'], ['0.21.5'], ['0.20.29']])('of dstack %s has its status, location and price', (version) => {
    expect(readRun(json('run-get-running', version))).toMatchObject({
      kind: 'task',
      status: 'running',
      isFinished: false,
      backend: 'cloudrift',
      region: 'us-east-nc-nr-1',
      instanceType: 'rtx4090.1',
      gpu: 'RTX4090:24GB:1',
      spot: false,
      pricePerHour: 0.39,
      jobs: [{ replica: 0, job: 0, status: 'running' }],
    });
  });

  it('that ended without capacity says why and no longer has a price', () => {
    const run = readRun(json('run-get-no-offers'));
    expect(run).toMatchObject({
      status: 'failed',
      isFinished: true,
      terminationReason: 'job_failed',
      terminationMessage: expect.stringContaining('No offers matching'),
      finishedAt: '2026-11-25T01:13:44.588079Z',
      jobs: [{ statusMessage: 'no capacity', terminationReason: 'failed_to_start_due_to_no_capacity' }],
    });
    expect(run).not.toHaveProperty('pricePerHour');
  });

  it('whose job failed has its exit status', () => {
    expect(readRun(json('run-get-failed'))).toMatchObject({
      status: 'failed',
      exitStatus: 3,
      backend: 'cloudrift',
      jobs: [{ exitStatus: 3 }],
    });
  });

  it('that is a service has its full URL and that of its model', () => {
    const run = readRun(json('run-get-service'), { serverUrl: 'https://dstack.example.com/' });
    expect(run).toMatchObject({
      serviceUrl: 'https://dstack.example.com/proxy/services/lab/lab-svc/',
      model: 'foo/bar',
      modelUrl: 'https://dstack.example.com/proxy/services/lab/lab-svc/v1',
    });
    expect(readRun(json('run-get-service')).auth).toBe(true);
    expect(run.isServiceOnServer).toBe(true);
    expect(readRun(json('run-get-service')).serviceUrl).toBe('/proxy/services/lab/lab-svc/');
  });

  it.each([
    ['https://llm.gateway.example.com/', false],
    ['https://dstack.example.com:8443/x', false],
    ['https://dstack.example.com@evil.example/x', false],
    ['//evil.example/x', true],
    ['/proxy/x', true],
    ['javascript:x', false],
  ])('that is a service at %s is on the configured server: %s', (url, expected) => {
    const run = { ...z.looseObject({}).parse(json('run-get-service')), service: { url } };
    const read = readRun(run, { serverUrl: 'https://dstack.example.com' });
    expect(read.isServiceOnServer).toBe(expected);
    expect(String(read.serviceUrl).startsWith('https://dstack.example.com/')).toBe(expected);
    expect(readRun(run).isServiceOnServer).toBe(false);
  });

  it('that is a dev environment has the URL of its IDE and the SSH command', () => {
    expect(readRun(json('run-get-dev'))).toMatchObject({
      ideUrl: 'vscode://vscode-remote/ssh-remote+lab-dev/workflow',
      sshCommand: 'ssh lab-dev',
    });
  });

  it('with several jobs has the place, the end and the access of the wanted one', () => {
    const job = (replica_num: number, region: string, exit_status: number) => ({
      job_spec: { job_num: 0, replica_num },
      job_submissions: [{ status: 'failed', exit_status, job_provisioning_data: { region } }],
      job_connection_info: { attached_ssh_command: ['ssh', `run-${replica_num}`] },
    });
    const run = {
      id: 'x',
      status: 'failed',
      run_spec: { run_name: 'multi' },
      jobs: [job(0, 'here', 1), job(1, 'there', 2)],
    };
    const second = { region: 'there', exitStatus: 2, sshCommand: 'ssh run-1', shown: { replica: 1, job: 0 } };
    expect(readRun(run, { wanted: { replica: 1 } })).toMatchObject(second);
    expect(readRun(run)).toMatchObject({ region: 'here', exitStatus: 1, shown: { replica: 0, job: 0 } });
    expect(() => readRun(run, { wanted: { replica: 2 } })).toThrow('Run multi has no replica=2.');
  });

  it('adds up the prices of its jobs, and counts only the used part of a shared instance', () => {
    const job = (job_num: number, status: string) => ({
      job_spec: { job_num, replica_num: 0, app_specs: [{ port: 8000, map_to_port: 18000 }] },
      job_submissions: [
        {
          status,
          job_provisioning_data: { backend: 'remote', price: 8, instance_type: { name: 'whole' } },
          job_runtime_data: {
            offer: {
              price: 2,
              total_blocks: 4,
              instance: { name: 'part', resources: { gpus: [{ name: 'A100', memory_mib: 81920 }], spot: false } },
            },
          },
        },
      ],
    });
    const run = {
      id: 'x',
      status: 'running',
      run_spec: { run_name: 'multi' },
      jobs: [job(0, 'running'), job(1, 'pulling'), job(2, 'failed')],
    };
    expect(readRun(run)).toMatchObject({
      pricePerHour: 4,
      instanceType: 'part',
      gpu: 'A100:80GB:1',
      ports: [{ port: 8000, localPort: 18000 }],
      jobs: [{ job: 0, pricePerHour: 2 }, { job: 1 }, { job: 2 }],
    });
  });

  it('that pulls its image has the progress', () => {
    const submission = {
      status: 'pulling',
      image_pull_progress: {
        downloaded_bytes: 2 ** 30,
        extracted_bytes: 2 ** 29,
        total_bytes: 2 ** 31,
        is_total_bytes_final: false,
      },
    };
    const run = {
      id: 'x',
      status: 'provisioning',
      run_spec: { run_name: 'web' },
      jobs: [{ job_spec: {}, job_submissions: [submission] }],
    };
    expect(readRun(run).jobs[0]?.imagePullProgress).toBe('extracted 0.50, downloaded 1.00 of ≥2.00 GB');
  });

  it('with only an ID, name and status is parsed', () => {
    expect(readRun({ id: 'x', status: 'submitted', run_spec: { run_name: 'bare' } })).toEqual({
      id: 'x',
      name: 'bare',
      status: 'submitted',
      isFinished: false,
      jobs: [],
    });
  });

  it('in a list is parsed like a single one', () => {
    const { runs } = z.object({ runs: z.array(z.unknown()) }).parse(json('ps-json'));
    const listed = readRun(runs[0]);
    // The list doesn't say how to connect to a job.
    const { costUsd: _then, sshCommand: _command, ...alone } = readRun(json('run-get-running'));
    expect(listed).toMatchObject(alone);
  });

  it('of another shape is rejected', () => {
    expect(() => readRun({ detail: 'nope' })).toThrow('run_spec');
  });
});

describe('another resource', () => {
  it('that is a fleet has its instances and their total price', () => {
    const fleet = readResource('fleet', json('fleet-get'));
    expect(fleet).toMatchObject({
      kind: 'fleet',
      name: 'lab-cloud',
      status: 'active',
      nodesMin: 0,
      nodesMax: 3,
      pricePerHour: 0.39,
      instances: [{ instance: 0, status: 'busy' }],
    });
    expect(resourceFacts.strict().safeParse(fleet).error).toBeUndefined();
  });

  it('that is a volume has its size and location', () => {
    expect(readResource('volume', json('volume-get'))).toMatchObject({
      kind: 'volume',
      status: 'active',
      backend: 'runpod',
      region: 'EU-RO-1',
      sizeGb: 100,
      attachedTo: [],
    });
  });

  it('that is a gateway has its domain and the host that it points to', () => {
    const gateway = {
      id: 'x',
      name: 'gw',
      status: 'running',
      wildcard_domain: '*.example.com',
      default: true,
      configuration: { backend: 'aws', region: 'eu-west-1' },
      replicas: [{ hostname: '203.0.113.7' }],
    };
    expect(readResource('gateway', gateway)).toEqual({
      kind: 'gateway',
      id: 'x',
      name: 'gw',
      status: 'running',
      backend: 'aws',
      region: 'eu-west-1',
      hostname: '203.0.113.7',
      domain: '*.example.com',
      isDefault: true,
    });
  });
});

const job = (replica: number, status: string, more: { job?: number; deployment?: number } = {}) => ({
  job: 0,
  ...more,
  replica,
  status,
});

describe('the job that stands for a run', () => {
  test.each([
    ['the only one', [job(0, 'done')], 0],
    ['one that runs, not an ended one before it', [job(0, 'terminated'), job(1, 'running')], 1],
    ['one that runs, not a newer one that is about to', [job(0, 'running'), job(1, 'pulling', { deployment: 1 })], 0],
    ['one that is about to run, not an ended one', [job(0, 'failed', { deployment: 2 }), job(1, 'pulling')], 1],
    ['of several that run, one of the latest deployment', [job(0, 'running'), job(1, 'running', { deployment: 1 })], 1],
    [
      'of several that ended, one of the latest deployment',
      [job(0, 'done'), job(1, 'terminated', { deployment: 1 })],
      1,
    ],
    ['otherwise the first', [job(0, 'running'), job(1, 'running')], 0],
  ])('is %s', (_title, jobs, replica) => {
    expect(chooseJob('run', jobs, {})).toMatchObject({ replica });
  });

  test('is the first of its replica, even if only another one still runs', () => {
    const jobs = [job(0, 'done'), job(0, 'running', { job: 1 }), job(1, 'done'), job(1, 'done', { job: 1 })];
    expect(chooseJob('run', jobs, {})).toMatchObject({ replica: 0, job: 0 });
    expect(chooseJob('run', jobs, { job: 1 })).toMatchObject({ replica: 0, job: 1 });
    expect(chooseJob('run', jobs, { replica: 1, job: 1 })).toMatchObject({ replica: 1, job: 1 });
  });

  test('is nothing if the run has none', () => {
    expect(chooseJob('run', [], {})).toBeUndefined();
  });
});

test('a job that a run doesn’t have is an error that lists those that it has', () => {
  const choose = (jobs: readonly ReturnType<typeof job>[], wanted: Parameters<typeof chooseJob>[2]) => () =>
    chooseJob('run', jobs, wanted);
  const jobs = [job(0, 'terminated'), job(1, 'running')];
  expect(choose(jobs, { replica: 2, job: 0 })).toThrow(
    'Run run has no replica=2 job=0. It has replica=1 job=0 (running), replica=0 job=0 (terminated). Nothing was read.',
  );
  expect(choose(jobs, { job: 1 })).toThrow(ToolError);
  expect(choose([], { replica: 0 })).toThrow('Run run has no replica=0. It has no jobs now.');
});

test('the shown one of several jobs is named, and so are the others', () => {
  const jobs = [job(0, 'terminated'), job(1, 'running')];
  expect(describeShownJob(jobs, { replica: 1, job: 0 })).toEqual([
    'shown: replica=1 job=0 (running); 1 other job: replica=0 job=0 (terminated)',
  ]);
  expect(describeShownJob(jobs.slice(1), { replica: 1, job: 0 })).toEqual([]);
  expect(describeShownJob(jobs, undefined)).toEqual([]);
});

test('of many jobs, those that run are named and the others are counted', () => {
  const jobs = Array.from({ length: 30 }, (_, index) => job(index, index < 12 ? 'terminated' : 'running'));
  const named = nameJobs(jobs);
  expect(named).toMatch(/^replica=12 job=0 \(running\), .*, 10 more$/);
});

const COMMON = { id: '1', name: 'own', project_name: 'main', status: 'active', status_message: null };

describe('a fleet', () => {
  const fleet = (configuration: object, instances: readonly object[]) =>
    readResource('fleet', { ...COMMON, spec: { configuration }, instances });

  it('of SSH hosts is marked as such, and has no price if its hosts have none', () => {
    const read = fleet({ ssh_config: { user: 'ubuntu' } }, [{ status: 'idle', instance_num: 0, price: null }]);
    expect(read).toMatchObject({ kind: 'fleet', backend: 'ssh', instances: [{ instance: 0, status: 'idle' }] });
    expect(read).not.toHaveProperty('pricePerHour');
    expect(read).not.toHaveProperty('statusMessage');
  });

  it('has the total price of its remaining instances, and the reason why others ended', () => {
    const read = fleet({ nodes: { min: 0, max: 2 } }, [
      { instance_num: 0, status: 'busy', price: 0.1, job_name: 'train-0-0', unreachable: true },
      { instance_num: 1, status: 'idle', price: 0.2, unreachable: false },
      { instance_num: 2, status: 'terminated', price: 9, termination_reason: 'no_balance' },
      { status: 'terminated', price: 9, termination_reason: 'error', termination_reason_message: 'No disk' },
    ]);
    expect(resourceFacts.parse(read)).toMatchObject({
      nodesMin: 0,
      nodesMax: 2,
      pricePerHour: 0.3,
      instances: [
        { instance: 0, status: 'busy (unreachable)', pricePerHour: 0.1, job: 'train-0-0' },
        { instance: 1, status: 'idle' },
        { instance: 2, status: 'terminated', error: 'no_balance' },
        { instance: 0, status: 'terminated', error: 'No disk' },
      ],
    });
  });

  it('can have neither bounds nor instances', () => {
    expect(readResource('fleet', { ...COMMON, spec: { configuration: {} } })).toMatchObject({
      name: 'own',
      instances: [],
    });
  });

  it('without a name is rejected', () => {
    expect(() => readResource('fleet', { id: '1', status: 'active', spec: { configuration: {} } })).toThrow(/name/);
  });
});

describe('a volume', () => {
  it('lists the instances that it is attached to, except those without a fleet', () => {
    const attachments = [
      { instance: { fleet_name: 'gpu', instance_num: 2 } },
      { instance: { fleet_name: 'gpu', instance_num: null } },
      { instance: { fleet_name: null, instance_num: 1 } },
    ];
    const read = readResource('volume', {
      ...COMMON,
      configuration: { size: 100, backend: 'aws', region: 'eu' },
      attachments,
    });
    expect(read).toMatchObject({
      kind: 'volume',
      backend: 'aws',
      region: 'eu',
      sizeGb: 100,
      attachedTo: ['gpu-2', 'gpu-0'],
    });
  });

  it('has only the facts that dstack returns', () => {
    expect(
      readResource('volume', { id: '1', name: 'own', status: 'failed', configuration: {}, attachments: null }),
    ).toEqual({
      kind: 'volume',
      id: '1',
      name: 'own',
      status: 'failed',
      attachedTo: [],
    });
  });
});

describe('a gateway', () => {
  const gateway = (more: object) =>
    readResource('gateway', { ...COMMON, configuration: { backend: 'aws', region: 'eu' }, ...more });

  it.each([
    ['its own host name', { hostname: 'lb', replicas: [{ hostname: 'one' }], ip_address: '10.0.0.1' }, 'lb'],
    ["its replica's", { hostname: null, replicas: [{ hostname: 'one' }], ip_address: '10.0.0.1' }, 'one'],
    ['its address', { replicas: [], ip_address: '10.0.0.1' }, '10.0.0.1'],
  ])('has the hostname of %s', (_how, more, hostname) => {
    expect(gateway(more)).toMatchObject({ kind: 'gateway', hostname, backend: 'aws', region: 'eu' });
  });

  it('that is not running yet has no hostname', () => {
    const read = gateway({ wildcard_domain: '*.example.com', default: true });
    expect(read).toMatchObject({ domain: '*.example.com', isDefault: true });
    expect(read).not.toHaveProperty('hostname');
  });
});
