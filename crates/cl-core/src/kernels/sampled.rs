//! Scores of sampled items: their public form, and their bodies in plain Burn operations.

use burn::tensor::backend::Backend;
use burn::tensor::ops::{FloatTensor, IntTensor};
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData, TensorPrimitive};

use super::backend::ContrastBackend;
use crate::sampling::Draw;

/// The items of sampled negatives on a device, those of an anchor together, `[n · k]`: those of [`Draw::items`].
///
/// # Cost
///
/// On a CPU, that of listing them. A GPU draws them itself, a unit for each anchor: as many draws after one another as an
/// anchor has negatives, each as often as it takes to meet an item that the owner has not. A popularity of more than 4.29e9 events in all is listed by the host on a GPU too.
#[must_use]
pub fn draw<B: ContrastBackend>(draw: &Draw, device: &B::Device) -> Tensor<B, 1, Int> {
    Tensor::from_primitive(B::draw(draw, device))
}

/// Scores of items that each anchor has k of; `[n, d], [items, d], [n · k]` → `[n, k]`.
///
/// ```text
/// out_ij = ⟨anchors_i, table[ids_{ik + j}]⟩
/// ```
///
/// The kernels do not gather the rows of the ids, forward or backward, which would take d numbers an id several times over.
/// They add gradients in an order that the ids decide, so that these have the same bits every time. Known elsewhere as a
/// sampled dense–dense product (SDDMM).
///
/// # Cost
///
/// O(n k d); for the gradient two tables on a CPU, and on a GPU one table, and besides 4,194,304 numbers, or four for each id
/// or one for each item if that is more.
///
/// # Panics
///
/// If the widths differ, or the ids are not as many for each anchor. An id that is no row of the table panics on a CPU; a
/// GPU gives it the score 0 and no gradient.
#[track_caller]
#[must_use]
pub fn sampled_scores<B: ContrastBackend>(
    anchors: Tensor<B, 2>,
    table: Tensor<B, 2>,
    ids: Tensor<B, 1, Int>,
) -> Tensor<B, 2> {
    let ([n, d], [items, width], [count]) = (anchors.dims(), table.dims(), ids.dims());
    assert!(d == width, "anchors are [{n}, {d}], the table is [{items}, {width}]");
    assert!(n > 0 && count.is_multiple_of(n), "{count} negatives are not a multiple of {n} anchors");
    if count == 0 {
        return Tensor::zeros([n, 0], &anchors.device());
    }
    let [anchors, table] = [anchors, table].map(|rows| rows.into_primitive().tensor());
    Tensor::from_primitive(TensorPrimitive::Float(B::sampled_scores(anchors, table, ids.into_primitive())))
}

fn float<B: Backend>(primitive: FloatTensor<B>) -> Tensor<B, 2> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// See [`ContrastBackend::draw`].
pub(super) fn listed<B: Backend>(draw: &Draw, device: &B::Device) -> IntTensor<B> {
    let items: Vec<i32> = draw.items().iter().map(|&item| item as i32).collect();
    let count = items.len();
    Tensor::<B, 1, Int>::from_data(TensorData::new(items, [count]), device).into_primitive()
}

/// The rows of the ids, and each anchor beside each of its own; `[n, k, d]` both.
fn pairs<B: Backend>(anchors: FloatTensor<B>, table: FloatTensor<B>, ids: IntTensor<B>) -> [Tensor<B, 3>; 2] {
    let (anchors, ids) = (float::<B>(anchors), Tensor::<B, 1, Int>::from_primitive(ids));
    let ([n, d], [count]) = (anchors.dims(), ids.dims());
    let rows = float::<B>(table).select(0, ids).reshape([n, count / n, d]);
    [anchors.reshape([n, 1, d]).expand([n, count / n, d]), rows]
}

/// See [`ContrastBackend::sampled_scores`](super::ContrastBackend::sampled_scores).
pub fn scores<B: Backend>(
    anchors: FloatTensor<B>,
    table: FloatTensor<B>,
    ids: IntTensor<B>,
) -> FloatTensor<B> {
    let [anchors, rows] = pairs::<B>(anchors, table, ids);
    let [n, k, _] = rows.dims();
    (anchors * rows).sum_dim(2).reshape([n, k]).into_primitive().tensor()
}

/// See [`ContrastBackend::sampled_scores_backward`](super::ContrastBackend::sampled_scores_backward).
pub fn scores_backward<B: Backend>(
    anchors: FloatTensor<B>,
    table: FloatTensor<B>,
    ids: IntTensor<B>,
    grad: FloatTensor<B>,
) -> [FloatTensor<B>; 2] {
    let shape = float::<B>(table.clone()).dims();
    let [anchors, rows] = pairs::<B>(anchors, table, ids.clone());
    let [n, k, d] = rows.dims();
    let grad = float::<B>(grad).reshape([n, k, 1]);
    let of_anchors = (rows * grad.clone()).sum_dim(1).reshape([n, d]);
    let of_rows = (anchors * grad).reshape([n * k, d]);
    let zeros = Tensor::<B, 2>::zeros(shape, &of_rows.device());
    let ids = Tensor::<B, 1, Int>::from_primitive(ids);
    let of_table = zeros.select_assign(0, ids, of_rows, IndexingUpdateOp::Add);
    [of_anchors, of_table].map(|of| of.into_primitive().tensor())
}
