import { Transform } from 'node:stream';

/** A report of the prologue is short. */
const MAX_REPORT_BYTES = 100;

/**
 * Creates a stream that removes the prologue's reports from standard error and passes their words on. A report begins with a mark that is
 * random, so that no output of a program is mistaken for one.
 */
export function createReportFilter(mark: string, onReport: (words: readonly string[]) => void): Transform {
  const start = Buffer.from(`\u001e${mark} `);
  let held: Buffer = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      let rest = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      for (;;) {
        const at = rest.indexOf(start);
        const end = at === -1 ? -1 : rest.indexOf(0x1e, at + start.length);
        if (end === -1 || end - at > MAX_REPORT_BYTES) break;
        this.push(rest.subarray(0, at));
        onReport(
          rest
            .subarray(at + start.length, end)
            .toString()
            .split(' '),
        );
        rest = rest.subarray(end + 1);
      }
      // The last bytes may be the beginning of a report.
      const from = rest.indexOf(0x1e, Math.max(0, rest.length - MAX_REPORT_BYTES));
      held = from === -1 ? Buffer.alloc(0) : rest.subarray(from);
      this.push(from === -1 ? rest : rest.subarray(0, from));
      done();
    },
    flush(done) {
      this.push(held);
      done();
    },
  });
}
