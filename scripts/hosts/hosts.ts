import { stringify } from 'yaml';

/** The places and addresses of one start of a host. */
export interface HostStart {
  /** The host's home folder. */
  readonly home: string;
  readonly cwd: string;
  /** The address of the model. */
  readonly model: string;
}

/** An agent host that `npm run hosts` installs and drives. */
export interface Host {
  /** Its ID in src/setup/clients.ts, which writes its configuration. */
  readonly id: string;
  readonly title: string;
  readonly version: string;
  readonly packages: readonly string[];
  /** The interpreter that creates its environment, if it is written in Python. */
  readonly python?: string;
  /** The program, below the folder of its packages. */
  readonly program: string;
  /** Its other settings: the model, no telemetry, no updates. `setup` adds the server to these files. */
  readonly files?: (start: HostStart) => Readonly<Record<string, string>>;
  /** Commands of the host that have to run first. */
  readonly before?: (start: HostStart) => readonly (readonly string[])[];
  readonly env: (start: HostStart) => Readonly<Record<string, string>>;
  /** Starts one turn without a terminal, with every tool allowed. */
  readonly args: (prompt: string, start: HostStart) => readonly string[];
  /** Checks that can't hold because of the host, with the reason. */
  readonly limits?: Readonly<Record<string, string>>;
  /** The question that its person sees at a change in its terminal. */
  readonly asks: string;
}

/** The check that some hosts can't pass. */
export const READABLE = 'the plan is readable, with line breaks';

/** The user's request. */
export const PROMPT = 'Start the run for me, show its log, and stop it.';

const ONE_LINE: Host['limits'] = { [READABLE]: 'its model reads a result as one line of JSON' };

const PLATFORM = `${process.platform}-${process.arch}`;
const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;
const bin = (name: string): string => `node_modules/.bin/${name}`;

/** Gemini CLI, and the one that is derived from it. */
const geminiSettings = (auth: string): string =>
  json({
    security: { auth: { selectedType: auth }, folderTrust: { enabled: false } },
    privacy: { usageStatisticsEnabled: false },
    general: { disableAutoUpdate: true, enableAutoUpdate: false },
    telemetry: { enabled: false },
  });

