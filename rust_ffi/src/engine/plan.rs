//! The planner: which cells of a grid a selection touches, and which part of each goes where.
//!
//! Pure arithmetic, no I/O. Nothing is enumerated up front: [`Cells`] knows how many cells there are and computes any
//! one of them on demand, so that a plan costs the same for ten chunks and for ten million. The same code cuts an array
//! into chunks, and a shard into inner chunks.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Dims;
use super::grid::GridAxis;

/// The elements `start + k * step`, `0 <= k < count`, along one dimension. `start` counts from the cell's (or array's)
/// first element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxisSelection {
    pub start: u64,
    pub count: u64,
    pub step: i64,
}

impl AxisSelection {
    /// The index of element `k`. The whole selection lies in the array, so this cannot overflow.
    fn index(&self, k: u64) -> u64 {
        self.start.wrapping_add_signed((k as i64).wrapping_mul(self.step))
    }

    /// The range of `k` whose indices lie in `low..high`.
    fn range_within(&self, low: u64, high: u64) -> (u64, u64) {
        let stride = self.step.unsigned_abs();
        let (begin, end) = if self.step > 0 {
            (
                low.saturating_sub(self.start).div_ceil(stride),
                high.saturating_sub(self.start).div_ceil(stride),
            )
        } else {
            let past = |bound: u64| (self.start + 1).saturating_sub(bound).div_ceil(stride);
            (past(high), past(low))
        };
        (begin.min(self.count), end.min(self.count))
    }
}

/// The cells of one dimension that hold at least one selected element, in ascending order of `k` or of the grid.
#[derive(Clone, Debug)]
enum AxisCells {
    /// Every cell from `first` on: no step jumps over a cell.
    Run { first: u64, count: u64 },
    /// Each element in a cell of its own: steps are longer than the cells.
    PerElement { count: u64 },
    /// Found by walking the elements.
    Listed(Arc<[u64]>),
}

impl AxisCells {
    fn new(selection: &AxisSelection, axis: &GridAxis) -> Self {
        let (a, b) = (selection.index(0), selection.index(selection.count - 1));
        let (first, last) = (axis.cell_of(a.min(b)), axis.cell_of(a.max(b)));
        let stride = selection.step.unsigned_abs();
        if stride <= axis.smallest() || first == last {
            return Self::Run { first, count: last - first + 1 };
        }
        match axis {
            GridAxis::Regular { .. } => Self::PerElement { count: selection.count },
            GridAxis::Rectilinear { .. } => {
                let mut cells: Vec<_> =
                    (0..selection.count).map(|k| axis.cell_of(selection.index(k))).collect();
                cells.dedup();
                Self::Listed(cells.into())
            }
        }
    }

    fn count(&self) -> u64 {
        match self {
            Self::Run { count, .. } | Self::PerElement { count } => *count,
            Self::Listed(cells) => cells.len() as u64,
        }
    }

    fn cell(&self, i: u64, selection: &AxisSelection, axis: &GridAxis) -> u64 {
        match self {
            Self::Run { first, .. } => first + i,
            Self::PerElement { .. } => axis.cell_of(selection.index(i)),
            Self::Listed(cells) => cells[i as usize],
        }
    }
}

/// The cells of a grid that a selection touches. Computed one at a time by [`Cells::get`].
#[derive(Clone, Debug)]
pub struct Cells {
    axes: Arc<[GridAxis]>,
    selection: Dims<AxisSelection>,
    cells: Dims<AxisCells>,
    len: u64,
}

/// One cell that a selection touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The cell's grid index.
    pub cell: Dims<u64>,
    /// What is selected of the cell, counted from the cell's first element.
    pub inner: Dims<AxisSelection>,
    /// Where that lies in the selection: the first `k` of each dimension.
    pub at: Dims<u64>,
}

impl Cells {
    /// Plan a selection that lies within the grid. An empty selection touches no cell, a 0-d one touches one.
    pub fn new(selection: Dims<AxisSelection>, axes: Arc<[GridAxis]>) -> Self {
        debug_assert_eq!(selection.len(), axes.len());
        if selection.iter().any(|s| s.count == 0) {
            return Self { axes, selection, cells: Dims::new(), len: 0 };
        }
        let cells: Dims<_> = selection.iter().zip(axes.iter()).map(|(s, a)| AxisCells::new(s, a)).collect();
        let len = cells.iter().map(AxisCells::count).product();
        Self { axes, selection, cells, len }
    }

