//! Which ranges of an object to fetch together: one request costs a round trip, unwanted bytes cost transfer.

use std::ops::Range;

/// A range to fetch, and the wanted ones that lie in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Merged<T> {
    pub range: Range<u64>,
    pub parts: Vec<(Range<u64>, T)>,
}

/// Merge ranges with at most `gap` unwanted bytes between them, as long as the result is at most `cap` bytes.
pub fn merge<T>(mut wanted: Vec<(Range<u64>, T)>, gap: u64, cap: u64) -> Vec<Merged<T>> {
    wanted.sort_by_key(|(range, _)| (range.start, range.end));
    let mut all: Vec<Merged<T>> = vec![];
    for (range, tag) in wanted {
        if let Some(last) = all.last_mut() {
            let (start, end) = (last.range.start, last.range.end.max(range.end));
            if range.start <= last.range.end.saturating_add(gap) && end - start <= cap {
                last.range.end = end;
                last.parts.push((range, tag));
                continue;
            }
        }
        all.push(Merged { range: range.clone(), parts: vec![(range, tag)] });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(wanted: &[Range<u64>], gap: u64, cap: u64) -> Vec<(u64, u64)> {
        let wanted = wanted.iter().cloned().map(|range| (range, ())).collect();
        merge(wanted, gap, cap).into_iter().map(|merged| (merged.range.start, merged.range.end)).collect()
    }

    #[test]
    fn near_ranges_are_fetched_together_up_to_the_cap() {
        assert_eq!(ranges(&[20..30, 0..10, 10..20], 0, 100), [(0, 30)]);
        assert_eq!(ranges(&[0..10, 12..20, 25..30], 2, 100), [(0, 20), (25, 30)]);
        assert_eq!(ranges(&[0..10, 10..20, 20..30], 5, 20), [(0, 20), (20, 30)]);
        assert_eq!(ranges(&[0..50, 50..60], 5, 20), [(0, 50), (50, 60)]);
        assert_eq!(ranges(&[0..10, 0..10, 5..8], 0, 10), [(0, 10)]);
        assert_eq!(ranges(&[], 0, 10), []);
    }
}
