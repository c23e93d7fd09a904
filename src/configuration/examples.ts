import { parse, stringify } from 'yaml';
import { isRecord } from '../core/values.ts';
import { strings } from './schema-index.ts';
import type { Schema, SchemaIndex } from './schema-index.ts';

type Value = Readonly<Record<string, unknown>>;

/** Values of properties by name, for those whose format the schema doesn't describe. */
const VALUES: Readonly<Record<string, unknown>> = {
  ports: [8000],
  port: 8000,
  env: { MODEL: 'Qwen/Qwen3-8B' },
  volumes: ['my-volume:/data'],
  files: ['.:/workflow'],
  repos: ['.'],
  resources: { gpu: '24GB' },
  gpu: '24GB',
  cpu: 4,
  memory: '16GB..',
  disk: '100GB..',
  size: '100GB..',
  shm_size: '16GB',
  total_memory: '48GB..',
  compute_capability: '8.0',
  replicas: 1,
  nodes: 1,
  min: 1,
  max: 2,
  target: 1,
  count: 1,
  max_duration: '2h',
  stop_duration: '5m',
  idle_duration: '10m',
  inactivity_duration: '2h',
  auto_cleanup_duration: '30d',
  duration: '1h',
  time_window: '10m',
  window: '1m',
  timeout: '10s',
  interval: '15s',
  scale_up_delay: '5m',
  scale_down_delay: '10m',
  cron: '0 8 * * *',
  max_price: 2.5,
  rps: 10,
  shell: 'bash',
  working_dir: '/workflow',
  path: '/data',
  instance_path: '/mnt/data',
  local_path: '.',
  url: '/health',
  prefix: '/v1',
  user: 'ubuntu',
  network: '10.0.0.0/24',
  blocks: 1,
  gateway: 'my-gateway',
  fleets: ['my-fleet'],
  python: '3.12',
  model: 'Qwen/Qwen3-8B',
  image: 'ubuntu:24.04',
  commands: ['python train.py'],
};

/** Whole files for properties that conflict with the starter file or need other properties. */
const KUBERNETES: Value = {
  type: 'volume',
  name: 'my-volume',
  backend: 'kubernetes',
  claim_name: 'my-claim',
};
const NEW_CLAIM: Value = {
  type: 'volume',
  name: 'my-volume',
  backend: 'kubernetes',
  size: '100GB',
  storage_class_name: 'standard',
  access_modes: ['ReadWriteOnce'],
};
const WHOLE: Readonly<Record<string, Value | undefined>> = {
  'volume.claim_name': KUBERNETES,
  'volume.storage_class_name': NEW_CLAIM,
  'volume.access_modes': NEW_CLAIM,
  'volume.read_only': { ...KUBERNETES, read_only: true },
  'preset.base': { type: 'preset', name: 'my-preset', base: 'Qwen/Qwen3-8B' },
  'preset.repo': { type: 'preset', name: 'my-preset', repo: 'Qwen/Qwen3-8B' },
  'dev-environment.dstack': { type: 'dev-environment', name: 'my-dev', ide: 'vscode', dstack: true },
  // It is in the schema, but dstack's parser rejects it.
  'dev-environment.entrypoint': undefined,
  'task.groups': { type: 'task', name: 'my-task', groups: [{ name: 'head', nodes: 1, commands: ['python train.py'] }] },
  'service.groups': {
    type: 'service',
    name: 'my-service',
    port: 8000,
    groups: [{ name: 'web', replicas: 1, commands: ['python -m http.server 8000'] }],
  },
  'service.scaling': {
    type: 'service',
    name: 'my-service',
    port: 8000,
    commands: ['python -m http.server 8000'],
    replicas: '1..2',
    scaling: { metric: 'rps', target: 10 },
  },
  'fleet.ssh_config': {
    type: 'fleet',
    name: 'my-fleet',
    ssh_config: { user: 'ubuntu', identity_file: '~/.ssh/id_rsa', hosts: ['10.0.0.2'] },
  },
};