    pub fn count(&self) -> u64 {
        self.len
    }

    /// The most cells that there can be if the grid's were of `shape`; `None`: more than can be counted.
    pub fn most_of(&self, shape: &[u64]) -> Option<u64> {
        let most = |(selection, n): (&AxisSelection, &u64)| {
            let span = selection.count.saturating_mul(selection.step.unsigned_abs());
            selection.count.min(span / n + 2)
        };
        self.selection.iter().zip(shape).map(most).try_fold(1, u64::checked_mul)
    }

    /// The `i`th cell, in C order.
    pub fn get(&self, i: u64) -> Overlap {
        let ndim = self.selection.len();
        let mut overlap = Overlap {
            cell: Dims::from_elem(0, ndim),
            inner: self.selection.clone(),
            at: Dims::from_elem(0, ndim),
        };
        let mut rest = i;
        for d in (0..ndim).rev() {
            let (axis, selection) = (&self.axes[d], &self.selection[d]);
            let count = self.cells[d].count();
            let cell = self.cells[d].cell(rest % count, selection, axis);
            rest /= count;
            let start = axis.start(cell);
            let (k, end) = selection.range_within(start, start.saturating_add(axis.size(cell)));
            overlap.cell[d] = cell;
            overlap.at[d] = k;
            overlap.inner[d] =
                AxisSelection { start: selection.index(k) - start, count: end - k, step: selection.step };
        }
        overlap
    }

    /// The position of the `i`th cell in the whole grid, in C order: equal for equal cells of one grid.
    fn grid_position(&self, i: u64) -> u128 {
        let (mut position, mut scale, mut rest) = (0u128, 1u128, i);
        for d in (0..self.cells.len()).rev() {
            let count = self.cells[d].count();
            let cell = self.cells[d].cell(rest % count, &self.selection[d], &self.axes[d]);
            rest /= count;
            position = position.wrapping_add(scale.wrapping_mul(u128::from(cell)));
            scale = scale.wrapping_mul(u128::from(self.axes[d].count()));
        }
        position
    }
}

/// A selection being planned, and the memory that it fills.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which of the operation's regions this belongs to.
    pub region: u32,
    /// Equal for targets on the same grid of the same array.
    pub grid: usize,
    pub cells: Cells,
    /// The memory of the selection's first element.
    pub memory: Memory,
}

/// The address of an element in the caller's memory.
#[derive(Clone, Copy, Debug)]
pub struct Memory(pub *mut u8);

// SAFETY: whoever submits a read promises that the memory stays valid and is used by nobody else until the completion,
// and pieces of one plan never overlap; so any thread may write through the address.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

/// What one region takes from one cell.
#[derive(Clone, Debug)]
pub struct Piece {
    pub region: u32,
    /// What is selected of the cell, counted from the cell's first element.
    pub inner: Dims<AxisSelection>,
    /// The memory of the first of those elements.
    pub memory: Memory,
}

pub type Pieces = SmallVec<[Piece; 1]>;

/// The cells that one or more targets touch, each listed once.
#[derive(Debug)]
pub struct Plan {
    targets: Vec<Target>,
    /// `None`: one target, whose cells are the plan's. Otherwise each cell's touches lie together.
    groups: Option<Groups>,
}

#[derive(Debug)]
struct Groups {
    /// `(target, i)`: the `i`th cell of that target.
    touches: Vec<(u32, u64)>,
    /// Where each cell's touches begin, and the end.
    starts: Vec<usize>,
}

impl Plan {
    pub fn new(targets: Vec<Target>) -> Self {
        let groups = (targets.len() > 1).then(|| Groups::new(&targets));
        Self { targets, groups }
    }

    /// The number of distinct cells.
    pub fn count(&self) -> usize {
        match &self.groups {
            Some(groups) => groups.starts.len() - 1,
            None => self.targets.first().map_or(0, |target| target.cells.count() as usize),
        }
    }

    /// What was planned.
    pub fn targets(self) -> Vec<Target> {
        self.targets
    }

    /// The only target.
    pub fn one(&self) -> Option<&Target> {
        if let [target] = &self.targets[..] { Some(target) } else { None }
    }

    /// How many cells lie side by side along the last dimension, one after another in the plan; 1 where several regions
    /// are planned together.
    pub fn row(&self) -> u64 {
        self.one().and_then(|target| target.cells.cells.last()).map_or(1, AxisCells::count)
    }

    /// Whether all that is wanted of a cell is one piece.
    pub fn is_of_one(&self) -> bool {
        self.groups.is_none()
    }

