import { copyRow } from './copy.ts';
import { el, fill } from './dom.ts';
import type { PollResult } from './poller.ts';
import { exampleRequest } from './run-facts.ts';
import type { RunDetails } from './run-facts.ts';
import type { Card, View } from './view.ts';

/** Creates the panel with a run's service, editor, SSH and port addresses to copy. Nothing opens automatically. */
export function createConnectPanel(card: Card, name: string, run: () => RunDetails | undefined): View {
  const root = el('div', 'connect');
  let seen = '';
  const draw = (): PollResult => {
    const now = JSON.stringify(run() ?? null);
    if (now === seen) return 'same';
    seen = now;
    const rows = connectionRows(card, run());
    fill(
      root,
      rows.length === 0 ? el('p', 'quiet', 'You can connect once the run is running.') : el('dl', 'copy-rows', ...rows),
      el(
        'p',
        'quiet',
        `SSH, ports and the editor link need this computer to be attached. Ask your assistant to attach to ${name}.`,
      ),
    );
    return 'changed';
  };
  draw();
  // The run page fetches the run; this panel only redraws it.
  const end = card.poller.add({ poll: () => Promise.resolve(draw()), firstMs: 2_000, maxMs: 5_000 });
  return { root, end };
}

function connectionRows({ host }: Card, run: RunDetails | undefined): readonly HTMLElement[] {
  if (run === undefined) return [];
  const { serviceUrl, model, modelUrl, ideUrl, sshCommand, ports } = run;
  const addresses: readonly (readonly [string, string | undefined])[] = [
    ['Service', serviceUrl],
    ['Model', model],
    ['OpenAI-compatible URL', modelUrl],
    ['Example request', exampleRequest(run)],
    ['Editor', ideUrl],
    ['SSH', sshCommand],
    [
      'Ports',
      ports.length === 0
        ? undefined
        : ports.map(({ port, localPort }) => `${port} at localhost:${localPort ?? port}`).join(', '),
    ],
  ];
  return addresses.flatMap(([label, text]) => (text === undefined ? [] : copyRow(host, label, text)));
}
