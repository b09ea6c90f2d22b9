//! `cl-bench list`

use crate::backend::{OnBackend, TrainBackend, on_backend};
use crate::components::Catalogue;
use crate::error::Error;
use crate::out;

/// Prints the components, of one slot or of all.
pub(crate) fn list(slot: Option<&str>, catalogue: &impl Catalogue) -> Result<(), Error> {
    struct Rows<'a, C>(&'a C);
    impl<C: Catalogue> OnBackend for Rows<'_, C> {
        type Output = Vec<(&'static str, &'static str, &'static str)>;
        fn run<B: TrainBackend>(self, _device: B::Device) -> Self::Output {
            self.0.components::<B>().list()
        }
    }
    let rows = on_backend("flex", Rows(catalogue)).unwrap_or_default();
    if let Some(slot) = slot
        && !rows.iter().any(|(of, ..)| *of == slot)
    {
        let mut slots: Vec<_> = rows.iter().map(|(of, ..)| *of).collect();
        slots.dedup();
        return Err(Error::with_help(
            format!("there is no slot `{slot}`"),
            format!("there are: {}", slots.join(", ")),
        ));
    }
    let rows = rows.iter().filter(|(of, ..)| slot.is_none_or(|slot| slot == *of));
    let lines: Vec<_> = rows.map(|(of, name, summary)| format!("{of:<12} {name:<22} {summary}")).collect();
    out::line(lines.join("\n"))
}
