import type { Timing } from './measure.ts';
import type { BenchResult } from './result.ts';
import { compareTargets } from './targets.ts';

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
          'server, spare': show(by?.spare),
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
  const { server, node, other } = result.start;
  console.log(
    `start to tools/list: ${show(server)} ms; node -e 0: ${show(node)} ms; the other server: ${show(other)} ms; tools/list: ${result.toolsListBytes} bytes`,
  );
  console.log(
    `first ps, sent at startup: ${show(result.firstCall.first)} ms; bare ps: ${show(result.firstCall.bare)} ms`,
  );
  if (result.idle !== undefined) {
    const { unusedMb, fiveUsedMb, fiveIdleMb } = result.idle;
    console.log(
      `memory: a server without a call ${unusedMb} MB resident; five servers after a call ${fiveUsedMb} MB, idle ${fiveIdleMb} MB (PSS)`,
    );
  }
  console.log('figures that have to hold:');
  console.table(compareTargets(result));
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
