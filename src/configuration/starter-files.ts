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