/** Returns a whole configuration as an example of a type or property; undefined if the schema doesn't have it. */
export function exampleFor(index: SchemaIndex, type: string, path: readonly string[]): string | undefined {
  const value = exampleValue(index, type, path);
  return value === undefined ? undefined : stringify(value, { version: '1.1' });
}

function exampleValue(index: SchemaIndex, type: string, path: readonly string[]): Value | undefined {
  const starter = starterValue(type);
  const [name] = path;
  if (starter === undefined || name === undefined) return starter;
  const key = `${type}.${name}`;
  if (Object.hasOwn(WHOLE, key)) return WHOLE[key];
  const place = index.find(type, [name]);
  if (place === undefined) return undefined;
  if (Object.hasOwn(starter, name)) return starter;
  return { ...starter, [name]: sample(index, name, place.schema) };
}

function starterValue(type: string): Value | undefined {
  if (!Object.hasOwn(STARTER_FILES, type)) return undefined;
  const value: unknown = parse(STARTER_FILES[type] ?? '', { version: '1.1' });
  return isRecord(value) ? value : undefined;
}

/** Returns a value for a property, by its name, else by its schema. */
function sample(index: SchemaIndex, name: string, schema: Schema): unknown {
  if (Object.hasOwn(VALUES, name)) return VALUES[name];
  const leaves = index.leaves(schema);
  const listed = leaves.find((leaf) => Array.isArray(leaf['enum']) || 'const' in leaf);
  if (listed !== undefined) return Array.isArray(listed['enum']) ? listed['enum'][0] : listed['const'];
  const plain = leaves.find(({ type }) => type === 'boolean' || type === 'integer' || type === 'number');
  if (plain !== undefined) return plain['type'] === 'boolean' ? true : Number(plain['minimum'] ?? 1) || 1;
  const text = leaves.find(({ type }) => type === 'string');
  if (text !== undefined) return `my-${name.replaceAll('_', '-')}`;
  const list = leaves.find(({ type }) => type === 'array');
  if (list !== undefined) return isRecord(list['items']) ? [sample(index, singular(name), list['items'])] : [];
  const branch = leaves.find((leaf) => isRecord(leaf['properties']));
  if (branch === undefined) return { team: 'research' };
  const properties = isRecord(branch['properties']) ? branch['properties'] : {};
  const needed = strings(branch['required']);
  const tags = Object.keys(properties).filter((key) => isRecord(properties[key]) && 'const' in properties[key]);
  const names = [...new Set([...tags, ...needed])];
  const shown = names.length > 0 ? names : Object.keys(properties).slice(0, 1);
  return Object.fromEntries(
    shown.map((key) => {
      const property = properties[key];
      return [key, isRecord(property) ? sample(index, key, property) : null];
    }),
  );
}

const singular = (name: string): string => name.replace(/s$/, '');

