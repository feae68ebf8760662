//! Regions: what a caller wants to read, checked against the array and against the memory it is to fill.

use std::sync::Arc;

use super::Dims;
use super::array::Array;
use super::error::{Error, Result, Status};
use super::plan::{AxisSelection, Cells};
use super::scatter::c_strides;

/// What is done with a region's memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is filled.
    Read,
    /// It is what the array is to hold.
    Write,
}

/// The elements `start[d] + k * step[d]`, `0 <= k < shape[d]`, of an array, and the memory that they fill.
#[derive(Clone)]
pub struct Region {
    pub array: Arc<Array>,
    pub start: Dims<u64>,
    pub shape: Dims<u64>,
    /// `None`: all 1.
    pub step: Option<Dims<i64>>,
    /// The address of element `[0, 0, …]` of the region.
    pub data: *mut u8,
    /// Must be the size of all elements together: catches a wrong data type or shape.
    pub nbytes: usize,
    /// In bytes; `None`: C order without gaps.
    pub strides: Option<Dims<i64>>,
}

impl Region {
    /// Check everything, and give the selection and the strides in bytes.
    pub(super) fn checked(&self, access: Access) -> Result<(Cells, Dims<isize>)> {
        let array = &self.array;
        let dtype = array.dtype();
        if dtype.is_variable() {
            let (path, name) = (array.name(), &dtype.name);
            return Err(Error::unsupported(format_args!(
                "{path}: variable-length data type {name} can be neither read nor written"
            )));
        }
        if access == Access::Write {
            array.store().check_writable()?;
        }
        let selection = self.selection()?;
        let strides = self.checked_strides(dtype.itemsize, access)?;
        Ok((Cells::new(selection, array.axes().clone()), strides))
    }

    fn selection(&self) -> Result<Dims<AxisSelection>> {
        let shape = self.array.shape();
        (0..shape.len())
            .map(|d| {
                let step = self.step.as_ref().map_or(1, |step| step[d]);
                let selection = AxisSelection { start: self.start[d], count: self.shape[d], step };
                let last = i128::from(selection.start) + (i128::from(selection.count) - 1) * i128::from(step);
                let inside = |i: i128| (0..i128::from(shape[d])).contains(&i);
                if step == 0 {
                    return Err(self.invalid(d, "the step is 0"));
                }
                if selection.count > 0 && !(inside(i128::from(selection.start)) && inside(last)) {
                    let first = selection.start;
                    let text = format!("elements {first} to {last} lie outside of its {} elements", shape[d]);
                    return Err(self.invalid(d, &text));
                }
                Ok(selection)
            })
            .collect()
    }

    fn invalid(&self, dimension: usize, text: &str) -> Error {
        Error::invalid(format_args!("{}: dimension {dimension}: {text}", self.array.name()))
    }

    fn buffer_error(&self, text: std::fmt::Arguments<'_>) -> Error {
        Error::new(Status::Buffer, format_args!("{}: {text}", self.array.name()))
    }

    fn checked_strides(&self, itemsize: usize, access: Access) -> Result<Dims<isize>> {
        let shape = &self.shape;
        let wanted = shape.iter().try_fold(itemsize as u64, |n, d| n.checked_mul(*d));
        if wanted != Some(self.nbytes as u64) {
            let wanted =
                wanted.map_or_else(|| "more bytes than there are".to_owned(), |n| format!("{n} bytes"));
            return Err(self.buffer_error(format_args!(
                "shape {:?} of {} takes {wanted}, the buffer has {}",
                &shape[..],
                self.array.dtype().name,
                self.nbytes
            )));
        }
        if self.data.is_null() && self.nbytes > 0 {
            return Err(self.buffer_error(format_args!("the buffer is NULL")));
        }
        let Some(strides) = &self.strides else {
            return Ok(c_strides(shape, itemsize));
        };
        let strides: Dims<isize> = strides.iter().map(|stride| *stride as isize).collect();
        // An element may be written to many places; it cannot be filled from many.
        if self.nbytes > 0 && access == Access::Read {
            self.check_overlap(&strides, itemsize)?;
        }
        Ok(strides)
    }

    /// Elements are disjoint when each stride, from the smallest up, steps over all that lies inside of it.
    fn check_overlap(&self, strides: &[isize], itemsize: usize) -> Result<()> {
        let mut axes: Dims<(usize, u64)> = strides
            .iter()
            .zip(&self.shape)
            .filter(|(_, count)| **count > 1)
            .map(|(stride, count)| (stride.unsigned_abs(), *count))
            .collect();
        axes.sort_unstable();
        let mut extent = itemsize as u128;
        for (stride, count) in axes {
            if (stride as u128) < extent {
                return Err(self.buffer_error(format_args!(
                    "the buffer's elements overlap: shape {:?}, strides {strides:?}, {itemsize} bytes an element",
                    &self.shape[..]
                )));
            }
            extent += stride as u128 * u128::from(count - 1);
        }
        if extent > isize::MAX as u128 {
            return Err(self.buffer_error(format_args!("strides {strides:?} reach beyond the address space")));
        }
        Ok(())
    }
}
