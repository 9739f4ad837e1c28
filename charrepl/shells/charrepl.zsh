# Above come the lists $_charrepl_socket, $_charrepl_settings and $_charrepl_start, the words that start a daemon.

# Before each line. What to put before it: the last commands. They begin with the same one for 32 commands, so that the
# text only grows meanwhile, and the daemon need not read it anew.
_charrepl_remember() {
  emulate -L zsh
  local -i number=$(( HISTCMD / 32 * 32 - 32 ))
  local -a lines
  for (( number = number > 0 ? number : 1; number <= HISTCMD; number++ )); do
    lines+=( "${history[$number]}" )
  done
  lines=( "${(@)lines:#(| *)}" )
  typeset -g _charrepl_context="${(F)lines}" _charrepl_buffer= _charrepl_ghost= _charrepl_highlight=
  [[ -z $_charrepl_context ]] || _charrepl_context+=$'\n'
}

# Starts a daemon where there is none, in the background, and looks at most every ten seconds.
_charrepl_look() {
  emulate -L zsh
  (( EPOCHSECONDS >= _charrepl_next_look )) || return 0
  typeset -gi _charrepl_next_look=$(( EPOCHSECONDS + 10 ))
  ( zsocket $_charrepl_socket || exec $_charrepl_start ) </dev/null &>/dev/null &!
}

