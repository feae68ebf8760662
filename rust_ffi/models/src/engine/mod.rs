#[path = "../../../src/engine/admission.rs"]
pub mod admission;
#[path = "../../../src/engine/budget.rs"]
pub mod budget;
#[path = "../../../src/engine/ending.rs"]
pub mod ending;
#[path = "../../../src/engine/error.rs"]
pub mod error;
#[path = "../../../src/engine/fork.rs"]
pub mod fork;
#[path = "../../../src/engine/index_cache.rs"]
pub mod index_cache;
#[path = "../../../src/engine/locks.rs"]
pub mod locks;
#[path = "../../../src/engine/lookout.rs"]
pub mod lookout;
#[path = "../../../src/engine/operation.rs"]
pub mod operation;
pub mod runtime;
#[path = "../../../src/engine/shared.rs"]
mod shared;
#[path = "../../../src/engine/stats.rs"]
pub mod stats;

pub mod array {
    pub struct Array;
}

pub mod shard {
    /// An index of so many bytes.
    pub struct ShardIndex(pub u64);

    impl ShardIndex {
        pub fn bytes(&self) -> u64 {
            self.0
        }
    }
}

pub type Dims<T> = smallvec::SmallVec<[T; 4]>;
