//! What the tests of reads and of writes have in common: arrays that zarrs writes, and boxes of them in memory.

#![allow(dead_code)] // no test uses all of it

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use zarrs::array::codec::{
    BytesCodec, Crc32cCodec, GzipCodec, ShardingCodecBuilder, TransposeCodec, TransposeOrder, ZstdCodec,
};
use zarrs::array::{Array as Zarrs, ArrayBuilder, ArraySubset, data_type};
use zarrs::filesystem::FilesystemStore;
use zarrs_c::engine::array::Array;
use zarrs_c::engine::open::open_array;
use zarrs_c::engine::operation::Output;
use zarrs_c::engine::region::Region;
use zarrs_c::engine::runtime::{Runtime, RuntimeConfig};
use zarrs_c::storage::Store;

pub const SHAPE: [u64; 3] = [13, 10, 17];
pub const UNTOUCHED: u32 = 0xAAAA_AAAA;

/// A small generator of numbers, the same on every run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

pub fn value(i: u64, j: u64, k: u64) -> u32 {
    (i * 1_000_003 + j * 10_007 + k) as u32
}

/// Chunks, or inner chunks, that are missing from every array, whose fill value is 7.
pub fn is_missing(i: u64, j: u64) -> bool {
    i < 4 && j < 5
}

pub fn runtime(codec_threads: usize) -> Arc<Runtime> {
    Runtime::new(RuntimeConfig { codec_threads, ..Default::default() }).unwrap()
}

pub fn open(runtime: &Arc<Runtime>, folder: &Path, path: &str) -> Arc<Array> {
    let store = Store::open(runtime, folder.to_str().unwrap(), &BTreeMap::new()).unwrap();
    let opened = open_array(&store, path, None, None).unwrap().wait(None).unwrap().completion;
    let Output::Array(array) = opened.result.unwrap() else { panic!("no array") };
    array
}

/// Write all but the missing chunks.
pub fn fill(array: &Zarrs<FilesystemStore>) {
    array.store_metadata().unwrap();
    for i in (0..SHAPE[0]).step_by(4) {
        for j in (0..SHAPE[1]).step_by(5).filter(|j| !is_missing(i, *j)) {
            let (ni, nj) = ((SHAPE[0] - i).min(4), (SHAPE[1] - j).min(5));
            let rows = (i..i + ni).flat_map(|i| (j..j + nj).map(move |j| (i, j)));
            let data: Vec<u32> = rows.flat_map(|(i, j)| (0..SHAPE[2]).map(move |k| value(i, j, k))).collect();
            let subset = ArraySubset::new_with_start_shape(vec![i, j, 0], vec![ni, nj, SHAPE[2]]).unwrap();
            array.store_array_subset(&subset, data).unwrap();
        }
    }
}

/// Write the same array in several codings.
pub fn write_arrays(folder: &Path) -> [&'static str; 6] {
    let store = Arc::new(FilesystemStore::new(folder).unwrap());
    let builder =
        |chunks: [u64; 3]| ArrayBuilder::new(SHAPE.to_vec(), chunks.to_vec(), data_type::uint32(), 7u32);
    let zstd = || Arc::new(ZstdCodec::new(1, true));
    let order = Arc::new(TransposeCodec::new(TransposeOrder::new(&[2, 0, 1]).unwrap()));
    let inner_shape = [4u64, 5, 6].map(|n| n.try_into().unwrap()).to_vec();
    let mut sharding = ShardingCodecBuilder::new(inner_shape, &data_type::uint32());
    sharding.bytes_to_bytes_codecs(vec![zstd()]);
    let chunks = [4, 5, 6];
    let mut codings = [
        ("raw", builder(chunks)),
        ("zstd", builder(chunks)),
        ("gzip", builder(chunks)),
        ("transposed", builder(chunks)),
        ("big", builder(chunks)),
        ("sharded", builder([8, 10, 18])),
    ];
    codings[1].1.bytes_to_bytes_codecs(vec![zstd(), Arc::new(Crc32cCodec::new())]);
    codings[2].1.bytes_to_bytes_codecs(vec![Arc::new(GzipCodec::new(5).unwrap())]);
    codings[3].1.array_to_array_codecs(vec![order]);
    codings[4].1.array_to_bytes_codec(Arc::new(BytesCodec::big()));
    codings[5].1.array_to_bytes_codec(Arc::new(sharding.build()));
    codings.map(|(name, builder)| {
        fill(&builder.build(store.clone(), &format!("/{name}")).unwrap());
        name
    })
}

/// A random box with steps, and memory for it in a random layout.
pub struct Request {
    pub start: [u64; 3],
    pub shape: [u64; 3],
    pub step: [i64; 3],
    pub strides: [i64; 3],
    pub memory: Vec<u32>,
    pub origin: usize,
}

impl Request {
    pub fn random(random: &mut Random) -> Self {
        let (mut start, mut shape, mut step) = ([0u64; 3], [0u64; 3], [1i64; 3]);
        for d in 0..3 {
            step[d] = [1, 1, 1, 2, 3, 7, -1, -2, -5][random.below(9) as usize];
            start[d] = random.below(SHAPE[d]);
            let room = if step[d] > 0 { SHAPE[d] - 1 - start[d] } else { start[d] };
            shape[d] = random.below(room / step[d].unsigned_abs() + 2);
        }
        let mut order = [0, 1, 2];
        order.swap(0, random.below(3) as usize);
        order.swap(1, 1 + random.below(2) as usize);
        let (mut strides, mut extent, mut origin) = ([0i64; 3], 1i64, 0i64);
        for d in order {
            let sign = if random.below(3) == 0 { -1 } else { 1 };
            strides[d] = 4 * sign * extent;
            let count = shape[d].max(1) as i64;
            origin += if sign < 0 { (count - 1) * extent } else { 0 };
            extent = extent * count + random.below(2) as i64;
        }
        Self {
            start,
            shape,
            step,
            strides,
            memory: vec![UNTOUCHED; extent as usize + 1],
            origin: origin as usize,
        }
    }

    pub fn region(&mut self, array: &Arc<Array>) -> Region {
        Region {
            array: array.clone(),
            start: self.start.into_iter().collect(),
            shape: self.shape.into_iter().collect(),
            step: Some(self.step.into_iter().collect()),
            data: self.memory[self.origin..].as_mut_ptr().cast(),
            nbytes: self.shape.iter().product::<u64>() as usize * 4,
            strides: Some(self.strides.into_iter().collect()),
        }
    }

    /// Each element of the box: its index in the array, and its place in the memory.
    pub fn places(&self) -> impl Iterator<Item = ([u64; 3], usize)> {
        let [ni, nj, nk] = self.shape;
        let (start, step, strides, origin) = (self.start, self.step, self.strides, self.origin as i64);
        let all = (0..ni).flat_map(move |a| (0..nj).flat_map(move |b| (0..nk).map(move |c| [a, b, c])));
        all.map(move |k| {
            let index = [0, 1, 2].map(|d| start[d].wrapping_add_signed(k[d] as i64 * step[d]));
            let at: i64 = (0..3).map(|d| k[d] as i64 * strides[d] / 4).sum();
            (index, (origin + at) as usize)
        })
    }
}

/// A row of `out.len()` elements along the last dimension.
pub fn row(array: &Arc<Array>, start: [u64; 3], out: &mut [u32]) -> Region {
    Region {
        array: array.clone(),
        start: start.into_iter().collect(),
        shape: [1, 1, out.len() as u64].into_iter().collect(),
        step: None,
        data: out.as_mut_ptr().cast(),
        nbytes: out.len() * 4,
        strides: None,
    }
}
