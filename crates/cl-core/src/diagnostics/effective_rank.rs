//! In how many directions a table really extends.

use faer::Mat;

use super::Table;

/// `exp(H(p))` with `p_i = σ_i / Σ σ`, the singular values of the table (not centred): 1 (all rows on one line) to dim.
///
/// `None` for a table of zeros or with a number that is not finite.
///
/// # Cost
/// O(rows · dim² + dim³) time, O(dim²) memory: the singular values are the roots of the eigenvalues of the Gram matrix,
/// summed in f64, so that values below 1e-8 of the largest are noise and count as 0.
///
/// # Source
/// Roy & Vetterli 2007, *The effective rank*, definition 1.
#[must_use]
pub fn effective_rank(table: Table<'_>) -> Option<f64> {
    let dim = table.dim;
    let mut gram = Mat::<f64>::zeros(dim, dim);
    for row in 0..table.rows() {
        let row = table.row(row);
        for i in 0..dim {
            for j in 0..=i {
                gram[(i, j)] += f64::from(row[i]) * f64::from(row[j]);
            }
        }
    }
    for i in 0..dim {
        for j in 0..i {
            gram[(j, i)] = gram[(i, j)];
        }
    }
    let eigenvalues = gram.self_adjoint_eigenvalues(faer::Side::Lower).ok()?;
    let largest = eigenvalues.iter().copied().fold(0.0, f64::max);
    let singular: Vec<f64> =
        eigenvalues.iter().map(|&value| if value > largest * 1e-16 { value.sqrt() } else { 0.0 }).collect();
    let sum: f64 = singular.iter().sum();
    if !(sum > 0.0 && sum.is_finite()) {
        return None;
    }
    let entropy: f64 =
        singular.iter().map(|&value| value / sum).filter(|&p| p > 0.0).map(|p| -p * p.ln()).sum();
    Some(entropy.exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        // Orthogonal rows of lengths 1 and 3: p = 1/4, 3/4; exp(-(ln(1/4)/4 + 3 ln(3/4)/4)) = 1.754765...
        let found = effective_rank(Table::new(&[1.0, 0.0, 0.0, 3.0], 2)).unwrap();
        assert!((found - 1.754_765_350_600_117).abs() < 1e-9, "{found}");
        let line = effective_rank(Table::new(&[1.0, 2.0, 2.0, 4.0, -3.0, -6.0], 2)).unwrap();
        assert!((line - 1.0).abs() < 1e-6, "{line}");
        assert_eq!(effective_rank(Table::new(&[0.0; 4], 2)), None);
    }
}
