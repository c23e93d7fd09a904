// Opens the cards in a normal browser, with the sandbox behind them.
import { writeExamples } from '../sandbox/example-workspace.ts';
import { serverEnv, serverFile, startLocalSandbox } from './local-sandbox.ts';
import { connectCardClient } from './ui-client.ts';
import { startCardHost } from './ui-host.ts';

const HELP = `npm run ui

Starts the sandbox (simulated machines, nothing costs money) and a page that shows the cards as a host of MCP Apps does, and prints
its address. The page is served on this machine alone. The bar above the cards makes calls and changes theme, locale and width.
After a change in ui/: build (npm run build) and call a tool again. Ctrl+C ends everything.`;

if (process.argv.includes('--help') || process.argv.includes('-h')) console.log(HELP);
else if (process.argv.length > 2) {
  console.error(`There is no ${process.argv.slice(2).join(' ')} here.\n\n${HELP}`);
  process.exitCode = 2;
} else await run(untilInterrupted());

/** Runs until the signal; then nothing is left. */
async function run(signal: AbortSignal): Promise<void> {
  const print = (line: string): void => console.log(line);
  try {
    const sandbox = await startLocalSandbox(print, signal);
    try {
      await writeExamples(sandbox.workspace);
      sandbox.controls.scenarios.set('train', { pullMs: 8_000, gpuUtilization: 72 });
      const client = await connectCardClient({
        server: serverFile,
        env: serverEnv(sandbox),
      });
      const host = await startCardHost(client);
      print(`\nOpen ${host.url}\nCtrl+C ends it.`);
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      print('ending…');
      await host.close();
      await client.close();
    } finally {
      await sandbox.stop();
    }
  } catch (error) {
    // Ended while it started: that was wanted.
    if (!signal.aborted) throw error;
  }
}

function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort());
  return controller.signal;
}
