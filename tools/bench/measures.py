"""The measurements. Each gives plain numbers, with the unit last in the name."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence

from edge_agent.bundle import load_bundle
from edge_agent.inference.encode import TextEncoder, pad
from edge_agent.inference.session import Session
from edge_agent.manifest import MODEL, TOKENIZER
from edge_agent.specialists import load_specialist
from tests.support.agent_process import proc_status_kib
from tools.bench.rig import TOPIC, Plan, Rig, cpu_seconds, now_s, running, texts

BACKLOG_BATCHES = 6
WARM_UP_BATCHES = 8
GAP_S = 0.03
SETTLE_S = 2.0

Figures = dict[str, float]


def batches(items: Sequence[str], size: int) -> list[Sequence[str]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def saturated(plan: Plan) -> Figures:
    """End-to-end rate under load beside the model alone, turn by turn; medians of the turns."""
    turns = [one_turn(plan) for _ in range(plan.repeats)]
    middle = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
    ratios = [turn["end_to_end_per_s"] / turn["bare_per_s"] for turn in turns]
    session = [turn["end_to_end_per_s"] / turn["session_per_s"] for turn in turns]
    middle["ratio_to_bare"] = statistics.median(ratios)
    middle["ratio_to_bare_lowest"] = min(ratios)
    middle["ratio_to_session"] = statistics.median(session)
    return middle


def one_turn(plan: Plan) -> Figures:
    bare = bare_rate(plan)
    session = session_rate(plan)
    with running(plan) as rig:
        rate = end_to_end_rate(rig, plan)
        peak_kib = proc_status_kib(rig.agent.pid, "VmHWM")
    again = bare_rate(plan)
    return {
        "bare_per_s": (bare + again) / 2,
        "session_per_s": session,
        "end_to_end_per_s": rate,
        "peak_rss_mb": peak_kib * 1024 / 1e6,
    }


def bare_rate(plan: Plan) -> float:
    """Messages a second of the model with tokenizer and decoding, in this process, no MQTT."""
    specialist = load_specialist(load_bundle(plan.bundle), plan.threads)
    work = batches(texts(plan.bundle, plan.saturated_messages), plan.batch_messages)
    for batch in work[:WARM_UP_BATCHES]:
        specialist.predict(list(batch))
    began_s = now_s()
    for batch in work:
        specialist.predict(list(batch))
    return plan.saturated_messages / (now_s() - began_s)


def session_rate(plan: Plan) -> float:
    """Messages a second of the ONNX session alone, each batch padded to its longest text."""
    bundle = load_bundle(plan.bundle)
    encoder = TextEncoder(bundle.contents[TOKENIZER], bundle.manifest.max_tokens)
    session = Session(bundle.contents[MODEL], plan.threads)
    work = batches(texts(plan.bundle, plan.saturated_messages), plan.batch_messages)
    feeds = [pad([encoder.encode(text) for text in batch]) for batch in work]
    for ids, mask in feeds[:WARM_UP_BATCHES]:
        session.run({"input_ids": ids, "attention_mask": mask})
    began_s = now_s()
    for ids, mask in feeds:
        session.run({"input_ids": ids, "attention_mask": mask})
    return plan.saturated_messages / (now_s() - began_s)


def end_to_end_rate(rig: Rig, plan: Plan) -> float:
    """Events a second while the broker always has some batches waiting for the agent.

    Messages before and after the counted ones keep the pipeline as full at the end as at the start.
    """
    client, backlog = rig.client, BACKLOG_BATCHES * plan.batch_messages
    warm_up = WARM_UP_BATCHES * plan.batch_messages
    last = warm_up + plan.saturated_messages
    work = texts(plan.bundle, last + warm_up)
    for sent, text in enumerate(work):
        if sent >= backlog:
            client.wait(lambda sent=sent: client.count > sent - backlog, 60, "events")  # type: ignore[misc]
        client.send(TOPIC, text)
    client.wait(lambda: client.count >= len(work), 60, "the last event")
    received = client.received
    return plan.saturated_messages / (
        received[last - 1].received_s - received[warm_up - 1].received_s
    )


def idle_latency(plan: Plan) -> Figures:
    """From publish to event for single messages, less the model's own time, in milliseconds."""
    with running(plan) as rig:
        floor = [1000 * echo_s(rig) for _ in range(20)]
        samples = [one_message(rig, text) for text in texts(plan.bundle, plan.idle_messages)]
    overhead = [total - model for total, model in samples]
    return {
        "overhead_p50_ms": statistics.median(overhead),
        "overhead_p95_ms": statistics.quantiles(overhead, n=20)[-1],
        "total_p50_ms": statistics.median(total for total, _ in samples),
        "model_p50_ms": statistics.median(model for _, model in samples),
        "broker_echo_p50_ms": statistics.median(floor),
    }


def one_message(rig: Rig, text: str) -> tuple[float, float]:
    """Total and model time of one message, in milliseconds."""
    time.sleep(GAP_S)
    before = rig.client.count
    began_s = time.monotonic()
    rig.client.send(TOPIC, text)
    rig.client.wait(lambda: rig.client.count > before, 10, "an event")
    event = rig.client.since(before)[0]
    model_ms: float = json.loads(event.payload)["data"]["latency_ms"]["model"]
    return 1000 * (event.received_s - began_s), model_ms


def echo_s(rig: Rig) -> float:
    """Seconds for a message through the broker back to its sender: what no agent can undercut."""
    time.sleep(GAP_S)
    before = rig.client.count
    began_s = time.monotonic()
    rig.client.send("edge/t/event/echo", "{}")
    rig.client.wait(lambda: rig.client.count > before, 10, "the echo")
    return rig.client.since(before)[0].received_s - began_s


def start(plan: Plan) -> Figures:
    """Seconds from the process's start to READY=1, and its memory then."""
    seconds, memory = [], []
    with running(plan) as rig:
        for _ in range(plan.repeats):
            rig.agent.stop()
            began_s = now_s()
            rig.agent.start()
            seconds.append(now_s() - began_s)
            memory.append(rig.agent.rss_mib * 1.048576)
    return {"ready_s": statistics.median(seconds), "rss_mb": statistics.median(memory)}


def idle(plan: Plan) -> Figures:
    """Share of one core used while nothing comes."""
    with running(plan) as rig:
        time.sleep(SETTLE_S)
        before_s, began_s = cpu_seconds(rig.agent.pid), now_s()
        time.sleep(plan.idle_s)
        used_s = cpu_seconds(rig.agent.pid) - before_s
        return {"cpu_percent": 100 * used_s / (now_s() - began_s)}
