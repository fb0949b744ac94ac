# Starts the homeservers that scripts/bench measures side by side, and stops them. Sourced, not run; needs packages.sh,
# postgres.sh and servers.sh, and sets `targets` and `watches`: options of the load generator.

contestants=() targets=() watches=() server_pids=() databases=()

# start_contestants SETUP [NAME...]: fresh servers with fresh databases, of all contestants or of those named.
# SETUP is `load`, where registering shall be fast, `members`, the same with the large room that was kept for the peer, or
# `login`, where passwords are hashed as by default.
start_contestants() {
  local setup=$1 name pg_process
  shift
  [[ $# -gt 0 ]] || set -- "${contestants[@]}"
  pg_process=$(pg_pid "$work/pg")
  targets=() watches=(--watch "postgres=$pg_process") server_pids=() databases=()
  for name in "$@"; do "contestant_$name" "$setup"; done
  [[ -z $peer_url ]] || targets+=(--target "$peer_url")
}

# stop_contestants: ends the servers and drops their databases, so that the next ones do not pay for them.
stop_contestants() {
  local pid database
  for pid in "${server_pids[@]}"; do stop_server "$pid"; done
  for database in "${databases[@]}"; do pg_sql "$work/pg" -c "drop database $database with (force)"; done
  server_pids=() databases=()
  pg_sql "$work/pg" -c checkpoint
}

# new_database NAME: sets `database` to a fresh one.
new_database() {
  database_number=$((${database_number:-0} + 1))
  database=$1_$database_number
  make_database "$work/pg" "$database"
  databases+=("$database")
}

# contestant_build NAME FIRST_PORT SETUP: as many nodes of `$myelin` as were asked for, on one database.
contestant_build() {
  local name=$1 first_port=$2 setup=$3 node port urls=() pids=() folder first=
  new_database "$name"
  for node in $(seq 0 $((nodes - 1))); do
    port=$((first_port + node))
    folder=$work/$database.$node
    mkdir -p "$folder"
    write_config "$folder/homeserver.yaml" bench.localhost $port "$folder" "$work/pg" "$database"
    if [[ $setup != login ]]; then
      # Passwords of registered users cost a node a fiftieth of a second each; an application service's have none.
      write_registration "$folder/registration.yaml"
      echo "app_service_config_files: [$folder/registration.yaml]" >>"$folder/homeserver.yaml"
    fi
    # Nodes of one server have one key.
    [[ -z $first ]] || cp "$first/signing.key" "$folder/signing.key"
    first=${first:-$folder}
    start_myelin "$folder/homeserver.yaml" $port "$folder/log"
    server_pids+=("$server_pid") pids+=("$server_pid") urls+=("http://localhost:$port")
  done
  targets+=(--target "$name=$(IFS=,; echo "${urls[*]}")")
  [[ $setup == login ]] || targets+=(--as-token "$name=as-for-tests")
  watches+=(--watch "$name:server=$(IFS=+; echo "${pids[*]}")")
}

contestant_myelin() { contestant_build myelin 18008 "$1"; }

# Another build of Myelin: functions see the callers' local variables, so this one starts `$other_build`.
contestant_other() {
  local myelin=$other_build
  contestant_build other 18108 "$1"
}

contestant_synapse() {
  local setup=$1 port=18018 folder
  new_database synapse
  folder=$work/$database
  mkdir -p "$folder"
  write_config "$folder/homeserver.yaml" bench.localhost $port "$folder" "$work/pg" "$database"
  # Not as an application service: Synapse would then store each of its users' events for it once more. So passwords
  # are hashed in the cheapest way, which changes nothing else.
  [[ $setup == login ]] || echo 'bcrypt_rounds: 4' >>"$folder/homeserver.yaml"
  if [[ $setup == members ]]; then
    restore_members "$folder" "$database"
    targets+=(--keep "synapse=$(kept_members)/fixture.json")
  fi
  start_synapse "$folder/homeserver.yaml" $port "$folder/log"
  server_pids+=("$server_pid")
  targets+=(--target "synapse=http://localhost:$port")
  watches+=(--watch "synapse:server=$server_pid")
}

# write_registration FILE: an application service for the users that the load generator makes.
write_registration() {
  cat >"$1" <<'END'
id: load
url: null
as_token: as-for-tests
hs_token: hs-for-tests
sender_localpart: load.service
namespaces: {users: [{exclusive: false, regex: "@load.*"}]}
END
}
