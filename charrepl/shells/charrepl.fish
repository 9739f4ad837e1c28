# Above come the lists $_charrepl_settings, $_charrepl_key and $_charrepl_pipe, the words that run `charrepl pipe`.

# At a key: the ghost is written at the cursor, where no word follows.
function _charrepl_key_pressed
    set -l line (commandline --cut-at-cursor | string collect --no-trim-newlines)
    set -l after (commandline | string collect --no-trim-newlines | string sub --start (math (string length -- "$line") + 1))
    string match --quiet --regex '^\S.{0,499}$' -- "$line"; or return
    string match --quiet --regex '[[:alnum:]]' -- "$after"; and return
    # Its history has the newest first.
    set -l lines (builtin history search --max 40 | string match --invert --regex '^ ')[-1..1] $line
    set -l ghost (begin
        printf '\1%s' $_charrepl_settings path=$PWD on_demand=yes
        printf '\0%s\0' (string join \n -- $lines | string collect)
    end | $_charrepl_pipe --within 1s 2>/dev/null | string split0)
    string match --quiet \x15'*' -- "$ghost"; and return
    test -n "$ghost"; and commandline --insert -- "$ghost"
end

if status is-interactive
    for mode in default insert
        bind --mode $mode (string unescape -- $_charrepl_key) _charrepl_key_pressed
    end
end
