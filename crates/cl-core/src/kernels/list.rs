//! Numbers that the host lists and devices have copies of.

use std::ops::Deref;
use std::sync::Arc;

use super::OnDevice;

/// A list that does not change, with what backends keep of it: a copy on the device is made once, by whoever needs it first.
/// Clones share both; a list that is made anew of the same numbers has copies of its own.
#[derive(Debug, Clone)]
pub struct List<T> {
    items: Arc<[T]>,
    on_device: Arc<OnDevice>,
}

impl<T> List<T> {
    /// What backends keep of it.
    #[must_use]
    pub fn on_device(&self) -> &OnDevice {
        &self.on_device
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> From<Arc<[T]>> for List<T> {
    fn from(items: Arc<[T]>) -> Self {
        Self { items, on_device: Arc::default() }
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        Arc::<[T]>::from(items).into()
    }
}

impl<T: Clone> From<&[T]> for List<T> {
    fn from(items: &[T]) -> Self {
        Arc::<[T]>::from(items).into()
    }
}

impl<T, const N: usize> From<[T; N]> for List<T> {
    fn from(items: [T; N]) -> Self {
        Arc::<[T]>::from(items).into()
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        items.into_iter().collect::<Arc<[T]>>().into()
    }
}

impl<T: PartialEq> PartialEq for List<T> {
    fn eq(&self, other: &Self) -> bool {
        self.items == other.items
    }
}

impl<T: Eq> Eq for List<T> {}
