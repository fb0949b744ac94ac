#!/bin/sh
# Starts PostgreSQL and Myelin as Complement asks for it. It may run again in a container that was stopped, killed or
# committed: keys and data stay.
set -eu
: "${SERVER_NAME:?}"
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
bin=$(ls -d /usr/lib/postgresql/*/bin)

rm -f /data/postgres/postmaster.pid
install -d -o postgres -g postgres /run/postgresql
as_postgres "$bin/postgres" -D /data/postgres -c listen_addresses= -c unix_socket_directories=/run/postgresql \
  -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200 >/data/postgres.log 2>&1 &
stop_postgres() { as_postgres "$bin/pg_ctl" -D /data/postgres -m fast -w -t 5 stop >/dev/null 2>&1 || true; }

# A certificate for our name, signed by the authority that Complement made for this run.
cd /data
if [ ! -e tls.crt ]; then
  openssl genrsa -out tls.key 2048 2>/dev/null
  printf 'subjectAltName=DNS:%s\n' "$SERVER_NAME" >tls.ext
  openssl req -new -key tls.key -subj "/CN=$SERVER_NAME" -out tls.csr
  openssl x509 -req -in tls.csr -CA /complement/ca/ca.crt -CAkey /complement/ca/ca.key -set_serial "$(date +%s)" \
    -days 2 -extfile tls.ext -out tls.crt 2>/dev/null
fi
[ -e signing.key ] || myelin generate-signing-key -o /data/signing.key

sed -e "s/SERVER_NAME/$SERVER_NAME/g" -e "s/ROOM_VERSION/${ROOM_VERSION:-10}/g" \
  /complement-server/homeserver.yaml >homeserver.yaml
if ls /complement/appservice/*.yaml >/dev/null 2>&1; then
  echo "app_service_config_files:" >>homeserver.yaml
  for file in /complement/appservice/*.yaml; do echo "  - $file" >>homeserver.yaml; done
fi

tries=0
until as_postgres "$bin/pg_isready" -q -h /run/postgresql; do
  tries=$((tries + 1))
  [ "$tries" -lt 300 ] || { cat /data/postgres.log; exit 1; }
  sleep 0.1
done
as_postgres "$bin/createdb" -h /run/postgresql -U postgres -T template0 myelin 2>/dev/null || true

myelin serve -c /data/homeserver.yaml &
server=$!
# PostgreSQL stops last, so that the server can finish what it began.
stop() {
  kill -TERM "$server" 2>/dev/null || true
  wait "$server" || true
  stop_postgres
  exit 0
}
trap stop TERM INT
status=0
wait "$server" || status=$?
stop_postgres
exit "$status"
