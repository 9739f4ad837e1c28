"""When a ghost is shown: how sure the model must be, by how forward the writer wants it."""

from __future__ import annotations

# A ghost is cut where its joint probability falls below this.
ASSERTIVENESS = {"quiet": 0.5, "normal": 0.3, "bold": 0.1}