/** One valid, commented file for each configuration type. Values marked EXAMPLE are placeholders for the user's own. */
export const STARTER_FILES: Readonly<Record<string, string>> = {
  task: `# A task runs commands until they finish: training, batch jobs, scripts.
# Replace the values marked EXAMPLE. All properties: https://dstack.ai/docs/reference/dstack.yml/task
type: task
name: my-task # EXAMPLE

# The shell commands to run. By default they run in dstack's own image; set \`image\` or \`python\` to change it.
commands:
  - python train.py # EXAMPLE

# The hardware to request: a GPU by memory (24GB), by name (A100) or with a count (H100:8).
resources:
  gpu: 24GB # EXAMPLE

# Stops the run after this time, even if it hangs.
max_duration: 8h
`,
  service: `# A service is a web endpoint that keeps running: a model API, a web app.
# Replace the values marked EXAMPLE. All properties: https://dstack.ai/docs/reference/dstack.yml/service
type: service
name: my-service # EXAMPLE

# The shell commands that start the server. By default they run in dstack's own image; set \`image\` to change it.
commands:
  - python -m http.server 8000 # EXAMPLE

# The port that the server listens on.
port: 8000 # EXAMPLE

# For an OpenAI-compatible server, set \`model\` to the name of the model that it serves:
# model: Qwen/Qwen3-8B

# The hardware to request: a GPU by memory (24GB), by name (A100) or with a count (H100:8).
resources:
  gpu: 24GB # EXAMPLE
`,
  'dev-environment': `# A dev environment is a machine to work on from an IDE.
# Replace the values marked EXAMPLE. All properties: https://dstack.ai/docs/reference/dstack.yml/dev-environment
type: dev-environment
name: my-dev # EXAMPLE

# The IDE to connect with: vscode, cursor, windsurf, ...
ide: vscode # EXAMPLE

# The hardware to request: a GPU by memory (24GB), by name (A100) or with a count (H100:8).
resources:
  gpu: 24GB # EXAMPLE

# Stops the run if nobody is connected for this time.
inactivity_duration: 2h

# Stops the run after this time, even if somebody is connected.
max_duration: 8h
`,
  fleet: `# A fleet is a group of instances that runs are placed on.
# Replace the values marked EXAMPLE. All properties: https://dstack.ai/docs/reference/dstack.yml/fleet
type: fleet
name: my-fleet # EXAMPLE

# The number of instances. \`0..1\` starts none in advance, and at most one when a run needs it.
nodes: 0..1 # EXAMPLE

# Multi-node runs need interconnected instances:
# placement: cluster

# The hardware of each instance: a GPU by memory (24GB), by name (A100) or with a count (H100:8).
resources:
  gpu: 24GB # EXAMPLE

# Terminates an instance that is idle for this time.
idle_duration: 10m
`,
  volume: `# A volume is persistent storage that runs can mount. It costs money until it is deleted.
# Replace the values marked EXAMPLE. All properties: https://dstack.ai/docs/reference/dstack.yml/volume
type: volume
name: my-volume # EXAMPLE

# Where to create the volume. Only runs in the same backend and region can mount it.
backend: aws # EXAMPLE
region: eu-west-1 # EXAMPLE

# The size of the volume.
size: 100GB # EXAMPLE
`,
  gateway: `# A gateway publishes services on your own domain. It costs money until it is deleted.
# Replace the values marked EXAMPLE. All properties: https://dstack.ai/docs/reference/dstack.yml/gateway
type: gateway
name: my-gateway # EXAMPLE

# Where to create the gateway.
backend: aws # EXAMPLE
region: eu-west-1 # EXAMPLE

# The domain of the services. Its wildcard DNS record must point to the gateway.
domain: example.com # EXAMPLE
`,
  preset: `# A preset is a serving setup for a model that an agent finds by benchmarking several trials.
# Replace the values marked EXAMPLE. All properties: https://dstack.ai/docs/reference/dstack.yml/preset
type: preset
name: my-preset # EXAMPLE

# The model to serve.
model: Qwen/Qwen3-8B # EXAMPLE

# The minimum context length, in tokens.
min_context_length: 8192 # EXAMPLE

# The maximum median time to first token, in milliseconds.
max_ttft: 2000 # EXAMPLE

# The number of simultaneous requests in the benchmarks.
concurrency: 8 # EXAMPLE

# The number of benchmarked trials.
trials: 3 # EXAMPLE
`,
  profiles: `# Profiles are settings to share between configurations. dstack reads them from .dstack/profiles.yml.
# Replace the values marked EXAMPLE. All properties: https://dstack.ai/docs/reference/profiles.yml
profiles:
  # Use it with \`profile\` in plan, or \`dstack apply --profile my-profile\`.
  - name: my-profile # EXAMPLE

    # Stops a run after this time, even if it hangs.
    max_duration: 8h

    # The maximum price of an instance, in dollars per hour.
    max_price: 2 # EXAMPLE
`,
};
