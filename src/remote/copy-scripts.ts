// The programs of `copy` in the run: POSIX sh, with the tools of coreutils or busybox. A path or a name is always data.

/** The exit codes of these programs for what they refuse. */
export const SCRIPT_EXIT = {
  missingTool: 71,
  cannotOpen: 72,
  tarFailed: 73,
  incomplete: 74,
  different: 75,
  notPlaced: 76,
  conflict: 77,
} as const;

const START = `LC_ALL=C; export LC_ALL; unset TAR_OPTIONS POSIXLY_CORRECT
fail() { code=$1; shift; printf '%s\\n' "$*" >&2; exit "$code"; }
need() { command -v "$1" >/dev/null 2>&1 || fail ${SCRIPT_EXIT.missingTool} "$1"; }
`;

/** Mode, device, size, time of change, name: of the entry itself, not of what a link leads to. */
const STAT = `stat -c '%f %d %s %Y %n'`;

/** Follows the name of an upload's staging folder in that of its large files. */
export const LARGE_SUFFIX = '.large';

/** The staging folder of an upload, and of a download on this computer. No name that is copied begins with it. */
export const STAGE_PREFIX = '.dstack-mcp-copy-';

/**
 * Finds the path `$1`: sets `kind` (file, folder, other, missing), `path` without links, which is the nearest folder above it if it is
 * missing, `rest` for what is missing of it, and `base`, the folder that exists above a file, or is one, where something new can wait.
 */
const PLACE = `path=$1
case $path in '~') path=$HOME ;; '~/'*) path=$HOME/\${path#??} ;; /*) ;; *) path=$PWD/$path ;; esac
rest=
if [ -d "$path" ]; then kind=folder
elif [ -f "$path" ]; then kind=file
elif [ -e "$path" ] || [ -L "$path" ]; then kind=other
else
  kind=missing
  while [ ! -d "$path" ]; do
    if [ -e "$path" ] || [ -L "$path" ]; then fail ${SCRIPT_EXIT.cannotOpen} "$path is not a folder"; fi
    rest=/\${path##*/}$rest
    path=\${path%/*}
    [ -n "$path" ] || path=/
  done
fi
base=
if [ "$kind" = file ]; then
  need readlink
  path=$(readlink -f -- "$path") || fail ${SCRIPT_EXIT.cannotOpen} "$path can't be resolved"
  base=\${path%/*}/
elif [ "$kind" != other ]; then
  cd -P -- "$path" && path=$(pwd -P) || exit ${SCRIPT_EXIT.cannotOpen}
  base=$path
fi
`;

// Refuses what is neither a file nor a folder.
const BASE = `${PLACE}[ -n "$base" ] || fail ${SCRIPT_EXIT.cannotOpen} "$path is something else"
`;

/**
 * Prints what is at the path `$1` (file, folder, other, missing), where it is without links, and the facts of it, or of the folder that
 * it would be made in. Then, for a folder: with `all` as `$2` what is in it, but of a folder that begins with a dot only its name; with
 * `named` what exists of the names on standard input.
 */
export const LOOK = `${START}need stat; need find; need tr; need xargs
${PLACE}printf '%s\\n%s\\n' "$kind" "\${path%/}$rest"
${STAT} "$path" || exit ${SCRIPT_EXIT.cannotOpen}
[ "$kind" = folder ] || exit 0
if [ "$2" = all ]; then
  find . -mindepth 1 -name '.*' -prune -exec ${STAT} {} + -o -mindepth 1 -exec ${STAT} {} +
else
  tr '\\n' '\\0' | xargs -0 ${STAT} 2>/dev/null
  exit 0
fi
`;

/** The answer of `SUM` in an image without a program for it. */
export const NO_SUMS = 'no sha256';

// Prints the SHA-256 of each of the names on standard input, in their order. openssl is several times faster; coreutils rarely use it.
const SUMS = `sums=
if command -v sha256sum >/dev/null 2>&1; then sums=sha256sum; fi
if command -v openssl >/dev/null 2>&1; then sums='openssl dgst -sha256 -r'; fi
sum() { tr '\\n' '\\0' | xargs -0 $sums | sed 's/^\\([0-9a-f]*\\) \\*/\\1  /'; }
`;

/** Prints the SHA-256 of each of the names on standard input that can be read in the folder `$1`. */
export const SUM = `${START}need tr; need xargs; need sed
${SUMS}[ -n "$sums" ] || { printf '%s\\n' '${NO_SUMS}'; exit 0; }
cd -P -- "$1" || exit ${SCRIPT_EXIT.cannotOpen}
sum
exit 0
`;

// GNU's tar alone has these: larger writes are faster, and a hard link to another file is an entry without content.
const BLOCKS = `blocks= whole=
case $(tar --version 2>/dev/null) in *'GNU tar'*) blocks='-b 512' whole=--hard-dereference ;; esac
`;

/**
 * Writes the content of the file `$2` in the folder `$1`, and fails if it was written to meanwhile. It does so for as long as standard
 * input is open: its end is that of the server, and what writes the file there would go on without it.
 */
export const SEND = `${START}need cat; need stat
cd -P -- "$1" || exit ${SCRIPT_EXIT.cannotOpen}
[ -f "./$2" ] && [ ! -L "./$2" ] || fail ${SCRIPT_EXIT.cannotOpen} "$2 is not a file"
state() { stat -c '%d %i %s %y' "./$1"; }
before=$(state "$2")
exec 3<&0
cat <"./$2" 3<&- &
sender=$!
(while read -r line; do :; done; kill "$sender") <&3 3<&- >/dev/null 2>&1 &
wait "$sender"
code=$?
kill -KILL $!
[ "$code" -eq 0 ] || exit ${SCRIPT_EXIT.incomplete}
[ "$(state "$2")" = "$before" ] || exit ${SCRIPT_EXIT.different}
`;

