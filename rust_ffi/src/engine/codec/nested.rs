//! Shards that are not stored objects of their own: within shards, or behind further codecs. Decoded as a whole.

use super::super::Dims;
use super::super::error::{Error, Result};
use super::super::grid::GridAxis;
use super::super::scatter::{self, Axis, c_strides};
use super::super::scratch::{PageBuf, zeroed};
use super::super::shard::{ShardLayout, Sharding};

/// Decode a shard of `len` bytes of elements; what is missing is `fill_value`.
pub fn decode(
    sharding: &Sharding,
    layout: &ShardLayout,
    bytes: &[u8],
    fill_value: &[u8],
    len: usize,
) -> Result<Vec<u8>> {
    let itemsize = fill_value.len();
    let mut out = zeroed::<u8>(len)?;
    out.chunks_exact_mut(itemsize).for_each(|element| element.copy_from_slice(fill_value));
    let mut buffers = [PageBuf::default(), PageBuf::default()];
    let stored = bytes.len() as u64;
    let range = layout.index_range(stored)?;
    let index =
        layout.decode_index(&bytes[range.start as usize..range.end as usize], &mut buffers, stored)?;

    let counts: Dims<u64> = layout.axes.iter().map(GridAxis::count).collect();
    let shape: Dims<u64> = counts.iter().zip(&sharding.inner_shape).map(|(n, inner)| n * inner).collect();
    let strides = c_strides(&shape, itemsize);
    let mut cell = Dims::from_elem(0u64, counts.len());
    for _ in 0..layout.inner_chunks() {
        if let Some(range) = index.range(&cell)? {
            let prefixed = |error: Error| error.prefixed(format_args!("inner chunk {:?}: ", &cell[..]));
            let encoded = &bytes[range.start as usize..range.end as usize];
            let decoded = sharding.inner.decode(encoded, &mut buffers, false).map_err(prefixed)?;
            let start = |d: usize| (cell[d] * sharding.inner_shape[d]) as isize * strides[d];
            let axis = |d: usize| Axis {
                count: sharding.inner_shape[d] as usize,
                src: decoded.strides[d],
                dst: strides[d],
            };
            let offset: isize = (0..cell.len()).map(start).sum();
            let axes = (0..cell.len()).map(axis).collect();
            // SAFETY: `decoded` has the bytes of one inner chunk at its strides; the inner chunk at `cell` lies within
            // `out`, which has the bytes of the shard in C order.
            unsafe { scatter::copy(decoded.bytes.as_ptr(), out.as_mut_ptr().offset(offset), axes, itemsize) };
        }
        next(&mut cell, &counts);
    }
    Ok(out)
}

/// The next cell in C order.
fn next(cell: &mut [u64], counts: &[u64]) {
    for d in (0..cell.len()).rev() {
        cell[d] += 1;
        if cell[d] < counts[d] {
            return;
        }
        cell[d] = 0;
    }
}
