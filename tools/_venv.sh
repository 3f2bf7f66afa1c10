# shellcheck shell=bash
# What the tools share: `set_up` makes .venv as pyproject.toml and constraints.txt ask, and returns at once where it is so.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/.venv/bin
stamp=$root/.venv/.set-up
python=${PYTHON:-python3}

set_up() {
  cd "$root"
  if [[ -x $bin/python && -f $stamp && $(<"$stamp") == "$(fingerprint)" ]]; then
    return
  fi
  require_python
  echo "setting up .venv" >&2
  # the commands in an environment hold its path, so one that was moved is made anew
  local moved=
  [[ ! -f $stamp || $(<"$stamp") == *" $root" ]] || moved=yes
  "$python" -m venv ${moved:+--clear} .venv || fail "$python cannot make a virtual environment; its module venv may be a package of its own"
  # torch first and pinned: an install that is free to choose would fetch gigabytes of GPU libraries
  install "torch==$(pinned torch)"
  install -e '.[plot,dev]'
  fingerprint >"$stamp"
}

# What .venv depends on: the version of Python, what is asked for, and the place.
fingerprint() {
  cat pyproject.toml constraints.txt | "$bin/python" -c \
    'import hashlib, sys; print(sys.version.split()[0], hashlib.sha256(sys.stdin.buffer.read()).hexdigest(), sys.argv[1])' \
    "$root"
}

require_python() {
  command -v "$python" >/dev/null || fail "there is no $python here; name a Python of at least 3.11 with PYTHON=…"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python must be at least 3.11; $python is $("$python" --version 2>&1): name another with PYTHON=…"
}

install() {
  "$bin/python" -m pip install -qq --disable-pip-version-check --no-input -c constraints.txt "$@"
}

pinned() {
  sed -n "s/^$1==//p" constraints.txt
}

fail() {
  echo "error: $*" >&2
  exit 1
}
