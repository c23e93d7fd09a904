import type {
  McpUiInitializeRequest,
  McpUiInitializedNotification,
  McpUiSizeChangedNotification,
} from '@modelcontextprotocol/ext-apps';
import { createRpc } from './rpc.ts';
import type { Rpc } from './rpc.ts';
import { readResult } from './tool-result.ts';
import type { ToolResult } from './tool-result.ts';
import { textOf, toFacts } from './read.ts';
import type { Facts } from './read.ts';

/** The host's appearance and the user's locale. */
export interface HostContext {
  readonly theme?: 'light' | 'dark';
  readonly locale?: string;
  readonly timeZone?: string;
  readonly variables: Facts;
}

/** Requests that the card can send to its host. */
export interface Host {
  /** Optional capabilities of the host. */
  readonly can: { readonly openLinks: boolean; readonly updateModelContext: boolean };
  callTool(name: string, input: Readonly<Record<string, unknown>>): Promise<ToolResult>;
  openLink(url: string): Promise<boolean>;
  updateModelContext(text: string): Promise<void>;
}

/** Handles the host's notifications and requests. */
export interface HostListener {
  onContext(context: HostContext): void;
  onInput(input: Facts): void;
  onResult(result: ToolResult): void;
  onCancelled(): void;
  /** Called before the host removes the card. */
  onTeardown(): void;
}

const PROTOCOL_VERSION = '2026-01-26';
const NAME = { name: 'dstack-card', version: '1.0.0' };

/** Connects to the parent window with the MCP Apps protocol (2026-01-26). */
export async function connectHost(listener: HostListener): Promise<Host> {
  let context: Facts = {};
  const updateContext = (changes: Facts): void => {
    context = { ...context, ...changes };
    listener.onContext(readContext(context));
  };
  const rpc = createRpc({
    target: window.parent,
    onNotification: (method, params) => NOTIFICATIONS.get(method)?.(params, listener, updateContext),
    answers: {
      ping: () => ({}),
      'ui/resource-teardown': () => {
        listener.onTeardown();
        return {};
      },
    },
  });
  const initialize: McpUiInitializeRequest = {
    method: 'ui/initialize',
    params: {
      protocolVersion: PROTOCOL_VERSION,
      appInfo: NAME,
      appCapabilities: { availableDisplayModes: ['inline'] },
    },
  };
  const initialized = await rpc.request(initialize.method, initialize.params);
  updateContext(toFacts(initialized['hostContext']));
  rpc.notify(INITIALIZED, {});
  reportSize((size) => rpc.notify(SIZE_CHANGED, size));
  return createHost(rpc, toFacts(initialized['hostCapabilities']));
}

const INITIALIZED: McpUiInitializedNotification['method'] = 'ui/notifications/initialized';
const SIZE_CHANGED: McpUiSizeChangedNotification['method'] = 'ui/notifications/size-changed';

type OnNotification = (params: Facts, listener: HostListener, updateContext: (changes: Facts) => void) => void;

/** The notifications that the card handles. It ignores all others. */
const NOTIFICATIONS: ReadonlyMap<string, OnNotification> = new Map<string, OnNotification>([
  ['ui/notifications/tool-input', (params, listener) => listener.onInput(toFacts(params['arguments']))],
  ['ui/notifications/tool-result', (params, listener) => listener.onResult(readResult(params))],
  ['ui/notifications/tool-cancelled', (_params, listener) => listener.onCancelled()],
  ['ui/notifications/host-context-changed', (params, _listener, updateContext) => updateContext(params)],
]);

function createHost(rpc: Rpc, capabilities: Facts): Host {
  return {
    can: { openLinks: 'openLinks' in capabilities, updateModelContext: 'updateModelContext' in capabilities },
    callTool: async (name, input) => readResult(await rpc.request('tools/call', { name, arguments: input })),
    openLink: async (url) => (await rpc.request('ui/open-link', { url }))['isError'] !== true,
    async updateModelContext(text) {
      await rpc.request('ui/update-model-context', { content: [{ type: 'text', text }] });
    },
  };
}

function readContext(context: Facts): HostContext {
  const theme = textOf(context, 'theme');
  const locale = textOf(context, 'locale');
  const timeZone = textOf(context, 'timeZone');
  return {
    ...(theme === 'light' || theme === 'dark' ? { theme } : {}),
    ...(locale === undefined ? {} : { locale }),
    ...(timeZone === undefined ? {} : { timeZone }),
    variables: toFacts(toFacts(context['styles'])['variables']),
  };
}

/** Reports the card's size to the host whenever it changes. */
function reportSize(report: (size: McpUiSizeChangedNotification['params']) => void): void {
  let last = '';
  new ResizeObserver(() => {
    const { height, width } = document.body.getBoundingClientRect();
    const size = { width: Math.ceil(width), height: Math.ceil(height) };
    if (last === JSON.stringify(size)) return;
    last = JSON.stringify(size);
    report(size);
  }).observe(document.body);
}
