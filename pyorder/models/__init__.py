"""Models: the decoder that ranks, the any-order model that explores, and the terms for a caller's own."""

from pyorder.models.any_order import AnyOrderDecoder
from pyorder.models.architecture import Architecture
from pyorder.models.attention import attention_entropy, attention_maps
from pyorder.models.decoder import Decoder
from pyorder.models.json_records import JsonRecords, JsonTokens
from pyorder.models.language_model import LanguageModel
from pyorder.models.learner import AnyOrderLearner, CustomLearner, DecoderLearner, Learner

__all__ = [
    "AnyOrderDecoder",
    "AnyOrderLearner",
    "Architecture",
    "CustomLearner",
    "Decoder",
    "DecoderLearner",
    "JsonRecords",
    "JsonTokens",
    "LanguageModel",
    "Learner",
    "attention_entropy",
    "attention_maps",
]
