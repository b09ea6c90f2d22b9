//! How far remembered keys are from what would be encoded now.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use cl_core::contrast::{normalize_rows, row_dot};
use cl_core::kernels::ContrastBackend;
use cl_core::negatives::Kept;
use serde::{Deserialize, Serialize};

/// A look at the keys of one queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Staleness {
    /// Number of keys that are remembered.
    pub keys: usize,
    /// Mean age in steps; a key of the step before has age 1.
    pub age_mean: f64,
    /// The age that a quarter, a half, three quarters and all of the keys do not exceed.
    pub age_quartiles: [u64; 4],
    /// Mean cosine between keys and what their encoder makes of the same things now, unperturbed; 1: not stale.
    pub cosine: f64,
    /// The same of the youngest quarter of the keys, the next, the next, the oldest.
    pub cosine_by_age: [f64; 4],
    /// The mean cosine with what the trained model makes of them, where another encodes the keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosine_with_model: Option<f64>,
    /// How many of the keys are no negatives.
    #[serde(flatten)]
    pub shares: Shares,
}

/// Of the pairs of a recent anchor and a key of an earlier step, how many are no negatives. Anchors are what joined in the newest
/// step: all of it, or 256 spread evenly over it. (A step's things may stand in the order of their ids, users before items, so that
/// its last ones would be no sample of it.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// Share in which the key has the anchor's own id.
    pub own_share: f64,
    /// Share in which the key is another positive of the anchor: an item that the user took, a sequence that the same item
    /// follows. None where there is no such thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_negative_share: Option<f64>,
}

impl Shares {
    /// Of all keys; `related` is asked for two origins.
    ///
    /// # Cost
    ///
    /// 256 m calls of `related`.
    #[must_use]
    pub fn of<B: ContrastBackend>(kept: &Kept<B>, related: impl Fn(u32, u32) -> Option<bool>) -> Self {
        let m = kept.ids.len();
        let (mut pairs, mut own, mut known, mut positive) = (0_u64, 0_u64, false, 0_u64);
        // Keys stand oldest first; whatever joined with an anchor was no key of it yet.
        let earlier = kept.ages.partition_point(|age| Some(age) != kept.ages.last());
        let newest = m - earlier;
        let anchors = newest.min(256);
        for anchor in (0..anchors).map(|at| earlier + at * newest / anchors) {
            for key in 0..earlier {
                pairs += 1;
                if kept.ids[anchor] == kept.ids[key] {
                    own += 1;
                } else if let Some(related) = related(kept.origins[anchor], kept.origins[key]) {
                    known = true;
                    positive += u64::from(related);
                }
            }
        }
        let share = |count: u64| count as f64 / pairs.max(1) as f64;
        Self { own_share: share(own), false_negative_share: known.then(|| share(positive)) }
    }
}

/// At most `most` of the keys, evenly spread over their ages.
#[must_use]
pub fn thin<B: Backend>(kept: &Kept<B>, most: usize) -> Kept<B> {
    let m = kept.ids.len();
    if m <= most {
        return kept.clone();
    }
    let chosen: Vec<usize> = (0..most).map(|at| at * m / most).collect();
    let rows: Vec<i32> = chosen.iter().map(|&row| row as i32).collect();
    let rows = Tensor::<B, 1, Int>::from_data(&rows[..], &kept.vectors.device());
    Kept {
        name: kept.name.clone(),
        direction: kept.direction,
        vectors: kept.vectors.clone().select(0, rows),
        ids: chosen.iter().map(|&row| kept.ids[row]).collect(),
        origins: chosen.iter().map(|&row| kept.origins[row]).collect(),
        ages: chosen.iter().map(|&row| kept.ages[row]).collect(),
    }
}

