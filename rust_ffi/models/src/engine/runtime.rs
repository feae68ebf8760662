//! The runtime, as far as operations and budgets know it.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::budget::Budget;
use super::error::{Result, Status};
use super::lookout::Glance;
use super::stats::{Counters, Gauge};

pub struct Config {
    pub codec_threads: usize,
}

pub struct Live {
    config: Config,
    pub budget: Budget,
    pub admission: Admission,
    pub closing_token: CancellationToken,
    pub counters: Counters,
    pub bytes: Gauge,
    pub operations_in_flight: Gauge,
    pub glance: Glance,
}

impl Live {
    pub fn new(budget: Budget) -> Arc<Self> {
        Self::with_codec_threads(1, budget)
    }

    pub fn with_codec_threads(codec_threads: usize, budget: Budget) -> Arc<Self> {
        Arc::new(Self {
            config: Config { codec_threads },
            budget,
            admission: Admission::new(false),
            closing_token: CancellationToken::new(),
            counters: Counters::default(),
            bytes: Gauge::default(),
            operations_in_flight: Gauge::default(),
            glance: Glance::default(),
        })
    }

    /// `Live::shutdown` without the threads.
    pub fn shutdown(&self, deadline: Instant) -> Result<()> {
        self.admission.close();
        self.closing_token.cancel();
        self.admission.wait_operations(deadline)
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn closing(&self) -> bool {
        self.admission.closing()
    }

    pub(super) fn enter(&self) -> Result<()> {
        self.admission.enter()?;
        self.operations_in_flight.raise(1);
        Ok(())
    }

    pub(super) fn count_final(&self, _failure: Option<Status>) {
        self.operations_in_flight.lower(1);
    }

    pub(super) fn leave(&self) {
        self.admission.leave();
    }
}
