/**
 * Sets up the inside of a container, as its first process. Its own folders are on a tmpfs of limited size; programs and libraries are
 * the computer's, read-only. Arguments: bytes of the tmpfs, host name, `ENTER`, the output of nvidia-smi, folder of the job. Input: `/dstack/profile` on
 * descriptor 3; then nothing on 0, whose end ends the container.
 */
export const SET_UP = `
set -eu
# What the program that started the sandbox left open.
for file in /proc/self/fd/*; do
  case "\${file##*/}" in [0123]) ;; *) eval "exec \${file##*/}>&-" ;; esac
done
root=/tmp
mount -t tmpfs -o "size=$1,nr_inodes=200k,mode=755" container "$root"
cd "$root"
mkdir -p .old dev/pts dev/shm dstack etc home mnt opt/sandbox proc root run tmp var/log var/tmp workflow
chmod 1777 dev/shm tmp var/tmp
chmod 700 root
for folder in usr bin sbin lib lib32 lib64 libx32; do
  if [ -L "/$folder" ]; then
    ln -s "$(readlink "/$folder")" "$folder"
  elif [ -d "/$folder" ]; then
    mkdir "$folder"
    mount --rbind "/$folder" "$folder"
  fi
done
for file in alternatives ld.so.cache; do
  if [ -e "/etc/$file" ]; then cp -RP "/etc/$file" etc/; fi
done
printf '%s' "$3" > opt/sandbox/enter
chmod 755 opt/sandbox/enter
if [ -n "$4" ]; then
  printf '#!/bin/sh\\ncat <<"END"\\n%s\\nEND\\n' "$4" > opt/sandbox/nvidia-smi
  chmod 755 opt/sandbox/nvidia-smi
fi
mount --bind opt/sandbox opt/sandbox
# Includes what is mounted inside of the bound folders. What was mounted below before is out of reach.
points=
while read -r _ _ _ _ point _; do
  case "$point" in
    "$root") points= ;;
    "$root"/*) points="$points $point" ;;
  esac
done < /proc/self/mountinfo
for point in $points; do mount -o remount,bind,ro,nosuid,nodev "$(printf '%b' "$point")"; done
mount -t proc -o nosuid,nodev,noexec proc proc
for device in full null random tty urandom zero; do
  : > "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mount -t devpts -o newinstance,nosuid,noexec,ptmxmode=666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
echo root:x:0:0:root:/root:/bin/bash > etc/passwd
echo root:x:0: > etc/group
printf '127.0.0.1 localhost\\n127.0.0.1 %s\\n' "$2" > etc/hosts
echo "$2" > etc/hostname
cat <&3 > dstack/profile
printf "\\n. '/dstack/profile'\\n" > etc/profile
hostname "$2"
ip link set lo up
pivot_root "$root" .old
cd /
umount -l .old
rmdir .old
mkdir -p -- "$5" || :
# No process inside gets new capabilities by another namespace.
echo 0 > /proc/sys/user/max_user_namespaces
echo ready
exec 3<&- > /dev/null 2>&1
# The first process only waits, and collects the children of others that have ended.
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all /bin/bash --norc -c 'read -r _'
`;

/**
 * Starts a command inside, as sshd does: its own session and environment, and no other open files. It exists only inside of containers:
 * where a process could not enter one, nothing runs. Arguments: variables, then the command.
 */
export const ENTER = `#!/bin/bash
for file in /proc/self/fd/*; do
  # Not this script itself.
  case "\${file##*/}" in [012]) ;; *) [ "$file" -ef "$0" ] || eval "exec \${file##*/}>&-" ;; esac
done
cd /root || exit
exec setsid setpriv --no-new-privs --inh-caps=-all \\
  --bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+net_bind_service,+setgid,+setuid \\
  env -i "$@"
`;

/**
 * Runs a program with pipes, as sshd does: Node.js has only sockets, which can't be opened as /dev/stdout. Without the user's startup
 * files, which bash would read on a socket.
 */
export const WITH_PIPES = 'exec "$@" < <(exec cat) > >(exec cat) 2> >(exec cat >&2)';