/// The cosine of each pair of rows.
fn cosines<B: ContrastBackend>(a: Tensor<B, 2>, b: Tensor<B, 2>) -> Vec<f64> {
    let cosines = row_dot(normalize_rows(a), normalize_rows(b)).into_data().convert::<f64>();
    cosines.as_slice::<f64>().map(<[f64]>::to_vec).unwrap_or_default()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

impl Staleness {
    /// Of keys, beside what their encoder (`now`) and, if that is another, the trained model make of the same origins, all
    /// `[m, d]` without a tape. `None` if there is no key.
    ///
    /// # Cost
    ///
    /// O(m d)
    ///
    /// # Panics
    ///
    /// If the shapes differ.
    #[must_use]
    pub fn of<B: ContrastBackend>(
        kept: &Kept<B>,
        now: Tensor<B, 2>,
        model: Option<Tensor<B, 2>>,
        shares: Shares,
    ) -> Option<Self> {
        let m = kept.ids.len();
        if m == 0 {
            return None;
        }
        // Keys stand oldest first.
        let cosine = cosines(kept.vectors.clone(), now);
        let quarter = |at: usize| mean(&cosine[m * (3 - at) / 4..m * (4 - at) / 4]);
        let mut ages = kept.ages.clone();
        ages.sort_unstable();
        Some(Self {
            keys: m,
            age_mean: ages.iter().sum::<u64>() as f64 / m as f64,
            age_quartiles: std::array::from_fn(|at| ages[(m * (at + 1)).div_ceil(4) - 1]),
            cosine: mean(&cosine),
            cosine_by_age: std::array::from_fn(quarter),
            cosine_with_model: model.map(|model| mean(&cosines(kept.vectors.clone(), model))),
            shares,
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use cl_core::negatives::Direction;

    use super::*;

    fn rows(angles: &[f32]) -> Tensor<Flex, 2> {
        let values: Vec<f32> = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
        Tensor::<Flex, 1>::from_data(&values[..], &Default::default()).reshape([angles.len(), 2])
    }

    fn kept() -> Kept<Flex> {
        Kept {
            name: "user".into(),
            direction: Direction::AToB,
            vectors: rows(&[0.0, 0.0, 0.0, 0.0]).mul_scalar(3.0),
            ids: [5, 6, 5, 7].into(),
            origins: [5, 6, 5, 7].into(),
            ages: vec![4, 3, 2, 1],
        }
    }

    #[test]
    fn the_oldest_keys_are_the_stalest() {
        // Cosines 0, 0.5, 1, 1, oldest first; with the model all 0.5.
        let third = std::f32::consts::FRAC_PI_3;
        let now = rows(&[std::f32::consts::FRAC_PI_2, third, 0.0, 0.0]);
        let shares = Shares::of(&kept(), |a, b| (a != b).then_some(a == 7 && b == 6));
        let found = Staleness::of(&kept(), now, Some(rows(&[third; 4])), shares.clone()).unwrap();
        let near = |x: f64, y: f64| assert!((x - y).abs() < 1e-6, "{x} {y}");
        near(found.cosine, 2.5 / 4.0);
        found.cosine_by_age.iter().zip([1.0, 1.0, 0.5, 0.0]).for_each(|(&x, y)| near(x, y));
        near(found.cosine_with_model.unwrap(), 0.5);
        assert_eq!((found.keys, found.age_mean, found.age_quartiles), (4, 2.5, [1, 2, 3, 4]));
        // The newest is 7, with keys 5, 6, 5 before it; of these 6 is related.
        assert_eq!((shares.own_share, shares.false_negative_share), (0.0, Some(1.0 / 3.0)));
        assert_eq!(Shares::of(&kept(), |_, _| None).false_negative_share, None);
    }

    #[test]
    fn anchors_are_a_sample_of_the_whole_newest_step() {
        // 1,024 things 0, 1, 2, … in the newest step, and before it one key each of 0, of 512 and of a thing that is not there.
        // Things below 512 are related to the last key. Of the newest, every fourth is an anchor: 0 and 512 among them.
        let newest = 1024;
        let ids: Vec<u32> = [0, 512, 9999].into_iter().chain(0..newest).collect();
        let kept = Kept::<Flex> {
            name: "merged".into(),
            direction: Direction::AToB,
            vectors: Tensor::zeros([ids.len(), 2], &Default::default()),
            ages: ids.iter().enumerate().map(|(at, _)| if at < 3 { 2 } else { 1 }).collect(),
            origins: ids.clone().into(),
            ids: ids.into(),
        };
        let shares = Shares::of(&kept, |anchor, key| Some(key == 9999 && anchor < 512));
        assert_eq!(shares, Shares { own_share: 2.0 / 768.0, false_negative_share: Some(128.0 / 768.0) });
    }

    #[test]
    fn a_thinned_queue_is_spread_over_its_ages() {
        let thinned = thin(&kept(), 2);
        assert_eq!((&thinned.ids[..], thinned.ages), (&[5, 5][..], vec![4, 2]));
        assert_eq!(thin(&kept(), 9).ids.len(), 4);
        assert_eq!(thinned.vectors.dims(), [2, 2]);
    }

    #[test]
    fn without_keys_there_is_nothing_to_see() {
        let empty = Kept {
            name: "user".into(),
            direction: Direction::AToB,
            vectors: rows(&[]),
            ids: [].into(),
            origins: [].into(),
            ages: vec![],
        };
        let shares = Shares::of(&empty, |_, _| None);
        assert!(Staleness::of(&empty, rows(&[]), None, shares).is_none());
    }
}