    /// The region of each piece of the `i`th cell.
    pub fn regions(&self, i: usize) -> impl Iterator<Item = u32> {
        let touches =
            self.groups.as_ref().map(|groups| &groups.touches[groups.starts[i]..groups.starts[i + 1]]);
        let several = touches.into_iter().flatten().map(|(target, _)| self.targets[*target as usize].region);
        several.chain(self.one().map(|target| target.region))
    }

    /// A region that touches the `i`th cell.
    pub fn region(&self, i: usize) -> u32 {
        self.regions(i).next().expect("each cell is touched")
    }

    /// The `i`th cell: its grid index, and what each region takes from it. `strides` gives each region's strides.
    pub fn cell<'a>(&self, i: usize, strides: impl Fn(u32) -> &'a [isize]) -> (Dims<u64>, Pieces) {
        let one = [(0, i as u64)];
        let touches = match &self.groups {
            Some(groups) => &groups.touches[groups.starts[i]..groups.starts[i + 1]],
            None => &one[..],
        };
        let mut cell = Dims::new();
        let pieces = touches.iter().map(|(target, i)| {
            let target = &self.targets[*target as usize];
            let overlap = target.cells.get(*i);
            let offset: isize =
                overlap.at.iter().zip(strides(target.region)).map(|(k, stride)| *k as isize * stride).sum();
            cell = overlap.cell;
            let memory = Memory(target.memory.0.wrapping_offset(offset));
            Piece { region: target.region, inner: overlap.inner, memory }
        });
        let pieces = pieces.collect();
        (cell, pieces)
    }
}

impl Groups {
    fn new(targets: &[Target]) -> Self {
        let total = targets.iter().map(|target| target.cells.count() as usize).sum();
        let mut keyed = Vec::with_capacity(total);
        for (t, target) in targets.iter().enumerate() {
            let key = |i| (target.grid, target.cells.grid_position(i), t as u32, i);
            keyed.extend((0..target.cells.count()).map(key));
        }
        keyed.sort_unstable();
        let mut starts: Vec<usize> = (0..keyed.len())
            .filter(|&n| n == 0 || (keyed[n].0, keyed[n].1) != (keyed[n - 1].0, keyed[n - 1].1))
            .collect();
        starts.push(keyed.len());
        Self { touches: keyed.into_iter().map(|(_, _, target, i)| (target, i)).collect(), starts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every selected element is in exactly one cell, at the right place: against a walk over the elements.
    fn check(start: u64, count: u64, step: i64, axis: &GridAxis) {
        let selection = AxisSelection { start, count, step };
        let cells = Cells::new(Dims::from_slice(&[selection]), Arc::from([axis.clone()]));
        let mut seen = vec![None; count as usize];
        for i in 0..cells.count() {
            let overlap = cells.get(i);
            let inner = overlap.inner[0];
            assert!(inner.count > 0, "{selection:?} {axis:?}: cell {i} holds nothing");
            for k in 0..inner.count {
                let within = inner.index(k);
                assert!(within < axis.size(overlap.cell[0]));
                let slot = &mut seen[(overlap.at[0] + k) as usize];
                assert_eq!(slot.replace(axis.start(overlap.cell[0]) + within), None, "placed twice");
            }
        }
        let expected: Vec<_> = (0..count).map(|k| Some(selection.index(k))).collect();
        assert_eq!(seen, expected, "{selection:?} over {axis:?}");
    }

    #[test]
    fn every_selected_element_is_planned_exactly_once() {
        let axes =
            [GridAxis::regular(4, 23), GridAxis::regular(1, 23), GridAxis::rectilinear(&[3, 1, 7, 2, 10])];
        for axis in &axes {
            for start in 0..23u64 {
                for step in (-9..=9i64).filter(|step| *step != 0) {
                    let room =
                        if step > 0 { (22 - start) / step as u64 } else { start / step.unsigned_abs() };
                    (1..=room + 1).for_each(|count| check(start, count, step, axis));
                }
            }
        }
    }

    #[test]
    fn an_empty_selection_touches_no_cell_and_a_scalar_touches_one() {
        let empty = AxisSelection { start: 0, count: 0, step: 1 };
        assert_eq!(Cells::new(Dims::from_slice(&[empty]), Arc::from([GridAxis::regular(4, 8)])).count(), 0);
        assert_eq!(Cells::new(Dims::new(), Arc::from([])).count(), 1);
    }
}
