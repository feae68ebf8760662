//! Where the blocks of a chunk are decoded to: no more of it than has to be there at once.

use super::steps::Told;

/// Blocks come one after another, and again from the beginning once there is no room left.
pub struct Ring<'a> {
    /// So many bytes, of which the ring itself begins at `before`.
    memory: *mut u8,
    room: usize,
    before: usize,
    /// What lies in `start..at` are the last bytes of the chunk that are known.
    start: usize,
    at: usize,
    /// How many bytes of the chunk are known...
    pub known: usize,
    /// ...and how many of them have been told.
    pub said: usize,
    /// From where on they are still needed.
    needed: usize,
    told: Told<'a>,
}

impl<'a> Ring<'a> {
    /// `before` bytes of the memory are for what is still needed when the ring begins anew.
    pub fn new(memory: &'a mut [u8], before: usize, told: Told<'a>) -> Self {
        let (room, memory) = (memory.len(), memory.as_mut_ptr());
        Self { memory, room, before, start: before, at: before, known: 0, said: 0, needed: 0, told }
    }

    /// Bytes from [`Self::free`] to the end.
    pub fn left(&self) -> usize {
        self.room - self.at
    }

    /// Where the next block goes.
    pub fn free(&mut self) -> *mut u8 {
        self.memory.wrapping_add(self.at)
    }

    /// So many bytes have come there.
    pub fn filled(&mut self, came: usize) {
        assert!(came <= self.left(), "there was no room for it");
        self.at += came;
        self.known += came;
    }

    /// Tell what there is, if some of it has not been told.
    pub fn tell(&mut self) {
        if self.said < self.known {
            let there = self.at - self.start;
            // SAFETY: they lie within the memory, which is lent to us and initialised; nobody writes while they are lent on.
            let bytes = unsafe { std::slice::from_raw_parts(self.memory.wrapping_add(self.start), there) };
            self.needed = (self.told)(self.known - there, bytes);
            self.said = self.known;
        }
    }

    /// Begin anew, with what is still needed right before the ring.
    ///
    /// # Errors
    /// When that is more than there is room for.
    pub fn begin_anew(&mut self) -> Result<(), &'static str> {
        self.tell();
        let tail = self.known.saturating_sub(self.needed);
        if tail > self.before.min(self.at - self.start) {
            return Err("more of it is needed at once than was said");
        }
        self.start = self.before - tail;
        let (from, to) = (self.memory.wrapping_add(self.at - tail), self.memory.wrapping_add(self.start));
        // SAFETY: both lie within the memory, which is lent to us; they may overlap.
        unsafe { from.copy_to(to, tail) };
        self.at = self.before;
        Ok(())
    }
}
