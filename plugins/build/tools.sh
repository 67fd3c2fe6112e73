# Functions that the build scripts share: fetch tools once, and make builds reproducible.
#
# A script sets `tools`, the folder for its language's tools, before it calls any of them.
# Exit code 69: something must be installed first.
# shellcheck shell=sh

say() { printf 'build.sh: %s\n' "$*" >&2; }
missing() { say "$1 is missing"; printf '  (%s)\n' "$2" >&2; exit 69; }

# Puts a finished component in its place by atomic rename, so that no process reads half of it: put
# FILE OUTPUT.
put() {
  cp "$1" "$2.$$" && mv "$2.$$" "$2"
}

# Makes the folder $tools/NAME once: obtain NAME WITNESS COMMAND [ARGUMENT...]. The command fills an
# empty folder, its last argument, which is then renamed to NAME. So a folder of this name is
# complete, even if a build was interrupted. WITNESS is a file in the folder. Builds that share the
# folder wait for each other (flock); without flock, they may fetch the same thing twice.
obtain() {
  name=$1 witness=$2
  shift 2
  [ -e "$tools/$name/$witness" ] && return
  exec 9>"$tools/lock"
  if command -v flock >/dev/null && ! flock -n 9; then
    say "waiting for another build, which is filling $tools"
    flock 9
  fi
  # Left over from killed builds; without flock they may belong to a running build.
  ! command -v flock >/dev/null || rm -rf "$tools"/new.*
  if ! [ -e "$tools/$name/$witness" ]; then
    new=$(mktemp -d "$tools/new.XXXXXX")
    chmod 755 "$new"
    # Only this shell holds the lock: a process that outlives the command must not.
    if ! "$@" "$new" 9>&- || ! [ -e "$new/$witness" ]; then
      rm -rf "$new"
      say "$tools/$name could not be filled"
      exit 1
    fi
    rm -rf "${tools:?}/$name"
    mv "$new" "$tools/$name"
  fi
  exec 9>&-
}

# Prints the path of build/steady.c compiled as a library, or nothing if there is no C compiler.
steady() {
  library=$tools/steady-$(cksum <build/steady.c | cut -d ' ' -f 1).so
  if ! [ -f "$library" ]; then
    new=$(mktemp)
    if ! "${CC:-cc}" -shared -fPIC -O2 -o "$new" build/steady.c >"$new.log" 2>&1; then
      rm -f "$new" "$new.log"
      say "no C compiler could build build/steady.c, so the bytes of the component differ from build to build"
      printf '  (to have the same each time, as root: apt-get install gcc libc6-dev)\n' >&2
      return
    fi
    rm -f "$new.log"
    chmod 644 "$new"
    put "$new" "$library"
    rm -f "$new"
  fi
  printf '%s' "$library"
}
