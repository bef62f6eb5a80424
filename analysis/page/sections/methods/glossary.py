"""Each kind of number on the page: what it means, and what it does not."""

from __future__ import annotations

from analysis.page.evidence import Evidence

__all__ = ["TERMS", "glossary"]


def glossary(evidence: Evidence) -> list[tuple[str, str]]:
    """Term and text, of the commands whose tables the run has."""
    ran = {evidence.makers[name].name for name in evidence.tables}
    return [(term, text) for commands, term, text in TERMS if not commands or ran & set(commands)]


TERMS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("vote",),
        "Accuracy",
        "Correct answers over questions with gold. Answers are compared as equivalence classes "
        "(1/2 = 0.5), not as strings. A trace without a valid answer doesn't vote, and counts "
        "as not correct where single traces are scored; so does a question on which nothing "
        "voted.",
    ),
    (
        (),
        "Interval",
        "95%, by bootstrap over questions (traces of one question are not independent). It "
        "covers the choice of questions, not of the model, the prompt or the settings.",
    ),
    (
        ("vote",),
        "Share",
        "The winner's votes over all valid votes of the question. It is not a probability of "
        "being right.",
    ),
    (
        ("paths",),
        "Path",
        "A cluster of traces whose text, with the answer masked, has similar embeddings, cut "
        "at one threshold for the whole run. Paths compare wording as well as reasoning: two "
        "paths may compute the same thing in other words. Long traces are not embedded whole, "
        "as a mean over thousands of tokens is nearly the same for all: their sections are "
        "clustered, and two traces are alike as far as they share sections, weighed by length "
        "and by how few of the question's traces have them.",
    ),
    (
        ("paths",),
        "Signature and dataflow",
        "The operations that a trace's stated equations perform, and which numbers and earlier "
        "results each takes, with the operands of sums and products sorted. Two traces with "
        "one dataflow computed the same things from the same numbers, whatever the words. "
        "What a trace computes without writing an equation is not seen.",
    ),
    (
        ("paths",),
        "Wrong equation",
        "An equation as the trace states it, whose two sides differ. An equation that is right "
        "may still be the wrong one for the question, and one that can't be evaluated is "
        "neither right nor wrong.",
    ),
    (
        ("paths",),
        "Map",
        "A question's traces in two dimensions, from the same embedding as the paths, scaled "
        "to the picture. Points that lie together have similar text; the axes mean nothing, "
        "and distances of different questions can't be compared.",
    ),
    (
        ("agree",),
        "AMI",
        "Adjusted mutual information of two partitions of a question's traces: 1 if they are "
        "the same, 0 on average by chance. Averaged over the questions in which both have at "
        "least two classes; the null shuffles labels within questions.",
    ),
    (
        ("agree",),
        "ARI and variation of information",
        "The same comparison by two other measures: ARI counts pairs of traces that are together "
        "in both groupings, 0 by chance and 1 if they are the same; variation of information is "
        "what one must be told to get from one to the other, in nats, 0 if they are the same.",
    ),
    (
        ("agree",),
        "Three-way coefficient",
        "What three groupings have in common (their total correlation), less what shuffled labels "
        "give, over its largest value: 1 if all are the same, 0 on average if none has to do with "
        "another, near a half if two agree wholly and the third with neither. It can't say which.",
    ),
    (
        ("agree",),
        "Kind",
        "A rule that a question meets or not; a question may meet several. Right for the wrong "
        "reason looks at stated equations only: reasoning in words is not checked, and an answer "
        "need not rest on the equation that is false.",
    ),
    (
        ("agree",),
        "Rater and kappa",
        "A rater is a way to choose a question's answer from its traces. Kappa is how often two "
        "choose alike beyond two traces drawn at random, 1 if always. Krippendorff's alpha does "
        "the same for all raters' right and wrong, over questions.",
    ),
    (
        ("probe", "calibrate", "agree"),
        "AUROC",
        "The chance that a right trace scores above a wrong one. Pooled over all traces it "
        "also rewards knowing which questions are easy; within a question, difficulty is the "
        "same for all traces. Folds are grouped by question, so that a probe never scores a "
        "question that it was fitted on.",
    ),
    (
        ("calibrate",),
        "Confidence",
        "Whatever might predict that an answer is right. PRR is 1 for a perfect ranking and 0 "
        "for none, AURC the mean share wrong among the most confident, over all shares kept; "
        "WQD the share of pairs of a right and a wrong trace of one question in which the "
        "right one is the more confident. Brier score and ECE compare a probability with what "
        "came out, and are given only for what is meant as one.",
    ),
    (
        ("probe",),
        "Controls",
        "Labels shuffled over all traces (pooled AUROC should be 0.5) or within each question "
        "(within-question AUROC should be 0.5), and the length of the trace as the only "
        "feature. A probe is worth what it adds to them.",
    ),
    (
        ("lens",),
        "Lens",
        "What a layer would answer if it were the last: its state, normed and read with the "
        "model's own output words, over the answers that the question's traces state, told "
        "apart by their first token. Commitment layer: the lowest from which all later ones "
        "say what the last one says. A layer that the lens can't read may still know the "
        "answer, and one that it can need not be what the model acts on.",
    ),
    (
        ("lens",),
        "Decided before reasoning",
        "The answer that a trace will state is what the last layer already holds most probable at "
        "the end of the prompt. Some are so by luck, which the same with another question's state "
        "tells; numbers that begin with the same token are one answer here.",
    ),
    (
        ("lens",),
        "Consistency, emergence, chain of embedding",
        "Consistency is the share of layers that say what the last one says; the emergence step "
        "the first from which on the last layer keeps its answer; chain of embedding how far, and "
        "with how many turns, a trace's mean state moves from layer to layer.",
    ),
    (
        ("geometry",),
        "Geometry",
        "CKA and RSA compare which traces are near each other in two sets of states, whatever "
        "their rotation and scale. The intrinsic dimension says how many directions states "
        "spread in, seen from near. Whether right and wrong traces lie apart is asked within "
        "questions, beside what the same labels give when they are shuffled there.",
    ),
    (
        ("geometry",),
        "Hidden cluster and EigenScore",
        "Traces of a question whose states point the same way at one layer and position, cut at "
        "one threshold for the run. EigenScore is how widely a question's states spread. Neither "
        "knows what the states mean.",
    ),
    (
        ("faithfulness",),
        "Faithfulness",
        "Whether the answer follows the written reasoning: 1 where every change to it changes the "
        "answer, 0 where none does; of hints, whether what it writes says that it took one. "
        "Answers change by chance too and stay by chance too, so that each rate stands beside a "
        "baseline: the same reasoning sampled again where a test has such a control, else another "
        "trace of the question. It says what the answer depends on, not what the model thought.",
    ),
    (
        ("faithfulness",),
        "AOC and importance",
        "AOC is 1 less the area under the curve of how often the answer stays, by the share of the "
        "steps kept. A step's importance is how far the answers of its question move (KL "
        "divergence, nats) when the step is sampled again to something that says something else, "
        "against when it is kept; it rests on few resamples where few differ.",
    ),
    (
        ("agree",),
        "Suspicion",
        "A score from 0 to 1 that sorts questions for people to look at: it is higher where "
        "answers, paths and hidden states part ways. It is not a probability of an error.",
    ),
    (
        ("intervene",),
        "Log-odds",
        "Log P(own answer) less log P(another answer of the question), in nats, read right before "
        "the first token at which the two differ. 0: as likely as each other; a change by 1 "
        "multiplies the odds by 2.7. It can move far without the answer changing.",
    ),
    (
        ("intervene",),
        "Patching and recovered share",
        "Patching puts a state of one trace, the donor, in the place of another's. Recovered "
        "share: the change of the log-odds over the gap between receiver and donor; 0 is nothing, "
        "1 the donor's own, and above 1 or below 0 is possible. What it finds is enough to move "
        "the answer there; the model may decide elsewhere too.",
    ),
    (
        ("intervene",),
        "Steering, ablation, erasure",
        "Steering adds a step along a direction to the states, ablation takes the direction out, "
        "erasure takes out all that a linear probe can read of the label. Directions are fitted on "
        "other questions than they act on. A state changed so may be one that the model never has.",
    ),
    (
        ("intervene",),
        "Random band",
        "The middle 95% of what random directions of the same length do. Any large enough change "
        "moves the answer; a direction that stays within the band moves it no further than that.",
    ),
    (
        ("intervene",),
        "Knock-out",
        "A step is hidden from all that follows by masking attention to it. What falls is what "
        "later tokens read from that step; what they had through other steps stays, so that a step "
        "whose content is repeated later seems not to matter.",
    ),
    (
        ("intervene",),
        "Mediation",
        "Total effect: what the reasoning does to the log-odds. Indirect share: what of it comes "
        "with the states of the answer's cue at one layer; direct share: what is left without "
        "them. The two need not sum to 1.",
    ),
    (
        ("intervene",),
        "Causal, not shown",
        "Causal: the effect differs from each of its controls, by the interval of the difference "
        "and after Holm's correction over all cells tried, and lies outside the random band. Not "
        "shown: all else. It is no proof of no effect; the interval says how large one may be.",
    ),
    (
        ("intervene",),
        "States moved the answer",
        "The share of a question's traces in which the state of a trace with another answer takes "
        "the log-odds at least half of the way to that answer, and further than the control does.",
    ),
    (
        ("attribute",),
        "Attribution",
        "What a part of prompt or trace carries of the log-odds of a trace's own answer against "
        "another one, nats, summed over its tokens. Methods answer different questions: a gradient "
        "says what a small change would do, a Shapley value what a step adds to others, occlusion "
        "what is missed without it. A method whose values stay as they are under random weights "
        "says nothing of the model.",
    ),
    (
        ("attribute",),
        "Completeness gap, deletion, insertion",
        "The gap is what an attribution's values lack of the log-odds that they share out. "
        "Deletion and insertion take the highest step out, or leave it in alone, and force the "
        "rest again; beside it stand other steps of half to twice its tokens. Texts with steps "
        "taken out are unusual ones for the model.",
    ),
    (
        ("attention",),
        "Receiver head",
        "An attention head whose later steps agree on few steps: the mean attention that they pay "
        "each step has a high kurtosis, above that of permuted later steps and above what a step's "
        "place foretells, after Holm's correction over all heads. What is attended to need not "
        "matter: hiding a step says that.",
    ),
    (
        ("features",),
        "Feature",
        "A direction in the states of one layer, without their question's mean, that is on in some "
        "states: found by semi-non-negative factorisation (snmf), by a sparse autoencoder (topk), "
        "as a principal component (pca) or as the direction to a labelled concept (cav). Fitted on "
        "half of the questions, measured on the others. A low q says that it goes with right "
        "answers, not that it makes them; the best of as many random directions stands beside it.",
    ),
    (
        ("features",),
        "R² of tokens, injection, TCAV",
        "R² says how far counts of tokens alone predict a feature. Injection puts its tokens into "
        "plain text: a feature that fires there is about the tokens. TCAV is the share of traces "
        "in which a little more of a concept makes the right answer likelier; its p compares how "
        "much with concepts whose labels were shuffled.",
    ),
)
"""Commands that make such a number (all where empty), its name, and what it means."""
