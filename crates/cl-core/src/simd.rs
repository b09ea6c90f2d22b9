//! Loops compiled for several instruction sets, chosen at run time.
//!
//! A binary built for plain x86-64 must be fast on a machine with AVX2 or AVX-512. The same source is compiled once
//! for each; no fused multiply-add is used, so every version gives the same bits.

/// Defines a function whose body is compiled for AVX-512, AVX2 and the build's own target.
///
/// The body must be a plain loop that the compiler can vectorise; helper functions must be `#[inline(always)]`.
#[macro_export]
macro_rules! simd {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$($generic:ident: $bound:ident),+>)? ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name $(<$($generic: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body $(<$($generic: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2")]
                fn avx512 $(<$($generic: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                    body $(::<$($generic),+>)? ($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2 $(<$($generic: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                    body $(::<$($generic),+>)? ($($arg),*)
                }
                if ::std::arch::is_x86_feature_detected!("avx512vl")
                    && ::std::arch::is_x86_feature_detected!("avx512dq")
                    && ::std::arch::is_x86_feature_detected!("avx512bw")
                {
                    // Safety: the processor has what the function was compiled for.
                    return unsafe { avx512 $(::<$($generic),+>)? ($($arg),*) };
                }
                if ::std::arch::is_x86_feature_detected!("avx2") {
                    // Safety: as above.
                    return unsafe { avx2 $(::<$($generic),+>)? ($($arg),*) };
                }
            }
            body $(::<$($generic),+>)? ($($arg),*)
        }
    };
}

/// `exp` for f32 within 2 units in the last place, without a branch, so that loops over it vectorise.
///
/// Cephes' `expf`: reduction by powers of two and a polynomial of degree 5. Below −87.3 it returns 0 (smaller numbers
/// would be subnormal); above 88 it saturates at `exp(88)`.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    let clamped = x.clamp(-87.3, 88.0);
    // Adding and subtracting 1.5 · 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let shifted = clamped * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * 0.693_359_4;
    let r = r + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4_f32;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    let value = y * power;
    if x < -87.3 { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let mut worst = 0.0_f64;
        for i in -870_000..880_000 {
            let x = i as f32 * 1e-4;
            let exact = f64::from(x).exp();
            worst = worst.max(((f64::from(exp(x)) - exact) / exact).abs());
        }
        assert!(worst < 2.0 * f64::from(f32::EPSILON), "{worst}");
        assert_eq!((exp(0.0), exp(-90.0), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
    }
}
