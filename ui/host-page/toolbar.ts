import type { CardHost } from './card-host.ts';

/** Calls to try with one click. */
const EXAMPLES: readonly (readonly [label: string, tool: string, input: Record<string, unknown>])[] = [
  ['Offers', 'offer', {}],
  ['Offers by GPU', 'offer', { group_by: ['gpu'] }],
  ['Plan train', 'plan', { file: 'train.dstack.yml' }],
  ['Plan serve', 'plan', { file: 'serve.dstack.yml' }],
  ['Runs', 'ps', {}],
  ['Run train', 'get', { name: 'train' }],
  ['Stop train', 'stop', { run: 'train' }],
  ['Delete fleet', 'delete', { type: 'fleet', name: 'cluster' }],
];

/** Creates the toolbar above the cards: example calls, a field for any call, and the host's appearance. */
export function createToolbar(host: CardHost): HTMLElement {
  const bar = document.createElement('nav');
  const status = document.createElement('output');
  const run = (tool: string, input: Record<string, unknown>): void => {
    status.textContent = `${tool} …`;
    host.clear();
    host.call(tool, input).then(
      () => (status.textContent = ''),
      (error: unknown) => (status.textContent = String(error)),
    );
  };
  const call = document.createElement('input');
  call.placeholder = 'tool {"argument": …}, then Enter';
  call.setAttribute('aria-label', 'Call a tool');
  call.addEventListener('keydown', ({ key }) => {
    const [, tool = '', input = '{}'] = /^\s*(\w+)\s*(\{.*\})?\s*$/.exec(call.value) ?? [];
    if (key === 'Enter' && tool !== '') run(tool, { ...JSON.parse(input) });
  });
  bar.append(
    ...EXAMPLES.map(([label, tool, input]) => press(label, () => run(tool, input))),
    call,
    choose('Theme', ['light', 'dark'], (theme) => host.setAppearance({ theme: theme === 'dark' ? 'dark' : 'light' })),
    choose('Locale', ['en-US', 'de-DE', 'fr-FR', 'ar-EG', 'ja-JP'], (locale) => host.setAppearance({ locale })),
    choose('Width', ['760', '360'], (width) => host.setAppearance({ width: Number(width) })),
    status,
  );
  return bar;
}

function press(label: string, onPress: () => void): HTMLButtonElement {
  const button = document.createElement('button');
  button.textContent = label;
  button.addEventListener('click', onPress);
  return button;
}

function choose(label: string, choices: readonly string[], onChoose: (choice: string) => void): HTMLSelectElement {
  const select = document.createElement('select');
  select.setAttribute('aria-label', label);
  for (const choice of choices) select.add(new Option(choice));
  select.addEventListener('change', () => onChoose(select.value));
  return select;
}
