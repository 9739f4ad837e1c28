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
  # The latest command that goes on as the line does is shown where the model has nothing. zsh-autosuggestions does so
  # itself, and in a long history it takes longer than a key may.
  local recalled=
  (( $+functions[_zsh_autosuggest_start] || HISTCMD > 20000 )) || recalled=${history[(r)${(b)1}?*]}
  local -a settings=( $_charrepl_settings document=zsh-$$ path=$PWD encoding=${langinfo[CODESET]} saved=$_charrepl_saved )
  settings+=( recalled=${recalled//[$'\0\1']} )
  print -rnu $REPLY -- $'\1'${(pj:\1:)settings}$'\0'$_charrepl_context$1$'\0' 2>/dev/null
}

# The same. Until a daemon has answered this shell, in a process: where one hangs and as many wait as can, connecting
# would take as long as it hangs.
_charrepl_send_safely() {
  if (( _charrepl_answered )); then
    _charrepl_send "$1"
    return
  fi
  [[ -S $_charrepl_socket ]] || return
  exec {REPLY}< <(
    local ghost
    _charrepl_send "$1" && IFS= read -r -d $'\0' -u $REPLY ghost && print -rn -- "$ghost"$'\0'
  )
  typeset -g _charrepl_sender=$sysparams[procsubstpid]
}

# Hears the answer, in $ghost, and leaves. Returns false if there is none within so many seconds.
_charrepl_hear() {
  local descriptor=$1
  IFS= read -r -d $'\0' -t $2 -u $descriptor ghost
  local -i heard=$(( ! $? ))
  _charrepl_leave $descriptor
  typeset -gi _charrepl_answered=$heard
  (( heard ))
}

_charrepl_leave() {
  local descriptor=$1
  exec {descriptor}<&-
  [[ -z $_charrepl_sender ]] || kill $_charrepl_sender 2>/dev/null
  typeset -g _charrepl_sender=
}

# With zsh-autosuggestions: a strategy of it, which is run in a process of its own that the next key ends.

_zsh_autosuggest_strategy_charrepl() {
  emulate -L zsh
  typeset -g suggestion=
  local ghost REPLY
  _charrepl_wants "$1" "$WIDGET" || return 0
  if [[ -v ZSH_AUTOSUGGEST_USE_ASYNC ]]; then
    _charrepl_send "$1" && _charrepl_hear $REPLY 2
  else  # a daemon that hangs costs one key of many, and of more and more
    (( EPOCHSECONDS >= _charrepl_next_ask )) && _charrepl_send_safely "$1" || return 0
    if _charrepl_hear $REPLY 0.04; then  # with all around it, 50 ms at most
      typeset -gi _charrepl_pause=0
    else
      typeset -gi _charrepl_pause=$(( _charrepl_pause ? _charrepl_pause * 2 : 5 ))
      (( _charrepl_pause <= 60 )) || _charrepl_pause=60
      typeset -gi _charrepl_next_ask=$(( EPOCHSECONDS + _charrepl_pause ))
    fi
  fi
  [[ -z $ghost || $ghost == $'\x15'* ]] || suggestion=$1$ghost
}

# Runs a function of the plugin's that takes what it shows, and counts the keys that it saves.
_charrepl_counted() {
  local -i before=$#BUFFER result
  $1 "${@:2}"
  result=$?
  (( $#BUFFER <= before + 1 )) || (( _charrepl_saved += $#BUFFER - before - 1 ))
  return result
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
  _charrepl_trap
  [[ -n $POSTDISPLAY ]] || return 0
  _charrepl_highlight="$#BUFFER $(( $#BUFFER + $#POSTDISPLAY )) ${CHARREPL_HIGHLIGHT_STYLE:-fg=8}"
  region_highlight+=( $_charrepl_highlight )
}

# Ctrl-C leaves the line as it is drawn, so it is drawn without the ghost first. A trap of your own stays.
_charrepl_trap() {
  setopt local_options no_local_traps
  if [[ -z $_charrepl_ghost ]]; then
    [[ ${functions[TRAPINT]} != *_charrepl_clear* ]] || unfunction TRAPINT
  elif (( ! _charrepl_foreign_trap && ! $+functions[TRAPINT] )); then
    TRAPINT() {
      zle && zle _charrepl_clear
      return $(( 128 + $1 ))
    }
  fi
}

_charrepl_clear() {
  emulate -L zsh
  _charrepl_show $BUFFER
  zle -R
}

# One question at a time: what is typed before its answer is asked about then. So a daemon that hangs is asked once.
_charrepl_ask() {
  [[ -z $_charrepl_descriptor ]] || return 0
  local REPLY
  if ! _charrepl_send_safely "$BUFFER"; then
    _charrepl_look
    return 0
  fi
  typeset -g _charrepl_descriptor=$REPLY _charrepl_asked=$BUFFER
  zle -Fw $REPLY _charrepl_heard
}

_charrepl_heard() {
  emulate -L zsh
  local ghost
  zle -F $1
  typeset -g _charrepl_descriptor=
  _charrepl_hear $1 0.05 || _charrepl_look
  if [[ $BUFFER != $_charrepl_buffer || -z $BUFFER ]]; then
    return 0  # it has not been drawn yet, and is asked about then
  elif [[ $BUFFER != $_charrepl_asked ]]; then
    (( CURSOR == $#BUFFER )) && [[ -z $_charrepl_ghost ]] && _charrepl_wants "$BUFFER" "$LASTWIDGET" && _charrepl_ask
  elif [[ -n $ghost && $ghost != $'\x15'* ]]; then
    _charrepl_show $BUFFER$ghost
    zle -R
  fi
}

# No program that the line starts may have the connection too: it would be open as long as that runs.
_charrepl_finish() {
  emulate -L zsh
  _charrepl_show $BUFFER
  [[ -n $_charrepl_descriptor ]] || return 0
  zle -F $_charrepl_descriptor
  _charrepl_leave $_charrepl_descriptor
  typeset -g _charrepl_descriptor=
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
    (( _charrepl_saved += $#_charrepl_ghost - 1 ))
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
    (( _charrepl_saved += $#BUFFER - $#typed - 1 ))
  fi
  POSTDISPLAY=$_charrepl_ghost  # `_charrepl_redraw` makes it what is left
}

# Once all plugins are there. A start-up file may be read again: what is ours already is not put around itself.
_charrepl_set_up() {
  emulate -L zsh
  add-zsh-hook -d precmd _charrepl_set_up
  _charrepl_look
  if (( $+functions[_zsh_autosuggest_start] )); then
    (( $ZSH_AUTOSUGGEST_STRATEGY[(Ie)charrepl] )) || ZSH_AUTOSUGGEST_STRATEGY[1,0]=charrepl
    local takes
    for takes in _zsh_autosuggest_{accept,partial_accept,execute}; do
      [[ -z $functions[$takes] || $functions[$takes] == *_charrepl_counted* ]] && continue
      functions[_charrepl_was$takes]=$functions[$takes]
      functions[$takes]="_charrepl_counted _charrepl_was$takes \"\$@\""
    done
    return
  fi
  local widget traps
  () { trap >| $1; traps=$(<$1) } =(:)
  typeset -gi _charrepl_foreign_trap=$(( ${#${(M)${(f)traps}:#*INT*}} > 0 ))
  zle -N _charrepl_heard
  zle -N _charrepl_clear
  for widget in forward-char vi-forward-char end-of-line vi-end-of-line vi-add-eol; do
    [[ $widgets[$widget] == user:_charrepl_take ]] && continue
    zle -A $widget _charrepl_was_$widget && zle -N $widget _charrepl_take
  done
  for widget in {,emacs-}forward-word vi-forward-{,blank-}word{,-end}; do
    [[ $widgets[$widget] == user:_charrepl_take_word ]] && continue
    zle -A $widget _charrepl_was_$widget && zle -N $widget _charrepl_take_word
  done
  add-zle-hook-widget line-pre-redraw _charrepl_redraw
  add-zle-hook-widget line-finish _charrepl_finish
}

if [[ -o interactive ]] && zmodload zsh/net/socket zsh/system zsh/datetime zsh/langinfo zsh/parameter zsh/zle 2>/dev/null; then
  autoload -Uz add-zsh-hook add-zle-hook-widget
  typeset -gi _charrepl_next_look=0 _charrepl_next_ask=0 _charrepl_pause=0 _charrepl_answered=0 _charrepl_saved=0
  typeset -g _charrepl_descriptor= _charrepl_asked= _charrepl_sender=
  add-zsh-hook precmd _charrepl_set_up
  add-zsh-hook precmd _charrepl_remember
  add-zsh-hook preexec _charrepl_look
fi
