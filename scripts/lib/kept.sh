# What takes a slow peer very long to fill is filled once and kept in target/bench/kept: a large room, and the size of a
# database with many messages. Nothing here is measured by time. Sourced by scripts/bench.

kept_members() { printf '%s/kept/%s-members-%s\n' "$out" "$peer" "$members"; }
kept_fill() { printf '%s/kept/%s-fill-%s.jsonl\n' "$out" "$peer" "$fill"; }

# prepare_peer: fills what is not there yet.
prepare_peer() {
  prepare_members
  prepare_fill
}

prepare_members() {
  local kept new
  kept=$(kept_members) new=$kept.new
  [[ -n $peer && ! -e $kept ]] || return 0
  say "Filling a room of $members on $peer (once)"
  rm -rf "$new" && mkdir -p "$new"
  start_contestants load "$peer"
  "$loadgen" run members --rounds 0 --members "$members" --keep "$peer=$new/fixture.json" \
    --shared-secret "$secret" "${targets[@]}"
  cp "$work/${databases[0]}/signing.key" "$new/"
  stop_server "${server_pids[0]}"
  "$(pg_bin)/pg_dump" -h "$work/pg" -U postgres -Fc -Z 1 -f "$new/database.dump" "${databases[0]}"
  stop_contestants
  mv "$new" "$kept"
}

prepare_fill() {
  local kept new
  kept=$(kept_fill) new=$kept.new
  [[ -n $peer && ! -e $kept ]] || return 0
  say "Writing $fill messages to $peer (once)"
  mkdir -p "$out/kept"
  rm -f "$new"
  start_contestants load "$peer"
  "$loadgen" run fill --messages "$fill" --shared-secret "$secret" "${targets[@]}" "${watches[@]}" --output "$new"
  measure_size "$work/pg" "${databases[0]}" "fill-$fill" "$peer" >>"$new"
  stop_contestants
  mv "$new" "$kept"
}

# restore_members FOLDER DATABASE: gives a server that does not run yet the database and the key that were kept.
restore_members() {
  "$(pg_bin)/pg_restore" -h "$work/pg" -U postgres -d "$2" --no-owner "$(kept_members)/database.dump"
  cp "$(kept_members)/signing.key" "$1/signing.key"
}
