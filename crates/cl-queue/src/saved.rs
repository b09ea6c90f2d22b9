//! Queues as safetensors, to the bit: the ring as it lies, so that sums over it have the same order afterwards.

use std::collections::{BTreeMap, HashMap};

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::fifo::Fifo;

/// Little-endian bytes of numbers.
macro_rules! bytes {
    ($values:expr) => {
        $values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()
    };
}

/// Numbers of little-endian bytes.
macro_rules! numbers {
    ($type:ty, $bytes:expr) => {
        $bytes
            .chunks_exact(size_of::<$type>())
            .map(|bytes| <$type>::from_le_bytes(std::array::from_fn(|at| bytes[at])))
            .collect::<Vec<$type>>()
    };
}

/// All queues and the number of steps.
pub(crate) fn write<B: Backend>(queues: &BTreeMap<String, Fifo<B>>, steps: u64) -> Vec<u8> {
    let mut parts: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, queue) in queues {
        let Some(ring) = &queue.ring else { continue };
        let shape = ring.dims().to_vec();
        let data = ring.to_data().convert::<f32>();
        let keys = data.as_slice::<f32>().map(|keys| bytes!(keys)).unwrap_or_default();
        let mut part = |what: &str, dtype, shape: Vec<usize>, bytes| {
            parts.push((format!("{name}/{what}"), dtype, shape, bytes));
        };
        let capacity = vec![queue.capacity];
        part("keys", Dtype::F32, shape, keys);
        part("ids", Dtype::U32, capacity.clone(), bytes!(queue.ids));
        part("origins", Dtype::U32, capacity.clone(), bytes!(queue.origins));
        part("born", Dtype::U64, capacity, bytes!(queue.born));
        part("place", Dtype::U64, vec![2], bytes!([queue.next as u64, queue.length as u64]));
    }
    let views = parts.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        (name, view.unwrap_or_else(|_| unreachable!("as many bytes as the shape says")))
    });
    let about = HashMap::from([("steps".to_string(), steps.to_string())]);
    safetensors::serialize(views, Some(about))
        .unwrap_or_else(|_| unreachable!("written to memory, names are distinct"))
}

/// What was written, for queues of this size.
pub(crate) fn read<B: Backend>(
    bytes: &[u8],
    size: usize,
    device: &B::Device,
) -> Result<(BTreeMap<String, Fifo<B>>, u64), String> {
    let broken = |what: &dyn std::fmt::Display| format!("it holds no queues: {what}");
    let (_, about) = SafeTensors::read_metadata(bytes).map_err(|error| broken(&error))?;
    let steps = about.metadata().as_ref().and_then(|about| about.get("steps"));
    let steps: u64 = steps
        .and_then(|steps| steps.parse().ok())
        .ok_or_else(|| broken(&"the number of steps is missing"))?;
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| broken(&error))?;
    let mut queues = BTreeMap::new();
    for whole in tensors.names() {
        let Some(name) = whole.strip_suffix("/keys") else { continue };
        let part = |what: &str, dtype: Dtype, length: Option<usize>| {
            let view = tensors.tensor(&format!("{name}/{what}")).map_err(|error| broken(&error))?;
            let fits = view.dtype() == dtype && length.is_none_or(|length| view.shape() == [length]);
            if fits {
                Ok(view)
            } else {
                Err(broken(&format!("`{name}/{what}` is {:?} {:?}", view.dtype(), view.shape())))
            }
        };
        let keys = part("keys", Dtype::F32, None)?;
        let &[capacity, dim] = keys.shape() else { return Err(broken(&"keys are no table")) };
        if capacity != size {
            return Err(format!("it holds a queue of {capacity} keys, and the file asks for {size}"));
        }
        let place = numbers!(u64, part("place", Dtype::U64, Some(2))?.data());
        let (next, length) = (place[0] as usize, place[1] as usize);
        if next >= capacity || length > capacity {
            return Err(broken(&format!("place {next} with {length} keys in a queue of {capacity}")));
        }
        let born = numbers!(u64, part("born", Dtype::U64, Some(capacity))?.data());
        if let Some(late) = born.iter().find(|&&born| born > steps) {
            return Err(broken(&format!("a key of step {late} after {steps} steps")));
        }
        let data = TensorData::new(numbers!(f32, keys.data()), [capacity, dim]);
        let queue = Fifo {
            capacity,
            ring: Some(Tensor::from_data(data, device)),
            ids: numbers!(u32, part("ids", Dtype::U32, Some(capacity))?.data()),
            origins: numbers!(u32, part("origins", Dtype::U32, Some(capacity))?.data()),
            born,
            next,
            length,
        };
        queues.insert(name.to_string(), queue);
    }
    Ok((queues, steps))
}