/** Every host, the most used ones first. */
export const HOSTS: readonly Host[] = [
  {
    id: 'claude-code',
    title: 'Claude Code',
    version: '2.1.197',
    packages: ['@anthropic-ai/claude-code@2.1.197'],
    program: `node_modules/@anthropic-ai/claude-code-${PLATFORM}/claude`,
    // Its first steps in a terminal would ask for a login.
    files: ({ cwd }) => ({
      '.claude.json': json({
        hasCompletedOnboarding: true,
        customApiKeyResponses: { approved: ['none'], rejected: [] },
        projects: { [cwd]: { hasTrustDialogAccepted: true } },
      }),
    }),
    env: ({ model }) => ({
      ANTHROPIC_BASE_URL: model,
      ANTHROPIC_API_KEY: 'none',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      DISABLE_AUTOUPDATER: '1',
      // Otherwise the first request may be sent before the server is connected.
      MCP_CONNECTION_NONBLOCKING: '0',
      MCP_CONNECT_TIMEOUT_MS: '60000',
      IS_SANDBOX: '1',
    }),
    args: (prompt) => [
      '-p',
      prompt,
      '--mcp-config',
      '.mcp.json',
      '--strict-mcp-config',
      '--dangerously-skip-permissions',
    ],
    asks: 'A form',
  },
  {
    id: 'codex',
    title: 'Codex',
    version: '0.171.0',
    packages: ['@openai/codex@0.171.0'],
    program: bin('codex'),
    files: ({ model, cwd }) => ({
      '.codex/config.toml': [
        'model = "gpt-5.1"',
        'model_provider = "fake"',
        'check_for_update_on_startup = false',
        '',
        '[model_providers.fake]',
        'name = "fake"',
        `base_url = "${model}/v1"`,
        'wire_api = "responses"',
        'env_key = "FAKE_KEY"',
        '',
        '[analytics]',
        'enabled = false',
        '',
        `[projects."${cwd}"]`,
        'trust_level = "trusted"',
        '',
      ].join('\n'),
    }),
    env: () => ({ FAKE_KEY: 'none' }),
    args: (prompt) => ['exec', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', prompt],
    asks: "Codex's own approval, then a form; in the mode without approvals the form is declined without being shown",
  },
  {
    id: 'gemini',
    title: 'Gemini CLI',
    version: '0.61.0',
    packages: ['@google/gemini-cli@0.61.0'],
    program: bin('gemini'),
    files: () => ({ '.gemini/settings.json': geminiSettings('gemini-api-key') }),
    env: ({ model }) => ({
      GEMINI_API_KEY: 'none',
      GOOGLE_GEMINI_BASE_URL: model,
      GEMINI_CLI_TRUST_WORKSPACE: 'true',
    }),
    args: (prompt) => ['-m', 'gemini-2.5-pro', '--yolo', '-p', prompt],
    asks: "Gemini CLI's own confirmation of the call, which shows the token",
  },
  {
    id: 'opencode',
    title: 'opencode',
    version: '1.18.33',
    packages: ['opencode-ai@1.18.33'],
    program: `node_modules/opencode-${PLATFORM}/bin/opencode`,
    files: ({ model }) => ({
      '.config/opencode/opencode.json': json({
        autoupdate: false,
        share: 'disabled',
        model: 'fake/fake',
        small_model: 'fake/fake',
        provider: {
          fake: {
            npm: '@ai-sdk/openai-compatible',
            name: 'fake',
            options: { baseURL: `${model}/v1`, apiKey: 'none' },
            models: { fake: { name: 'fake', tool_call: true, limit: { context: 200_000, output: 8000 } } },
          },
        },
        permission: 'allow',
      }),
    }),
    env: () => ({
      OPENCODE_DISABLE_AUTOUPDATE: '1',
      OPENCODE_DISABLE_MODELS_FETCH: '1',
      OPENCODE_DISABLE_LSP_DOWNLOAD: '1',
    }),
    args: (prompt) => ['run', prompt],
    asks: "opencode's own permission for the call, if it is set to ask",
  },
  {
    id: 'qwen',
    title: 'Qwen Code',
    version: '0.24.4',
    packages: ['@qwen-code/qwen-code@0.24.4'],
    program: bin('qwen'),
    files: () => ({ '.qwen/settings.json': geminiSettings('openai') }),
    env: ({ model }) => ({ OPENAI_API_KEY: 'none', OPENAI_BASE_URL: `${model}/v1`, OPENAI_MODEL: 'fake' }),
    args: (prompt) => ['--yolo', '-p', prompt],
    asks: "Qwen Code's own confirmation of the call; it declares cards, but shows none",
  },
  {
    id: 'copilot',
    title: 'Copilot CLI',
    version: '1.0.102',
    packages: ['@github/copilot@1.0.102'],
    program: bin('copilot'),
    files: ({ cwd }) => ({
      '.copilot/config.json': json({ trusted_folders: [cwd], banner: 'never', auto_update: false }),
    }),
    env: ({ model }) => ({
      COPILOT_PROVIDER_BASE_URL: `${model}/v1`,
      COPILOT_PROVIDER_API_KEY: 'none',
      COPILOT_MODEL: 'fake',
      COPILOT_OFFLINE: 'true',
      COPILOT_AUTO_UPDATE: 'false',
    }),
    args: (prompt) => ['--allow-all-tools', '--no-color', '-p', prompt],
    asks: "Copilot CLI's own confirmation of the call, then a form",
  },
  {
    id: 'cline',
    title: 'Cline CLI',
    version: '3.0.65',
    packages: ['cline@3.0.65'],
    program: bin('cline'),
    before: ({ model }) => [['auth', 'openai-compatible', '-k', 'none', '-m', 'fake', '-b', `${model}/v1`]],
    env: () => ({
      CLINE_TELEMETRY_DISABLED: '1',
      POSTHOG_TELEMETRY_ENABLED: 'false',
      CLINE_NO_AUTO_UPDATE: '1',
    }),
    args: (prompt) => ['-P', 'openai-compatible', '-m', 'fake', '--auto-approve', 'true', prompt],
    limits: ONE_LINE,
    asks: "Cline's own confirmation of the call, if it isn't approved automatically",
  },
  {
    id: 'continue',
    title: 'Continue (`cn`)',
    version: '1.5.47',
    packages: ['@continuedev/cli@1.5.47'],
    program: bin('cn'),
    files: ({ model }) => ({
      '.continue/config.yaml': stringify({
        name: 'test',
        version: '1.0.0',
        schema: 'v1',
        models: [
          {
            name: 'fake',
            provider: 'openai',
            model: 'fake',
            apiBase: `${model}/v1`,
            apiKey: 'none',
            roles: ['chat'],
            capabilities: ['tool_use'],
          },
        ],
      }),
    }),
    env: () => ({ CONTINUE_TELEMETRY_ENABLED: '0' }),
    args: (prompt, { home }) => ['--config', `${home}/.continue/config.yaml`, '--auto', '-p', prompt],
    limits: ONE_LINE,
    asks: "Continue's own permission for the call, if it is set to ask",
  },
  {
    id: 'vibe',
    title: 'Mistral Vibe',
    version: '3.0.2',
    packages: ['mistral-vibe==3.0.2'],
    python: 'python3.12',
    program: 'bin/vibe',
    files: ({ model }) => ({
      '.vibe/config.toml': [
        'active_model = "fake"',
        'enable_update_checks = false',
        'enable_auto_update = false',
        'enable_telemetry = false',
        '',
        '[[providers]]',
        'name = "fake"',
        `api_base = "${model}/v1"`,
        'api_key_env_var = "FAKE_KEY"',
        'api_style = "openai"',
        'backend = "generic"',
        '',
        '[[models]]',
        'name = "fake"',
        'provider = "fake"',
        'alias = "fake"',
        '',
      ].join('\n'),
    }),
    env: ({ home }) => ({ FAKE_KEY: 'none', VIBE_HOME: `${home}/.vibe` }),
    args: (prompt) => ['--trust', '--auto-approve', '-p', prompt],
    limits: ONE_LINE,
    asks: "Vibe's own approval of the code that makes the call",
  },
  {
    id: 'fast-agent',
    title: 'fast-agent',
    version: '0.10.48',
    packages: ['fast-agent-mcp==0.10.48'],
    python: 'python3.12',
    program: 'bin/fast-agent',
    files: ({ model, cwd }) => ({
      [`${cwd}/fast-agent.yaml`]: stringify({
        default_model: 'generic.fake',
        generic: { api_key: 'none', base_url: `${model}/v1` },
        logger: { level: 'error', progress_display: false },
      }),
    }),
    env: () => ({ HF_HUB_OFFLINE: '1', OPENAI_API_KEY: 'none' }),
    args: (prompt) => ['go', '--servers', 'dstack', '--model', 'generic.fake', '--message', prompt],
    asks: 'A form in its terminal; without one, forms are canceled without being shown',
  },
  {
    id: 'openhands',
    title: 'OpenHands CLI',
    version: '1.16.0',
    packages: ['openhands==1.16.0'],
    python: 'python3.12',
    program: 'bin/openhands',
    env: ({ model }) => ({
      LITELLM_LOCAL_MODEL_COST_MAP: 'True',
      OPENHANDS_SUPPRESS_BANNER: '1',
      LLM_API_KEY: 'none',
      LLM_BASE_URL: `${model}/v1`,
      LLM_MODEL: 'openai/fake',
      DO_NOT_TRACK: '1',
      POSTHOG_DISABLED: '1',
    }),
    args: (prompt) => ['--headless', '--json', '--override-with-envs', '-t', prompt],
    asks: "OpenHands' own confirmation of the call, if it is set to ask",
  },
];
