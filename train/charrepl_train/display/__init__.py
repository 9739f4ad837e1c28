"""What a person sees of a run: progress, a chart and a picture of the loss, TensorBoard.

Only `cli` imports from here. It reads what `run` reports and changes nothing.
"""
