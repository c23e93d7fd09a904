import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { processesIn } from '../../test/support/processes.ts';
import type { Host } from './hosts.ts';
import { startFakeModel } from './model/fake-model.ts';
import { configure, environmentOf } from './play-host.ts';
import type { PlayOptions } from './play-host.ts';

/** Something that a person does at a screen: they see a text, and press keys in tmux's notation. */
export interface Reaction {
  readonly sees: RegExp;
  readonly presses: readonly string[];
}

/** A terminal in which a host runs. */
export interface Terminal {
  /** Returns the text of the screen. */
  readonly screen: () => Promise<string>;
  readonly press: (...keys: readonly string[]) => Promise<void>;
  stop(): Promise<void>;
}

const POLL_MS = 300;
const KEY_MS = 400;

/** Configures a host as `startHost` does, and starts it in a terminal, with the prompt as its first input. */
export async function startInTerminal(host: Host, args: readonly string[], options: PlayOptions): Promise<Terminal> {
  const model = await startFakeModel(options.script);
  const start = {
    home: path.join(options.folder, 'home'),
    cwd: path.join(options.folder, 'project'),
    model: model.url,
  };
  await configure(host, start, options);
  const env = { ...environmentOf(host, start), TERM: 'xterm-256color' };
  // A server of tmux for this terminal alone, with the environment of the host.
  const settings = path.join(options.folder, 'tmux.conf');
  // What a host printed before it failed to start stays on the screen.
  await writeFile(settings, 'set -g remain-on-exit on\n');
  const tmux = (...words: readonly string[]) =>
    execa('tmux', ['-S', path.join(options.folder, 'tmux'), '-f', settings, ...words], {
      cwd: start.cwd,
      env,
      extendEnv: false,
      reject: false,
    });
  const size = ['-x', '150', '-y', '60'];
  await tmux('new-session', '-d', ...size, '--', options.program, ...args);
  return {
    screen: async () => (await tmux('capture-pane', '-p', '-t', ':0')).stdout,
    press: async (...keys) => {
      for (const key of keys) {
        await tmux('send-keys', key);
        // A host may drop a key that comes while it still draws.
        await delay(KEY_MS);
      }
    },
    async stop() {
      await tmux('kill-server');
      for (const { pid } of await processesIn(start.home)) process.kill(pid, 'SIGKILL');
      await model.stop();
    },
  };
}

/** Reacts to what the terminal shows until it shows the last text or the time is over. Returns the screens at which somebody reacted, and the last one. */
export async function react(
  terminal: Terminal,
  reactions: readonly Reaction[],
  { until, limitMs }: { until: RegExp; limitMs: number },
): Promise<readonly string[]> {
  const screens: string[] = [];
  const end = Date.now() + limitMs;
  let before = '';
  while (Date.now() < end) {
    const screen = await terminal.screen();
    if (until.test(screen)) return [...screens, screen];
    const reaction = reactions.find(({ sees }) => sees.test(screen));
    // A screen that still changes isn't read yet.
    if (reaction !== undefined && screen === before) {
      screens.push(screen);
      await terminal.press(...reaction.presses);
    }
    before = screen;
    await delay(POLL_MS);
  }
  return [...screens, before];
}
