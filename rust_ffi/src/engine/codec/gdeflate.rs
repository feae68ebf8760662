//! gdeflate: pages of 64 KiB, each compressed by itself, after a header that says how long each is.
//!
//! The decoder of a page does not know where its input ends. So each page is decoded from a copy with bytes after it that
//! are no block: whatever is stored, decoding ends within them.

use super::super::scratch::zeroed;

const PAGE: usize = 64 << 10;
/// A page's output is at most [`PAGE`] bytes, each of which takes less than 3 bytes of input, and the blocks that bits
/// read ahead can still begin take less than the rest.
const BEYOND: usize = 4 * PAGE;

/// Decode `input` into `out`; returns how many bytes came.
pub fn decode(input: &[u8], out: &mut [u8]) -> Result<usize, String> {
    let word = |at: usize| {
        let bytes = input.get(at..at.checked_add(8)?)?;
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let short = || "the header is cut short".to_owned();
    let (len, pages) = (word(0).ok_or_else(short)?, word(8).ok_or_else(short)?);
    if len > out.len() {
        return Err(format!("it holds {len} bytes"));
    }
    if pages != len.div_ceil(PAGE) {
        return Err(format!("{pages} pages for {len} bytes"));
    }
    let decoder = Decoder::new().ok_or("no memory for a decoder")?;
    let mut from = 16 + 8 * pages;
    for (page, out) in out[..len].chunks_mut(PAGE).enumerate() {
        let n = word(16 + 8 * page).ok_or_else(short)?;
        let end = from.checked_add(n).filter(|end| *end <= input.len());
        let end = end.ok_or_else(|| format!("page {page} is cut short"))?;
        decoder.decode(&input[from..end], out).map_err(|text| format!("page {page}: {text}"))?;
        from = end;
    }
    Ok(len)
}

struct Decoder(*mut gdeflate_sys::libdeflate_gdeflate_decompressor);

impl Decoder {
    fn new() -> Option<Self> {
        // SAFETY: takes nothing; NULL when there is no memory.
        let decoder = unsafe { gdeflate_sys::libdeflate_alloc_gdeflate_decompressor() };
        (!decoder.is_null()).then_some(Self(decoder))
    }

    fn decode(&self, page: &[u8], out: &mut [u8]) -> Result<(), String> {
        let mut padded = zeroed::<u8>(page.len() + BEYOND).map_err(|error| error.message.to_string())?;
        padded[..page.len()].copy_from_slice(page);
        padded[page.len()..].fill(0xff); // a block of the type that there is not
        let mut page =
            gdeflate_sys::libdeflate_gdeflate_in_page { data: padded.as_ptr().cast(), nbytes: page.len() };
        let mut came = 0;
        // SAFETY: the decoder reads at most `BEYOND` bytes past the page, all of which are there (see the module), and
        // writes at most `out.len()` bytes.
        let rc = unsafe {
            gdeflate_sys::libdeflate_gdeflate_decompress(
                self.0,
                &raw mut page,
                1,
                out.as_mut_ptr().cast(),
                out.len(),
                &raw mut came,
            )
        };
        match (rc, came == out.len()) {
            (0, true) => Ok(()),
            (0, false) => Err(format!("it holds {came} bytes, expected {}", out.len())),
            _ => Err("it does not decode".to_owned()),
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: allocated by `new`, freed once.
        unsafe { gdeflate_sys::libdeflate_free_gdeflate_decompressor(self.0) };
    }
}
