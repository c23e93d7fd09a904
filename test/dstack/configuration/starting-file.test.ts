import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { readNeed } from '../../../src/configuration/read-need.ts';
import { installedDstack, installedPython } from '../../support/installed-dstack.ts';
import { makeWarmRunner } from '../../support/warm-test-runner.ts';
import { makeConfigPower } from '../../support/make-configuration-service.ts';
import type { TestPower } from '../../support/make-configuration-service.ts';

let home: string;
let runner: WarmRunner;
let power: TestPower;

beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-start-'));
  const env = { HOME: home, PATH: process.env['PATH'] ?? '' };
  runner = makeWarmRunner({ executable: { path: installedDstack, interpreter: installedPython, tried: [] }, env });
  power = makeConfigPower({ home, introspection: runner.introspection, env });
});
afterAll(async () => {
  await runner.close();
  await rm(home, { recursive: true, force: true });
});

/** Needs in a few words, with what the file has to say for them. */
const NEEDS: readonly (readonly [type: string, need: string, says: Readonly<Record<string, unknown>>])[] = [
  ['task', '', { commands: ['python train.py'], max_duration: '8h' }],
  ['task', 'gpu A100', { resources: { gpu: 'A100' } }],
  ['task', '2x H100, 200GB disk', { resources: { gpu: 'H100:2' } }],
  ['task', 'gpu A100:80GB:4 memory 64GB cpu 8', { resources: { gpu: 'A100:80GB:4', memory: '64GB..', cpu: 8 } }],
  ['task', 'gpu=24GB ports 8000,8501', { resources: { gpu: '24GB' }, ports: [8000, 8501] }],
  ['task', 'image nvcr.io/nvidia/pytorch:24.07-py3 and 8 x H200', { image: 'nvcr.io/nvidia/pytorch:24.07-py3' }],
  ['task', 'on 4 nodes: nodes 4, fleet my-cluster', { nodes: 4, fleets: ['my-cluster'] }],
  ['task', 'spot, price $1.5, duration 2h', { spot_policy: 'spot', max_price: 1.5, max_duration: '2h' }],
  ['task', 'name train-1 python 3.10 L40S', { name: 'train-1', python: '3.10', resources: { gpu: 'L40S' } }],
  ['task', 'backend aws region eu-west-1,eu-north-1', { backends: ['aws'], regions: ['eu-west-1', 'eu-north-1'] }],
  ['task', 'volume data:/data gpu T4', { volumes: ['data:/data'] }],
  ['service', '', { port: 8000 }],
  ['service', 'port 3000', { port: 3000, commands: ['python -m http.server 3000'] }],
  ['service', 'image nginx:1.27 port 80', { image: 'nginx:1.27', port: 80 }],
  ['service', 'model Qwen/Qwen3-8B gpu H100', { model: 'Qwen/Qwen3-8B', resources: { gpu: 'H100' } }],
  [
    'service',
    'serve meta-llama/Llama-3.1-8B-Instruct with 80GB gpu 80GB',
    { model: 'meta-llama/Llama-3.1-8B-Instruct' },
  ],
  [
    'service',
    'model Qwen/Qwen3-8B image vllm/vllm-openai:v0.9.1 port 9000 RTX4090',
    { commands: ['vllm serve Qwen/Qwen3-8B --port 9000'], port: 9000, resources: { gpu: 'RTX4090' } },
  ],
  ['service', 'model Qwen/Qwen3-8B image lmsysorg/sglang:latest replicas 2', { replicas: 2, model: 'Qwen/Qwen3-8B' }],
  ['dev-environment', '', { ide: 'vscode', inactivity_duration: '2h' }],
  ['dev-environment', 'cursor with an A10G', { ide: 'cursor', resources: { gpu: 'A10G' } }],
  ['dev-environment', 'image ubuntu:24.04, gpu 16GB, ports 8888', { image: 'ubuntu:24.04', ports: [8888] }],
  ['fleet', '', { nodes: '0..1', idle_duration: '10m' }],
  ['fleet', 'nodes 0..4 gpu MI300X backend runpod', { nodes: '0..4', backends: ['runpod'] }],
  ['fleet', 'cluster nodes 2 8xH100 spot', { placement: 'cluster', nodes: 2, resources: { gpu: 'H100:8' } }],
  ['volume', '', { backend: 'aws', region: 'eu-west-1', size: '100GB' }],
  ['volume', 'size 500GB backend gcp region europe-west4', { backend: 'gcp', region: 'europe-west4', size: '500GB' }],
  ['volume', 'backend runpod region EU-SE-1 size 50GB', { backend: 'runpod', region: 'EU-SE-1' }],
  ['volume', 'backend kubernetes size 20GB', { backend: 'kubernetes', size: '20GB' }],
  ['gateway', '', { backend: 'aws', domain: 'example.com' }],
  ['gateway', 'backend gcp region europe-west4 domain ml.acme.io', { backend: 'gcp', domain: 'ml.acme.io' }],
  ['preset', 'model Qwen/Qwen3-8B', { model: 'Qwen/Qwen3-8B' }],
  ['preset', 'Qwen/Qwen3-32B, spot, price 4', { model: 'Qwen/Qwen3-32B', max_price: 4 }],
  ['profiles', '', { profiles: [{ name: 'my-profile', max_duration: '8h' }] }],
  ['profiles', 'name cheap spot price 2 regions eu-west-1', { profiles: [{ name: 'cheap', regions: ['eu-west-1'] }] }],
];