# Whether to ask about a line: not within menus, searches, pastes and `vared`, and nothing that begins with a space.
_charrepl_wants() {
  [[ -n $1 && $1 != [[:space:]]* ]] && (( $#1 <= 500 && ! PENDING && ! KEYS_QUEUED_COUNT )) &&
    [[ $CONTEXT == (start|cont) && $2 != *(paste|complet|menu|history|search)* ]]
}

# Asks about a line; the answer comes through the descriptor $REPLY. Never at a socket of somebody else's.
_charrepl_send() {
  [[ -O $_charrepl_socket ]] && zsocket $_charrepl_socket 2>/dev/null || return
  local -a settings=( $_charrepl_settings document=zsh-$$ path=$PWD encoding=${langinfo[CODESET]} )
  print -rnu $REPLY -- $'\1'${(pj:\1:)settings}$'\0'$_charrepl_context$1$'\0' 2>/dev/null
}

# With zsh-autosuggestions: a strategy of it, which is run in a process of its own that the next key ends.

_zsh_autosuggest_strategy_charrepl() {
  emulate -L zsh
  typeset -g suggestion=
  local ghost wait_s=2 REPLY
  if [[ ! -v ZSH_AUTOSUGGEST_USE_ASYNC ]]; then  # a daemon that hangs costs one key of many
    wait_s=0.05
    (( EPOCHSECONDS >= _charrepl_next_ask )) || return 0
  fi
  _charrepl_wants "$1" "$WIDGET" && _charrepl_send "$1" || return 0
  IFS= read -r -d $'\0' -t $wait_s -u $REPLY ghost || typeset -gi _charrepl_next_ask=$(( EPOCHSECONDS + 5 ))
  exec {REPLY}<&-
  [[ -z $ghost || $ghost == $'\x15'* ]] || suggestion=$1$ghost
}

# Without it: the ghost is what zsh shows behind the line, $POSTDISPLAY.

# Looks at the line before it is drawn: shortens the ghost by what was typed of it, or asks for another.
_charrepl_redraw() {
  emulate -L zsh
  local before=$_charrepl_buffer ghost=$_charrepl_ghost
  [[ $BUFFER != $before ]] || return 0
  typeset -g _charrepl_buffer=$BUFFER
  if [[ -n $ghost && $BUFFER == "$before"* && $before$ghost == "$BUFFER"?* ]]; then
    _charrepl_show $before$ghost
    return
  fi
  _charrepl_show $BUFFER
  (( CURSOR == $#BUFFER )) && _charrepl_wants "$BUFFER" "$LASTWIDGET" || return 0
  _charrepl_ask
}

# Shows what a whole line has beyond the buffer.
_charrepl_show() {
  region_highlight=( "${(@)region_highlight:#$_charrepl_highlight}" )
  typeset -g _charrepl_ghost=${1:$#BUFFER} _charrepl_highlight=
  POSTDISPLAY=$_charrepl_ghost
  [[ -n $POSTDISPLAY ]] || return 0
  _charrepl_highlight="$#BUFFER $(( $#BUFFER + $#POSTDISPLAY )) ${CHARREPL_HIGHLIGHT_STYLE:-fg=8}"
  region_highlight+=( $_charrepl_highlight )
}

# One question at a time: what is typed before its answer is asked about then. So a daemon that hangs is asked once.
_charrepl_ask() {
  [[ -z $_charrepl_descriptor ]] || return 0
  local REPLY
  if ! _charrepl_send "$BUFFER"; then
    _charrepl_look
    return 0
  fi
  typeset -g _charrepl_descriptor=$REPLY _charrepl_asked=$BUFFER
  zle -Fw $REPLY _charrepl_heard
}

_charrepl_heard() {
  emulate -L zsh
  local ghost descriptor=$1
  zle -F $descriptor
  IFS= read -r -d $'\0' -t 0.05 -u $descriptor ghost
  exec {descriptor}<&-
  typeset -g _charrepl_descriptor=
  if [[ $BUFFER != $_charrepl_buffer || -z $BUFFER ]]; then
    return 0  # it has not been drawn yet, and is asked about then
  elif [[ $BUFFER != $_charrepl_asked ]]; then
    (( CURSOR == $#BUFFER )) && [[ -z $_charrepl_ghost ]] && _charrepl_wants "$BUFFER" "$LASTWIDGET" && _charrepl_ask
  elif [[ -n $ghost && $ghost != $'\x15'* ]]; then
    _charrepl_show $BUFFER$ghost
    zle -R
  fi
}

_charrepl_finish() {
  emulate -L zsh
  _charrepl_show $BUFFER
}

# Whether there is a ghost and the cursor is before it; elsewhere keys do what they did.
_charrepl_at_ghost() {
  local -i end=$#BUFFER
  [[ $KEYMAP != vicmd ]] || (( end-- ))  # there the cursor stands on the last character
  [[ -n $_charrepl_ghost ]] && (( CURSOR >= end ))
}

# Takes all of the ghost.
_charrepl_take() {
  emulate -L zsh
  if _charrepl_at_ghost; then
    BUFFER+=$_charrepl_ghost
    CURSOR=$#BUFFER
  else
    zle _charrepl_was_$WIDGET -- "$@"
  fi
}

# Takes as much of the ghost as the key moves over.
_charrepl_take_word() {
  emulate -L zsh
  if ! _charrepl_at_ghost; then
    zle _charrepl_was_$WIDGET -- "$@"
    return
  fi
  local typed=$BUFFER
  BUFFER+=$_charrepl_ghost
  POSTDISPLAY=
  zle _charrepl_was_$WIDGET -- "$@"
  if (( CURSOR <= $#typed )); then
    BUFFER=$typed
  else
    BUFFER=${BUFFER[1,CURSOR]}
  fi
  POSTDISPLAY=$_charrepl_ghost  # `_charrepl_redraw` makes it what is left
}

# Once all plugins are there.
_charrepl_set_up() {
  emulate -L zsh
  add-zsh-hook -d precmd _charrepl_set_up
  _charrepl_look
  if (( $+functions[_zsh_autosuggest_start] )); then
    (( $ZSH_AUTOSUGGEST_STRATEGY[(Ie)charrepl] )) || ZSH_AUTOSUGGEST_STRATEGY+=( charrepl )
    return
  fi
  local widget
  zle -N _charrepl_heard
  for widget in forward-char vi-forward-char end-of-line vi-end-of-line vi-add-eol; do
    zle -A $widget _charrepl_was_$widget && zle -N $widget _charrepl_take
  done
  for widget in {,emacs-}forward-word vi-forward-{,blank-}word{,-end}; do
    zle -A $widget _charrepl_was_$widget && zle -N $widget _charrepl_take_word
  done
  add-zle-hook-widget line-pre-redraw _charrepl_redraw
  add-zle-hook-widget line-finish _charrepl_finish
}

if [[ -o interactive ]] && zmodload zsh/net/socket zsh/datetime zsh/langinfo zsh/parameter zsh/zle 2>/dev/null; then
  autoload -Uz add-zsh-hook add-zle-hook-widget
  typeset -gi _charrepl_next_look=0 _charrepl_next_ask=0
  typeset -g _charrepl_descriptor= _charrepl_asked=
  add-zsh-hook precmd _charrepl_set_up
  add-zsh-hook precmd _charrepl_remember
  add-zsh-hook preexec _charrepl_look
fi
