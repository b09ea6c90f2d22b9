use super::*;
use crate::{LeaveOneOut, RatioSplit, Source, Stats, UserItems};

fn default_set() -> Interactions {
    interactions(&SyntheticConfig::default(), 2024).unwrap()
}

#[test]
fn the_numbers_are_exact_and_pairs_distinct() {
    let data = default_set();
    let stats = Stats::of(&data);
    assert_eq!((stats.users, stats.interactions), (2_000, 40_000));
    assert_eq!(data.user_items().len(), 40_000, "a pair occurs twice");
    assert!(stats.user_degree.min >= 3.0);
    let time = data.time.as_ref().unwrap();
    let oldest_first =
        (1..data.len()).all(|at| data.user[at] != data.user[at - 1] || time[at] > time[at - 1]);
    assert!(oldest_first);
}

#[test]
fn tails_are_heavy() {
    let stats = Stats::of(&default_set());
    assert!((0.35..0.6).contains(&stats.user_gini), "user Gini {}", stats.user_gini);
    assert!((0.4..0.7).contains(&stats.item_gini), "item Gini {}", stats.item_gini);
    let flat = SyntheticConfig { user_exponent: 0.0, item_exponent: 0.0, ..Default::default() };
    let stats = Stats::of(&interactions(&flat, 2024).unwrap());
    assert_eq!((stats.user_degree.min, stats.user_degree.max), (20.0, 20.0)); // 40,000 / 2,000
    assert!(stats.item_gini < 0.15, "item Gini {}", stats.item_gini);
}

#[test]
fn the_seed_decides_everything() {
    let config = SyntheticConfig { users: 50, items: 60, interactions: 400, ..Default::default() };
    assert_eq!(interactions(&config, 1).unwrap(), interactions(&config, 1).unwrap());
    assert_ne!(interactions(&config, 1).unwrap(), interactions(&config, 2).unwrap());
    // Pinned: these are the bits on every machine, and a change of the generator must not go unnoticed.
    let (user, items) = stream(&config, 1).unwrap().nth(7).unwrap();
    assert_eq!((user, items), (7, PINNED.to_vec()));
}

const PINNED: &[u32] = &[4, 49, 12, 31, 17, 11, 56, 27, 58, 33];

#[test]
fn extremes_are_reached() {
    // Every user has half the catalogue, from one interest that is soon exhausted.
    let config = SyntheticConfig {
        users: 7,
        items: 40,
        interactions: 140,
        clusters: 10,
        interests: 1,
        ..Default::default()
    };
    let data = interactions(&config, 3).unwrap();
    assert_eq!(data.user_items().len(), 140);
    let least = SyntheticConfig { interactions: 21, ..config };
    assert_eq!(interactions(&least, 3).unwrap().len(), 21);
}

#[test]
fn neighbours_know_more_than_popularity() {
    let source = Source::Whole(default_set());
    let split = RatioSplit::default().split(&source, 1).unwrap();
    let (items, train) = (split.items.len(), &split.train);
    let counts = train.item_counts(items);
    let similarity = co_occurrence(train, items);
    let by_popularity = hits_in_ten(train, &split.test, items, |_, item| f64::from(counts[item]));
    let by_neighbours = hits_in_ten(train, &split.test, items, |user, item| {
        let own = train.of(user).iter();
        own.map(|&other| similarity[item * items + other as usize]).sum()
    });
    println!("test pairs in the first ten: popularity {by_popularity:.3}, neighbours {by_neighbours:.3}");
    assert!(by_neighbours > 2.0 * by_popularity, "{by_neighbours} against {by_popularity}");
}

/// Cosine similarity of items over users.
fn co_occurrence(train: &UserItems, items: usize) -> Vec<f64> {
    let counts = train.item_counts(items);
    let mut similarity = vec![0.0; items * items];
    for user in 0..train.users() {
        for &a in train.of(user) {
            for &b in train.of(user).iter().filter(|&&b| b != a) {
                let norm = f64::from(counts[a as usize]) * f64::from(counts[b as usize]);
                similarity[a as usize * items + b as usize] += 1.0 / norm.sqrt();
            }
        }
    }
    similarity
}

/// Share of the held-out pairs that are among the ten best items which the user does not have yet.
fn hits_in_ten(
    train: &UserItems,
    test: &UserItems,
    items: usize,
    score: impl Fn(usize, usize) -> f64,
) -> f64 {
    let mut hits = 0;
    for user in 0..train.users() {
        let mut ranked: Vec<(f64, u32)> = (0..items as u32)
            .filter(|&item| !train.contains(user, item))
            .map(|item| (-score(user, item as usize), item))
            .collect();
        ranked.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        hits += ranked.iter().take(10).filter(|(_, item)| test.contains(user, *item)).count();
    }
    hits as f64 / test.len() as f64
}

#[test]
fn the_next_item_is_partly_predictable_from_the_order() {
    let hit_rate = |order: f64| {
        let data = interactions(&SyntheticConfig { order, ..Default::default() }, 2024).unwrap();
        let sequences = data.sequences();
        let items = data.items.len();
        let split = LeaveOneOut::default().split(&Source::Whole(data), 1).unwrap();
        // How often an item followed another within two steps, in everything but the last two events.
        let mut follows = vec![0u32; items * items];
        for user in 0..sequences.users() {
            let row = sequences.of(user);
            let past = &row[..row.len() - 2];
            for (at, &item) in past.iter().enumerate() {
                for &next in past.iter().skip(at + 1).take(2) {
                    follows[item as usize * items + next as usize] += 1;
                }
            }
        }
        let score = |user: usize, item: usize| {
            let row = sequences.of(user);
            f64::from(follows[row[row.len() - 2] as usize * items + item])
        };
        hits_in_ten(&split.train, &split.test, items, score)
    };
    let (ordered, shuffled) = (hit_rate(1.0), hit_rate(0.0));
    println!("next item among ten successors: ordered {ordered:.3}, shuffled {shuffled:.3}");
    assert!(ordered > 1.5 * shuffled, "{ordered} against {shuffled}");
}

#[test]
fn what_cannot_be_made_is_refused() {
    let refused = |config: SyntheticConfig| {
        let (field, why) = config.validate().unwrap_err();
        format!("{field}: {why}")
    };
    let base = SyntheticConfig::default;
    assert_eq!(
        refused(SyntheticConfig { users: 0, ..base() }),
        "users: must be between 1 and 4294967294, got 0"
    );
    assert_eq!(
        refused(SyntheticConfig { items: 5, ..base() }),
        "items: must be between 6 and 4294967294, got 5"
    );
    assert_eq!(
        refused(SyntheticConfig { interactions: 5_999, ..base() }),
        "interactions: must be between 6000 and users · items / 2 (1500000), got 5999"
    );
    assert_eq!(
        refused(SyntheticConfig { interests: 21, ..base() }),
        "interests: must be between 1 and clusters (20), got 21"
    );
    assert_eq!(refused(SyntheticConfig { noise: 1.5, ..base() }), "noise: must be in [0, 1], got 1.5");
    assert_eq!(
        refused(SyntheticConfig { user_exponent: f64::NAN, ..base() }),
        "user_exponent: must be in [0, 4], got NaN"
    );
}
