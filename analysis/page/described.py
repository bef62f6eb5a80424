"""What each command asks and what each table holds, a sentence each, for the methods section."""

from __future__ import annotations

__all__ = ["COMMANDS", "TABLES"]

COMMANDS = {
    "answers": "Reads each trace's stated answer and groups equal ones into classes.",
    "paths": "Splits traces into steps, groups them by what they say but the answer, and checks "
    "the equations that they state.",
    "vote": "Chooses an answer of each question by each rule, and scores it.",
    "curve": "Accuracy of a vote over fewer of the stored samples.",
    "stop": "Replays rules that stop sampling early, on the stored traces.",
    "calibration": "Asks whether signals of confidence tell right from wrong.",
    "capture": "Replays traces through the model and keeps hidden states.",
    "probe": "Fits classifiers on hidden states of some questions, and tests them on others.",
    "lens": "Reads every layer's state with the model's own output words, as if it were the last.",
    "geometry": "Groups hidden states, compares layers and positions, and draws them.",
    "agree": "Compares how answers, reasoning and hidden states group the same traces, question by "
    "question.",
    "faithfulness": "Changes each trace's reasoning or its question, and asks what becomes of the "
    "answer.",
}
"""Command to what it does."""

TABLES = {
    "answers": "The answer of each trace, its class, and whether it is right.",
    "greedy_answers": "The same for one greedy trace a question.",
    "steps": "Where each step of a trace begins and ends.",
    "paths": "Each trace's cluster of wording, and the operations of its equations.",
    "step_checks": "Each stated equation, and whether its two sides are equal.",
    "path_names": "Words that tell a path from the question's others, and its most central trace.",
    "path_map": "A place in the plane for each trace, from its text.",
    "path_questions": "Paths of each question, and how evenly its traces spread over them.",
    "findings_paths": "How often traces share an answer but not a path, and the other way round.",
    "votes": "Each question's winner by each rule, its share, and whether it is right.",
    "findings_vote": "Accuracy of each rule, of single traces, and their paired difference.",
    "curve": "Expected accuracy of a vote over n of a question's traces.",
    "curve_comparison": "The same beside another run's, paired by question.",
    "findings_stop": "Accuracy and samples of each stopping rule, beside those of all samples.",
    "calibration": "How well each signal of confidence ranks right above wrong.",
    "calibration_curves": "Risk against coverage, and reliability, point by point.",
    "findings_calibration": "The signals' AUROC with intervals, and the mean entropy of answers.",
    "fidelity": "How far replayed log-probabilities lie from those stored when sampling.",
    "probes": "How well each layer and position tells its target, beside controls and baselines.",
    "probe_scores": "The probe's P(target) of each trace, fitted on other questions.",
    "probe_steps": "The same probe's score at each step of a trace.",
    "findings_probe": "The probes as they are chosen without seeing the questions they are tested "
    "on.",
    "lens": "Which of the question's answers each layer holds most probable at each place, and how "
    "probable.",
    "lens_traces": "The layer from which on a trace's answer stays, how many layers say it, "
    "and whether it is there at the prompt's end.",
    "lens_tokens": "What each layer would write next, token by token, in a few traces.",
    "findings_lens": "Means over questions of what the lens reads, each beside another question's "
    "or trace's.",
    "hidden_clusters": "The cluster of each trace's state, at each layer and position, within its "
    "question.",
    "similarity": "How alike two layers, or right and wrong traces, lie (CKA and RSA).",
    "dimension": "How many directions the states spread in, seen from near (TwoNN).",
    "eigen_scores": "How widely a question's states spread: mean log eigenvalue of their "
    "covariance.",
    "state_map": "A place in the plane for each trace, from its state.",
    "trajectories": "The same, step by step.",
    "findings_geometry": "Whether right and wrong traces lie apart more than shuffled labels do.",
    "agreement": "Each question's kinds, suspicion, majority, classes, and coefficients.",
    "agreement_coefficients": "AMI, ARI and variation of information of every pair of partitions, "
    "and the three-way coefficient, beside shuffled labels.",
    "agreement_places": "AMI with the hidden states of every captured layer and position.",
    "agreement_raters": "What each rater gets right, beside the majority.",
    "agreement_rater_pairs": "How often two raters name one answer, corrected for chance.",
    "agreement_comparison": "This run beside another, paired by question.",
    "findings_agree": "The headline coefficients, and how well suspicion ranks wrong majorities.",
    "faithfulness": "Each intervention on a trace: what was changed, what the model then wrote, "
    "and whether its answer stays.",
    "faithfulness_traces": "Each trace's value by each test, or why it has none, and how often "
    "another trace of its question states the same answer.",
    "faithfulness_curves": "How often the answer stays, by the share of the reasoning that is kept "
    "and by its length.",
    "findings_faithfulness": "Each test's mean value, how often the answer stays, and the baseline "
    "of that.",
}
"""Table to what it holds."""
