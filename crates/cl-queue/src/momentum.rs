//! A copy of a model that follows it slowly.

use burn::module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::ops::{BoolTensor, FloatTensor, IntTensor};
use burn::tensor::{Bool, Int, Tensor, TensorMetadata, TensorPrimitive};
use cl_core::kernels::OptimizerBackend;

/// A key encoder: a copy ξ of a model θ without gradients, `ξ ← m ξ + (1 − m) θ`.
///
/// Any Burn module can be followed. Parameters that gradients train are averaged; whatever else a module holds (running
/// statistics, frozen parameters, integers) is taken over as it is, since an average of it would be one of averages, or none.
///
/// When [`update`](Self::update) is called does not matter as long as it is once a step: before the keys of a step are encoded
/// (MoCo), or after the optimizer's step (BYOL); with a constant m the keys of both are the same, because nothing changes the
/// model between the end of one step and the beginning of the next. (A schedule of m is one step further on.)
///
/// # Cost
///
/// An update is one pass over the parameters, whatever encoding costs. The copy takes the memory of the parameters.
///
/// # Source
///
/// He, Fan, Wu, Xie & Girshick 2020, equation 2 (arXiv 1911.05722), m = 0.999 there.
#[derive(Debug)]
pub struct MomentumEncoder<B: AutodiffBackend, M: AutodiffModule<B>> {
    /// Always there; taken out only while it is updated.
    copy: Option<M::InnerModule>,
    _backend: std::marker::PhantomData<B>,
}

impl<B, M> MomentumEncoder<B, M>
where
    B: AutodiffBackend<InnerBackend: OptimizerBackend>,
    M: AutodiffModule<B>,
{
    /// A copy that equals the model.
    #[must_use]
    pub fn new(model: &M) -> Self {
        Self::from_copy(model.valid())
    }

    /// Goes on with a copy, from a checkpoint.
    #[must_use]
    pub fn from_copy(copy: M::InnerModule) -> Self {
        Self { copy: Some(copy), _backend: std::marker::PhantomData }
    }

    /// The copy, to encode with.
    #[must_use]
    pub fn copy(&self) -> &M::InnerModule {
        self.copy.as_ref().unwrap_or_else(|| unreachable!("it is put back by every update"))
    }

    /// `ξ ← m ξ + (1 − m) θ`, with `momentum` m from 0 (the model itself) to 1 (stays).
    ///
    /// # Panics
    ///
    /// If m is outside of that, or the model has other parameters than the one that was copied.
    #[track_caller]
    pub fn update(&mut self, model: &M, momentum: f64) {
        assert!((0.0..=1.0).contains(&momentum), "the momentum is {momentum}, not from 0 to 1");
        // Running statistics are gathered from the threads that changed them only when a model is made valid.
        let now = model.valid();
        if momentum == 0.0 {
            self.copy = Some(now);
            return;
        }
        let mut trained = Trained(Vec::new());
        model.visit(&mut trained);
        let mut seen = Seen { floats: Vec::new(), ints: Vec::new(), bools: Vec::new() };
        now.visit(&mut seen);
        let mut follow = Follow {
            floats: seen.floats.into_iter().zip(trained.0),
            ints: seen.ints.into_iter(),
            bools: seen.bools.into_iter(),
            weight: 1.0 - momentum,
        };
        let copy = self.copy.take().unwrap_or_else(|| unreachable!("it is put back by every update"));
        self.copy = Some(copy.map(&mut follow));
        let Follow { floats, ints, bools, .. } = follow;
        let rest = floats.len() + ints.len() + bools.len();
        assert_eq!(rest, 0, "the model has {rest} parameters that its copy has not");
    }
}

/// Which floats of a model gradients train, in the order of a visit.
struct Trained(Vec<bool>);

impl<B: AutodiffBackend> ModuleVisitor<B> for Trained {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.0.push(param.val().is_require_grad());
    }
}

/// What a model holds, in the order of a visit.
struct Seen<B: Backend> {
    floats: Vec<FloatTensor<B>>,
    ints: Vec<IntTensor<B>>,
    bools: Vec<BoolTensor<B>>,
}

impl<B: Backend> ModuleVisitor<B> for Seen<B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.floats.push(param.val().into_primitive().tensor());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<B, D, Int>>) {
        self.ints.push(param.val().into_primitive());
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<B, D, Bool>>) {
        self.bools.push(param.val().into_primitive());
    }
}

/// Moves the parameters of a copy towards those that were seen.
struct Follow<B: Backend> {
    floats: std::iter::Zip<std::vec::IntoIter<FloatTensor<B>>, std::vec::IntoIter<bool>>,
    ints: std::vec::IntoIter<IntTensor<B>>,
    bools: std::vec::IntoIter<BoolTensor<B>>,
    weight: f64,
}

fn same_shape<T: TensorMetadata, U: TensorMetadata>(copy: &T, model: &U) {
    let (copy, model) = (copy.shape(), model.shape());
    assert_eq!(copy, model, "a parameter is {copy:?} in the copy and {model:?} in the model");
}

const OTHER: &str = "the copy has a parameter that the model has not";

impl<B: OptimizerBackend> ModuleMapper<B> for Follow<B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let Some((to, trained)) = self.floats.next() else { panic!("{OTHER}") };
        let from = tensor.into_primitive().tensor();
        same_shape(&from, &to);
        let value = if trained { B::lerp(from, to, self.weight) } else { to };
        Param::from_mapped_value(id, Tensor::from_primitive(TensorPrimitive::Float(value)), mapper)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<B, D, Int>>) -> Param<Tensor<B, D, Int>> {
        let (id, tensor, mapper) = param.consume();
        let Some(to) = self.ints.next() else { panic!("{OTHER}") };
        same_shape(&tensor.into_primitive(), &to);
        Param::from_mapped_value(id, Tensor::from_primitive(to), mapper)
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<B, D, Bool>>) -> Param<Tensor<B, D, Bool>> {
        let (id, tensor, mapper) = param.consume();
        let Some(to) = self.bools.next() else { panic!("{OTHER}") };
        same_shape(&tensor.into_primitive(), &to);
        Param::from_mapped_value(id, Tensor::from_primitive(to), mapper)
    }
}
