import { Transform } from 'node:stream';
import { joinWords } from '../core/format-values.ts';
import type { RemoteProgram } from './remote-shell.ts';

// What precedes every program. It reports on standard error when the program starts and how it ends: ssh's own exit
// status 255 doesn't distinguish a lost connection from a program that ended with 255 or by a signal. A command in a non-login session
// has neither the variables of its run nor its folder: dstack's runner writes them to a profile.
const PROLOGUE = `
if [ -r /dstack/profile ]; then . /dstack/profile; elif [ -r /etc/profile ]; then . /etc/profile; fi >/dev/null
dstack_mcp_start() { shift 19; printf '\\036%s start %s %s\\036' "$dstack_mcp_mark" $$ "$1" >&2; }
read -r dstack_mcp_word </proc/$$/stat
dstack_mcp_start \${dstack_mcp_word##*) }
trap 'printf "\\036%s exit %s\\036" "$dstack_mcp_mark" $? >&2' EXIT
`;

/** Linux accepts no longer single argument (MAX_ARG_STRLEN), neither here nor in the job. */
const MAX_COMMAND_BYTES = 131_072 - 1_024;

/**
 * Returns the command that runs a program, for any login shell: POSIX shells, csh and fish read it alike. The whole program with its data
 * is one word of base64; only the `sh` that runs it reads the data, as quoted words. It becomes the leader of the session. `mark` is in
 * what the prologue reports.
 * @throws RangeError if it is too long, or if data contain a NUL
 */
export function remoteCommand({ script, data }: RemoteProgram, mark: string): string {
  if (data.some((text) => text.includes('\0'))) throw new RangeError('Data for a program must not contain a NUL.');
  // After the profile, which could replace them.
  const words = `set -- ${joinWords(data)}\n`;
  const encoded = Buffer.from(`dstack_mcp_mark=${mark}${PROLOGUE}${words}${script}`).toString('base64');
  const command = `exec sh -c 'eval "$(printf %s "$0" | base64 -d)"' ${encoded}`;
  if (command.length > MAX_COMMAND_BYTES) throw new RangeError('The program and its data are too long.');
  return command;
}

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
