import { copyRow } from './copy.ts';
import { el, fill } from './dom.ts';
import type { Look } from './poller.ts';
import type { RunDetails } from './run-facts.ts';
import type { Card, View } from './view.ts';

/** The ways to a run: service, editor, SSH and ports, each to be copied; nothing is opened by itself. */
export function createConnectPanel(card: Card, name: string, run: () => RunDetails | undefined): View {
  const root = el('div', 'connect');
  let seen = '';
  const draw = (): Look => {
    const now = JSON.stringify(run() ?? null);
    if (now === seen) return 'same';
    seen = now;
    const rows = waysTo(card, run());
    fill(
      root,
      rows.length === 0
        ? el('p', 'quiet', 'There is no way to it yet: a run is reached once it runs.')
        : el('dl', 'copy-rows', ...rows),
      el(
        'p',
        'quiet',
        `SSH, ports and the editor’s link work once this computer is attached: ask your assistant to attach to ${name}.`,
      ),
    );
    return 'changed';
  };
  draw();
  // The page of the run looks; here it is only drawn.
  const end = card.poller.add({ look: () => Promise.resolve(draw()), firstMs: 2_000, maxMs: 5_000 });
  return { root, end };
}

/** An address that can stand in a command between single quotes as it is. */
const PLAIN_ADDRESS = /^https?:\/\/[\w.:/?&=%~+-]+$/;

function waysTo({ host }: Card, run: RunDetails | undefined): readonly HTMLElement[] {
  if (run === undefined) return [];
  const { serviceUrl, model, modelUrl, ideUrl, sshCommand, ports } = run;
  const call =
    serviceUrl !== undefined && PLAIN_ADDRESS.test(serviceUrl)
      ? `curl -H "Authorization: Bearer $DSTACK_TOKEN" '${serviceUrl}'`
      : undefined;
  const ways: readonly (readonly [string, string | undefined])[] = [
    ['Service', serviceUrl],
    ['Model', model],
    ['OpenAI-compatible address', modelUrl],
    ['Call of the service', call],
    ['Editor', ideUrl],
    ['SSH', sshCommand],
    [
      'Ports',
      ports.length === 0
        ? undefined
        : ports.map(({ port, localPort }) => `${port} at localhost:${localPort ?? port}`).join(', '),
    ],
  ];
  return ways.flatMap(([label, text]) => (text === undefined ? [] : copyRow(host, label, text)));
}
