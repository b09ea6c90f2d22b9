//! Which seconds are counted.

use std::sync::OnceLock;
use std::time::Instant;

/// A clock for timings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Clock {
    /// Seconds on the wall.
    #[default]
    Wall,
    /// Seconds that the processors spent on this process, all threads together: steady on a busy machine.
    Cpu,
}

impl Clock {
    /// Seconds since some moment in the past.
    #[must_use]
    pub fn now(self) -> f64 {
        static START: OnceLock<Instant> = OnceLock::new();
        match self {
            Self::Wall => START.get_or_init(Instant::now).elapsed().as_secs_f64(),
            Self::Cpu => {
                let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
                time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
            }
        }
    }
}
