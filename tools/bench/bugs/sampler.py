"""Bugs of samplers."""

from __future__ import annotations

from bugs.bug import Bug

SHARED = "plugins/llm_build_plugins/generate/_shared.py"
GREEDY = "plugins/llm_build_plugins/generate/greedy_module.py"
TOP_K = "plugins/llm_build_plugins/generate/top_k_module.py"
TOP_P = "plugins/llm_build_plugins/generate/top_p_module.py"
NUCLEUS = "plugins/llm_build_plugins/generate/_nucleus.py"
MIN_P = "plugins/llm_build_plugins/generate/min_p_module.py"
BUGS = [
    Bug(
        name="the crossing token is dropped",
        component="sampler:top_p",
        file=NUCLEUS,
        old="return (scores > least) | ((scores == least) & (places <= last))",
        new="return (scores > least) | ((scores == least) & (least == scores.amax(-1, keepdim=True)))",
    ),
    Bug(
        name="one token too many",
        component="sampler:top_p",
        file=NUCLEUS,
        old="return (scores > least) | ((scores == least) & (places <= last))",
        new="return scores >= scores.masked_fill(scores >= least, -math.inf).amax(-1, keepdim=True)",
    ),
    Bug(
        name="nothing is left where the first token crosses",
        component="sampler:top_p",
        file=NUCLEUS,
        old="return (scores > least) | ((scores == least) & (places <= last))",
        new="return scores > least",
    ),
    Bug(
        name="sorted scores are not put back",
        component="sampler:top_p",
        file=TOP_P,
        old="return scores.masked_fill(~nucleus(scores, self.p), NEVER)",
        new="return scores.masked_fill(~nucleus(scores, self.p), NEVER).sort(-1, descending=True).values",
    ),
    Bug(
        name="probabilities in place of logits",
        component="sampler:top_p",
        file=TOP_P,
        old="return scores.masked_fill(",
        new="return scores.softmax(-1).masked_fill(",
    ),
    Bug(
        name="the penalty has the wrong sign on negative logits",
        component="sampler:temperature",
        file=SHARED,
        old="torch.where(scores > 0, scores / repetition, scores * repetition)",
        new="scores / repetition",
    ),
    Bug(
        name="positive logits that were seen are negated",
        component="sampler:temperature",
        file=SHARED,
        old="torch.where(scores > 0, scores / repetition, scores * repetition)",
        new="torch.where(scores > 0, -scores, scores * repetition)",
    ),
    Bug(
        name="the temperature multiplies",
        component="sampler:temperature",
        file=SHARED,
        old="return scores / temperature",
        new="return scores * temperature",
    ),
    Bug(
        name="scores in the dtype of the logits",
        component="sampler:top_k",
        file=SHARED,
        old="scores = logits if logits.dtype == torch.float64 else logits.float()",
        new="scores = logits",
    ),
    Bug(
        name="the scores are divided in place",
        component="sampler:temperature",
        file=SHARED,
        old="return scores / temperature",
        new="return scores.div_(temperature)",
    ),
    Bug(
        name="what is chosen is noted in seen",
        component="sampler:greedy",
        file=GREEDY,
        old="return torch.full_like",
        new="seen.scatter_(-1, best, True)\n        return torch.full_like",
    ),
    Bug(
        name="noise is added in the sampler",
        component="sampler:temperature",
        file=SHARED,
        old="return scores / temperature",
        new="return scores / temperature - torch.empty_like(scores).exponential_().log()",
    ),
    Bug(
        name="a large number in place of infinity",
        component="sampler:min_p",
        file=MIN_P,
        old="masked_fill(scores < least, NEVER)",
        new="masked_fill(scores < least, -1e4)",
    ),
    Bug(
        name="logits are compared in place of probabilities",
        component="sampler:min_p",
        file=MIN_P,
        old="least = scores.amax(-1, keepdim=True) + math.log(self.p)",
        new="largest = scores.amax(-1, keepdim=True)\n        least = largest.minimum(largest * self.p)",
    ),
    Bug(
        name="one threshold for the whole batch",
        component="sampler:top_k",
        file=TOP_K,
        old=".values.amin(-1, keepdim=True)",
        new=".values.amin()",
    ),
    Bug(
        name="the first k numbers in place of the k likeliest",
        component="sampler:top_k",
        file=TOP_K,
        old="return scores.masked_fill(scores < kth, NEVER)",
        new="found = scores.clone()\n        found[..., self.k :] = NEVER\n        return found",
    ),
]
