// The programs that this server runs in a job, in POSIX sh with what GNU and busybox both have. `$$` is the leader of the session of a
// program, in its subshells, too.

/**
 * Runs a command: $1 command, $2 folder, $3 number of bytes of its standard input. This server's end of standard input stays open after
 * them until the call is over: if it closes before the command has ended, the server or the connection is gone, and so is whoever would
 * end the command. Its input is stored first, in a file without a name, so that the rest of standard input is free to be watched.
 */
export const RUN_COMMAND = `
[ -z "$2" ] || cd -- "$2" || exit
if [ "$3" -gt 0 ]; then
  file=$(mktemp) || exit
  exec 4<>"$file"
  rm -f "$file"
  head -c "$3" >&4 || exit
  [ "$(wc -c </proc/$$/fd/4)" -eq "$3" ] || exit 1
  exec 5</proc/$$/fd/4 4>&-
else
  exec 5</dev/null
fi
exec 3<&0
(
  trap '' TERM
  exec 5<&- >/dev/null 2>&1
  while read -r line <&3; do :; done
  kill -TERM -$$
  sleep 2
  kill -KILL -$$
) &
watcher=$!
"$(command -v bash || command -v sh)" -c "$1" <&5 3<&- 5<&-
code=$?
kill -KILL "$watcher"
exit "$code"
`;

// Sets `found` to the processes of the session $1 that still run.
const FIND_MEMBERS = `
is_member() { [ "$5" = "$1" ] && [ "$2" != Z ]; }
find_members() {
  found=
  for place in /proc/[0-9]*; do
    { read -r line <"$place/stat"; } 2>/dev/null || continue
    is_member "$1" \${line##*) } && found="$found \${place#/proc/}"
  done
}
started_at() { shift 19; start=$1; }
read_start() {
  start=
  { read -r line <"/proc/$1/stat"; } 2>/dev/null && started_at \${line##*) }
}
`;

// Ends the session $1 whose leader started at $2, and sets `found` to what it couldn't end. A leader of another start time is another one.
const END_MEMBERS = `${FIND_MEMBERS}
end_session() {
  found=
  read_start "$1"
  [ -z "$start" ] || [ "$start" = "$2" ] || return 0
  round=0
  while find_members "$1"; [ -n "$found" ] && [ "$round" -lt 50 ]; do
    if [ "$round" -eq 0 ]; then kill -TERM $found; elif [ "$round" -ge 20 ]; then kill -KILL $found; fi
    round=$((round + 1))
    sleep 0.1
  done 2>/dev/null
}
`;

/** Ends a session: $1 its leader, $2 when that started. Prints the processes that still run. */
export const END_SESSION = `${END_MEMBERS}
end_session "$1" "$2"
echo $found
`;

const JOBS = 'jobs=$HOME/.dstack-mcp/jobs';

/** Supervises a background command: $1 its folder, $2 the shell, $3 the command. An argument of `START_JOB`. */
export const SUPERVISE_JOB = `
trap '' HUP
trap : TERM INT
started_at() { shift 19; printf '%s %s\\n' $$ "$1" >"$folder/pid"; }
folder=$1
read -r line </proc/$$/stat
started_at \${line##*) }
DSTACK_MCP_JOB=\${folder##*/} "$2" -c "$3" <"$folder/in" >"$folder/out" 2>"$folder/err"
code=$?
printf '%s %s\\n' "$code" "$(date +%s)" >"$folder/exit.new"
mv "$folder/exit.new" "$folder/exit"
`;

/**
 * Starts a background command in its own session: $1 id, $2 command, $3 folder, $4 number of bytes of its standard input, $5 the
 * supervisor. Removes the oldest ended ones.
 */
