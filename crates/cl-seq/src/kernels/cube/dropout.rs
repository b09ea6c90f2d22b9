//! Dropout of the numbers of sequences, drawn where they are.

use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cl_core::kernels::List;
use cl_core::kernels::cube::lanes::like;
use cl_core::kernels::cube::launch::{addresses, spread, upload_u32};
use cl_core::kernels::cube::random::{unit, words};
use cubecl::prelude::*;

use super::work::halves;
use crate::kernels::backend::Dropout;

/// Units of a cube.
const UNITS: usize = 256;

/// A unit takes four columns of a row, which have one block of words.
#[cube(launch_unchecked, address_type = "dynamic")]
fn dropout_kernel(
    x: &Tensor<f32>,
    offsets: &Tensor<u32>,
    keys: &Tensor<u32>,
    out: &mut Tensor<f32>,
    sequences: u32,
    rate: f32,
    kept: f32,
) {
    let columns = x.shape(1);
    let blocks = columns.div_ceil(4);
    let row = ABSOLUTE_POS / blocks;
    let block = ABSOLUTE_POS % blocks;
    if row < x.shape(0) {
        // The last sequence that begins at the row or before; of those of no length, the one that has it.
        let mut sequence = 0u32;
        let mut beyond = sequences;
        while beyond - sequence > 1u32 {
            let middle = (sequence + beyond) / 2u32;
            if usize::cast_from(offsets[usize::cast_from(middle)]) <= row {
                sequence = middle;
            } else {
                beyond = middle;
            }
        }
        let sequence = usize::cast_from(sequence);
        let position = u32::cast_from(row) - offsets[sequence];
        let words = words(position, u32::cast_from(block), keys[2 * sequence], keys[2 * sequence + 1]);
        #[unroll]
        for k in 0..4 {
            let column = block * 4 + k;
            if column < columns {
                let factor = select(unit(words[k]) < rate, f32::new(0.0), kept);
                out[row * out.stride(0) + column] = x[row * x.stride(0) + column] * factor;
            }
        }
    }
}

/// Where sequences begin, on the device.
#[derive(Clone)]
pub(super) struct Offsets<R: CubeRuntime>(CubeTensor<R>);

impl<R: CubeRuntime> Offsets<R> {
    /// Copied on first use.
    pub(super) fn of(offsets: &List<usize>, beside: &CubeTensor<R>) -> Self {
        let here = |Self(made): &Self| made.device == beside.device;
        offsets.on_device().get(here, || {
            let offsets: Vec<u32> = offsets.iter().map(|&offset| offset as u32).collect();
            Self(upload_u32(beside, &offsets))
        })
    }
}

/// See [`SequenceBackend::drop_out`](crate::SequenceBackend::drop_out); one launch.
///
/// # Panics
///
/// If x has not one row a token, or there is not one key a sequence.
pub(super) fn drop_out<R: CubeRuntime>(x: &CubeTensor<R>, dropout: &Dropout) -> CubeTensor<R> {
    let [rows, columns] = [0, 1].map(|axis| x.meta.shape()[axis]);
    let (sequences, keys) = (dropout.offsets.len() - 1, dropout.keys.len());
    let tokens = dropout.offsets[sequences];
    assert!(
        rows == tokens && sequences == keys,
        "{rows} rows of {tokens} tokens, {keys} keys of {sequences}"
    );
    let Offsets(offsets) = Offsets::of(&dropout.offsets, x);
    let out = like(x);
    // SAFETY: rows and columns lie within the table, which has a row a token and a key a sequence.
    unsafe {
        dropout_kernel::launch_unchecked(
            &x.client,
            spread((rows * columns.div_ceil(4)).div_ceil(UNITS)),
            CubeDim::new_1d(UNITS as u32),
            addresses(&[x, &out]),
            x.clone().into_tensor_arg(),
            offsets.into_tensor_arg(),
            halves(&dropout.keys, x).into_tensor_arg(),
            out.clone().into_tensor_arg(),
            sequences as u32,
            dropout.rate,
            1.0 / (1.0 - dropout.rate),
        );
    }
    out
}
