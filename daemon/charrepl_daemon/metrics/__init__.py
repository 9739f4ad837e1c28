"""What is counted and timed, and how it is told: `status`, `top` and Prometheus. Never what was typed.

`serving` counts, `cli` shows. Nothing here serves requests.
"""
