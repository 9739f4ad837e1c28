"""What a person sees of a run: progress, the loss as a chart and a picture, TensorBoard.

Only `cli` imports from here. It reads what `run` says and changes nothing.
"""
