//! See `src/lib.rs`. A test's name is the promise; a schedule that breaks it is printed, and shuttle can replay it.

#[path = "models/budgets.rs"]
mod budgets;
#[path = "models/endings.rs"]
mod endings;
#[path = "models/kept.rs"]
mod kept;
#[path = "models/lookouts.rs"]
mod lookouts;
#[path = "models/operations.rs"]
mod operations;
#[path = "models/queues.rs"]
mod queues;

use std::sync::Arc;
use std::time::{Duration, Instant};

use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use zarrs_c_models::engine::budget::Budget;
use zarrs_c_models::engine::runtime::Live;

/// More than any model has that is tried in full.
const MOST: usize = 2_000_000;

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 256 << 10; // errors are formatted
    config
}

/// Try every schedule that there is.
fn in_every_schedule(model: impl Fn() + Send + Sync + 'static) {
    let tried = Runner::new(DfsScheduler::new(Some(MOST), false), config()).run(model);
    println!("{tried} schedules");
    assert!(tried < MOST, "the model is too large to be tried in full");
}

/// Try many schedules: some at random, some with few switches at places that matter.
fn in_many_schedules(model: impl Fn() + Send + Sync + Clone + 'static) {
    Runner::new(RandomScheduler::new(5000), config()).run(model.clone());
    Runner::new(PctScheduler::new(3, 5000), config()).run(model);
}

fn live() -> Arc<Live> {
    Live::new(Budget::new(1, 1))
}

/// Where nothing may wait so long. The checker's clocks never run out: who is not woken is a deadlock that it reports.
fn far_off() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
