import { ThreadsPoolWorker } from 'vitest/node';
import type { PoolWorker, WorkerRequest } from 'vitest/node';
import type { Plugin } from 'vitest/config';

/** A thread that ran many mutants, or one that hung, may still do something: the next mutants get another one. */
const MOST_RUNS = 50;
const HUNG_MS = 5_000;

type Callback = (argument: unknown) => void;

/** Keeps one thread with its modules between the runs of vitest: Stryker starts one for each mutant, and loading takes longer than testing. */
export const keepsThread: Plugin = {
  name: 'keeps-thread',
  configureVitest({ project, vitest }) {
    let thread: ThreadsPoolWorker | undefined;
    let runs = 0;
    project.config.pool = 'kept-thread';
    project.config.poolRunner = { name: 'kept-thread', createPoolWorker: createKeptThread };
    vitest.onClose(() => thread?.stop());

    function createKeptThread(options: ConstructorParameters<typeof ThreadsPoolWorker>[0]): PoolWorker {
      const listeners: [event: string, callback: Callback][] = [];
      const startedAt = Date.now();
      return {
        name: 'kept-thread',
        on(event, callback) {
          listeners.push([event, callback]);
          thread?.on(event, callback);
        },
        off: (event, callback) => thread?.off(event, callback),
        send(message: WorkerRequest) {
          if (message.type !== 'stop') thread?.send(message);
          // The thread would end.
          else
            for (const [event, callback] of listeners)
              if (event === 'message') callback({ type: 'stopped', __vitest_worker_response__: true });
        },
        deserialize: (data) => data,
        async start() {
          if (thread !== undefined) return;
          runs = 0;
          thread = new ThreadsPoolWorker(options);
          await thread.start();
        },
        async stop() {
          for (const [event, callback] of listeners) thread?.off(event, callback);
          runs += 1;
          if (runs < MOST_RUNS && Date.now() - startedAt < HUNG_MS) return;
          await thread?.stop();
          thread = undefined;
        },
      };
    }
  },
};