/**
 * Writes standard input to the file `$3` in the staging folder `$2`, which is where the `PUSH` that waits for it has its own, if `$1` is
 * its folder, or what was passed as the place of the upload.
 */
export const RECEIVE = `${START}need cat; need mkdir
umask 022
${BASE}stage=$base/$2
mkdir -p -m 700 -- "$stage" || exit ${SCRIPT_EXIT.cannotOpen}
file=$stage/$3
trap 'rm -f -- "$file"; rmdir -- "$stage"; exit 129' HUP INT TERM PIPE
cat >"$file" || exit ${SCRIPT_EXIT.incomplete}
# Whoever canceled has closed the connection: then the trap removes the file.
echo || exit 129
`;

/** Removes the staging folder `$2` next to the folder `$1`. */
export const DISCARD = `${START}${BASE}rm -rf -- "$base/$2"
`;

/** Writes an archive, or several, of the files whose names are on standard input in the folder `$1`. */
export const PULL = `${START}need tr; need xargs; need tar
cd -P -- "$1" || exit ${SCRIPT_EXIT.cannotOpen}
${BLOCKS}tr '\\n' '\\0' | xargs -0 tar -c $blocks $whole -f - || exit ${SCRIPT_EXIT.tarFailed}
`;

/**
 * Unpacks an archive from standard input next to its place in the folder `$1`, checks it, and moves its files to their place: with `$2`
 * `-f` over existing ones, with `-n` not. `$3` is the name of the staging folder, `$4` the number of files, and `$5` the only one if
 * nothing else is copied. Large files are in another staging folder by then, by the numbers in `large`, which has their sizes, too; the
 * archive has empty ones, and the checksums of the others.
 * In a subshell, because of its trap.
 */
export const PUSH = `${START}need tar; need find; need mv; need tr; need xargs; need sed
(
umask 022
target=$1
${BASE}find "$base" -maxdepth 1 -name '${STAGE_PREFIX}*' -mtime +1 -exec rm -rf {} + 2>/dev/null &
stage=$base/$3
trap 'cd / && rm -rf -- "$stage" "$stage${LARGE_SUFFIX}"' EXIT
trap 'exit 129' HUP INT TERM PIPE
mkdir -m 700 -- "$stage" && cd -- "$stage" || exit ${SCRIPT_EXIT.cannotOpen}
${BLOCKS}tar -x -o $blocks -f - || exit ${SCRIPT_EXIT.tarFailed}
[ -f sums ] && [ -d files ] || fail ${SCRIPT_EXIT.incomplete} 'the archive ended early'
if [ -f large ]; then
  need touch; need chmod; need stat
  while IFS= read -r line; do
    file=$stage${LARGE_SUFFIX}/\${line%% *} line=\${line#* }
    size=\${line%% *} name=\${line#* }
    [ "$(stat -c %s "$file")" = "$size" ] || fail ${SCRIPT_EXIT.incomplete} "$name is incomplete"
    if [ -x "files/$name" ]; then chmod 755 "$file"; fi
    # Some file systems write everything to the disk before a file replaces another one.
    touch -r "files/$name" "$file" && rm "files/$name" && mv -- "$file" "files/$name" || exit ${SCRIPT_EXIT.incomplete}
  done <large
fi
cd files || exit ${SCRIPT_EXIT.incomplete}
${SUMS}if [ -z "$sums" ]; then
  [ "$(find . -type f | wc -l)" -eq "$4" ] || fail ${SCRIPT_EXIT.incomplete} 'files are missing'
elif [ -s ../sums ]; then
  [ "$(sed 's/^[0-9a-f]*  //' ../sums | sum)" = "$(cat ../sums)" ] || exit ${SCRIPT_EXIT.different}
fi
# Whoever canceled has closed the connection: this is where the program ends then, and nothing has its final name.
printf '%s\\n' "\${sums:+sha256}" || exit 129
if [ -n "$5" ]; then
  [ -d "$target" ] || mkdir -p -- "$target" || exit ${SCRIPT_EXIT.notPlaced}
  mv "$2" -- "./$5" "$target/"
  code=$?
  [ "$2" = -f ] || [ ! -e "./$5" ] || fail ${SCRIPT_EXIT.conflict} "$5"
  [ "$code" -eq 0 ] || exit ${SCRIPT_EXIT.notPlaced}
  exit 0
fi
find . -type d >../folders
mkdir -p -- "$target" || exit ${SCRIPT_EXIT.notPlaced}
tr '\\n' '\\0' <../folders | (cd -- "$target" && xargs -0 mkdir -p --) || exit ${SCRIPT_EXIT.notPlaced}
while IFS= read -r folder; do
  find "$folder" -maxdepth 1 -type f -exec sh -c 'how=$1 to=$2; shift 2; exec mv "$how" -- "$@" "$to"' sh "$2" "$target/$folder/" {} + || exit ${SCRIPT_EXIT.notPlaced}
done <../folders
left=$(find . -type f | head -n 5)
[ -z "$left" ] || fail ${SCRIPT_EXIT.conflict} "$left"
)
`;
