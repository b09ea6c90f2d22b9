//! What backends keep of something that the host knows.

use std::any::Any;
use std::fmt;
use std::sync::{Mutex, PoisonError};

type Kept = Vec<Box<dyn Any + Send + Sync>>;

/// Copies on devices, each made on first use and kept as long as what it is a copy of.
#[derive(Default)]
pub struct OnDevice(Mutex<Kept>);

impl OnDevice {
    /// The copy of this kind. Of one kind there may be several: the first that `fits` (is on the device that asks) is taken.
    pub fn get<T: Any + Clone + Send + Sync>(
        &self,
        fits: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> T {
        let find = |kept: &Kept| {
            let of_kind = |entry: &'_ Box<dyn Any + Send + Sync>| {
                entry.downcast_ref::<T>().filter(|made| fits(made)).cloned()
            };
            kept.iter().find_map(of_kind)
        };
        // A panic while the lock was held left a complete list behind: entries are pushed whole.
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = find(&lock());
        found.unwrap_or_else(|| {
            // Not under the lock: it may ask for something else here, or wait for a device.
            let made = make();
            let mut kept = lock();
            find(&kept).unwrap_or_else(|| {
                kept.push(Box::new(made.clone()));
                made
            })
        })
    }
}

impl fmt::Debug for OnDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnDevice")
    }
}
