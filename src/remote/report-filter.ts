import { Transform } from 'node:stream';

/** A report of the prologue is short. */
const MAX_REPORT_BYTES = 100;

/** The reports of the prologue: a pid with its start time, and the exit code of a shell. */
const REPORT = /^(?:start \d{1,10} \d{0,20}|exit (?:\d{1,2}|1\d\d|2[0-4]\d|25[0-5]))$/;

/**
 * Creates a stream that removes the prologue's reports from standard error and passes their words on. A report begins with a mark that is
 * random, so that no output of a program is mistaken for one. A program of the run can find the mark and forge a report: one that the
 * prologue can't have written stays in the stream.
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
        if (end === -1) break;
        const report = rest.toString('latin1', at + start.length, end);
        const isReport = REPORT.test(report);
        this.push(rest.subarray(0, isReport ? at : end));
        if (isReport) onReport(report.split(' '));
        // The end of what isn't a report may be the beginning of one.
        rest = rest.subarray(isReport ? end + 1 : end);
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
