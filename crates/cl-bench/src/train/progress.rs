//! How training goes, for the person who waits.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::checkpoint::State;
use super::losses::Losses;

/// A bar on a terminal, plain lines elsewhere, or nothing.
pub struct Progress {
    show: Show,
    epochs: u64,
    steps: u64,
    first_step: u64,
    started: Instant,
    told: Instant,
}

enum Show {
    Bar(ProgressBar),
    Lines,
    Nothing,
}

/// Time between plain lines inside an epoch.
const SILENCE: Duration = Duration::from_secs(30);

impl Progress {
    /// Progress on standard error; `quiet` says nothing.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let show = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Show::Nothing,
            (false, true) => Show::Bar(ProgressBar::no_length()),
            (false, false) => Show::Lines,
        };
        let now = Instant::now();
        Self { show, epochs: 0, steps: 0, first_step: 0, started: now, told: now }
    }

    /// Training of `epochs` epochs of `steps` steps starts or goes on.
    pub(super) fn start(&mut self, epochs: u64, steps: u64, state: &State) {
        (self.epochs, self.steps, self.first_step) = (epochs, steps, state.steps);
        self.started = Instant::now();
        if let Show::Bar(bar) = &self.show {
            let style = "epoch {prefix} {bar:24} {pos}/{len} steps, {eta} left  {msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar.set_length(epochs * steps);
            bar.set_position(state.steps);
            bar.reset_eta();
        } else if state.steps > 0 {
            self.say(&format!("goes on after epoch {}, step {}", state.epoch, state.step));
        }
    }

    /// A step is done.
    pub(super) fn step(&mut self, state: &State, losses: &Losses) {
        match &self.show {
            Show::Bar(bar) => {
                bar.set_prefix(format!("{}/{}", state.epoch + 1, self.epochs));
                bar.set_message(parts(losses));
                bar.set_position(state.steps);
            }
            Show::Lines if self.told.elapsed() > SILENCE => {
                let line = format!(
                    "epoch {} step {}/{}  {}",
                    state.epoch + 1,
                    state.step,
                    self.steps,
                    parts(losses)
                );
                self.say(&format!("{line}  {} left", self.left(state)));
            }
            _ => {}
        }
    }

    /// An epoch is done and perhaps evaluated.
    pub(super) fn epoch(&mut self, state: &State, metrics: &[(String, f64)]) {
        // The first metrics at their largest cut-off are enough for a line.
        let shown = metrics.iter().enumerate().filter(|(at, (name, _))| {
            let of = |name: &str| name.split('@').next().unwrap_or_default().to_string();
            metrics.get(at + 1).is_none_or(|(next, _)| of(next) != of(name))
        });
        let metrics: Vec<_> = shown.take(2).map(|(_, (name, value))| format!("{name} {value:.5}")).collect();
        let best = if state.selected_epoch > 0 {
            format!("  best epoch {}", state.selected_epoch)
        } else {
            String::new()
        };
        let epoch = state.epochs_begun();
        let line =
            format!("epoch {epoch}/{}  {}  {}{best}", self.epochs, parts(&state.means()), metrics.join(" "));
        match &self.show {
            Show::Bar(bar) => bar.println(line),
            Show::Lines => self.say(&format!("{line}  {} left", self.left(state))),
            Show::Nothing => {}
        }
    }

    /// Training is over.
    pub(super) fn finish(&self) {
        if let Show::Bar(bar) = &self.show {
            bar.finish_and_clear();
        }
    }

    fn left(&self, state: &State) -> String {
        let done = (state.steps - self.first_step).max(1);
        let left = (self.epochs * self.steps).saturating_sub(state.steps);
        let seconds = self.started.elapsed().as_secs_f64() / done as f64 * left as f64;
        format!("{}m{:02}s", seconds as u64 / 60, seconds as u64 % 60)
    }

    fn say(&mut self, line: &str) {
        if !matches!(self.show, Show::Nothing) {
            crate::out::note(line);
            self.told = Instant::now();
        }
    }
}

fn parts(losses: &Losses) -> String {
    let Losses { total, objective, contrast, l2 } = losses;
    format!("loss {total:.4} (objective {objective:.4}, contrast {contrast:.4}, l2 {l2:.5})")
}