export const START_JOB = `
${JOBS}
mask=$(umask)
umask 077
[ -n "$(command -v setsid)" ] || { echo 'setsid is missing' >&2; exit 1; }
mkdir -p "$jobs/$1" || exit
count=0
for old in $(ls -t "$jobs"); do
  case $old in *[!0-9a-f]*) continue ;; esac
  count=$((count + 1))
  if [ "$count" -gt 50 ] && [ -s "$jobs/$old/exit" ]; then rm -rf "\${jobs:?}/$old"; fi
done
head -c "$4" >"$jobs/$1/in" && [ "$(wc -c <"$jobs/$1/in")" -eq "$4" ] || exit 1
printf %s "$2" >"$jobs/$1/command" && date +%s >"$jobs/$1/started" && : >"$jobs/$1/out" && : >"$jobs/$1/err" || exit
[ -z "$3" ] || cd -- "$3" || exit
umask "$mask"
setsid sh -c "$5" sh "$jobs/$1" "$(command -v bash || command -v sh)" "$2" </dev/null >/dev/null 2>&1 &
`;

// Sets `state` of the background command in the folder $1, and `code` and `ended` if it has ended. `starting` is short.
const READ_STATE = `
read_state() {
  code= ended= pid= born=
  if [ -s "$1/exit" ]; then state=ended; read -r code ended <"$1/exit"; return; fi
  [ -s "$1/pid" ] || { state=starting; return; }
  read -r pid born <"$1/pid"
  read_start "$pid"
  if [ "$start" = "$born" ]; then state=running; elif [ -s "$1/exit" ]; then read_state "$1"; else state=lost; fi
}
size_of() { wc -c <"$1"; }
`;

// Prints one line about the background command in the folder $1.
const DESCRIBE = `${FIND_MEMBERS}${READ_STATE}
describe() {
  read_state "$1"
  read -r begun <"$1/started"
  echo "\${1##*/}" "$state" "\${code:--}" "$begun" "\${ended:-$(date +%s)}" $(size_of "$1/out") $(size_of "$1/err") \\
    "$(head -c 300 "$1/command" | base64 | tr -d '\\n')"
}
`;

/**
 * Prints a line about a background command, and then from its two streams what follows the offsets: $1 id, $2 and $3 offsets (-1 for the
 * end), $4 how much of each.
 */
export const READ_JOB = `${JOBS}${DESCRIBE}
[ -s "$jobs/$1/started" ] || exit 0
describe "$jobs/$1"
range() {
  size=$(size_of "$1")
  from=$2
  [ "$from" -ge 0 ] || from=$((size > $3 ? size - $3 : 0))
  [ "$from" -le "$size" ] || from=$size
  length=$((size - from < $3 ? size - from : $3))
}
page() { tail -c +$((from + 1)) "$1" | head -c "$length"; }
range "$jobs/$1/out" "$2" "$4"
echo "$from $length"
page "$jobs/$1/out"
range "$jobs/$1/err" "$3" "$4"
echo "$from $length"
page "$jobs/$1/err"
`;

/** Prints a line about each background command, the latest first. */
export const LIST_JOBS = `${JOBS}${DESCRIBE}
[ -d "$jobs" ] || exit 0
for id in $(ls -t "$jobs"); do
  case $id in *[!0-9a-f]*) continue ;; esac
  [ ! -s "$jobs/$id/started" ] || describe "$jobs/$id"
done | head -n 50
`;

/** Ends a background command with all of its session: $1 id. Prints its state before, and what couldn't be ended. */
export const STOP_JOB = `${JOBS}${END_MEMBERS}${READ_STATE}
[ -s "$jobs/$1/started" ] || exit 0
read_state "$jobs/$1"
before=$state
if [ "$state" = running ]; then
  end_session "$pid" "$born"
  [ -n "$found" ] || [ -s "$jobs/$1/exit" ] || echo "137 $(date +%s)" >"$jobs/$1/exit"
  [ -n "$found" ] || read_state "$jobs/$1"
fi
echo "$before" "\${code:--}" $found
`;
