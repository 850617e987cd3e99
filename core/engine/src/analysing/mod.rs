//! What is found out about a run beside its metrics: each sample's influence on the validation share, once an epoch; and at the
//! end, which samples are suspect, how far positives and negatives are apart, and what the corpus is about. All of it is rows and
//! metrics of ticks: functions of plan, store and checkpoint that change nothing of the run.

mod influence;
