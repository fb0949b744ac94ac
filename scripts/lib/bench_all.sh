# The steps of `scripts/bench all`, and their sizes: chosen so that with Synapse beside it and five rounds it takes about
# an hour, once what is kept for the peer is there. Sourced by scripts/bench.

# A scenario that fails shall not cost the results of the others.
failed_steps=()
try() { run "$@" "${options[@]}" || failed_steps+=("$1"); }

run_all() {
  local options=(--rounds "$rounds" --seconds "${seconds:-5}" "${more_options[@]}")
  local short=(--rounds 1 --seconds 2)
  prepare_peer
  run_small; run_large; run_office; run_login; run_fill; run_myelin_alone; run_soak
  "$loadgen" report --output "$out/report" "$results"
  [[ ${#failed_steps[@]} -eq 0 ]] || die "these did not run: ${failed_steps[*]}"
}

# Everything that needs few users, on the same servers: what they need in memory afterwards is a result too.
run_small() {
  start_contestants load
  run rest --name fresh "${short[@]}"
  flush 2
  try send
  try send-one
  try fanout
  try initial-sync
  try incremental-sync
  try incremental-sync-rooms --rooms 10
  try idle-poll
  try create
  try join
  try messages
  try receipts
  try state
  run rest --name after-all "${short[@]}"
  stop_contestants
}

run_large() {
  start_contestants load
  try fanout --readers 1000 --rate 1
  stop_contestants

  start_contestants members
  try members --members "$members"
  stop_contestants
}

run_office() {
  start_contestants load
  try idle
  # At an office's pace five seconds are too few to say much.
  [[ -n $seconds ]] || options+=(--seconds 10)
  try mixed
  stop_contestants
}

run_login() {
  hash_rate 2
  start_contestants login
  try login
  stop_contestants
}

# The peer's was filled before.
run_fill() {
  [[ -z $peer ]] || cat "$(kept_fill)" >>"$results"
  has_myelin || return 0
  start_contestants load myelin
  try fill --messages "$fill"
  measure_sizes "fill-$fill"
  stop_contestants
}

has_myelin() { [[ " ${contestants[*]} " == *" myelin "* ]]; }

# What has no counterpart: many rooms against few, two nodes, one processor against two.
run_myelin_alone() {
  has_myelin || return 0
  local peer_url=
  start_contestants load myelin
  try incremental-sync-rooms --rooms 10
  try incremental-sync-rooms --rooms 1000
  stop_contestants

  nodes=2 start_contestants load myelin
  try send --name send-two-nodes
  try fanout --name fanout-100-two-nodes
  try mixed-max --name mixed-max-two-nodes
  stop_contestants

  local count list
  for count in 1 2; do
    list=0
    [[ $count == 1 ]] || list=0,1
    use_cores "$list"
    start_contestants load myelin
    try mixed-max --name "mixed-max-on-$count"
    stop_contestants
  done
}

# Is memory steady?
run_soak() {
  has_myelin || return 0
  local peer_url=
  start_contestants load myelin
  run mixed --name soak --rounds 1 --seconds "${soak:-1200}" --sample-seconds 10 "${more_options[@]}" || failed_steps+=(soak)
  stop_contestants
}
