# Above come the lists $_charrepl_settings, $_charrepl_key and $_charrepl_pipe, the words that run `charrepl pipe`.

_charrepl_owed=0  # answers that were not waited for

# The last commands, to put before the line, in $REPLY. They begin with the same one for 32 commands, so that
# the text only grows meanwhile, and the daemon need not read it anew.
_charrepl_recall() {
  local line place last=0
  local -a numbers=() lines=()
  while IFS= read -r line; do
    [[ $line =~ ^\ *([0-9]+)[*\ ]\ (.*)$ ]] || continue
    last=${BASH_REMATCH[1]}
    [[ ${BASH_REMATCH[2]} == ' '* ]] || numbers+=("$last") lines+=("${BASH_REMATCH[2]}")
  done < <(HISTTIMEFORMAT='' history 64)
  REPLY=
  for place in "${!numbers[@]}"; do
    ((numbers[place] >= last / 32 * 32 - 32)) && REPLY+=${lines[place]}$'\n'
  done
}

# The latest command that goes on as a line does, in $REPLY: it is shown where the model has nothing.
_charrepl_latest() {
  REPLY=$(HISTTIMEFORMAT='' history 5000 | CHARREPL_LINE=$1 awk '
    { sub(/^ *[0-9]+[* ] /, "") }
    index($0, ENVIRON["CHARREPL_LINE"]) == 1 && length($0) > length(ENVIRON["CHARREPL_LINE"]) { latest = $0 }
    END { printf "%s", latest }' 2>/dev/null)
}

# Asks for the ghost of a line, and waits so many seconds; it comes in $REPLY. More settings may follow.
_charrepl_ask() {
  local line=$1 wait_s=$2
  shift 2
  REPLY=
  [[ -n $line && $line != [[:space:]]* ]] && ((${#line} <= 500)) || return
  if ! { [[ -n $CHARREPL_PIPE_PID ]] && kill -0 "$CHARREPL_PIPE_PID"; } 2>/dev/null; then
    { coproc CHARREPL_PIPE { trap '' INT; exec "${_charrepl_pipe[@]}"; }; } 2>/dev/null
    disown "$CHARREPL_PIPE_PID"
    _charrepl_owed=0
  fi
  while ((_charrepl_owed)); do
    IFS= read -r -d '' -t 0.05 -u "${CHARREPL_PIPE[0]}" || return
    ((_charrepl_owed--))
  done
  _charrepl_recall
  # In a process of its own: if the one that reads has died, SIGPIPE must not end the shell.
  { (
    printf '\1%s' "${_charrepl_settings[@]}" "path=$PWD" "$@"
    printf '\0%s%s\0' "$REPLY" "$line"
  ); } 2>/dev/null >&"${CHARREPL_PIPE[1]}" || return
  _charrepl_owed=1
  IFS= read -r -d '' -t "$wait_s" -u "${CHARREPL_PIPE[0]}" || return
  _charrepl_owed=0
  [[ -n $REPLY && $REPLY != $'\x15'* ]]
}

# At the key: writes the ghost at the cursor, where no word follows.
_charrepl_key_pressed() {
  local before=${READLINE_LINE:0:READLINE_POINT} after=${READLINE_LINE:READLINE_POINT} REPLY
  [[ $after != *[[:alnum:]]* ]] && _charrepl_latest "$before" || return
  _charrepl_ask "$before" 1 on_demand=yes "recalled=${REPLY//$'\1'/}" || return
  READLINE_LINE=$before$REPLY$after
  READLINE_POINT=$((READLINE_POINT + ${#REPLY}))
}

# With ble.sh: one more source of its grey suggestions, before its history.
_charrepl_join_ble() {
  function ble/complete/auto-complete/source:charrepl {
    local REPLY
    ((_ble_edit_ind == ${#_ble_edit_str})) && _charrepl_ask "$_ble_edit_str" 0.06 on_demand=no recalled= || return
    ble/complete/auto-complete/enter h 0 "$REPLY" '' "$_ble_edit_str$REPLY"
  }
  local source sources=()
  for source in "${_ble_complete_auto_source[@]}"; do
    [[ $source != history ]] || sources+=(charrepl)
    sources+=("$source")
  done
  _ble_complete_auto_source=("${sources[@]}")
}

if [[ $- == *i* ]]; then
  if [[ $BLE_VERSION ]]; then
    blehook/eval-after-load complete _charrepl_join_ble
  fi
  bind -x "\"$_charrepl_key\": _charrepl_key_pressed"
fi
