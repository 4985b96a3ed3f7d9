"""Signals that nothing sends: session events replace them."""

import blinker

before_models_committed = blinker.signal("before-models-committed")
models_committed = blinker.signal("models-committed")
