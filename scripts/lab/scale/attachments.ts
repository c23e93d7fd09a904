import { spawn } from 'node:child_process';
import { createLog } from '../../../src/observability/create-log.ts';
import { createAttachmentStore } from '../../../src/attachments/attachment-store.ts';
import { lookUpProcess } from '../../../src/dstack/run/processes.ts';

/** Writes attachment records, each with a live process, into a state folder. Returns a function that ends the processes. */
export async function makeAttachments(stateDir: string, count: number): Promise<() => Promise<void>> {
  const store = createAttachmentStore(stateDir, createLog('silent'));
  const ids = Array.from({ length: count }, (_, index) => `scale-${index}`);
  const processes = ids.map((id) => spawn('sleep', ['3600'], { stdio: 'ignore', env: { DSTACK_MCP_ATTACHMENT: id } }));
  for (const [index, id] of ids.entries()) {
    const identity = await lookUpProcess(processes[index]?.pid ?? 0);
    if (identity === undefined) throw new Error('An attachment process has exited.');
    await store.write({
      version: 1,
      id,
      run: `run-${index}`,
      argv: ['attach', `run-${index}`],
      marker: id,
      createdAt: new Date().toISOString(),
      leader: { pid: identity.pid, startedAt: identity.startedAt },
    });
  }
  return async () => {
    for (const process of processes) process.kill('SIGKILL');
    await Promise.all(ids.map((id) => store.forget(id)));
  };
}
