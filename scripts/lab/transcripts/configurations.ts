/** The configurations that the recorded commands use, by file name. A step can replace one to plan a change. */

const SMALL = { cpu: '1..', memory: '1GB..', disk: '1GB..' };
const GPU = { ...SMALL, gpu: 'RTX4090' };

export const TASK = {
  type: 'task',
  name: 'lab-task',
  image: 'alpine',
  commands: ['echo hello', 'sleep 800'],
  resources: GPU,
  max_duration: '2h',
};
export const DEV = {
  type: 'dev-environment',
  name: 'lab-dev',
  ide: 'vscode',
  image: 'alpine',
  resources: GPU,
  inactivity_duration: '2h',
};
export const SERVICE = {
  type: 'service',
  name: 'lab-svc',
  image: 'alpine',
  commands: ['sleep 700'],
  port: 8000,
  model: 'foo/bar',
  resources: GPU,
};
export const FLEET = {
  type: 'fleet',
  name: 'lab-cloud',
  nodes: '0..4',
  backends: ['cloudrift'],
  idle_duration: '5m',
};
export const VOLUME = { type: 'volume', name: 'lab-vol', backend: 'runpod', region: 'EU-RO-1', size: '100GB' };

/** The files, as values to be written as YAML or as their text. */
export const FILES: Readonly<Record<string, object | string>> = {
  'task.dstack.yml': TASK,
  'dev.dstack.yml': DEV,
  'svc.dstack.yml': SERVICE,
  'fleet.dstack.yml': FLEET,
  'vol.dstack.yml': VOLUME,
  'any.dstack.yml': {
    type: 'task',
    name: 'any',
    image: 'alpine',
    commands: ['sleep infinity'],
    resources: { ...SMALL, gpu: '1..2' },
    max_price: 1.5,
    retry: { on_events: ['no-capacity'], duration: '1h' },
  },
  'h100.dstack.yml': { type: 'task', name: 'big', commands: ['true'], resources: { gpu: 'H100:8' } },
  'unnamed.dstack.yml': { type: 'task', nodes: 2, commands: ['true'], resources: GPU },
  'fail.dstack.yml': {
    type: 'task',
    name: 'lab-fail',
    image: 'alpine',
    commands: ['echo about to fail', 'exit 3'],
    resources: GPU,
  },
  'groups.dstack.yml': {
    type: 'service',
    name: 'lab-groups',
    port: 8000,
    resources: GPU,
    replicas: [
      { name: 'one', count: 1, commands: ['serve'], resources: GPU },
      { name: 'two', count: 2, commands: ['serve'], resources: GPU },
    ],
  },
  'fleet2.dstack.yml': {
    type: 'fleet',
    nodes: 1,
    backends: ['cloudrift'],
    resources: { gpu: 'RTX4090' },
  },
  'fleet3.dstack.yml': {
    type: 'fleet',
    name: 'h100s',
    nodes: 2,
    placement: 'cluster',
    backends: ['cloudrift'],
    resources: { gpu: 'H100:8' },
  },
  'fleet4.dstack.yml': {
    type: 'fleet',
    name: 'on-prem',
    ssh_config: { user: 'ubuntu', identity_file: 'key', hosts: ['192.0.2.1', '192.0.2.2'] },
  },
  'vol2.dstack.yml': { type: 'volume', backend: 'runpod', region: 'EU-RO-1', volume_id: 'vol-1' },
  'gw2.dstack.yml': { type: 'gateway', name: 'lab-gw', backend: 'runpod', region: 'EU-RO-1', domain: 'example.com' },
  'preset.dstack.yml': {
    type: 'preset',
    name: 'lab-preset',
    base: 'Qwen/Qwen3-0.6B',
    trials: 1,
    max_ttft: 1,
    min_context_length: 1024,
    concurrency: 1,
  },
  // Configurations that dstack rejects.
  'env.dstack.yml': { ...TASK, name: 'lab-env', env: ['HF_TOKEN'] },
  'files.dstack.yml': { ...TASK, name: 'lab-files', files: ['nowhere'] },
  'key.dstack.yml': { ...TASK, name: 'lab-key', comands: ['true'] },
  'cmds.dstack.yml': { type: 'task', name: 'lab-cmds', resources: GPU },
  'name.dstack.yml': { ...TASK, name: 'Not_A_Name' },
  'list.dstack.yml': '- a\n',
  'notype.dstack.yml': { name: 'lab-key' },
  'type.dstack.yml': { type: 'job', name: 'lab-job' },
  'outsider.dstack.yml': { ...TASK, name: 'lab-repo', repos: ['nowhere'] },
  'vols.dstack.yml': { ...TASK, name: 'lab-vols', volumes: ['nosuchvol:/data'] },
  'yaml.dstack.yml': 'type: task\nname: a: b\n',
};
