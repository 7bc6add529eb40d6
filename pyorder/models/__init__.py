"""Models: the decoder that ranks, the any-order model that explores, and the terms for a caller's own."""

from pyorder.models.any_order import AnyOrderDecoder
from pyorder.models.attention import attention_entropy, attention_maps
from pyorder.models.decoder import PRESETS, Decoder, Preset

__all__ = ["PRESETS", "AnyOrderDecoder", "Decoder", "Preset", "attention_entropy", "attention_maps"]
