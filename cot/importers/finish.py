"""Why a trace ended: the words of every server, as `stop` or `length`.

A trace that was filtered, refused or calls a tool has ended: what it does not state is missing. One
that a limit, an abort or a timeout cut off counts as `length`: what it does not state is truncated.

Sources: vLLM 0.32 (`FinishReason` in v1/engine/__init__.py), SGLang (`BaseFinishReason` in
managers/schedule_batch.py, an object with a `type`), Text Generation Inference (eos_token,
stop_sequence), the APIs of OpenAI (chat completions; `status` and `incomplete_details` of
responses), Anthropic (end_turn ... pause_turn), Google (STOP, MAX_TOKENS, SAFETY ...), Cohere
(COMPLETE), DeepSeek (insufficient_system_resource), and Inspect's `StopReason`.
"""

from __future__ import annotations

from typing import Any

from cot.importers.record import BadRecordError
from cot.types import FinishReason

__all__ = ["CUT", "ENDED", "finish_reason"]

ENDED = (
    *("stop", "eos", "eos_token", "end_turn", "end", "stop_sequence", "stop_string"),
    *("complete", "completed", "tool_calls", "tool_use", "function_call"),
    *("content_filter", "refusal", "safety", "recitation", "blocklist", "prohibited_content"),
    *("spii", "unknown"),
)
"""The trace has ended; null is one of these too."""
CUT = (
    *("length", "max_tokens", "max_length", "model_length", "max_output_tokens", "incomplete"),
    *("model_context_window_exceeded", "repetition", "abort", "aborted", "cancelled", "canceled"),
    *("timeout", "pause_turn", "insufficient_system_resource"),
)
"""Something cut the trace off."""
FINISH: dict[str, FinishReason] = {
    **dict.fromkeys(ENDED, "stop"),
    **dict.fromkeys(CUT, "length"),
}


def finish_reason(reason: Any) -> FinishReason:
    """`stop` or `length`, whatever the case of the word; BadRecordError for any other.

    Args:
        reason: a word, an object with it as `type`, or None.
    """
    word = reason.get("type") if isinstance(reason, dict) else reason
    if word is None:
        return "stop"
    if isinstance(word, str) and (known := FINISH.get(word) or FINISH.get(word.lower())):
        return known
    raise BadRecordError(
        f"finish_reason is {str(reason)[:80]!r}: one of {', '.join(ENDED)} for a trace that has "
        f"ended, or {', '.join(CUT)} for one that was cut off"
    )
