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

/** What the host tells of its looks and of the person's habits. */
export interface HostContext {
  readonly theme?: 'light' | 'dark';
  readonly locale?: string;
  readonly timeZone?: string;
  readonly variables: Facts;
}

/** What the card may ask of its host. */
export interface Host {
  /** What a link or a word to the model needs of the host may be missing: the card then does without. */
  readonly can: { readonly openLinks: boolean; readonly tellModel: boolean };
  callTool(name: string, input: Readonly<Record<string, unknown>>): Promise<ToolResult>;
  openLink(url: string): Promise<boolean>;
  tellModel(text: string): Promise<void>;
}

/** What a host sends by itself. */
export interface HostListener {
  onContext(context: HostContext): void;
  onInput(input: Facts): void;
  onResult(result: ToolResult): void;
  onCancelled(): void;
  /** The host takes the card away. */
  onEnd(): void;
}

const PROTOCOL_VERSION = '2026-01-26';
const NAME = { name: 'dstack-card', version: '1.0.0' };

/** Connects to the window around the card, as MCP Apps (2026-01-26) says; what the host sends goes to the listener. */
export async function connectHost(listener: HostListener): Promise<Host> {
  let context: Facts = {};
  const takeContext = (more: Facts): void => {
    context = { ...context, ...more };
    listener.onContext(readContext(context));
  };
  const rpc = createRpc({
    target: window.parent,
    onNotification: (method, params) => NOTIFICATIONS.get(method)?.(params, listener, takeContext),
    answers: {
      ping: () => ({}),
      'ui/resource-teardown': () => {
        listener.onEnd();
        return {};
      },
    },
  });
  const hello: McpUiInitializeRequest = {
    method: 'ui/initialize',
    params: {
      protocolVersion: PROTOCOL_VERSION,
      appInfo: NAME,
      appCapabilities: { availableDisplayModes: ['inline'] },
    },
  };
  const welcome = await rpc.request(hello.method, hello.params);
  takeContext(toFacts(welcome['hostContext']));
  rpc.notify(INITIALIZED, {});
  reportSize((size) => rpc.notify(SIZE_CHANGED, size));
  return createHost(rpc, toFacts(welcome['hostCapabilities']));
}

const INITIALIZED: McpUiInitializedNotification['method'] = 'ui/notifications/initialized';
const SIZE_CHANGED: McpUiSizeChangedNotification['method'] = 'ui/notifications/size-changed';

type OnNotification = (params: Facts, listener: HostListener, takeContext: (more: Facts) => void) => void;

/** What hosts send by themselves; what isn't here is passed over. */
const NOTIFICATIONS: ReadonlyMap<string, OnNotification> = new Map<string, OnNotification>([
  ['ui/notifications/tool-input', (params, listener) => listener.onInput(toFacts(params['arguments']))],
  ['ui/notifications/tool-result', (params, listener) => listener.onResult(readResult(params))],
  ['ui/notifications/tool-cancelled', (_params, listener) => listener.onCancelled()],
  ['ui/notifications/host-context-changed', (params, _listener, takeContext) => takeContext(params)],
]);

function createHost(rpc: Rpc, capabilities: Facts): Host {
  return {
    can: { openLinks: 'openLinks' in capabilities, tellModel: 'updateModelContext' in capabilities },
    callTool: async (name, input) => readResult(await rpc.request('tools/call', { name, arguments: input })),
    openLink: async (url) => (await rpc.request('ui/open-link', { url }))['isError'] !== true,
    async tellModel(text) {
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

/** Tells the host how much room the card takes, whenever that changes. */
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
