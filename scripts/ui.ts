// Shows the cards in a normal browser, with data from the sandbox.
import { writeExamples } from '../sandbox/example-workspace.ts';
import { serverEnv, serverFile, startLocalSandbox } from './local-sandbox.ts';
import { connectCardClient } from './ui-client.ts';
import { startCardHost } from './ui-host.ts';

const HELP = `npm run ui

Starts the sandbox (simulated machines, no cost) and a page that shows the cards as an MCP Apps host does, and prints its URL.
The page is served on the loopback interface only. The toolbar calls tools and changes theme, locale and width.
After a change in ui/, run "npm run build" and call the tool again. Press Ctrl+C to stop.`;

if (process.argv.includes('--help') || process.argv.includes('-h')) console.log(HELP);
else if (process.argv.length > 2) {
  console.error(`Unknown argument: ${process.argv.slice(2).join(' ')}\n\n${HELP}`);
  process.exitCode = 2;
} else await run(untilInterrupted());

/** Runs until the signal, then stops everything it has started. */
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
      print(`\nOpen ${host.url}\nPress Ctrl+C to stop.`);
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      print('stopping…');
      await host.close();
      await client.close();
    } finally {
      await sandbox.stop();
    }
  } catch (error) {
    // Interrupted during startup.
    if (!signal.aborted) throw error;
  }
}

function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort());
  return controller.signal;
}
