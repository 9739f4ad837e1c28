-- Ghost text from `charrepl lsp` in Neovim 0.11 and newer: require('charrepl').setup()
local M = {}

local METHOD = 'textDocument/inlineCompletion'
local namespace = vim.api.nvim_create_namespace('charrepl')
local options = {
  cmd = { 'charrepl', 'lsp' },
  keys = { all = '<Tab>', word = '<M-f>', line = '<M-l>', dismiss = '<C-]>' },
  settings = vim.empty_dict(), -- as docs/guide/editors.md has them
}
local ghost -- what may be shown: buffer, row, the column it was for, text of the line with it, command, client
local shown -- what is, behind the cursor
local asked -- under way: client, id
local seen -- the buffer, change and cursor that were dealt with last

local function hide()
  if shown then
    vim.api.nvim_buf_clear_namespace(ghost.buffer, namespace, 0, -1)
  end
  shown = nil
end

-- The row and column of the cursor, from 0, and what stands before it in its line.
local function cursor()
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  return row - 1, column, vim.api.nvim_get_current_line():sub(1, column)
end

-- Shows what the ghost has behind the text that is typed; false if it has nothing there.
local function draw()
  hide()
  local row, column, typed = cursor()
  local near = ghost and ghost.buffer == vim.api.nvim_get_current_buf() and ghost.row == row
  -- Before its column, it would bring back what was just deleted.
  if not (near and column >= ghost.column and vim.startswith(ghost.text, typed) and #ghost.text > #typed) then
    return false
  end
  shown = ghost.text:sub(#typed + 1)
  local rows = vim.tbl_map(function(line)
    return { { line, 'CharreplGhost' } }
  end, vim.split(shown, '\n'))
  local drawn = { virt_text = table.remove(rows, 1), virt_text_pos = 'inline', virt_lines = rows }
  vim.api.nvim_buf_set_extmark(ghost.buffer, namespace, row, column, drawn)
  return true
end

local function ask(client)
  if asked then
    asked.client:cancel_request(asked.id)
  end
  local new = { buffer = vim.api.nvim_get_current_buf(), client = client }
  new.row, new.column = cursor()
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = 2 } -- as one types
  local mine = { client = client }
  local _, id = client:request(METHOD, params, function(_, result)
    if asked ~= mine then
      return -- a newer one is under way
    end
    asked = nil
    local item = type(result) == 'table' and result.items and result.items[1]
    if item and vim.fn.mode() == 'i' then
      hide()
      ghost = vim.tbl_extend('error', new, { text = item.insertText, command = item.command })
      draw()
    end
  end, new.buffer)
  mine.id = id
  asked = id and mine or nil
end

-- Types through the ghost, or asks for another.
local function follow()
  local row, column = cursor()
  local now = table.concat({ vim.api.nvim_get_current_buf(), vim.b.changedtick, row, column }, ' ')
  local client = vim.lsp.get_clients({ bufnr = 0, name = 'charrepl' })[1]
  if vim.fn.mode() ~= 'i' or not client or now == seen then
    return
  end
  seen = now
  if vim.fn.pumvisible() == 1 then
    hide()
  elseif not draw() then
    ask(client)
  end
end

local function leave()
  hide()
  if asked then
    asked.client:cancel_request(asked.id)
  end
  ghost, asked, seen = nil, nil, nil
end

local function take(piece)
  local row, column = cursor()
  local lines = vim.split(piece, '\n')
  local command, client = ghost.command, ghost.client
  hide()
  vim.api.nvim_buf_set_text(0, row, column, row, column, lines)
  vim.api.nvim_win_set_cursor(0, { row + #lines, #lines[#lines] + (#lines == 1 and column or 0) })
  if command then -- the server counts keys saved
    local params = { command = command.command, arguments = { command.arguments[1], vim.fn.strchars(piece) } }
    client:request('workspace/executeCommand', params, function() end)
  end
end

local PARTS = { all = '^.*$', word = '^%s*%S+[ \t]*', line = '^\n?[^\n]*' }

-- Does with the ghost what a key is for: 'all', 'word', 'line' or 'dismiss'. False if there is none.
function M.act(action)
  if not shown then
    return false
  end
  if action == 'dismiss' then
    leave()
    return true
  end
  local piece = shown:match(PARTS[action]) or shown
  vim.schedule(function()
    if shown and vim.startswith(shown, piece) then
      take(piece)
    end
  end)
  return true
end

-- Gives a key its action where there is a ghost, and leaves it what it was for elsewhere.
local function map(key, action)
  local before = vim.fn.maparg(key, 'i', false, true)
  vim.keymap.set('i', key, function()
    if M.act(action) then
      return ''
    elseif before.callback and before.expr == 1 then
      return before.callback()
    elseif before.callback then
      vim.schedule(before.callback)
      return ''
    end
    return before.expr == 1 and vim.api.nvim_eval(before.rhs) or before.rhs or key
  end, { expr = true, remap = before.noremap == 0, desc = 'charrepl: ' .. action })
end

local function colour()
  vim.api.nvim_set_hl(0, 'CharreplGhost', { fg = '#8a8a8a', ctermfg = 8, default = true })
end

-- Shows a message of the server in one row, for which nobody has to press Enter. While one inserts, it would
-- be hidden by the name of the mode.
local function tell(_, said)
  local show = vim.schedule_wrap(function()
    vim.notify(vim.fn.strcharpart(said.message, 0, vim.v.echospace), vim.log.levels.WARN)
  end)
  if vim.fn.mode() == 'i' then
    vim.api.nvim_create_autocmd('InsertLeave', { once = true, callback = show })
  else
    show()
  end
end

function M.setup(given)
  options = vim.tbl_deep_extend('force', options, given or {})
  local group = vim.api.nvim_create_augroup('charrepl', {})
  local function on(events, callback)
    vim.api.nvim_create_autocmd(events, { group = group, callback = callback })
  end
  on('InsertEnter', function(event)
    if vim.bo[event.buf].buftype == '' then
      local config = { name = 'charrepl', cmd = options.cmd, init_options = options.settings }
      config.handlers = { ['window/showMessage'] = tell }
      vim.lsp.start(config, { bufnr = event.buf })
      vim.schedule(follow)
    end
  end)
  on('LspAttach', follow)
  on('ColorScheme', colour) -- which clears it
  colour()
  on({ 'CursorMovedI', 'TextChangedI' }, follow)
  on({ 'CompleteChanged' }, hide)
  on({ 'InsertLeave', 'BufLeave' }, leave)
  for action, key in pairs(options.keys) do
    if key then
      map(key, action)
    end
  end
end

return M
