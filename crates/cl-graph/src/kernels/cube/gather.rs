//! Rows of layers, and sums of them.

use burn_cubecl::CubeRuntime;
use burn_cubecl::tensor::CubeTensor;
use cl_core::StreamKey;
use cl_core::kernels::cube::launch::addresses;
use cubecl::prelude::*;

use super::device::{Lanes, cubes, lanes};
use super::numbers::{add_noise, draw, factor, rounded};

/// Numbers that a row that is wanted is: the row of the layers, the row of the output, and a bit for each layer that is
/// in the sum.
pub(super) const ENTRY: usize = 3;
/// The bit of an entry whose sum is multiplied with the share of a layer in the mean.
pub(super) const MEAN: u32 = 1 << 31;
/// Layers, with layer zero, that have a bit and fit into a kernel's arguments on every GPU.
pub(super) const LAYERS: usize = 17;

/// What is compiled into a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Spec {
    lanes: Lanes,
    /// Whether there are entries; without, rows follow one another.
    listed: bool,
    noise: bool,
    add: bool,
    round_out: bool,
}

/// `out[place] = Σ layers[row]`, times the share in a mean, plus noise, plus what is there.
///
/// A cube has `lanes.rows` entries (y), each with `lanes.units` units (x), as in a product. Every layer's row is read
/// once, every row of the output written once.
#[cube(launch_unchecked, address_type = "dynamic")]
#[allow(clippy::too_many_arguments)]
fn gather_kernel<N: Size>(
    entries: &Tensor<u32>,
    layers: &Sequence<Tensor<Vector<f32, N>>>,
    out: &mut Tensor<Vector<f32, N>>,
    first: u32,
    count: u32,
    first_place: u32,
    bits: u32,
    share: f32,
    low: u32,
    high: u32,
    magnitude: f32,
    #[comptime] spec: Spec,
) {
    let at = CUBE_POS * comptime!(spec.lanes.rows) + UNIT_POS_Y as usize;
    let live = at < usize::cast_from(count);
    let at = select(live, at, 0usize);
    let mut row = first + u32::cast_from(at);
    let mut to = usize::cast_from(first_place) + at;
    let mut bits = bits;
    if comptime!(spec.listed) {
        let entry = (usize::cast_from(first) + at) * ENTRY;
        row = entries[entry];
        to = usize::cast_from(entries[entry + 1]);
        bits = entries[entry + 2];
    }

    let mut noise = SharedMemory::<f32>::new(comptime!(spec.lanes.noise(spec.noise)));
    let mut squares = SharedMemory::<f32>::new(comptime!(spec.lanes.squares(spec.noise)));
    let mut scale = f32::new(0.0);
    if comptime!(spec.noise) {
        draw(row, low, high, &mut noise, &mut squares, spec.lanes.dim, spec.lanes.units);
        sync_cube();
        scale = factor(&squares, magnitude, spec.lanes.units);
    }

    if live {
        let place = to * (out.stride(0) / out.vector_size());
        let mean = (bits & MEAN) != 0u32;
        let mut column = UNIT_POS_X as usize;
        while column < comptime!(spec.lanes.vectors()) {
            let mut sum = Vector::<f32, N>::new(f32::new(0.0));
            #[unroll]
            for layer in 0..layers.len() {
                if (bits >> u32::cast_from(layer)) & 1u32 == 1u32 {
                    let stride = layers[layer].stride(0) / layers[layer].vector_size();
                    sum += layers[layer][usize::cast_from(row) * stride + column];
                }
            }
            if mean {
                sum *= Vector::<f32, N>::new(share);
            }
            if comptime!(spec.noise) {
                sum = add_noise::<N>(sum, column, &noise, scale, spec.lanes.dim);
            }
            if comptime!(spec.add) {
                sum += out[place + column];
            }
            if comptime!(spec.round_out) {
                sum = rounded::<N>(sum);
            }
            out[place + column] = sum;
            column += comptime!(spec.lanes.units);
        }
    }
}

/// Which rows are wanted.
pub(super) enum Wanted<'a, R: CubeRuntime> {
    /// `count` entries of a list from `first` on.
    Entries { list: &'a CubeTensor<R>, first: usize, count: usize },
    /// `count` rows from `row` on, from `place` of the output on, as sums of the layers that have a bit.
    Range { row: usize, place: usize, count: usize, bits: u32 },
}

/// What is done besides the sum.
pub(super) struct Options {
    /// The share of a layer in the mean.
    pub(super) share: f32,
    /// Noise: its stream and its length.
    pub(super) noise: Option<(StreamKey, f32)>,
    /// Whether the rows are added to what `out` holds.
    pub(super) add: bool,
    /// Whether `out` is written rounded to 8 bits.
    pub(super) round_out: bool,
}

/// Writes the rows that are wanted to `out`; one launch.
pub(super) fn gather<R: CubeRuntime>(
    wanted: &Wanted<'_, R>,
    layers: &[&CubeTensor<R>],
    out: &CubeTensor<R>,
    options: &Options,
) {
    let (list, first, count, place, bits) = match *wanted {
        Wanted::Entries { list, first, count } => (Some(list), first, count, 0, 0),
        Wanted::Range { row, place, count, bits } => (None, row, count, place, bits),
    };
    if count == 0 {
        return;
    }
    let tables: Vec<&CubeTensor<R>> = layers.iter().copied().chain([out]).collect();
    let (lanes, width) = self::lanes(&tables);
    let noise = options.noise.is_some();
    let spec = Spec { lanes, listed: list.is_some(), noise, add: options.add, round_out: options.round_out };
    let (key, magnitude) = options.noise.unwrap_or((StreamKey::root(0), 0.0));
    let [low, high] = key.halves();
    let args = layers.iter().map(|&layer| layer.clone().into_tensor_arg());
    // SAFETY: entries lie within the layers and the output, units beyond the last entry write nothing.
    unsafe {
        gather_kernel::launch_unchecked(
            &out.client,
            cubes(count, lanes.rows),
            lanes.cube(),
            addresses(&tables),
            width,
            // Without a list, no kernel reads what stands for it.
            list.unwrap_or(layers[0]).clone().into_tensor_arg(),
            args.collect(),
            out.clone().into_tensor_arg(),
            first as u32,
            count as u32,
            place as u32,
            bits,
            options.share,
            low,
            high,
            magnitude,
            spec,
        );
    }
}
