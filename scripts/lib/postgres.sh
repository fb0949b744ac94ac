# Starts and stops private PostgreSQL clusters for tests and measurements. Sourced, not run.

# The folder of the newest PostgreSQL programs.
pg_bin() { ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1; }

# PostgreSQL refuses to run as root: root's clusters belong to the user `postgres`.
pg_as() {
  if [[ $(id -u) -eq 0 ]]; then
    setpriv --reuid=postgres --regid=postgres --init-groups env -C / HOME=/tmp "$@"
  else
    "$@"
  fi
}

# pg_start FOLDER [name=value...]: makes a cluster in the folder if it has none, and starts it. It listens on a
# socket in FOLDER only, and its superuser is `postgres` without a password.
pg_start() {
  local folder=$1 setting options=()
  shift
  mkdir -p "$folder"
  [[ $(id -u) -ne 0 ]] || chown postgres: "$folder"
  if [[ ! -e $folder/data/PG_VERSION ]]; then
    pg_as "$(pg_bin)/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C --no-instructions >"$folder/initdb.log" 2>&1 \
      || die "initdb failed: $(tail -n 3 "$folder/initdb.log")"
  fi
  for setting in "$@"; do options+=(-c "$setting"); done
  pg_as "$(pg_bin)/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 60 \
    -o "-c listen_addresses='' -c unix_socket_directories='$folder' ${options[*]}" start >/dev/null \
    || die "PostgreSQL did not start: $(tail -n 5 "$folder/log")"
}

# pg_stop FOLDER: stops the cluster at once.
pg_stop() { pg_as "$(pg_bin)/pg_ctl" -D "$1/data" -m immediate -w stop >/dev/null 2>&1 || true; }

# pg_pid FOLDER: the process id of the cluster's postmaster.
pg_pid() { head -n 1 "$1/data/postmaster.pid"; }

# pg_url FOLDER DATABASE: how sqlx reaches it.
pg_url() { printf 'postgres://postgres@localhost/%s?host=%s\n' "$2" "$1"; }

# pg_sql FOLDER [psql arguments...]
pg_sql() { local folder=$1; shift; "$(pg_bin)/psql" -q -h "$folder" -U postgres -v ON_ERROR_STOP=1 "$@"; }
