//! Ranking on burn-ndarray tensors: borrows their storage.

use crate::kernels::host;
use crate::rank::Rankings;
use crate::rank_backend::{RankBackend, check_tables, portable_top_k};
use crate::score::Score;
use burn::tensor::backend::Backend;
use burn_ndarray::{
    FloatNdArrayElement, IntNdArrayElement, NdArray, NdArrayTensor, QuantElement, SharedArray,
};
use cl_data::UserItems;

impl<E, I, Q> RankBackend for NdArray<E, I, Q>
where
    E: FloatNdArrayElement,
    I: IntNdArrayElement,
    Q: QuantElement,
    NdArrayTensor: From<SharedArray<E>> + From<SharedArray<I>>,
    Self: Backend<FloatTensorPrimitive = NdArrayTensor>,
{
    fn top_k(
        users: NdArrayTensor,
        items: NdArrayTensor,
        rows: &[u32],
        masks: &[&UserItems],
        cutoff: usize,
        score: Score,
    ) -> Rankings {
        let [_, _, dim] = check_tables::<Self>(&users, &items);
        if let (NdArrayTensor::F32(u), NdArrayTensor::F32(i)) = (&users, &items)
            && let (Some(u), Some(i)) = (u.view().as_slice(), i.view().as_slice())
        {
            return host::top_k(u, i, dim, rows, masks, cutoff, score);
        }
        // Tables of another precision, or a transposed or sliced view.
        portable_top_k::<Self>(users, items, rows, masks, cutoff, score)
    }
}
