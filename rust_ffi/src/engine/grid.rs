//! How an array is cut into chunks, one dimension at a time. Every grid that Zarr defines is separable.

use std::sync::Arc;

/// The cells (chunks, or inner chunks of a shard) along one dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GridAxis {
    /// Cells of one size, the last of which may reach beyond the array.
    Regular { size: u64, count: u64 },
    /// Cells of given sizes: `edges[i]..edges[i + 1]` is cell `i`.
    Rectilinear { edges: Arc<[u64]> },
}

impl GridAxis {
    /// Cells of `size` elements that cover `extent` elements.
    pub fn regular(size: u64, extent: u64) -> Self {
        Self::Regular { size, count: extent.div_ceil(size) }
    }

    pub fn rectilinear(sizes: &[u64]) -> Self {
        let mut edges = vec![0];
        edges.extend(sizes.iter().scan(0u64, |end, size| {
            *end = end.saturating_add(*size);
            Some(*end)
        }));
        Self::Rectilinear { edges: edges.into() }
    }

    /// The number of cells.
    pub fn count(&self) -> u64 {
        match self {
            Self::Regular { count, .. } => *count,
            Self::Rectilinear { edges } => edges.len() as u64 - 1,
        }
    }

    /// The cell that holds element `index`, which must lie in the grid.
    pub fn cell_of(&self, index: u64) -> u64 {
        match self {
            Self::Regular { size, .. } => index / size,
            Self::Rectilinear { edges } => edges.partition_point(|edge| *edge <= index) as u64 - 1,
        }
    }

    /// The first element of a cell.
    pub fn start(&self, cell: u64) -> u64 {
        match self {
            Self::Regular { size, .. } => cell * size,
            Self::Rectilinear { edges } => edges[cell as usize],
        }
    }

    /// The number of elements of a cell, as encoded.
    pub fn size(&self, cell: u64) -> u64 {
        match self {
            Self::Regular { size, .. } => *size,
            Self::Rectilinear { edges } => edges[cell as usize + 1] - edges[cell as usize],
        }
    }

    /// The smallest cell, which decides whether a step can jump over one.
    pub fn smallest(&self) -> u64 {
        match self {
            Self::Regular { size, .. } => *size,
            Self::Rectilinear { edges } => edges.windows(2).map(|e| e[1] - e[0]).min().unwrap_or(1),
        }
    }

    /// The largest cell.
    pub fn largest(&self) -> u64 {
        match self {
            Self::Regular { size, .. } => *size,
            Self::Rectilinear { edges } => edges.windows(2).map(|e| e[1] - e[0]).max().unwrap_or(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectilinear_axis_finds_the_cell_of_every_element() {
        let axis = GridAxis::rectilinear(&[3, 1, 4]);
        let cells: Vec<_> = (0..8).map(|i| axis.cell_of(i)).collect();
        assert_eq!(cells, [0, 0, 0, 1, 2, 2, 2, 2]);
        assert_eq!((axis.count(), axis.start(2), axis.size(2), axis.smallest()), (3, 4, 4, 1));
    }

    #[test]
    fn a_regular_axis_counts_the_cell_that_reaches_beyond() {
        let axis = GridAxis::regular(4, 9);
        assert_eq!((axis.count(), axis.cell_of(8), axis.start(2), axis.size(2)), (3, 2, 8, 4));
    }
}
