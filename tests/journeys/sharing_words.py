"""Names, numbers and texts of the world that the pictures of sharing show."""

from __future__ import annotations

from typing import Any

BUSY, SMALL, COLD, CLOUD = "scripted", "small", "one:latest", "deepseek-chat"
NAMES = {BUSY: "R1 32B", SMALL: "R1 8B", COLD: "R1 70B", "two:latest": "R1 14B"}
DECODE_US = {BUSY: 40_000, SMALL: 12_000, COLD: 110_000, "two:latest": 20_000}
PEOPLE = ("ann", "ben", "chen", "dora", "eli", "fay")
GIB = 1 << 30
PAST_DAYS = 21
LIMITS: dict[str, dict[str, Any]] = {
    "gpu": {"unit": "gpu_ms", "window": "day", "amount": 600_000},
    "tokens": {"unit": "output_tokens", "window": "week", "amount": 500_000},
    "requests": {"unit": "requests", "window": "hour", "amount": 60},
    "money": {"unit": "cost_micro", "window": "month", "amount": 5_000_000, "model_key": CLOUD},
    "running": {"unit": "running", "window": "day", "amount": 2},
}
QUESTION = "Is the step from (3) to (4) in my proof valid if the chain is only lazy, not reversible?"
LONG = "Summarise the minutes of all meetings. say 200+700"
LONGS = {"-chinese": "汇总所有会议纪要。 say 200+700"}

QUESTIONS = {"-chinese": "如果马氏链只是惰性的、并不可逆，证明里从 (3) 到 (4) 的一步还成立吗？"}
REASON = "The thesis is due on Friday, three figures are missing."
REASONS = {"-chinese": "周五要交论文，还差三张图。"}
# A piece for each token of the scripted engine's thought.
THOUGHT = (
    "Step (3) bounds the distance by a sum over eigenvalues. ",
    "That needs a spectral decomposition, ",
    "and for it P must be self-adjoint in the inner product weighted by pi. ",
    "Which is reversibility. ",
    "Laziness alone only keeps the eigenvalues away from -1. ",
    "So without reversibility (4) does not follow as it is. ",
    "What could replace it: the multiplicative reversibilization P P*. ",
    "It is reversible, and its gap bounds the same norm. ",
    "Then the constant changes by a factor of two. ",
    "Check with the cycle on n points, lazy and one-way: ",
    "its eigenvalues are complex, ",
    "and mixing takes n squared steps. ",
    "The bound in (4) would give n. ",
)
THOUGHTS = {
    "-chinese": (
        "第 (3) 步用特征值之和来界定距离。",
        "这需要谱分解，",
        "也就是要求 P 在以 π 加权的内积下自伴。",
        "那正是可逆性。",
        "惰性只保证特征值远离 −1。",
        "所以没有可逆性，(4) 不能照原样得出。",
        "可以换成乘法可逆化 P P*：",
        "它是可逆的，",
        "谱隙能界定同一个范数，",
        "常数差一个因子 2。",
        "用 n 个点上单向的惰性环来检验：",
        "特征值是复数，",
        "混合需要 n² 步。",
    ),
}
TALKS = {
    "en": {
        "title": "Plan for the vLLM upgrade",
        "question": "Can we upgrade vLLM on one GPU while the other keeps serving?",
        "before": "Yes. Drain one engine first: new questions go to the other, running ones finish. Then stop it,"
        " upgrade, and load the model before you let questions in ",
        "after": "again. Watch the first ten answers for speed; if they are more than a fifth slower than before, go"
        " back to the old version while the other engine still carries the load.",
        "wish": "Write the steps as a checklist.",
        "steps": "1. Announce the window; pin R1 32B until 16:00.\n"
        "2. Drain the engine and wait until its last answer has ended, then",
    },
    "zh": {
        "title": "vLLM 升级计划",
        "question": "能不能在一张 GPU 上升级 vLLM，另一张继续服务？",
        "before": "可以。先让一个引擎停止接收新问题：新问题交给另一个引擎，正在进行的回答照常完成。"
        "然后停止、升级，先加载好模型，再",
        "after": "放开提问。留意前十个回答的速度；如果比以前慢五分之一以上，就趁另一个引擎还在承担负载时退回旧版本。",
        "wish": "把步骤写成清单。",
        "steps": "1. 通知维护时间；把 R1 32B 固定到 16:00。\n2. 让引擎停止接收新问题，等最后一个回答结束，然后",
    },
}
