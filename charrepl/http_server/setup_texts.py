"""What to paste where, so that an editor asks this server: `charrepl serve --setup NAME`."""

from __future__ import annotations

from charrepl.http_server.access import key_of

_TEXTS = {
    "vim": """\
" ~/.vimrc, with the plugin ggml-org/llama.vim. Tab takes the ghost.
" charrepl serve has to run.
let g:llama_config = {
    \\ 'endpoint_fim': '{url}/infill',
    \\ 'api_key': '{key}',
    \\ 'show_info': 0,
    \\ }
""",
    "neovim": """\
-- ~/.config/nvim/init.lua, with the plugin ggml-org/llama.vim. Tab takes the ghost.
-- charrepl serve has to run.
vim.g.llama_config = {
  endpoint_fim = '{url}/infill',
  api_key = '{key}',
  show_info = 0,
}
""",
    "vscode": """\
// settings.json, with the extension ggml-org.llama-vscode. Tab takes the ghost.
// charrepl serve has to run.
"llama-vscode.endpoint": "{url}",
"llama-vscode.api_key": "{key}",
"llama-vscode.ask_install_llamacpp": false,
""",
    "zed": """\
// ~/.config/zed/settings.json. charrepl serve has to run.
// Zed asks for the key in its settings (Edit Predictions), or takes it from
// export ZED_OPEN_AI_COMPATIBLE_EDIT_PREDICTION_API_KEY={key}
"edit_predictions": {
  "provider": "open_ai_compatible_api",
  "open_ai_compatible_api": {
    "api_url": "{url}/v1/completions",
    "model": "charrepl",
    "prompt_format": "qwen",
    "max_output_tokens": 48
  }
},
""",
    "minuet": """\
-- ~/.config/nvim/init.lua, with the plugin milanglacier/minuet-ai.nvim. Tab takes the ghost.
-- charrepl serve has to run.
-- A ghost may begin with a space, which minuet would cut off.
require('minuet.utils').trim_completion_item = function(item) return item:find '%S' and item or nil end
require('minuet').setup {
  provider = 'openai_fim_compatible',
  n_completions = 1,
  throttle = 0,
  debounce = 0,
  virtualtext = { auto_trigger_ft = { '*' }, keymap = { accept = '<Tab>' } },
  provider_options = {
    openai_fim_compatible = {
      name = 'charrepl',
      model = 'charrepl',
      end_point = '{url}/v1/completions',
      api_key = function() return '{key}' end,
      optional = { max_tokens = 48 },
    },
  },
}
""",
    "continue": """\
# ~/.continue/config.yaml, for VS Code and JetBrains.
# charrepl serve has to run.
name: charrepl
version: 1.0.0
schema: v1
models:
  - name: charrepl
    provider: openai
    model: charrepl
    apiBase: {url}/v1
    apiKey: {key}
    useLegacyCompletionsEndpoint: true
    roles: [autocomplete]
    promptTemplates:
      autocomplete: "<fim_prefix>{{{prefix}}}<fim_suffix>{{{suffix}}}<fim_middle>"
    autocompleteOptions:
      debounceDelay: 0
""",
    "emacs": """\
;; ~/.emacs.d/init.el, with the package minuet. Tab takes the ghost.
;; charrepl serve has to run.
(setq minuet-provider 'openai-fim-compatible
      minuet-n-completions 1
      minuet-auto-suggestion-debounce-delay 0
      minuet-auto-suggestion-throttle-delay 0)
(with-eval-after-load 'minuet
  (define-key minuet-active-mode-map (kbd "TAB") #'minuet-accept-suggestion)
  ;; A ghost may begin with a space, which minuet would cut off; and what it writes before the text is code.
  (advice-add 'minuet--remove-spaces :override #'identity)
  (advice-add 'minuet--filter-text :override (lambda (item _context) item))
  (advice-add 'minuet--add-language-comment :override #'string)
  (advice-add 'minuet--add-tab-comment :override #'string)
  (plist-put minuet-openai-fim-compatible-options :name "charrepl")
  (plist-put minuet-openai-fim-compatible-options :model "charrepl")
  (plist-put minuet-openai-fim-compatible-options :end-point "{url}/v1/completions")
  (plist-put minuet-openai-fim-compatible-options :api-key (lambda () "{key}")))
(add-hook 'prog-mode-hook #'minuet-auto-suggestion-mode)
(add-hook 'text-mode-hook #'minuet-auto-suggestion-mode)
""",
}
NAMES = tuple(_TEXTS)


def text(name: str, *, url: str, key: str) -> str:
    """What to paste for a host in `NAMES`, whose server is at `url`."""
    return _TEXTS[name].replace("{url}", url).replace("{key}", key_of(name, key))
