#!/usr/bin/env bash
# Makes the checkout ready: Debian packages that are missing, and .venv. Does nothing when nothing is missing.
# No service of the machine is started, stopped or changed: tests and demo run private servers.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }
stop() { say "$*"; exit 1; }

python=
for candidate in python3 python3.13 python3.12 python3.11; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$candidate; break; fi
done

missing=()
docker_answers() { command -v docker >/dev/null && timeout 5 docker info >/dev/null 2>&1; }
have_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null; }
[ -n "$python" ] || missing+=(python3)
# ensurepip is what Debian leaves out of python3 until python3-venv is there.
"${python:-python3}" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if ! { have_postgres && command -v redis-server >/dev/null; } && ! docker_answers; then
  have_postgres || missing+=(postgresql)
  command -v redis-server >/dev/null || missing+=(redis-server)
fi
# For the PDF of `dialer-admin proof`.
[ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || missing+=(fonts-dejavu-core)
# For the texts of IVR flows (docs/flows.md).
command -v espeak-ng >/dev/null || missing+=(espeak-ng)
# For the tests that look at a page.
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
  missing+=(chromium)
# The lab fetches its Asterisk with mmdebstrap, unless one is installed.
command -v asterisk >/dev/null || command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)

install_packages() {
  command -v apt-get >/dev/null || stop "missing: $*. This is no Debian: install them by hand, then run this again"
  local root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || stop "missing: $*. Install them as root: apt-get install $*"
    root=(sudo)
  fi
  say "installing $* (Debian packages)"
  # One root shell: it forbids service starts while the packages come in, and clears up after itself.
  "${root[@]}" bash -euo pipefail -s -- "$@" <<'ROOT'
policy=/usr/sbin/policy-rc.d
ours=
clear_up() { [ -z "$ours" ] || rm -f "$policy"; }
trap clear_up EXIT
if [ ! -e "$policy" ]; then
  ours=1
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi
# Debian makes a cluster of its own with PostgreSQL, and starts it, unless told before postgresql-common arrives.
if [[ " $* " == *" postgresql "* ]] && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
  mkdir -p /etc/postgresql-common
  printf "# Written by dialerd's setup: no cluster unless you make one.\ncreate_main_cluster = false\n" \
    > /etc/postgresql-common/createcluster.conf
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# Not enabled either: the next boot must not start a Redis that nobody asked for. A unit that is there already
# is the machine's own, and stays as it is.
redis_was=$(systemctl is-enabled redis-server 2>/dev/null || true)
if ! { apt-get update -q && apt-get install -y -q --no-install-recommends \
       -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "setup: apt-get failed; all it said: $log" >&2
  exit 1
fi
rm -f "$log"
if [[ " $* " == *" redis-server "* ]] && [ -z "$redis_was" ] && command -v systemctl >/dev/null; then
  systemctl disable redis-server >/dev/null 2>&1 || true
fi
ROOT
}

if [ ${#missing[@]} -gt 0 ]; then
  install_packages "${missing[@]}"
  python=${python:-python3}
fi
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  stop "dialerd needs Python 3.11 or later; $("$python" --version 2>&1 || echo none) is what there is here"

# The stamp holds what the environment was made from; another Python or another list of packages makes it anew.
stamp=.venv/.dialerd-setup
want=$("$python" --version; sha256sum setup.cfg pyproject.toml)
if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
  if [ -L .venv ]; then
    say ".venv is a link to an environment that somebody else keeps: not touched"
    exit 0
  fi
  [ -x .venv/bin/python ] || { say "making .venv"; rm -rf .venv; "$python" -m venv .venv; }
  say "installing Python packages"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' >&2
  printf '%s\n' "$want" > "$stamp"
  say "ready"
fi
