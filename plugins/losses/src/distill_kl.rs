//! Distillation of distributions.

use orchestrator_plugin::{Call, Config, Loss, LossBatch, LossOutput, Needs, Result};

use crate::similarity::{Similarities, Similarity};
use crate::softmax::softmax;
use crate::teacher;

/// Makes the model choose among an anchor's positives and negatives as the teacher does: the Kullback-Leibler divergence of
/// `softmax(s / student_temperature)` from `softmax(t / teacher_temperature)`, times `student_temperature²`; `t` the
/// teacher's scores.
///
/// Mean over the anchors that have two rows or more in the step, each by the mean weight of its rows. Labels are not used:
/// the teacher grades. The row losses of an anchor sum to its divergence.
///
/// Hinton et al. 2015, Lin et al. 2020; equal to sentence-transformers' `DistillKLDivLoss`, whose own default is
/// `similarity: dot`.
#[derive(Config)]
pub struct DistillKl {
    /// What `s` is: `cosine`, or `dot` of the embeddings as they are.
    #[config(default = Similarity::Cosine)]
    similarity: Similarity,
    /// What scores are divided by before the softmax: higher is softer. Cosines lie close together; about 0.05 parts them.
    #[config(default = 1.0, above = 0)]
    temperature: f32,
    /// For the model's scores instead of `temperature`.
    #[config(above = 0)]
    student_temperature: Option<f32>,
    /// For the teacher's scores instead of `temperature`; to match their spread.
    #[config(above = 0)]
    teacher_temperature: Option<f32>,
}

impl Loss for DistillKl {
    const NEEDS: Needs = Needs {
        positives: false,
        negatives: false,
        teacher: true,
    };

    fn forward(
        &self,
        batch: &LossBatch<'_>,
        out: &mut LossOutput<'_>,
        _: &Call<'_>,
    ) -> Result<f64> {
        let of_student = f64::from(self.student_temperature.unwrap_or(self.temperature));
        let of_teacher = f64::from(self.teacher_temperature.unwrap_or(self.temperature));
        let mut similarities = Similarities::of(batch, self.similarity);
        let choices: Vec<(Vec<u32>, f64)> = batch
            .groups()
            .map(|group| {
                let rows = [group.positives, group.negatives].concat();
                let weights = rows
                    .iter()
                    .map(|&row| f64::from(batch.row(row as usize).weight));
                let weight = weights.sum::<f64>() / rows.len() as f64;
                (rows, weight)
            })
            .filter(|(rows, _)| rows.len() > 1)
            .collect();
        let total: f64 = choices.iter().map(|(_, weight)| weight).sum();
        let mut sum = 0.0;
        for (rows, weight) in &choices {
            let share = weight / total;
            let mut wanted = Vec::with_capacity(rows.len());
            let mut logits = Vec::with_capacity(rows.len());
            for &row in rows {
                let pair = batch.row(row as usize);
                wanted.push(f64::from(teacher::score(batch, row)?) / of_teacher);
                logits.push(f64::from(similarities.between(pair.anchor, pair.text)) / of_student);
            }
            let mut chosen = logits.clone();
            let mut probable = wanted.clone();
            let (log_chosen, log_probable) = (softmax(&mut chosen), softmax(&mut probable));
            let squared = of_student * of_student;
            for (place, &row) in rows.iter().enumerate() {
                let apart = (wanted[place] - log_probable) - (logits[place] - log_chosen);
                let (theirs, ours) = (probable[place], chosen[place]);
                sum += share * squared * theirs * apart;
                // Both sum to 1 over the anchor: so the parts sum to the divergence, and none is negative.
                out.set_row(
                    row as usize,
                    (squared * (theirs * apart - theirs + ours)) as f32,
                );
                let slope = share * of_student * (ours - theirs);
                let pair = batch.row(row as usize);
                similarities.pull(pair.anchor, pair.text, slope as f32, out);
            }
        }
        similarities.write(out);
        Ok(sum)
    }
}
