" A client as plugins for Vim are: a key starts curl, its answer is drawn as virtual text, Tab takes it.
set nocompatible noswapfile viminfo= shortmess+=I encoding=utf-8
call prop_type_add('ghost', {'highlight': 'NonText'})
let s:ghost = ''
let s:job = v:null

function s:Clear() abort
  let s:ghost = ''
  call prop_remove({'type': 'ghost', 'all': v:true})
endfunction

function s:Ask() abort
  call s:Clear()
  if s:job isnot v:null
    call job_stop(s:job)
  endif
  let l:line = getline('.')
  let l:at = col('.') - 1
  let l:before = getline(1, line('.') - 1)
  let l:body = json_encode({
        \ 'id_slot': 0,
        \ 'input_prefix': join(l:before, "\n") . "\n",
        \ 'prompt': strpart(l:line, 0, l:at),
        \ 'input_suffix': join([strpart(l:line, l:at)] + getline(line('.') + 1, '$'), "\n") . "\n",
        \ 'input_extra': [], 'n_predict': 128, 'stop': [], 'n_indent': indent('.'), 'top_k': 40, 'top_p': 0.9,
        \ 'samplers': ['top_k', 'top_p', 'infill'], 'stream': v:false, 'cache_prompt': v:true,
        \ 't_max_prompt_ms': 500, 't_max_predict_ms': 250, 'response_fields': ['content'], 'model': '',
        \ })
  let s:job = job_start(
        \ ['curl', '--silent', '--no-buffer', '--request', 'POST', '--url', $GHOSTS,
        \  '--header', 'Content-Type: application/json', '--header', 'Authorization: Bearer ' . $KEY,
        \  '--data', '@-'],
        \ {'out_cb': function('s:Heard'), 'out_mode': 'nl'})
  call ch_sendraw(s:job, l:body)
  call ch_close_in(s:job)
endfunction

" A line at a time, and what does not look like an answer is dropped.
function s:Heard(channel, line) abort
  if ch_getjob(a:channel) != s:job || a:line !~# '^\s*{' || a:line !~# '"content"\s*:"'
    return
  endif
  let s:ghost = json_decode(a:line).content
  if s:ghost !=# ''
    call prop_add(line('.'), col('.'), {'type': 'ghost', 'text': s:ghost})
  endif
endfunction

function s:Take() abort
  let l:ghost = s:ghost
  call s:Clear()
  return l:ghost
endfunction

autocmd TextChangedI * call s:Ask()
autocmd InsertLeave * call s:Clear()
inoremap <expr> <Tab> <SID>Take()
