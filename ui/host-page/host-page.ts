import { AppBridge, PostMessageTransport } from '@modelcontextprotocol/ext-apps/app-bridge';
import type { CardHost, HostAppearance } from './card-host.ts';
import { createToolbar } from './toolbar.ts';

declare global {
  interface Window {
    cardHost: CardHost;
  }
}

/** The policy that MCP Apps hosts add to a card: it loads and sends nothing. */
const EMPTY_CSP =
  "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'none'";

const cards = document.createElement('div');
cards.className = 'cards';
const activity: {
  readonly calls: { readonly name: string; readonly input: unknown }[];
  readonly links: string[];
  readonly modelContext: string[];
} = { calls: [], links: [], modelContext: [] };
let appearance: HostAppearance = { theme: 'light' };
const bridges: AppBridge[] = [];

async function ask(path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(
    path,
    body === undefined
      ? {}
      : { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } },
  );
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

async function callForCard(name: string, input: Record<string, unknown>): Promise<unknown> {
  activity.calls.push({ name, input });
  if (appearance.isSilent === true) return new Promise(() => undefined);
  return ask('call', { name, input, by: 'card' });
}

async function mount(input: Readonly<Record<string, unknown>>): Promise<AppBridge> {
  const frame = document.createElement('iframe');
  frame.sandbox.add('allow-scripts');
  frame.title = 'card';
  if (appearance.width !== undefined) frame.style.width = `${appearance.width}px`;
  cards.append(frame);
  const target = frame.contentWindow;
  if (target === null) throw new Error('the frame has no window');
  const bridge = new AppBridge(
    null,
    { name: 'dstack-mcp-host-page', version: '1.0.0' },
    { serverTools: {}, openLinks: {}, updateModelContext: { text: {} } },
    { hostContext: hostContext() },
  );
  bridge.oncalltool = async ({ name, arguments: args = {} }) => toCallResult(await callForCard(name, args));
  bridge.onopenlink = ({ url }) => {
    activity.links.push(url);
    return Promise.resolve({});
  };
  bridge.onupdatemodelcontext = ({ content = [] }) => {
    activity.modelContext.push(...content.flatMap((block) => (block.type === 'text' ? [block.text] : [])));
    return Promise.resolve({});
  };
  bridge.onsizechange = ({ height }) => {
    if (height !== undefined) frame.style.height = `${height}px`;
  };
  const ready = new Promise<void>((resolve) => {
    bridge.oninitialized = () => resolve();
  });
  await bridge.connect(new PostMessageTransport(target, target));
  const page = await ask('card');
  frame.srcdoc = String(page).replace(
    '<head>',
    `<head><meta http-equiv="Content-Security-Policy" content="${EMPTY_CSP}">`,
  );
  await ready;
  bridges.push(bridge);
  await bridge.sendToolInput({ arguments: { ...input } });
  return bridge;
}

function hostContext() {
  const { width: _width, isSilent: _isSilent, ...context } = appearance;
  return { ...context, displayMode: 'inline' } as const;
}

type CallResult = Parameters<AppBridge['sendToolResult']>[0];

function toCallResult(value: unknown): CallResult {
  if (typeof value !== 'object' || value === null || !('content' in value) || !Array.isArray(value.content))
    throw new Error('not a tool result');
  return { ...value, content: value.content };
}

window.cardHost = {
  async call(name, input) {
    const result = await ask('call', { name, input, by: 'model' });
    const bridge = await mount(input);
    await bridge.sendToolResult(toCallResult(result));
    return result;
  },
  async show(result, input = {}) {
    const bridge = await mount(input);
    await bridge.sendToolResult(toCallResult(result));
  },
  setAppearance(next) {
    appearance = { ...appearance, ...next };
    document.documentElement.dataset['theme'] = appearance.theme ?? 'light';
    for (const frame of cards.querySelectorAll('iframe'))
      frame.style.width = appearance.width === undefined ? '' : `${appearance.width}px`;
    for (const bridge of bridges) bridge.setHostContext(hostContext());
  },
  activity: () => activity,
  clear() {
    cards.replaceChildren();
    bridges.length = 0;
  },
};
document.body.append(createToolbar(window.cardHost), cards);
