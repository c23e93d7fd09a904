import type { Concurrent, Single, Timing } from './measure.ts';
import type { Memory } from './memory.ts';

export interface BenchResult {
  readonly date: string;
  readonly machine: Readonly<Record<string, string | number | undefined>>;
  readonly rounds: number;
  readonly single: Single;
  readonly concurrent: readonly Concurrent[];
  readonly start: Timing;
  readonly firstCall: { readonly bare: Timing; readonly first: Timing };
  readonly memory: { readonly idle: Memory; readonly after: Memory; readonly calls: number } | undefined;
  readonly toolsListBytes: number;
}

/** Prints the result as tables. */
export function printReport(result: BenchResult): void {
  const { machine } = result;
  console.log(
    `${machine['cpu']}, ${machine['cores']} cores, ${machine['memoryGb']} GB, Node ${machine['node']}, ${result.date}`,
  );
  console.log('\nmilliseconds, median (95th percentile), one at a time:');
  console.table(
    Object.fromEntries(
      Object.entries(result.single).map(([command, by]) => [
        command,
        {
          'bare CLI': show(by?.bare),
          'server, plain': show(by?.plain),
          'server, warm': show(by?.warm),
          'REST API': show(by?.rest),
          'plain minus bare': difference(by?.plain, by?.bare),
          'bare / warm': ratio(by?.bare, by?.warm),
          'warm / REST': ratio(by?.warm, by?.rest),
        },
      ]),
    ),
  );
  console.log('milliseconds until all concurrent `ps` calls are answered:');
  console.table(Object.fromEntries(result.concurrent.map(({ atOnce, totalMs }) => [`${atOnce} concurrent`, totalMs])));
  console.log(`start to tools/list: ${show(result.start)} ms; tools/list: ${result.toolsListBytes} bytes`);
  console.log(
    `first ps, sent at startup: ${show(result.firstCall.first)} ms; bare ps: ${show(result.firstCall.bare)} ms`,
  );
  if (result.memory !== undefined) {
    const { idle, after, calls } = result.memory;
    console.log(
      `memory (PSS): node ${idle.nodeMb} MB, worker and parked child ${idle.workerMb} MB; after ${calls} calls ${after.nodeMb} and ${after.workerMb} MB`,
    );
  }
}

const show = (value: Timing | undefined): string => (value === undefined ? '–' : `${value.median} (${value.p95})`);

const ratio = (a: Timing | undefined, b: Timing | undefined): string =>
  a === undefined || b === undefined ? '–' : (a.median / b.median).toFixed(1);

const difference = (a: Timing | undefined, b: Timing | undefined): string =>
  a === undefined || b === undefined ? '–' : (a.median - b.median).toFixed(0);
