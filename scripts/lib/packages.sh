# Installs what the scripts need on Debian (or Ubuntu). Sourced, not run.

# Cargo lives in the home folder when rustup installed it, whatever the environment says.
export PATH="${HOME:-/root}/.cargo/bin:/usr/local/go/bin:$PATH"

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# need_packages COMMAND=PACKAGE...: installs the packages whose command is missing.
# A command may be a path with `*`, for programs that are not in PATH.
need_packages() {
  local pair command package missing=()
  for pair in "$@"; do
    command=${pair%%=*} package=${pair#*=}
    if [[ $command == /* ]]; then
      compgen -G "$command" >/dev/null || missing+=("$package")
    else
      command -v "$command" >/dev/null || missing+=("$package")
    fi
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  say "Installing: ${missing[*]}"
  local sudo=()
  if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null || die "please install as root: apt-get install ${missing[*]}"
    sudo=(sudo)
  fi
  # Debian's postgresql package would make and start a cluster of its own: we only want the programs.
  if [[ " ${missing[*]} " == *" postgresql "* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
    "${sudo[@]}" mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' | "${sudo[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
  fi
  export DEBIAN_FRONTEND=noninteractive
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold \
    "${missing[@]}" >/dev/null || die "apt-get could not install: ${missing[*]}"
}

# What building and running Myelin needs.
need_build_tools() {
  command -v cargo >/dev/null || die "Rust is missing: install it with rustup (https://rustup.rs) and run this again"
  need_packages cc=build-essential clang=clang mold=mold pkg-config=pkg-config curl=curl \
    /etc/ssl/certs/ca-certificates.crt=ca-certificates '/usr/lib/postgresql/*/bin/initdb=postgresql'
}

# need_venv FOLDER REQUIREMENTS: a Python environment with exactly the packages of the file.
need_venv() {
  need_packages python3=python3
  python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages /missing=python3-venv
  if ! cmp -s "$2" "$1/requirements.txt"; then
    rm -rf "$1"
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet --disable-pip-version-check -r "$2"
    cp "$2" "$1/requirements.txt"
  fi
}

# binary_of PROFILE NAME: where cargo puts a binary.
binary_of() {
  local folder=$1
  [[ $folder != dev ]] || folder=debug
  printf '%s\n' "${CARGO_TARGET_DIR:-$root/target}/$folder/$2"
}
