import type { RemoteProgram } from './remote-shell.ts';

// What precedes every program. It decodes the data, and reports on standard error when the program starts and how it ends: ssh's own exit
// status 255 doesn't distinguish a lost connection from a program that ended with 255 or by a signal. A command in a non-login session
// has neither the variables of its run nor its folder: dstack's runner writes them to a profile.
const PROLOGUE = `
dstack_mcp_mark=$1
shift
for dstack_mcp_word do
  shift
  dstack_mcp_word=$(printf %s "$dstack_mcp_word" | base64 -d; printf .)
  set -- "$@" "\${dstack_mcp_word%.}"
done
if [ -r /dstack/profile ]; then . /dstack/profile; elif [ -r /etc/profile ]; then . /etc/profile; fi >/dev/null
dstack_mcp_start() { shift 19; printf '\\036%s start %s %s\\036' "$dstack_mcp_mark" $$ "$1" >&2; }
read -r dstack_mcp_word </proc/$$/stat
dstack_mcp_start \${dstack_mcp_word##*) }
trap 'printf "\\036%s exit %s\\036" "$dstack_mcp_mark" $? >&2' EXIT
`;

/** Linux accepts no longer single argument (MAX_ARG_STRLEN), neither here nor in the job. */
const MAX_COMMAND_BYTES = 131_072 - 1_024;

const encode = (text: string): string => Buffer.from(text).toString('base64');

/**
 * Returns the command that runs a program, for any login shell: POSIX shells, csh and fish read it alike. The first `sh` becomes the leader
 * of the session. `mark` is in what the prologue reports.
 * @throws RangeError if it is too long, or if data contain a NUL
 */
export function remoteCommand({ script, data }: RemoteProgram, mark: string): string {
  if (data.some((text) => text.includes('\0'))) throw new RangeError('Data for a program must not contain a NUL.');
  const words = [encode(PROLOGUE + script), mark, ...data.map(encode)];
  // An empty word would be lost.
  const shown = words.map((word) => (word === '' ? "''" : word)).join(' ');
  const command = `exec sh -c 'eval "$(printf %s "$0" | base64 -d)"' ${shown}`;
  if (command.length > MAX_COMMAND_BYTES) throw new RangeError('The program and its data are too long.');
  return command;
}
