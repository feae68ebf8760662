//! Room for what units of work hold while they run, within a budget of bytes.

/// See the module.
pub struct Room {
    most: u64,
    held: u64,
}

impl Default for Room {
    /// Without an end.
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

impl Room {
    pub fn new(most: u64) -> Self {
        Self { most, held: 0 }
    }

    /// Whether `bytes` more are within the budget. What exceeds all of it runs alone.
    pub fn has(&self, bytes: u64) -> bool {
        bytes == 0 || self.held == 0 || self.held.saturating_add(bytes) <= self.most
    }

    pub fn take(&mut self, bytes: u64) {
        self.held = self.held.saturating_add(bytes);
    }

    pub fn give(&mut self, bytes: u64) {
        self.held = self.held.saturating_sub(bytes);
    }
}
