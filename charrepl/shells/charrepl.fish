# Above come the lists $_charrepl_settings, $_charrepl_key and $_charrepl_pipe, the words that run `charrepl pipe`.

# At a key: the ghost is written at the cursor, where no word follows.
function _charrepl_key_pressed
    set -l line (commandline --cut-at-cursor | string collect)
    set -l after (string sub --start (math (string length -- "$line") + 1) -- (commandline | string collect))
    string match --quiet --regex '^\S.{0,499}$' -- "$line"; or return
    string match --quiet --regex '[[:alnum:]]' -- "$after"; and return
    # Its history has the newest first. The latest command that goes on as the line does is written where the model has
    # nothing.
    set -l recalled
    for command in (builtin history search --prefix --case-sensitive --null --max 8 -- $line | string split0)
        if test "$command" != "$line"
            set recalled (string replace --all \x01 '' -- $command | string collect)
            break
        end
    end
    set -l lines (builtin history search --max 40 | string match --invert --regex '^ ')[-1..1] $line
    set -l ghost (begin
        printf '\1%s' $_charrepl_settings path=$PWD on_demand=yes recalled=$recalled
        printf '\0%s\0' (string join \n -- $lines | string collect)
    end | $_charrepl_pipe 2>/dev/null | string split0)
    string match --quiet \x15'*' -- "$ghost"; and return
    test -n "$ghost"; and commandline --insert -- "$ghost"
end

if status is-interactive
    for mode in default insert
        bind --mode $mode (string unescape -- $_charrepl_key) _charrepl_key_pressed
    end
end
