//! What a product reads: a table as it is, or its numbers in two bytes each, which halves the memory traffic of the product.
//!
//! Two numbers of 8 bits of significand share a word, the one of the lower column in the lower half: any device can read
//! that, where few can read bf16 itself.

use burn::tensor::{DType, Shape};
use burn_cubecl::CubeRuntime;
use burn_cubecl::ops::numeric::empty_device_dtype;
use burn_cubecl::tensor::CubeTensor;
use cl_core::kernels::cube::launch::{addresses, spread};
use cubecl::prelude::*;

use super::numbers::rounded_bits;
use crate::plan::Storage;

const UNITS: usize = 256;

/// A table that a product reads.
#[derive(Clone)]
pub(super) enum Operand<R: CubeRuntime> {
    /// As it is.
    Plain(CubeTensor<R>),
    /// As it is, and rounded when it is read: rows of an odd number of columns.
    Rounded(CubeTensor<R>),
    /// Rounded, two numbers a word; `[rows, columns / 2]`.
    Packed(CubeTensor<R>),
}

impl<R: CubeRuntime> Operand<R> {
    /// A table as the plan stores it.
    pub(super) fn new(table: &CubeTensor<R>, storage: Storage) -> Self {
        match storage {
            Storage::F32 => Self::Plain(table.clone()),
            Storage::Bf16 if table.meta.shape()[1].is_multiple_of(2) => Self::Packed(pack(table)),
            Storage::Bf16 => Self::Rounded(table.clone()),
        }
    }
}

/// One unit a word.
#[cube(launch_unchecked, address_type = "dynamic")]
fn pack_kernel(x: &Tensor<f32>, out: &mut Tensor<u32>) {
    let words = out.shape(1);
    let row = ABSOLUTE_POS / words;
    let word = ABSOLUTE_POS % words;
    if row < out.shape(0) {
        let from = row * x.stride(0) + 2 * word;
        let low = rounded_bits(x[from]);
        let high = rounded_bits(x[from + 1]);
        out[row * out.stride(0) + word] = (low >> 16u32) | high;
    }
}

fn pack<R: CubeRuntime>(table: &CubeTensor<R>) -> CubeTensor<R> {
    let [rows, words] = [table.meta.shape()[0], table.meta.shape()[1] / 2];
    let (client, device) = (table.client.clone(), table.device.clone());
    let out = empty_device_dtype(client, device, Shape::new([rows, words]), DType::U32);
    if rows * words > 0 {
        // SAFETY: each word of the output stands for two numbers of the table.
        unsafe {
            pack_kernel::launch_unchecked(
                &table.client,
                spread((rows * words).div_ceil(UNITS)),
                CubeDim::new_1d(UNITS as u32),
                addresses(&[table, &out]),
                table.clone().into_tensor_arg(),
                out.clone().into_tensor_arg(),
            );
        }
    }
    out
}
