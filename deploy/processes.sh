# Functions of the scripts that run Kizo and what it needs as processes of one machine. The script
# sets $dir, which has the directories run and log, and $user, whom root runs everything as.
# shellcheck shell=bash disable=SC2154

# as_user runs a command as $user, who is never root: PostgreSQL refuses that.
as_user() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid "$user" --regid "$(id -gn "$user")" --init-groups --no-new-privs env HOME="$dir" "$@"
  else
    "$@"
  fi
}

# begin_time prints when a process began; with it, a pid of an earlier process is not mistaken.
begin_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

state() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1; }

# pid_of NAME prints the process of that name, if it runs.
pid_of() {
  local pid began
  read -r pid began 2>/dev/null <"$dir/run/$1.pid" || return 1
  [ -n "$began" ] && [ "$(begin_time "$pid")" = "$began" ] && [ "$(state "$pid")" != Z ] && echo "$pid"
}

# spawn NAME COMMAND… starts a process that outlives the script.
spawn() {
  local name=$1
  shift
  # shellcheck disable=SC2016
  # The file is made before the command replaces the shell, so that no process is without one.
  as_user setsid bash -c 'f=$1; shift; umask 077; echo "$$ $(sed "s/.*) //" /proc/$$/stat | cut -d" " -f20)" >"$f.new" && mv "$f.new" "$f"; exec "$@"' \
    - "$dir/run/$name.pid" "$@" </dev/null >>"$dir/log/$name.log" 2>&1 &
}

# gone NAME SECONDS waits until a process has ended.
gone() {
  local waited
  for ((waited = 0; waited < 10 * $2; waited++)); do
    pid_of "$1" >/dev/null || return 0
    sleep 0.1
  done
  return 1
}

# end NAME [SIGNAL] ends a process gracefully.
end() {
  local pid
  pid=$(pid_of "$1") || return 0
  kill -s "${2:-TERM}" "$pid" 2>/dev/null || true
  gone "$1" 60 || fail "$1 (process $pid) does not end"
}

# wait_for WHAT COMMAND… waits until a command succeeds.
wait_for() {
  local what=$1 waited
  shift
  for ((waited = 0; waited < 900; waited++)); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.2
  done
  fail "$what; see $dir/log"
}

# status_of NAME… says what runs.
status_of() {
  local name pid
  for name in "$@"; do
    if pid=$(pid_of "$name"); then echo "$name runs (process $pid)"; else echo "$name does not run"; fi
  done
}