describe('a first file', () => {
  test.for(NEEDS)(
    '%s for %j is one that dstack finds valid, and says what was asked for',
    async ([type, need, says]) => {
      if (!(await power.types()).includes(type)) return;
      const { text, checked } = await power.start(type, need);
      expect(checked, text).toMatchObject({ verdict: 'valid', problems: [] });
      expect(parse(text, { version: '1.1' }), text).toMatchObject(says);
      // A comment for most of what it holds, in dstack's own words.
      expect(text.match(/^\s*#/gm)?.length).toBeGreaterThanOrEqual(2);
    },
  );

  test('gets no advice: what it begins with is bounded in what it costs', async () => {
    for (const type of await power.types()) {
      const { checked } = await power.start(type, '');
      expect(checked.advice, type).toEqual([]);
    }
  });

  test('names the examples that a person has to replace, and not what was asked for', async () => {
    expect((await power.start('volume', '')).examples).toEqual(['backend', 'region', 'size']);
    expect((await power.start('volume', 'size 1TB region eu-west-1')).examples).toEqual(['backend']);
  });

  test('leaves out what the type has no place for, and says so', async () => {
    const { text, unused } = await power.start('gateway', 'gpu A100 domain a.example.org quickly');
    expect(text).not.toContain('A100');
    expect(unused).toEqual(['quickly', 'gpu A100']);
    expect((await power.start('volume', 'backend daytona size 50GB')).unused).toEqual(['size']);
  });

  test('is refused for a type that there isn’t, and for a need of which nothing is understood', async () => {
    await expect(power.start('tsk', '')).rejects.toThrow(/no type or property "tsk"/);
    await expect(power.start('task.resources', '')).rejects.toThrow(/no type/);
    for (const need of ['-y', 'something quick', 'a\u001b[2Jb'])
      await expect(power.start('task', need)).rejects.toThrow(/No word of `need`/);
  });
});

test.for([
  ['port abc', [], ['port', 'abc']],
  ['gpu', [], ['gpu']],
  ['2 A100', ['A100'], ['2']],
  ['nodes 2 A100', ['nodes 2', 'A100'], []],
  ['port: 8000', ['port 8000'], []],
  ['memory 16GB.', ['memory 16GB'], []],
] as const)('a need is not guessed: %j', ([need, understood, unknown]) => {
  const read = readNeed(need);
  expect(read.asked.map(({ said }) => said)).toEqual(understood);
  expect(read.unknown).toEqual(unknown);
});
