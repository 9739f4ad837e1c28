"""`charrepl lsp`: a language server whose inline completions are ghosts, for editors that have a client.

It keeps the editor's documents, decides nothing about ghosts itself, and asks the daemon through
`suggestions`. `neovim/` and `vscode/` are front ends of our own. Only the command line imports from here.
Nothing here logs what is typed, or imports JAX.
"""
